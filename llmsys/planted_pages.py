"""The sites of the planted crawl: their addresses, and six ways to lay out a page around its text."""

from __future__ import annotations

import html as _html
import re
from collections.abc import Sequence
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from llmsys import planted_words as words
from llmsys.languages import draw, integer, name, pick, sentence
from llmsys.planted_text import Block, ascii_only, headline


class Site(NamedTuple):
    """A newspaper or a shop: one language, one layout, one menu."""

    domain: str
    title: str
    language: str
    template: int
    folder: bool  # its addresses end in a slash, not in .html
    notice: str
    sections: tuple[str, ...]
    about: str
    salt: int


def new_site(random: Random, language: str, number: int, shop: bool = False) -> Site:
    """The site of that number, which no other has."""
    place, paper = pick(random, words.PLACES), pick(random, words.SHOPS if shop else words.PAPERS)
    ending = pick(random, ("example", "test", "example.org", "example.net"))
    notices = words.FURNITURE[language].notices
    return Site(
        domain=f"{paper}{number}.{ending}" if shop else f"{place}-{paper}{number}.{ending}",
        title=f"{place.capitalize()} {paper.capitalize()}",
        language=language,
        template=number % len(TEMPLATES),
        folder=random.random() < 0.5,
        notice=pick(random, notices) if not shop and random.random() < 0.6 else "",
        sections=tuple(headline(random, language).text for _ in range(12)),
        about=f"{sentence(random, language)} {sentence(random, language)}",
        salt=draw(random, 1 << 20),
    )


def slugged(text: str) -> str:
    """The text as part of an address."""
    return re.sub(r"[^a-z0-9]+", "-", ascii_only(text).lower()).strip("-")[:60] or "page"


TRACKING = ("utm_source=newsletter", "utm_medium=mail&utm_campaign=may", "fbclid=AbC123", "gclid=x-9")


def respelled(random: Random, canonical: str) -> str:
    """Another spelling of the same address."""
    scheme, host, path, query, fragment = urlsplit(canonical)
    for _ in range(integer(random, 1, 3)):
        change = draw(random, 8)
        if change == 0 and ":" not in host:
            scheme = "http"
        elif change == 1 and not host.lower().startswith("www."):
            host = "www." + host
        elif change == 2:
            host = host.upper()
        elif change == 3 and ":" not in host:
            host += ":443" if scheme == "https" else ":80"
        elif change == 4 and path.endswith("/"):
            path += "index.html"
        elif change == 5:
            fragment = pick(random, ("top", "comments", "main"))
        elif change == 6 and path.endswith("/"):
            path = path[:-1]
        else:
            query = "&".join(filter(None, (query, pick(random, TRACKING))))
    return urlunsplit((scheme, host, path, query, fragment))


# ---------------------------------------------------------------------------------------------------------------------
# HTML


def _inline(random: Random, block: Block, plain: bool) -> str:
    """The text of a paragraph as HTML: entities, tags within lines, broken lines and blanks that do not break."""
    text = _html.escape(block.text, quote=False)
    if plain:
        return text
    text = re.sub(r"[\w.+-]+@[\w-]+\.[\w.]*\w", _mailto, text) if any(p.spans for p in block.pieces) else text
    if "<a" in text:
        return text
    tokens, length = text.split(" "), 0
    for i, token in enumerate(tokens):
        chance = random.random()
        if chance < 0.02:
            tag = pick(random, ("b", "em", "i", "strong", "span"))
            tokens[i] = f"<{tag}>{token}</{tag}>"
        elif chance < 0.035:
            tokens[i] = f'<a href="/tag/{slugged(token)}" title="a > b">{token}</a>'
        elif chance < 0.04 and not token.isascii():
            tokens[i] = "".join(c if c.isascii() else f"&#{ord(c)};" for c in token)
    line = tokens[0]
    for token in tokens[1:]:
        length += len(token)
        if length > 80:
            line, length = line + "\n" + token, 0
        else:
            line += ("&nbsp;" if random.random() < 0.01 else " ") + token
    return line


def _mailto(found: re.Match[str]) -> str:
    return f'<a href="mailto:{found[0]}">{found[0]}</a>'


