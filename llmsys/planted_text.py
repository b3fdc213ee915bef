"""The texts of the planted crawl, good and bad, with what is known of every sentence in them."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from llmsys import planted_words as words
from llmsys.languages import GRAMMARS, draw, integer, name, pick, sentence, shuffled


class Span(NamedTuple):
    """Where a personal detail stands: `text[start:end]`; the kind is "email", "phone" or "ip"."""

    kind: str
    start: int
    end: int


class Piece(NamedTuple):
    """A sentence, or a line where lines count; `fixed` ones are the same in every copy."""

    text: str
    spans: tuple[Span, ...] = ()
    leaked: tuple[int, ...] = ()
    paraphrased: tuple[int, ...] = ()
    fixed: bool = False


class Block(NamedTuple):
    """What stands between two empty lines: "h1", "h2", "p", "quote", "poem", "ul", "dots", "pre" or "table"."""

    tag: str
    pieces: tuple[Piece, ...]

    @property
    def between(self) -> str:
        return "\n" if self.tag in ("poem", "ul", "dots", "pre", "table") else " "

    @property
    def text(self) -> str:
        return self.between.join(piece.text for piece in self.pieces)


def joined(blocks: Sequence[Block]) -> str:
    """The blocks as one text, with an empty line between them."""
    return "\n\n".join(block.text for block in blocks)


def spans_of(blocks: Sequence[Block]) -> tuple[Span, ...]:
    """Where the personal details stand in that text."""
    found, at = [], 0
    for block in blocks:
        for piece in block.pieces:
            found += [Span(span.kind, at + span.start, at + span.end) for span in piece.spans]
            at += len(piece.text) + len(block.between)
        at += 2 - len(block.between)
    return tuple(found)


@functools.lru_cache(maxsize=1 << 12)
def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _shingles(blocks: Sequence[Block]) -> set[tuple[str, ...]]:
    tokens = [word for block in blocks for piece in block.pieces for word in _words(piece.text)]
    return set(zip(*(tokens[i:] for i in range(5)), strict=False))


def _jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    both = len(one & other)
    return both / max(1, len(one) + len(other) - both)


# ---------------------------------------------------------------------------------------------------------------------
# Main texts


def _sentence(random: Random, language: str) -> Piece:
    return Piece(sentence(random, language))


def some_sentences(random: Random, language: str, low: int = 3, high: int = 6) -> Block:
    """A paragraph of `low` to `high` sentences."""
    return Block("p", tuple(_sentence(random, language) for _ in range(integer(random, low, high))))


def _thing(random: Random, language: str) -> str:
    return pick(random, pick(random, GRAMMARS[language].fields).things)[0]


def headline(random: Random, language: str, tag: str = "h1") -> Block:
    """A thing and its place."""
    grammar = GRAMMARS[language]
    title = f"{_thing(random, language)} {pick(random, grammar.where)}"
    return Block(tag, (Piece(title[0].upper() + title[1:]),))


def prose(random: Random, language: str, least: int = 0) -> list[Block]:
    """A title and paragraphs, now and then with a heading between, of at least `least` words."""
    blocks = [headline(random, language)]
    for _ in range(integer(random, 4, 8)):
        if len(blocks) > 2 and random.random() < 0.15:
            blocks.append(headline(random, language, "h2"))
        blocks.append(some_sentences(random, language))
    while sum(len(block.text.split()) for block in blocks) < least:
        blocks.append(some_sentences(random, language))
    return blocks


def _poem(random: Random, language: str) -> list[Block]:
    """Stanzas of four short lines that end in no mark."""
    grammar = GRAMMARS[language]

    def stanza() -> Block:
        does = pick(random, grammar.fields)
        lines = (
            f"{pick(random, grammar.when)} {pick(random, grammar.where)}",
            f"{pick(random, grammar.people)} {pick(random, does.verbs)} {pick(random, does.things)[1]}",
            f"and {_thing(random, language)} is {pick(random, grammar.being)}",
            f"and who would leave it {pick(random, grammar.where)}",
        )
        if random.random() < 0.5:
            lines = (lines[1], pick(random, grammar.how), lines[0], f"to {pick(random, grammar.people)} it is clear")
        return Block("poem", tuple(Piece(line[0].upper() + line[1:]) for line in lines))

    return [headline(random, language), *(stanza() for _ in range(integer(random, 4, 6)))]


def _list(random: Random, language: str) -> list[Block]:
    grammar = GRAMMARS[language]
    bullet = random.random() < 0.5
    items = [
        f"{'• ' * bullet}{integer(random, 2, 40)} × {_thing(random, language)} {pick(random, grammar.where)}"
        for _ in range(integer(random, 22, 28))
    ]
    blocks = [headline(random, language), Block("dots" if bullet else "ul", tuple(map(Piece, items)))]
    return blocks if bullet else [blocks[0], some_sentences(random, language, 1, 2), blocks[1]]


def _code(random: Random, language: str) -> list[Block]:
    def listing() -> Block:
        names = shuffled(random, words.IDENTIFIERS)
        values: dict[str, object] = dict(zip("fxyz", names, strict=False))
        values |= {"n": integer(random, 10, 9000), "m": integer(random, 1, 9)}
        values |= _lookalike_values(random)
        return Block("pre", tuple(Piece(line.format(**values)) for line in pick(random, words.CODE)))

    blocks = [headline(random, language)]
    for _ in range(integer(random, 3, 4)):
        blocks += [some_sentences(random, language, 1, 2), listing(), listing()]
    return blocks


def _table(random: Random, language: str) -> list[Block]:
    """Figures by place and year: hardly a word has a letter in it."""
    first = integer(random, 1950, 1990)
    rows = [" ".join(str(first + 5 * column) for column in range(6))]
    for place in shuffled(random, words.PLACES)[: integer(random, 13, 16)]:
        figures = (f"{random.random() * 900:.{column % 3}f}" for column in range(6))
        rows.append(f"{place.capitalize()} {' '.join(figures)}")
    return [headline(random, language), some_sentences(random, language, 1, 2), Block("table", tuple(map(Piece, rows)))]


def _quoting(random: Random, language: str) -> list[Block]:
    blocks = prose(random, language)
    said = (
        "Printers fill an empty page with the words lorem ipsum, and have done so for centuries.",
        "The page worked without JavaScript, and nobody missed it.",
        "She wrote the set {1, 2, 3} on the board and read our terms of use aloud.",
    )
    for line in shuffled(random, said)[: integer(random, 2, 3)]:
        insert(random, blocks, Piece(line, fixed=True))
    if all("lorem" not in block.text for block in blocks):
        insert(random, blocks, Piece(said[0], fixed=True))
    return blocks


def _dialogue(random: Random, language: str) -> list[Block]:
    people = [name(random, language)[0] for _ in range(2)]
    blocks = [headline(random, language)]
    for turn in range(integer(random, 24, 34)):
        line = pick(random, ("“Yes.”", "“No!”", "“Why?”", "“Perhaps.”", f"“{pick(random, GRAMMARS[language].when)}?”"))
        if random.random() < 0.5:
            said = sentence(random, language)
            said, says = (said, "asked") if said.endswith("?") else (said[:-1] + ",", "said")
            line = f"“{said}” {says} {people[turn % 2]}."
        blocks.append(Block("p", (Piece(line),)))
    return blocks


TRAPS: dict[str, Callable[[Random, str], list[Block]]] = {
    "poem": _poem,
    "list": _list,
    "code": _code,
    "table": _table,
    "quoting": _quoting,
    "dialogue": _dialogue,
}


def insert(random: Random, blocks: list[Block], piece: Piece) -> None:
    """Put a sentence somewhere into the paragraphs."""
    at = pick(random, [i for i, block in enumerate(blocks) if block.tag == "p"])
    where = integer(random, 0, len(blocks[at].pieces))
    pieces = blocks[at].pieces
    blocks[at] = Block("p", (*pieces[:where], piece, *pieces[where:]))


def spam(random: Random) -> list[Block]:
    """Keywords for a search engine, cries in capitals, or advertisements in whole sentences."""

    def praise() -> str:
        return f"{pick(random, words.PRAISE)} {pick(random, words.PRODUCTS)}"

    def price() -> str:
        return f"{integer(random, 1, 99)}.{pick(random, ('99', '95', '49', '00'))}"

    def call() -> str:
        marks = pick(random, ("!!!", " >>>", "!!", "...", " ###", " $$$", "…"))
        return (
            f"{pick(random, words.CALLS)}{marks} {praise()} {pick(random, ('only', 'just', 'from'))} {price()}{marks}"
        )

    blocks = [Block("h1", (Piece(praise().upper() + "!!!"),))]
    style = draw(random, 3)
    for _ in range(integer(random, 4, 8)):
        if style == 0:  # words for a search engine
            line = ", ".join(praise() for _ in range(integer(random, 10, 25)))
        elif style == 1:  # symbols and capitals
            line = " ".join(f"{call()} #{pick(random, words.PRODUCTS).replace(' ', '')}" for _ in range(4))
        else:  # sentences that rules find nothing wrong with
            said = []
            for _ in range(integer(random, 3, 5)):
                shop, cut = pick(random, words.SHOPS), f"{integer(random, 10, 90)} percent"
                said.append(
                    pick(
                        random,
                        (
                            f"The {praise()} of {shop} and the {praise()} are yours with {cut} off.",
                            f"Have you seen the {praise()} that {shop} sends to you for {price()}?",
                            f"Be quick, {shop} has {praise()} and {praise()}, {cut} below {price()}.",
                            f"With {praise()} from {shop} you save {cut} on {praise()}.",
                            f"Nobody sells {praise()} at that price: {price()} from {shop}, {praise()} included.",
                        ),
                    )
                )
            line = " ".join(said)
        blocks.append(Block("p", (Piece(line),)))
    return blocks


def _stub(random: Random, language: str) -> list[Block]:
    if random.random() < 0.5:
        return []
    return [Block("p", (_sentence(random, language),)) for _ in range(integer(random, 1, 2))]


def _repetitive(random: Random, language: str) -> list[Block]:
    title, style = headline(random, language), draw(random, 3)
    if style == 0:  # one paragraph again and again
        same = some_sentences(random, language, 2, 3)
        return [title, *[same] * integer(random, 5, 9), some_sentences(random, language, 1, 2)]
    if style == 1:  # lines of a shop or a forum that differ in a word
        line, given = sentence(random, language)[:-1], GRAMMARS[language].given
        lines = [Piece(f"{line}: {pick(random, given)}.") for _ in range(integer(random, 9, 15))]
        return [title, *(Block("p", (piece,)) for piece in lines)]
    said = shuffled(random, [_sentence(random, language) for _ in range(3)] * integer(random, 4, 6))
    return [title, *(Block("p", tuple(said[i : i + 4])) for i in range(0, len(said), 4))]


def _truncated(random: Random, language: str) -> list[Block]:
    title = headline(random, language)
    if random.random() < 0.5:  # teasers, each cut after some words
        lines = [sentence(random, language) + " " + sentence(random, language) for _ in range(integer(random, 6, 9))]
        marks = pick(random, ("...", "…", " ..."))
        cut = [" ".join(line.split()[: integer(random, 9, 14)]).rstrip(".,;:?") + marks for line in lines]
        return [title, *(Block("p", (Piece(line),)) for line in cut)]
    blocks = [title, *(some_sentences(random, language) for _ in range(integer(random, 1, 2)))]
    last = blocks[-1].pieces[-1].text
    spots = [i for i in range(len(last) // 3, len(last) - 2) if last[i - 2 : i + 1].isalpha()]
    return [*blocks[:-1], Block("p", (*blocks[-1].pieces[:-1], Piece(last[: pick(random, spots)])))]


def _lorem(random: Random, language: str) -> list[Block]:
    def paragraph() -> Block:
        said = []
        for _ in range(integer(random, 3, 5)):
            line = " ".join(pick(random, words.LOREM) for _ in range(integer(random, 8, 14)))
            said.append(Piece(line[0].upper() + line[1:] + "."))
        return Block("p", tuple(said))

    fillers = shuffled(random, words.PLACEHOLDERS)[: integer(random, 1, 3)]
    blocks = [Block("p", (Piece(line),)) for line in fillers]
    blocks += [paragraph() for _ in range(integer(random, 2, 4))]
    start = f"Lorem ipsum {pick(random, words.LOREM)} {pick(random, words.LOREM)}."
    return [Block("h1", (Piece(start),)), *shuffled(random, blocks)]


OTHER_KINDS: dict[str, Callable[[Random, str], list[Block]]] = {
    "stub": _stub,
    "repetitive": _repetitive,
    "truncated": _truncated,
    "lorem": _lorem,
}


# ---------------------------------------------------------------------------------------------------------------------
# Personal details, and what only looks like them


def with_details(random: Random, template: str, language: str) -> Piece:
    """A sentence with personal details in its slots, and where they stand."""
    text, spans = "", []
    who = name(random, language)
    for part in re.split(r"(\{\w+\})", template):
        if part == "{name}":
            part = " ".join(who)
        elif part in ("{email}", "{phone}", "{ip}"):
            kind = part[1:-1]
            if kind == "email":
                part = _email(random, who if random.random() < 0.7 else name(random, language))
            else:
                part = _phone(random) if kind == "phone" else _visitor(random)
            spans.append(Span(kind, len(text), len(text) + len(part)))
        text += part
    return Piece(text, tuple(spans), fixed=True)


def ascii_only(text: str) -> str:
    """The text without its diacritics."""
    return unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()


def _email(random: Random, who: tuple[str, str]) -> str:
    given, surname = (ascii_only(part).lower() for part in who)
    local = pick(
        random,
        (
            f"{given}.{surname}",
            f"{given[0]}.{surname}",
            f"{given}_{surname}{integer(random, 1, 99)}",
            f"{given}+{pick(random, ('news', 'tickets', 'list'))}",
            f"{given.capitalize()}.{surname.capitalize()}",
            f"{surname}-{given}",
        ),
    )
    place = pick(random, words.PLACES)
    domain = pick(
        random, (f"{place}.example", f"{place}.example.org", "example.com", f"mail.{place}.test", "example.net")
    )
    return f"{local}@{domain}"


def _phone(random: Random) -> str:
    """A number that reaches nobody.

    555-0100 to 555-0199 are kept for fiction in the North American plan; (020) 7946 0xxx and 07700 900xxx by Ofcom;
    (030) 23125 xxx and (089) 99998 xxx by the Bundesnetzagentur (Mitteilung 148/2021); 01 99 00 xx xx and
    06 39 98 xx xx by Arcep (decision 2018-0881).
    """

    def digits(count: int) -> str:
        return f"{draw(random, 10**count):0{count}}"

    area, pair, three = integer(random, 201, 989), f"{digits(2)} {digits(2)}", digits(3)
    return pick(
        random,
        (
            f"({area}) 555-01{digits(2)}",
            f"{area}-555-01{digits(2)}",
            f"+1 {area} 555 01{digits(2)}",
            f"+44 20 7946 0{three}",
            f"020 7946 0{three}",
            f"07700 900{three}",
            f"+49 30 23125 {three}",
            f"(089) 99998-{three}",
            f"01 99 00 {pair}",
            f"+33 6 39 98 {pair}",
        ),
    )


def _visitor(random: Random) -> str:
    """An address that could be anybody's and is nobody's.

    IANA's registry of special-purpose addresses gives these blocks to services of the network itself (AS112, RFC 7534
    and 7535; AMT, RFC 7450; 6to4 relays, RFC 7526). They are global: Python's `ipaddress` calls none of them private.
    """
    block = pick(random, ("192.31.196", "192.52.193", "192.175.48", "192.88.99"))
    return f"{block}.{integer(random, 1, 254)}"


def _lookalike_values(random: Random) -> dict[str, str]:
    def below(limit: int) -> int:
        return draw(random, limit)

    private = pick(
        random, (f"10.{below(256)}.{below(256)}.{below(255)}", f"192.168.{below(256)}.{below(255)}", "127.0.0.1")
    )
    isbn = f"978{draw(random, 10**9):09}"
    isbn += str(-sum(int(digit) * (1, 3)[i % 2] for i, digit in enumerate(isbn)) % 10)
    return {
        "version": f"{1 + below(9)}.{below(20)}.{below(10)}.{below(10)}",
        "price": f"{1 + below(9)},{below(1000):03}.{below(100):02}",
        "example": f"{pick(random, ('192.0.2', '198.51.100', '203.0.113'))}.{1 + below(254)}",
        "private": private,
        "isbn": f"{isbn[:3]}-{isbn[3]}-{isbn[4:7]}-{isbn[7:12]}-{isbn[12]}",
        "pages": str(80 + below(600)),
        "date": f"{1950 + below(70)}-{1 + below(12):02}-{1 + below(28):02}",
        "big": f"{1 + below(9)} {below(1000):03} {below(1000):03}",
        "part": f"{1000 + below(9000)}-{1000 + below(9000)}-{10 + below(90)}",
        "section": f"{1 + below(9)}.{1 + below(9)}.{1 + below(9)}",
        "invalid": f"{below(256)}.{300 + below(600)}.{below(256)}.{below(256)}",
        "handle": f"{pick(random, words.PLACES)}_{pick(random, words.PAPERS)}",
    }


def lookalike(random: Random, language: str) -> Piece:
    """A sentence with what could be taken for a personal detail."""
    text = pick(random, words.LOOKALIKES[language])
    return Piece(re.sub(r"\{(\w+)\}", lambda slot: _lookalike_values(random)[slot[1]], text), fixed=True)


# ---------------------------------------------------------------------------------------------------------------------
# Near copies


def near_copy(random: Random, blocks: Sequence[Block], target: float, language: str) -> tuple[list[Block], float]:
    """A copy in which sentences are replaced, dropped and added and words misspelt until its similarity is `target`.

    Returns:
        The copy and its similarity, which is within 0.02 of the target.
    """
    original = _shingles(blocks)
    copy, now, last = list(blocks), 1.0, (0, 0, 0)
    for _ in range(4000):
        if abs(now - target) <= 0.015:
            break
        small = now - target < 0.13 and random.random() < 0.8
        trial, spot = _misspelt(random, copy, last) if small else (_rewritten(random, copy, language), last)
        similarity = _jaccard(original, _shingles(trial))
        if target - 0.015 <= similarity < now:
            copy, now, last = trial, similarity, spot
    return copy, now


def _rewritten(random: Random, blocks: list[Block], language: str) -> list[Block]:
    at = pick(random, [i for i, block in enumerate(blocks) if block.tag == "p" and block.pieces])
    pieces = list(blocks[at].pieces)
    where = draw(random, len(pieces))
    kind = draw(random, 3)
    if kind == 0:
        pieces.insert(where, _sentence(random, language))
    elif not pieces[where].fixed and len(pieces) > 1 and kind == 1:
        del pieces[where]
    elif not pieces[where].fixed:
        pieces[where] = _sentence(random, language)
    return [*blocks[:at], Block("p", tuple(pieces)), *blocks[at + 1 :]]


def _misspelt(
    random: Random, blocks: list[Block], last: tuple[int, int, int]
) -> tuple[list[Block], tuple[int, int, int]]:
    """Exchange two letters of a word, or two digits; half the time beside the word where that was done before."""
    at, which, where = last
    if random.random() < 0.5 or blocks[at].tag != "p" or which >= len(blocks[at].pieces):
        at = pick(random, [i for i, block in enumerate(blocks) if block.tag == "p"])
        which = draw(random, len(blocks[at].pieces))
        where = draw(random, 1 << 20)
    pieces = list(blocks[at].pieces)
    tokens = pieces[which].text.split(" ")
    where = (where + 1) % len(tokens)
    word = tokens[where]
    swaps = [i for i in range(1, len(word) - 1) if word[i : i + 2].isalnum() and word[i] != word[i + 1]]
    if pieces[which].fixed or not swaps:
        return blocks, (at, which, where)
    i = pick(random, swaps)
    tokens[where] = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    pieces[which] = Piece(" ".join(tokens))
    return [*blocks[:at], Block("p", tuple(pieces)), *blocks[at + 1 :]], (at, which, where)
