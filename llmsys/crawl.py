"""A planted crawl: made-up web pages of which everything is known, so that curation can be scored exactly.

    crawl = plant(400, seed=1)
    crawl.pages[0].html, crawl.pages[0].text      # what came, and what an extractor should find in it
    crawl.warc()                                  # the same pages as a crawler stores them

Nobody in it exists. E-mail addresses lie in the domains that RFC 2606 and RFC 6761 keep for examples; telephone numbers
in ranges that regulators keep for films (`planted_text._phone`); visitors' IP addresses in blocks that IANA keeps for
the network's own services and gives to no customer (`planted_text._visitor`).
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from llmsys import planted_words as words
from llmsys.languages import GRAMMARS, draw, integer, pick, sentence, shuffled
from llmsys.planted_pages import Site, new_site, render, respelled, slugged
from llmsys.planted_text import (
    OTHER_KINDS,
    TRAPS,
    Block,
    Piece,
    Span,
    insert,
    joined,
    lookalike,
    near_copy,
    prose,
    some_sentences,
    spam,
    spans_of,
    with_details,
)

LANGUAGES = tuple(GRAMMARS)
KINDS = ("article", "spam", "stub", "repetitive", "truncated", "lorem")
FORMS = ("prose", "poem", "list", "code", "table", "quoting", "dialogue")
WORDS_OF_A_FAMILY = 260  # as long is an original at least: then one word's change moves the similarity by under 0.04


@dataclass(frozen=True)
class Page:
    """A page and the truth about it.

    Attributes:
        url: under which it was fetched.
        canonical: the one address that stands for all spellings of `url`.
        html: what came, decoded.
        charset: in which it travels: "utf-8" or "iso-8859-1".
        text: the main text: title, paragraphs, lists, code and tables, with one empty line between them; lines of
            poems, lists, code and tables are lines here. "" where the page has no text of its own.
        language: of the main text, or of the site where the text is none; with two, of the longer part.
        second: language of a quotation in the main text, "" where there is none.
        kind: one of `KINDS`; only "article" is worth keeping.
        form: one of `FORMS` for an article, "" for the others. All but "prose" are good texts that the published
            rules are prone to drop.
        same: pages whose main texts are equal share this number.
        family: near copies share this number, and so do exact ones.
        similarity: Jaccard similarity of the sets of 5-word shingles (lower case, words as `\\w+` finds them) to the
            text from which the family was copied: 1.0 for that text and its exact copies.
        pii: e-mail addresses, telephone numbers and visitors' IP addresses in `text`, in order.
        leaked: which of the crawl's benchmark questions stand in `text` word for word.
        paraphrased: which of them stand there in other words.
    """

    url: str
    canonical: str
    html: str
    charset: str
    text: str
    language: str
    second: str
    kind: str
    form: str
    same: int
    family: int
    similarity: float
    pii: tuple[Span, ...]
    leaked: tuple[int, ...]
    paraphrased: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Page({self.url!r}, {self.kind}, {self.language}, {len(self.text):,} characters of text)"


@dataclass(frozen=True)
class Crawl:
    """What the crawler brought home.

    Attributes:
        pages: in the order in which they came.
        benchmark: made-up test questions of at least 13 words; some pages contain some of them.
        notices: lines that a site repeats at the end of its texts.
        blocklist: domains that hold nothing but spam, and so do their subdomains; one honest domain's name ends in the
            same letters as one of theirs.
    """

    pages: list[Page]
    benchmark: list[str]
    notices: list[str]
    blocklist: list[str]

    def warc(self) -> bytes:
        """The pages as a .warc.gz (ISO 28500), one gzip member a record, with what else a crawler meets.

        A warcinfo record; then a request and a response for each page, and between them redirects, pages that do not
        exist, images and a PDF. The same on every run; the bytes before compression are the same on every machine.
        """
        return b"".join(map(_gzip, _records(self)))

    def __repr__(self) -> str:
        return f"Crawl({len(self.pages):,} pages)"


def plant(count: int = 400, seed: int = 0, *, articles: Sequence[str] | None = None) -> Crawl:
    """A crawl of `count` pages, the same on every machine and Python.

    Args:
        count: pages in it, with all copies. From about 60 on, there is something of everything.
        seed: another seed, another crawl.
        articles: English texts whose paragraphs (blocks between empty lines, or lines where there is none) become the
            main texts of the English articles in prose, in passages of 120 words and more; when they are used up, and
            without them, the generator's own sentences do. Short paragraphs and those with what looks like a personal
            detail are left out.
    """
    return _Planter(seed, articles or ()).plant(count)


def sentences(language: str, count: int, seed: int = 0) -> list[str]:
    """Made-up sentences to train and to test on; fewer are a prefix of more.

    Args:
        language: one of `LANGUAGES`.
        count: how many.
        seed: another seed, other sentences.
    """
    if language not in GRAMMARS:
        raise ValueError(f"there is no language {language!r}; there are {', '.join(LANGUAGES)}")
    random = Random(int(seed))
    return [sentence(random, language) for _ in range(count)]


# ---------------------------------------------------------------------------------------------------------------------
# The crawl

# What is planted, dealt like cards: a deck holds all of it, and the next deck is opened when one is used up.
DECK = (
    *["article"] * 13,
    *["family"] * 4,
    *TRAPS,
    *["spam"] * 3,
    *["stub"] * 3,
    *["repetitive"] * 3,
    *["truncated"] * 3,
    *["lorem"] * 2,
)
OTHERS = ("de", "fr", "es", "it", "nl")


class _Text(NamedTuple):
    """A main text and what is known of it."""

    blocks: list[Block]
    language: str
    kind: str
    form: str = ""
    second: str = ""


class _Draft(NamedTuple):
    """A page before it is written."""

    site: Site
    text: _Text
    canonical: str
    url: str
    charset: str
    family: int
    similarity: float
    seed: int  # of what its HTML has by chance


class _Planter:
    def __init__(self, seed: int, articles: Sequence[str]) -> None:
        self.random = random = Random(int(seed))
        self.passages = shuffled(random, [*_passages(articles)])
        numbers = iter(range(10**6))
        self.sites = {
            language: [new_site(random, language, next(numbers)) for _ in range(14 if language == "en" else 7)]
            for language in LANGUAGES
        }
        shops = [new_site(random, "en", next(numbers), shop=True) for _ in range(6)]
        self.blocklist = sorted(shop.domain for shop in shops)
        self.shops = [shop._replace(domain="shop." * (i % 2) + shop.domain) for i, shop in enumerate(shops)]
        honest = self.sites["en"][0]  # its name ends like a blocked one, and it is another domain
        self.sites["en"][0] = honest._replace(domain=f"no{shops[0].domain}")
        self.questions: list[str] = []
        self.reworded: list[str] = []
        for question, other in words.QUESTIONS:
            b, c = integer(random, 3, 19), integer(random, 2, 9)
            values = {"a": b + c + integer(random, 20, 300), "b": b, "c": c}
            self.questions.append(question.format(**values))
            self.reworded.append(other.format(**values))
        self.cards: list[str] = []
        self.dealt = {"language": 0, "question": 0, "detail": 0}
        self.slugs: Counter[str] = Counter()
        self.urls: set[str] = set()

    def plant(self, count: int) -> Crawl:
        drafts: list[_Draft] = []
        family = 0
        while len(drafts) < count:
            if not self.cards:
                self.cards = shuffled(self.random, DECK)
            drafts += self._dealt(self.cards.pop(), family)
            family += 1
        drafts = shuffled(self.random, drafts[:count])
        numbers: dict[str, int] = {}
        families: dict[int, int] = {}
        pages = [self._page(draft, numbers, families) for draft in drafts]
        notices = sorted({site.notice for sites in self.sites.values() for site in sites if site.notice})
        return Crawl(pages, self.questions, notices, self.blocklist)

    def _language(self) -> str:
        """English three times in five, the others in turn."""
        self.dealt["language"] += 1
        turn, place = divmod(self.dealt["language"], 5)
        return OTHERS[(2 * turn + (place == 4)) % 5] if place in (2, 4) else "en"

    def _dealt(self, card: str, family: int) -> list[_Draft]:
        random = self.random
        text = self._written(card)
        site = pick(random, self.shops if card == "spam" and random.random() < 0.7 else self.sites[text.language])
        if text.form == "prose" and site.notice:
            text.blocks.append(Block("p", (Piece(site.notice, fixed=True),)))
        first = self._draft(site, text, family)
        members = [first]
        for _ in range(integer(random, 1, 5) if card == "family" else 0):
            chance = random.random()
            if chance < 0.25:  # the same page under another spelling of its address
                members.append(first._replace(url=self._variant(first.canonical)))
                continue
            copy, similarity = text, 1.0
            if chance > 0.45:
                blocks, similarity = near_copy(random, text.blocks, 0.3 + 0.65 * random.random(), text.language)
                copy = text._replace(blocks=blocks)
            elsewhere = pick(random, [other for other in self.sites[text.language] if other != site])
            members.append(self._draft(elsewhere, copy, family, similarity))
        return members

    def _written(self, card: str) -> _Text:
        random = self.random
        if card in TRAPS:
            return _Text(TRAPS[card](random, "en"), "en", "article", card)
        if card == "spam":
            return _Text(spam(random), "en", card)
        language = self._language()
        if card in OTHER_KINDS:
            return _Text(OTHER_KINDS[card](random, language), language, card)
        text = _Text(
            self._article(language, WORDS_OF_A_FAMILY if card == "family" else 0), language, "article", "prose"
        )
        if card == "family" or random.random() > 0.15:
            return text
        second = pick(random, [other for other in LANGUAGES if other != language])
        quotation = Block("quote", some_sentences(random, second, 2, 3).pieces)
        text.blocks.insert(integer(random, 2, len(text.blocks)), quotation)
        return text._replace(second=second)

    def _draft(self, site: Site, text: _Text, family: int, similarity: float = 1.0) -> _Draft:
        """A page of that text on that site, at an address of its own."""
        random = self.random
        section = slugged(pick(random, words.FURNITURE[site.language].menu[1:5]))
        slug = f"{site.domain}/{section}/{slugged(text.blocks[0].text if text.blocks else section)}"
        self.slugs[slug] += 1
        if self.slugs[slug] > 1:
            slug += f"-no-{self.slugs[slug]}"
        canonical = f"https://{slug}" + ("/" if site.folder else ".html")
        url = self._variant(canonical) if random.random() < 0.15 else canonical
        charset = "iso-8859-1" if random.random() < 0.12 else "utf-8"
        return _Draft(site, text, canonical, url, charset, family, similarity, draw(random, 1 << 30))

    def _variant(self, canonical: str) -> str:
        """A spelling that was not used yet."""
        while (url := respelled(self.random, canonical)) in self.urls or url == canonical:
            pass
        self.urls.add(url)
        return url

    def _article(self, language: str, least: int) -> list[Block]:
        """Prose, with a question of the benchmark, personal details and look-alikes in some of it."""
        random = self.random
        real = language == "en" and self.passages
        blocks = self._passage(least) if real else prose(random, language, least)
        self.dealt["detail"] += 1
        for _ in range((0, 2, 0, 1)[self.dealt["detail"] % 4]):
            insert(random, blocks, with_details(random, pick(random, words.DETAILS[language]), language))
        for _ in range((1, 0, 0, 2)[self.dealt["detail"] % 4]):
            insert(random, blocks, lookalike(random, language))
        if language == "en":
            self.dealt["question"] += 1
            which = draw(random, len(self.questions))
            if self.dealt["question"] % 8 == 3:
                for number in sorted({which, draw(random, len(self.questions))}):
                    insert(random, blocks, Piece(self.questions[number], leaked=(number,), fixed=True))
            elif self.dealt["question"] % 8 == 6:
                insert(random, blocks, Piece(self.reworded[which], paraphrased=(which,), fixed=True))
        return blocks

    def _passage(self, least: int) -> list[Block]:
        blocks: list[Block] = []
        while self.passages and (not blocks or sum(len(block.text.split()) for block in blocks) < least):
            blocks += self.passages.pop()
        return blocks

    def _page(self, draft: _Draft, numbers: dict[str, int], families: dict[int, int]) -> Page:
        blocks = draft.text.blocks
        text = joined(blocks)
        same = numbers.setdefault(text, len(numbers))
        pieces = [piece for block in blocks for piece in block.pieces]
        return Page(
            url=draft.url,
            canonical=draft.canonical,
            html=render(Random(draft.seed), draft.site, blocks, draft.charset),
            charset=draft.charset,
            text=text,
            language=draft.text.language,
            second=draft.text.second,
            kind=draft.text.kind,
            form=draft.text.form,
            same=same,
            family=families.setdefault(same, draft.family),
            similarity=draft.similarity,
            pii=spans_of(blocks),
            leaked=tuple(sorted({number for piece in pieces for number in piece.leaked})),
            paraphrased=tuple(sorted({number for piece in pieces for number in piece.paraphrased})),
        )


def _passages(articles: Sequence[str]) -> Iterator[list[Block]]:
    """Consecutive paragraphs of an article, 120 words of them at least."""
    personal = re.compile(r"@|\d\.\d+\.\d|\d{3}[-. ]\d{4}")
    seen: set[str] = set()
    for article in articles:
        held: list[Block] = []
        for part in article.split("\n\n" if "\n\n" in article else "\n"):
            paragraph = " ".join(part.split())
            if len(paragraph) < 80 or personal.search(paragraph) or paragraph in seen:
                continue
            seen.add(paragraph)
            held.append(Block("p", tuple(map(Piece, re.split(r"(?<=[a-z)][.!?]) (?=[A-Z])", paragraph)))))
            if sum(len(block.text.split()) for block in held) >= 120:
                yield held
                held = []


# ---------------------------------------------------------------------------------------------------------------------
# WARC


def _gzip(record: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(record) + packer.flush()


def _record(kind: str, number: int, block: bytes, url: str = "", content: str = "", payload: bytes = b"") -> bytes:
    minutes, second = divmod(3 * number, 60)
    time = f"{minutes // 60 % 24:02}:{minutes % 60:02}:{second:02}"
    h = hashlib.sha256(f"{kind} {number} {url}".encode()).hexdigest()
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Date: 2024-05-{1 + minutes // 1440 % 28:02}T{time}Z",
        f"WARC-Record-ID: <urn:uuid:{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}>",
        f"Content-Type: {content or f'application/http; msgtype={kind}'}",
        f"Content-Length: {len(block)}",
    ]
    if url:
        lines.insert(2, f"WARC-Target-URI: {url}")
    if payload:
        lines.append("WARC-Payload-Digest: sha1:" + base64.b32encode(hashlib.sha1(payload).digest()).decode())
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def _exchange(number: int, url: str, status: str, content: str, payload: bytes, more: str = "") -> Iterator[bytes]:
    host, path = re.fullmatch(r"https?://([^/]*)([^#]*).*", url).groups()  # type: ignore[union-attr]
    request = f"GET {path or '/'} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: planted/1.0\r\nAccept: */*\r\n\r\n"
    yield _record("request", number, request.encode(), url)
    length = f"{'content-length' if number % 5 == 0 else 'Content-Length'}: {len(payload)}\r\n"
    kind = f"{'content-type' if number % 5 == 0 else 'Content-Type'}: {content}\r\n"
    answer = f"HTTP/1.1 {status}\r\nServer: planted\r\n{kind}{more}{length}\r\n".encode() + payload
    yield _record("response", number, answer, url, payload=payload)


def _image() -> bytes:
    """One red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = b"x\x01\x01\x04\x00\xfb\xff\x00\xff\x00\x00\x03\x01\x01\x00"  # stored, so the same bytes everywhere
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Kids[]/Count 0>>endobj\n%%EOF\n\r\n\r\n"