def _body(random: Random, blocks: Sequence[Block], style: str) -> str:
    """The main text as HTML.

    Args:
        random: draws the details.
        blocks: the text.
        style: of paragraphs. "p" closes them, "open" does not, "upper" neither and writes tags in capitals, "div" takes
            another tag, "br" parts them by two line breaks.
    """
    parts = []
    for block in blocks:
        lines = [_html.escape(piece.text, quote=False) for piece in block.pieces]
        if block.tag in ("h1", "h2"):
            part = f"<{block.tag}>{_inline(random, block, plain=True)}</{block.tag}>"
        elif block.tag == "pre":
            part = "<pre><code>" + "\n".join(lines) + "</code></pre>"
        elif block.tag == "ul":
            close = "" if style in ("open", "upper") else "</li>"
            part = "<ul>\n" + "\n".join(f"<li>{line}{close}" for line in lines) + "\n</ul>"
        elif block.tag == "table":
            rows = ("".join(f"<td>{cell}</td> " for cell in line.split()) for line in lines)
            part = "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in rows) + "\n</table>"
        else:
            short = block.tag in ("poem", "dots")
            text = "<br>\n".join(lines) if short else _inline(random, block, plain=False)
            if block.tag == "quote":
                part = f"<blockquote><p>{text}</p></blockquote>"
            elif style == "br":
                part = text + "<br><br>"
            elif style == "div":
                part = f'<div class="t{draw(random, 9)}">{text}</div>'
            else:
                part = f"<p>{text}" + ("</p>" if style == "p" else "")
        parts.append(re.sub(r"</?\w+", lambda tag: tag[0].upper(), part) if style == "upper" else part)
    return "\n".join(parts)


SCRIPT = """<script>
  var t = "<p>This paragraph is code</p>"; if (1 < 2 && t) { document.write("<div>" + t.length + "<\\/div>"); }
</script>"""
STYLE = "<style>p > a { color: #246; } .menu li { display: inline }</style>"
COMMENT = "<!-- <p>The old text of this page, no longer shown. It was longer.</p> -->"


class _Frame:
    """What stands around the text of one page."""

    def __init__(self, random: Random, site: Site) -> None:
        self.random, self.site, self.words = random, site, words.FURNITURE[site.language]

    def links(self, count: int) -> list[str]:
        titles = [headline(self.random, self.site.language).text for _ in range(count)]
        return [f'<a href="/{slugged(title)}.html">{_html.escape(title)}</a>' for title in titles]

    def menu(self) -> list[str]:
        entries = (*self.words.menu, *self.site.sections)
        return [f'<a href="/{slugged(entry)}">{_html.escape(entry)}</a>' for entry in entries]

    def items(self, links: Sequence[str], close: str = "</li>") -> str:
        return "<ul>\n" + "\n".join(f"<li>{link}{close}" for link in links) + "\n</ul>"

    def cookies(self) -> str:
        buttons = f"<button>{self.words.accept}</button> <button>{self.words.refuse}</button>"
        return f'<div id="c{self.site.salt % 97}"><p>{self.words.cookies}</p>{buttons}</div>'

    def teasers(self, count: int, tag: str) -> str:
        """Beginnings of other articles, each with a link to it."""
        said = []
        for link in self.links(count):
            start = " ".join(sentence(self.random, self.site.language).split()[:9])
            said.append(f'<{tag}><h4>{link}</h4>{start} … <a href="#">{self.words.more}</a></{tag}>')
        return "\n".join(said)

    def share(self) -> str:
        networks = "".join(f'<a href="#{name}">{name}</a> ' for name in ("Mail", "Print", "Feed", "Link"))
        return f'<div class="s{self.site.salt % 89}">{self.words.share}: {networks}</div>'

    def comments(self) -> str:
        said = []
        for _ in range(integer(self.random, 2, 5)):
            who = name(self.random, self.site.language)[0]
            text = f"{pick(self.random, self.words.comments)} {sentence(self.random, self.site.language)}"
            said.append(
                f'<li><a href="/user/{slugged(who)}">{who}</a> <small>{integer(self.random, 1, 28)}.05.</small> '
                f'{text} <a href="#r">{self.words.reply}</a></li>'
            )
        return f'<ol class="k{self.site.salt % 83}">' + "\n".join(said) + "</ol>"

    def footer(self) -> str:
        contact = f'<a href="mailto:info@{self.site.domain}">{self.words.menu[6]}</a>'
        return f"{self.site.about}<br>{self.words.footer} © {self.site.title} {contact}"


def _semantic(f: _Frame, head: str, blocks: Sequence[Block]) -> str:
    return f"""<!DOCTYPE html>
<html lang="{f.site.language}">
<head>{head}{STYLE}{SCRIPT}</head>
<body>
{f.cookies()}
<header><a href="/">{f.site.title}</a>
<nav>{f.items(f.menu())}</nav></header>
<main><article>
{_body(f.random, blocks, "p")}
{f.share()}
</article>
<aside><h3>{f.words.related}</h3>{f.items(f.links(6))}
{f.teasers(2, "div")}</aside></main>
<footer><p>{f.footer()}</p></footer>
</body></html>
"""


