"""The planted crawl: what it says of its pages is true, and they are as hard as they are meant to be."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import ipaddress
import itertools
import json
import re
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from llmsys import crawl
from llmsys.crawl import Page, plant
from llmsys.planted_text import joined, near_copy, prose


@pytest.fixture(scope="module")
def planted():
    return plant(400, seed=7)


def shingles(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a | b else 1.0


def digest(planted: crawl.Crawl) -> str:
    facts = json.dumps([dataclasses.astuple(page) for page in planted.pages] + planted.benchmark + planted.blocklist)
    return hashlib.sha256(facts.encode() + gzip.decompress(planted.warc())).hexdigest()


# What is planted


def test_there_is_as_much_as_was_asked_for():
    assert [len(plant(count, 1).pages) for count in (0, 1, 5, 61)] == [0, 1, 5, 61]


def test_the_same_seed_plants_the_same_everywhere():
    pinned = "a3fa7245f134400f6927d3b648e5dbbe31bd01501a527d75ff6f3b672d56eca7"
    assert digest(plant(50, 0)) == pinned
    assert digest(plant(50, np.int64(0))) == pinned
    assert digest(plant(50, 1)) != pinned
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); from test_crawl import *; print(digest(plant(50, 0)))"
    for salt in ("1", "2"):
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": salt})
        assert run.stdout.strip() == pinned, run.stderr


@pytest.mark.parametrize("seed", range(5))
def test_sixty_pages_hold_something_of_everything(seed):
    pages = plant(60, seed).pages
    assert {page.kind for page in pages} == set(crawl.KINDS)
    assert {page.form for page in pages} >= set(crawl.FORMS)
    assert {page.language for page in pages} == set(crawl.LANGUAGES)
    assert len({page.same for page in pages}) < 60 > len({page.family for page in pages})
    assert any(page.similarity < 1 for page in pages)
    assert {span.kind for page in pages for span in page.pii} == {"email", "phone", "ip"}
    assert any(page.leaked for page in pages)
    assert any(page.paraphrased for page in pages)
    assert "" in {page.text for page in plant(120, seed).pages}


def test_three_pages_in_five_are_english_and_most_are_articles(planted):
    share = Counter(page.language for page in planted.pages)["en"] / 400
    assert 0.55 < share < 0.75
    assert 0.6 < sum(page.kind == "article" for page in planted.pages) / 400 < 0.8


def test_the_card_is_of_this_crawl():
    card = (Path(__file__).parents[1] / "datasets" / "planted.md").read_text(encoding="utf-8")
    made = plant(400, 0)
    packed = gzip.decompress(made.warc())
    facts = {"sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed), "documents": len(made.pages)}
    for fact, value in facts.items():
        assert f"\n{fact}: {value}\n" in card
    kinds = Counter(page.kind for page in made.pages)
    details = Counter(span.kind for page in made.pages for span in page.pii)
    near = [page.similarity for page in made.pages if page.similarity < 1]
    for said in (
        f"{kinds['article']} are articles",
        f"{sum(page.form not in ('', 'prose') for page in made.pages)} of them poems",
        f"{400 - kinds['article']} are spam",
        f"{400 - len({page.same for page in made.pages})} are exact copies of another and {len(near)} near copies",
        f"from {min(near):.2f} to {max(near):.2f}",
        f"{details['email']} e-mail addresses, {details['phone']} telephone numbers and {details['ip']} IP addresses",
        f"{sum(bool(page.leaked) for page in made.pages)} pages hold a test question",
        f"and {sum(bool(page.paraphrased) for page in made.pages)} in other words",
    ):
        assert said in " ".join(card.split()), said


# Text and copies


def test_texts_are_tidy_paragraphs(planted):
    for page in planted.pages:
        assert page.text == page.text.strip()
        assert "\n\n\n" not in page.text
        assert not re.search(r"[\t\r\u00a0]|(?m: $)", page.text)
        assert all(re.search(r"\w", block) for block in page.text.split("\n\n")) or not page.text
        if page.form == "prose":
            assert all("\n" not in block for block in page.text.split("\n\n"))


def test_equal_texts_and_only_they_share_a_number(planted):
    for one, other in itertools.combinations(planted.pages, 2):
        assert (one.same == other.same) == (one.text == other.text)
        if one.same == other.same:
            assert one.family == other.family


def test_addresses_are_spellings_of_the_canonical_one(planted):
    assert len({page.url for page in planted.pages}) == 400
    exact = defaultdict(set)
    for page in planted.pages:
        url = re.sub(r"#.*", "", page.url)
        url = re.sub(r"\?(?:(?:utm_\w+|fbclid|gclid)=[\w-]+&?)+$", "", url)
        scheme, host, path = re.fullmatch(r"(https?)://([^/]+)(/.*)", url).groups()
        host = host.lower().removeprefix("www.").removesuffix(":443" if scheme == "https" else ":80")
        path = path.removesuffix("index.html")
        assert page.canonical == f"https://{host}{path}{'' if path.endswith(('/', '.html')) else '/'}"
        exact[page.canonical].add(page.text)
    assert all(len(texts) == 1 for texts in exact.values())
    assert any(page.url != page.canonical for page in planted.pages)


def test_similarity_is_what_an_independent_count_says(planted):
    families = defaultdict(list)
    for page in planted.pages:
        families[page.family].append(page)
    near = 0
    for members in families.values():
        originals = {page.text for page in members if page.similarity == 1.0}
        assert len(originals) == 1
        (original,) = originals
        for page in members:
            assert page.similarity == pytest.approx(jaccard(original, page.text), abs=1e-12)
            near += page.similarity < 1
    assert near > 30
    assert max(map(len, families.values())) >= 5


@pytest.mark.parametrize("target", [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("language", crawl.LANGUAGES)
def test_near_copies_have_the_similarity_that_was_chosen(target, language):
    for seed in range(3):
        random = crawl.Random(seed)
        blocks = prose(random, language, crawl.WORDS_OF_A_FAMILY)
        copy, similarity = near_copy(random, blocks, target, language)
        assert abs(similarity - target) <= 0.02
        assert similarity == pytest.approx(jaccard(joined(blocks), joined(copy)))


def test_pages_of_different_families_have_little_in_common(planted):
    holders = defaultdict(list)
    sets = [shingles(page.text) for page in planted.pages]
    for number, found in enumerate(sets):
        for shingle in found:
            holders[shingle].append(number)
    shared = Counter(pair for numbers in holders.values() for pair in itertools.combinations(numbers, 2))
    for (one, other), both in shared.items():
        if planted.pages[one].family != planted.pages[other].family:
            short = min(len(sets[one]), len(sets[other])) < 100
            assert both / len(sets[one] | sets[other]) < (0.25 if short else 0.1)


def test_datasketch_agrees_on_the_copies(planted):
    datasketch = pytest.importorskip("datasketch")

    def sketch(text: str) -> object:
        made = datasketch.MinHash(num_perm=512)
        made.update_batch([shingle.encode() for shingle in shingles(text)])
        return made

    first = {page.family: sketch(page.text) for page in planted.pages if page.similarity == 1.0}
    copies = [page for page in planted.pages if page.similarity < 1]
    errors = [first[page.family].jaccard(sketch(page.text)) - page.similarity for page in copies]
    # The estimate's standard deviation is sqrt(s(1-s)/512) < 0.0222.
    assert max(map(abs, errors)) < 5 * 0.0222
    assert abs(np.mean(errors)) < 5 * 0.0222 / len(errors) ** 0.5


def test_notices_stand_at_the_end_of_many_pages(planted):
    ends = Counter(page.text.rsplit("\n\n")[-1] for page in planted.pages)
    assert all(ends[notice] for notice in planted.notices)
    assert max(ends[notice] for notice in planted.notices) > 10


def test_real_articles_become_pages():
    paragraphs = [
        f"{word} " * 40 + "stands here. And so it ends, does it not?" for word in ("one", "two", "three", "four")
    ]
    article = "\n\n".join([*paragraphs, "A heading", "Write to somebody@mill.example. " * 5])
    pages = plant(60, 2, articles=[article]).pages
    taken = [page for page in pages if paragraphs[0] in page.text]
    assert taken
    assert all(page.language == "en" and page.form == "prose" for page in taken)
    assert not any("A heading" in page.text or "somebody@" in page.text for page in pages)


# Language


def test_py3langid_reads_the_languages():
    py3langid = pytest.importorskip("py3langid")
    for language in crawl.LANGUAGES:
        said = crawl.sentences(language, 300, seed=5)
        joined = [" ".join(said[i : i + 3]) for i in range(0, 300, 3)]
        right = sum(py3langid.classify(text)[0] == language for text in joined)
        assert right >= 97, (language, right)


def test_py3langid_reads_the_pages(planted):
    py3langid = pytest.importorskip("py3langid")
    articles = [page for page in planted.pages if page.kind == "article"]
    right = sum(py3langid.classify(page.text)[0] == page.language for page in articles)
    assert right >= 0.98 * len(articles)


def test_quotations_are_shorter_than_what_quotes_them(planted):
    mixed = [page for page in planted.pages if page.second]
    assert len(mixed) > 5
    assert all(page.second != page.language and page.second in crawl.LANGUAGES for page in mixed)
    words = [(len(page.text.split()), max(map(len, map(str.split, page.text.split("\n\n"))))) for page in mixed]
    assert all(paragraph < whole / 2 for whole, paragraph in words)


def test_sentences_are_a_prefix_and_differ():
    assert crawl.sentences("de", 5, 3) == crawl.sentences("de", 50, 3)[:5]
    for language in crawl.LANGUAGES:
        said = crawl.sentences(language, 500)
        assert len(set(said)) == 500
        assert all(line[0].isupper() or line[0] in "¿0123456789" for line in said)
        assert all(re.search(r"[.?]$", line) and not re.search(r"[{}|/]|  ", line) for line in said)
    with pytest.raises(ValueError, match="there is no language 'xx'"):
        crawl.sentences("xx", 1)


# Personal details


EMAIL = re.compile(r"[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,}")


def test_spans_are_the_addresses(planted):
    for page in planted.pages:
        assert list(page.pii) == sorted(page.pii, key=lambda span: span.start)
        for kind, start, end in page.pii:
            found = page.text[start:end]
            if kind == "email":
                assert EMAIL.fullmatch(found)
                assert re.search(r"(?:\.example|\.test|@example\.(?:com|net)|\.example\.org)$", found)
            elif kind == "phone":
                digits = re.sub(r"\D", "", found)
                fiction = (
                    r"1?\d{3}55501\d\d|(44|0)2079460\d{3}|07700900\d{3}|493023125\d{3}|08999998\d{3}"
                    r"|019900\d{4}|3363998\d{4}"
                )
                assert re.fullmatch(fiction, digits), found
            else:
                assert ipaddress.ip_address(found).is_global
                assert not re.search(r"[\d.]$", page.text[:start])
            assert not re.match(r"\w", page.text[end:])
            assert not re.search(r"\w$", page.text[:start])


def test_no_address_is_forgotten(planted):
    for page in planted.pages:
        spans = {(span.start, span.end) for span in page.pii}
        assert {found.span() for found in EMAIL.finditer(page.text)} == {
            (start, end) for kind, start, end in page.pii if kind == "email"
        }
        for found in re.finditer(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)", page.text):
            if found.span() not in spans:
                before = page.text[: found.start()].split()[-1].lower().strip("(")
                octets = [int(part) for part in found[0].split(".")]
                version = before in ("version", "versión", "versione", "versie", "release")
                assert version or max(octets) > 255 or not ipaddress.ip_address(found[0]).is_global, found[0]
        # what a person would call a number to ring: 9 digits and more, neither ISBN, date, part, price nor count
        for found in re.finditer(r"\+?\(?\d[\d() -]{7,}\d", page.text):
            if not any(start <= found.start() and found.end() <= end for start, end in spans) and page.form != "table":
                assert re.match(r"978-|\d{4}-\d\d?-\d\d?|\d{4}-\d{4}-\d\d|\d \d{3} \d{3}", found[0]), found[0]


def test_there_are_lookalikes_of_every_sort():
    text = "\n".join(page.text for page in plant(600, 3).pages)
    for lookalike in (
        r"version \d+\.\d+\.\d+\.\d+",
        r"192\.0\.2\.\d",
        r"@app\.route",
        r"user@decorator",
        r"978-\d-\d{3}-\d{5}-\d",
    ):
        assert re.search(lookalike, text, re.IGNORECASE), lookalike
    for isbn in re.findall(r"978-[\d-]{13}", text):
        digits = [int(digit) for digit in isbn.replace("-", "")]
        assert len(digits) == 13
        assert sum(digits[::2]) % 10 == -3 * sum(digits[1::2]) % 10


# Benchmark


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[i:] for i in range(n)), strict=False))


def test_questions_stand_where_they_are_said_to(planted):
    assert len(set(planted.benchmark)) == len(planted.benchmark) >= 20
    assert all(len(question.split()) >= 13 for question in planted.benchmark)
    grams = [ngrams(question, 8) for question in planted.benchmark]
    assert sum(map(len, grams)) == len(set().union(*grams))
    for page in planted.pages:
        assert page.leaked == tuple(n for n, question in enumerate(planted.benchmark) if question in page.text)
        common = ngrams(page.text, 8)
        assert {n for n, gram in enumerate(grams) if gram & common} == set(page.leaked)
    assert sum(bool(page.paraphrased) for page in planted.pages) > 5


# Rules, as the papers give them: Gopher (arXiv 2112.11446, A1.1), C4 (arXiv 1910.10683, section 2.2)


def gopher(text: str) -> set[str]:
    words, lines = text.split(), [line for line in text.split("\n") if line.strip()]
    stop = {"the", "be", "to", "of", "and", "that", "have", "with"}
    broken = {
        "words": not 50 <= len(words) <= 100_000,
        "length": not 3 <= sum(map(len, words)) / len(words) <= 10,
        "symbols": max(text.count("#"), text.count("...") + text.count("…")) > 0.1 * len(words),
        "bullets": sum(line.startswith("•") for line in lines) > 0.9 * len(lines),
        "ellipses": sum(line.endswith(("...", "…")) for line in lines) > 0.3 * len(lines),
        "letters": sum(bool(re.search(r"[^\W\d_]", word)) for word in words) < 0.8 * len(words),
        "stop words": len(stop & set(text.lower().split())) < 2,
    }
    return {rule for rule, is_broken in broken.items() if is_broken}


def repeats(text: str) -> float:
    """The share of characters that stand in a 5-gram which was there before."""
    words, seen, covered = text.split(), set(), set()
    for i in range(len(words) - 4):
        gram = tuple(words[i : i + 5])
        if gram in seen:
            covered.update(range(i, i + 5))
        seen.add(gram)
    return sum(len(words[i]) for i in covered) / sum(map(len, words))


def c4_drops(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.endswith((".", "!", "?", "”")) and len(line.split()) >= 3]
    sentences = sum(len(re.findall(r"[.!?](?=\s|”|$)", line)) for line in lines)
    return "{" in text or "lorem ipsum" in text.lower() or sentences < 5


def test_good_prose_passes_the_rules(planted):
    for page in planted.pages:
        if page.form == "prose":
            assert not (gopher(page.text) - {"stop words"})
            assert repeats(page.text) < 0.15
            assert not c4_drops(page.text)
            assert page.language != "en" or "stop words" not in gopher(page.text)


def test_good_pages_are_there_that_the_rules_drop(planted):
    by_form = defaultdict(list)
    for page in planted.pages:
        by_form[page.form].append(page.text)
    assert all(map(c4_drops, by_form["poem"] + by_form["list"] + by_form["code"] + by_form["quoting"]))
    assert all("letters" in gopher(text) for text in by_form["table"])
    assert any("bullets" in gopher(text) for text in by_form["list"])
    assert not any(map(c4_drops, by_form["dialogue"]))
    assert all(max(Counter(text.split("\n\n")).values()) > 1 for text in by_form["dialogue"])


def test_bad_pages_are_bad_in_their_way(planted):
    by_kind = defaultdict(list)
    for page in planted.pages:
        by_kind[page.kind].append(page.text)
    assert all(repeats(text) > 0.15 for text in by_kind["repetitive"])
    assert all(len(text.split()) < 50 for text in by_kind["stub"])
    assert all("lorem ipsum" in text.lower() for text in by_kind["lorem"])
    assert all(not re.search(r"[.!?]$", text) or text.endswith("...") for text in by_kind["truncated"])
    assert any(not re.search(r"(\.\.\.|…)$", text) for text in by_kind["truncated"])
    spam = [gopher(text) for text in by_kind["spam"]]
    assert any("symbols" in broken for broken in spam)
    assert any(not broken for broken in spam)  # for a classifier


def test_blocked_domains_hold_spam_only(planted):
    def host(page: Page) -> str:
        return page.canonical.split("/")[2]

    blocked = [p for p in planted.pages if any(f".{host(p)}".endswith(f".{domain}") for domain in planted.blocklist)]
    assert {page.kind for page in blocked} == {"spam"}
    assert any(host(page) not in planted.blocklist for page in blocked)
    assert any(host(page).endswith(tuple(planted.blocklist)) and page not in blocked for page in planted.pages)


# HTML


class Blocks(HTMLParser):
    """Runs of text between block tags: text, words, words in links."""

    SKIP = frozenset(("script", "style", "nav", "header", "footer", "aside", "button", "title", "noscript"))
    INLINE = frozenset(("a", "b", "i", "em", "strong", "span", "code", "small", "font"))

    def __init__(self, skip: frozenset[str] = SKIP) -> None:
        super().__init__()
        self.skip, self.skipped, self.links, self.runs = skip, 0, 0, [["", 0, 0]]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.skipped += tag in self.skip
        self.links += tag == "a"
        if tag not in self.INLINE:
            self.runs.append(["", 0, 0])

    def handle_endtag(self, tag: str) -> None:
        self.skipped -= tag in self.skip
        self.links -= tag == "a"
        if tag not in self.INLINE:
            self.runs.append(["", 0, 0])

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.runs[-1][0] += data
            self.runs[-1][1] += len(data.split())
            self.runs[-1][2] += len(data.split()) * bool(self.links)


def stripped(html: str) -> str:
    parser = Blocks(frozenset(("script", "style")))
    parser.feed(html)
    parser.close()
    return "\n".join(run[0] for run in parser.runs)


def densest(html: str) -> str:
    """The stretch of runs with the most words outside links less four times those in links."""
    parser = Blocks()
    parser.feed(html)
    parser.close()
    runs = [run for run in parser.runs if run[1]]
    total, start, best, cut = 0, 0, 0, (0, 0)
    for i, (_, words, links) in enumerate(runs):
        if total <= 0:
            total, start = 0, i
        total += words - 1 - 5 * links if links < words / 2 else -4 * words
        if total > best:
            best, cut = total, (start, i + 1)
    return "\n".join(run[0] for run in runs[slice(*cut)])


def inside(element: str, html: str) -> str:
    """What stands in all elements of that name."""
    lxml = pytest.importorskip("lxml.html")
    parser = lxml.HTMLParser(encoding="utf-8", remove_comments=True)
    return "\n".join(node.text_content() for node in lxml.fromstring(html.encode(), parser=parser).iter(element))


def overlap(found: str, truth: str) -> float:
    a, b = Counter(found.split()), Counter(truth.split())
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def test_every_word_of_the_text_is_in_the_page(planted):
    for page in planted.pages:
        assert not Counter(page.text.split()) - Counter(stripped(page.html).split())


def test_neither_stripping_tags_nor_a_class_finds_the_text_but_density_does(planted):
    articles = [page for page in planted.pages if page.kind == "article"]
    assert np.mean([overlap(stripped(page.html), page.text) for page in articles]) < 0.8
    assert np.mean([overlap(densest(page.html), page.text) for page in articles]) > 0.9
    for element in ("article", "main", "section", "div", "td", "p"):
        assert np.mean([overlap(inside(element, page.html), page.text) for page in articles]) < 0.75, element
    for mark in ('class="content', 'class="post', 'role="main"'):
        assert 0 < sum(mark in page.html for page in articles) < 0.4 * len(articles), mark


def test_resiliparse_finds_most_of_it(planted):
    html2text = pytest.importorskip("resiliparse.extract.html2text")
    articles = [page for page in planted.pages if page.kind == "article"]
    scores = [overlap(html2text.extract_plain_text(page.html, main_content=True), page.text) for page in articles]
    assert np.mean(scores) > 0.82


def test_pages_are_hostile_to_lazy_code(planted):
    pages = "\n".join(page.html for page in planted.pages)
    for trap in (
        r"<TD VALIGN=top",  # capitals, no quotes
        r"<P>[^<]*\s<P>",  # unclosed
        r"<li>[^\n]*[^>]\n<li>",
        r"<!-- <p>",
        r'"<p>This paragraph is code</p>"',
        r'title="a > b"',
        r"&nbsp;",
        r"&amp;",
        r"&lt;",
        r"&#\d+;",
        r"\r\nWARC/1\.0\r\n",
        r"<br><br>",
    ):
        assert re.search(trap, pages), trap


# WARC


def test_warcio_reads_all_of_it(planted):
    archiveiterator = pytest.importorskip("warcio.archiveiterator")
    counted, pages = Counter(), {}
    packed = planted.warc()
    for record in archiveiterator.ArchiveIterator(io.BytesIO(packed), check_digests="raise"):
        status = record.http_headers.get_statuscode() if record.rec_type == "response" else ""
        counted[record.rec_type, status] += 1
        if status == "200" and record.http_headers.get_header("Content-Type").startswith("text/html"):
            charset = re.search(r"charset=([\w-]+)", record.http_headers.get_header("Content-Type"))
            payload = record.content_stream().read()
            charset = charset or re.search(r'<meta charset="([\w-]+)"', payload.decode("latin-1"))
            pages[record.rec_headers.get_header("WARC-Target-URI")] = payload.decode(charset[1])
    assert pages == {page.url: page.html for page in planted.pages}
    assert counted["warcinfo", ""] == 1
    assert counted["request", ""] == sum(number for (kind, _), number in counted.items() if kind == "response")
    assert min(counted["response", "301"], counted["response", "404"], counted["response", "200"] - 400) > 10


def test_a_record_is_a_member_and_packing_is_repeatable(planted):
    assert planted.warc() == planted.warc()
    few = plant(8, 1)
    records, packed = list(crawl._records(few)), few.warc()
    assert gzip.decompress(packed) == b"".join(records)
    assert packed.startswith(crawl._gzip(records[0]))
    assert gzip.decompress(packed.removeprefix(crawl._gzip(records[0]))) == b"".join(records[1:])
    assert b"Content-Length: 0\r\n" in gzip.decompress(plant(40, 1).warc())  # a redirect without a body
    assert "iso-8859-1" in {page.charset for page in plant(60, 1).pages}


def test_the_image_is_one():
    size = crawl._image().index(b"IDAT")
    assert zlib.decompress(crawl._image()[size + 4 : size + 19]) == b"\0\xff\0\0"


def test_an_empty_crawl_is_a_valid_one():
    assert gzip.decompress(plant(0, 1).warc()).count(b"WARC/1.0") == 1