def _records(crawl: Crawl) -> Iterator[bytes]:
    about = "software: llmsys.crawl\r\nformat: WARC File Format 1.0\r\ndescription: made-up pages\r\n"
    yield _record("warcinfo", 0, about.encode(), content="application/warc-fields")
    for number, page in enumerate(crawl.pages, start=1):
        declared = "" if "<meta charset" in page.html else f"; charset={page.charset}"
        yield from _exchange(2 * number, page.url, "200 OK", f"text/html{declared}", page.html.encode(page.charset))
        site = page.canonical[: page.canonical.index("/", 8)]
        odd = 2 * number + 1
        if number % 8 == 3:
            where = f"Location: {page.url}\r\n"
            yield from _exchange(odd, f"{site}/old/{number}", "301 Moved Permanently", "text/html", b"", where)
        elif number % 8 == 5:
            missing = b"<html><body><h1>Not found</h1><p>There is no such page on this server.</p></body></html>"
            yield from _exchange(odd, f"{site}/gone/{number}", "404 Not Found", "text/html; charset=utf-8", missing)
        elif number % 16 == 7:
            yield from _exchange(odd, f"{site}/red.png", "200 OK", "image/png", _image())
        elif number % 16 == 15:
            yield from _exchange(odd, f"{site}/plan.pdf", "200 OK", "application/pdf", PDF)