def _divs(f: _Frame, head: str, blocks: Sequence[Block]) -> str:
    salt = f.site.salt
    return f"""<!doctype html><html><head>{head}{STYLE}</head><body>
<div id="a{salt % 71}"><div class="menu">{" | ".join(f.menu())}</div></div>
<div id="b{salt % 71}"><div class="x{salt % 7}"><div class="y{salt % 5}">
{_body(f.random, blocks, "div")}
</div>{COMMENT}</div>
<div class="x{salt % 7 + 1}">{"<br>".join(f.links(8))}</div></div>
{f.comments()}
<div>{f.footer()}</div>{SCRIPT}
</body></html>
"""


def _nineties(f: _Frame, head: str, blocks: Sequence[Block]) -> str:
    return f"""<HTML><HEAD>{head}</HEAD><BODY BGCOLOR=#ffffff LINK=blue>
<TABLE WIDTH=100% BORDER=0 CELLPADDING=4><TR><TD COLSPAN=2><FONT SIZE=5>{f.site.title}</FONT><HR>
<TR><TD VALIGN=top WIDTH=150>{"<BR>".join(f.menu())}<P>{"<BR>".join(f.links(6))}
<TD VALIGN=top>
{_body(f.random, blocks, "upper")}
{COMMENT}
<TR><TD COLSPAN=2><HR><FONT SIZE=1>{f.footer()}</FONT></TABLE></BODY></HTML>
"""


def _blog(f: _Frame, head: str, blocks: Sequence[Block]) -> str:
    return f"""<!DOCTYPE html>
<html lang={f.site.language}><head>{head}{SCRIPT}
</head><body class=blog>
<h2><a href="/">{f.site.title}</a></h2>
{f.items(f.menu(), close="")}
{f.cookies()}
<section class="post p{f.site.salt % 31}">
{_body(f.random, blocks, "open")}
</section>
{f.share()}
<section class="post"><h3>{f.words.related}</h3>{f.items(f.links(6))}</section>
<section class="post">{f.comments()}</section>
<p><small>{f.footer()}</small></p>
<noscript><p>JavaScript</p></noscript>
</body></html>
"""


def _misleading(f: _Frame, head: str, blocks: Sequence[Block]) -> str:
    return f"""<!DOCTYPE html><html><head>{head}{STYLE}</head><body>
<div class="content main-text">{f.items(f.menu())}</div>
<div class="article-list">{f.teasers(4, "article")}</div>
<div class="sidebar-right widget">
{COMMENT}
{_body(f.random, blocks, "p")}
</div>
<div class="content">{f.share()}{f.comments()}</div>
{SCRIPT}<div class="entry">{f.footer()}</div></body></html>
"""


def _manual(f: _Frame, head: str, blocks: Sequence[Block]) -> str:
    links = f.links(16)
    title = blocks[:1] if blocks and blocks[0].tag == "h1" else []
    return f"""<!DOCTYPE html>
<html lang="{f.site.language}"><head>{head}</head><body><div><div><div role="navigation">
<ol>{"".join(f"<li>{link}</li>" for link in links)}</ol></div>
<div><div><div role="main">{_body(f.random, title, "p")}
<div class="toc">{links[0]} › {links[1]} › {f.words.more}</div>
{_body(f.random, blocks[len(title) :], "br" if all(b.tag in ("h1", "p") for b in blocks) else "p")}
<div><a rel=prev href=a.html>«</a> <a rel=next href=b.html>»</a></div></div></div></div></div></div>
<div>{f.footer()}</div>{STYLE}{SCRIPT}</body></html>
"""


TEMPLATES = (_semantic, _divs, _nineties, _blog, _misleading, _manual)


def render(random: Random, site: Site, blocks: Sequence[Block], charset: str) -> str:
    """The page of a site with that text on it; it can be encoded in `charset`."""
    frame = _Frame(random, site)
    title = blocks[0].text[:60] if blocks else frame.words.more
    head = f"<title>{_html.escape(title)} - {site.title}</title>"
    if random.random() < 0.4:  # else the server says it
        head = f'<meta charset="{charset}">' + head
    page = TEMPLATES[site.template](frame, head, blocks)
    if charset == "iso-8859-1":
        page = page.encode("iso-8859-1", "xmlcharrefreplace").decode("iso-8859-1")
    if site.salt % 4 == 0:  # a server that ends its lines as HTTP does, and whose pages speak of WARC
        page = (page + "<!--\n\nWARC/1.0\nWARC-Type: response\n\n-->\n").replace("\n", "\r\n")
    return page
