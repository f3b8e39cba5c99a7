"""A report as one page: HTML that needs no other file, no network and no script."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
PNG = b"\x89PNG\r\n\x1a\n"
SHORT = 32  # characters of a table's cell that stay on one line
LOADED = ("https://", "http://", "mailto:", "#")  # links that hold wherever the page lies

STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --muted: #5c5c5c; --faint: #dcdcdc; --link: #00528a; }
* { box-sizing: border-box; }
html { background: #fff; color: var(--ink); -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 78rem; line-height: 1.55; overflow-wrap: break-word;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main > :is(h1, h2, h3, h4, p, ul, ol, blockquote), figcaption { max-width: 72ch; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2rem 0 0.6rem; text-wrap: balance; scroll-margin-top: 1rem; }
h1 { font-size: 1.8rem; margin-top: 0; }
h2 { font-size: 1.35rem; margin-top: 2.8rem; }
h3 { font-size: 1.1rem; }
h4 { font-size: 1rem; }
p, ul, ol, blockquote, pre, figure, .table { margin: 0 0 1rem; }
ul, ol { padding-left: 1.4rem; }
li { margin: 0.3rem 0; }
a { color: var(--link); text-underline-offset: 0.15em; }
blockquote { padding-left: 1rem; border-left: 3px solid var(--faint); color: var(--muted); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.9em; }
pre { padding: 0.8rem 1rem; overflow-x: auto; background: #f6f6f6; }
hr { border: 0; border-top: 1px solid var(--faint); margin: 2rem 0; }
.table { overflow-x: auto; max-width: 100%; font-size: 0.88rem; line-height: 1.4;
  /* a shadow at the right edge while there is more to see */
  background: linear-gradient(to left, #fff 1rem, #fff0 2.5rem) right / 2.5rem 100% no-repeat local,
    linear-gradient(to left, #0003, #0000) right / 0.8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--ink); }
td { border-bottom: 1px solid var(--faint); }
thead:not(:has(th:not(:empty))) { display: none; }
.short { white-space: nowrap; }
.long { min-width: 16rem; }
figure { margin: 1.6rem 0 2rem; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: 0.6rem; font-size: 0.9rem; color: var(--muted); }
nav { margin: 0 0 2rem; padding: 0.9rem 0; border: solid var(--faint); border-width: 1px 0; font-size: 0.92rem; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li { margin: 0.3rem 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media (min-width: 64rem) {
  body { padding-top: 2.5rem; }
  body.listed { padding-left: 17.5rem; }
  nav { position: fixed; top: 2.5rem; width: 13.5rem; max-height: calc(100vh - 5rem); overflow-y: auto;
    margin: 0 0 0 -16.25rem; border: 0; padding: 0.4rem 0 0; }
}
@media print {
  @page { margin: 18mm 15mm; }
  body, body.listed { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  main > :is(h1, h2, h3, h4, p, ul, ol, blockquote), figcaption { max-width: none; }
  h1, h2, h3, h4 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .table { overflow: visible; background: none; font-size: 7.5pt; }
  th, td { padding-right: 0.5rem; }
  a { color: inherit; text-decoration: none; }
}
"""


def render_page(
    markdown: str,
    title: str,
    images: Mapping[str, bytes],
    made_by: Mapping[str, str] | None = None,
) -> str:
    """One HTML page from markdown: its tables scroll in themselves, its images are within it, its h2 are listed.

    Links to other files lose their target and stay as text, since the page may be sent without them.

    Args:
        markdown: The report. HTML in it is shown as text. An image alone in its paragraph becomes a figure, and
            a paragraph directly under it that is emphasised as a whole its caption.
        title: The page's title; also its first heading if the markdown has none of the first level.
        images: The images' bytes, by the path that the markdown names or by file name alone.
        made_by: What made the page; goes into a `meta` element as JSON.

    Returns:
        The page: the same markdown and images give the same bytes.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    contents = name_headings(tokens)
    for token in walk(tokens):
        if token.type == "image":
            embed(token, images)
        elif token.type == "link_open" and not str(token.attrs["href"]).startswith(LOADED):
            token.attrs.pop("href")
        elif token.type == "text":
            token.content = token.content.replace(
                " %", "\u00a0%"
            )  # a number and its unit stay on one line
    mark_cells(tokens)
    make_figures(tokens)
    body = parser.renderer.render(list(wrap_tables(tokens)), parser.options, {})
    if not any(token.type == "heading_open" and token.tag == "h1" for token in tokens):
        body = f"<h1>{html.escape(title)}</h1>\n{body}"
    return dress(body, title, contents, made_by or {})


def walk(tokens: list[Token]) -> Iterator[Token]:
    """All tokens, those within lines of text too."""
    for token in tokens:
        yield token
        yield from token.children or []


def name_headings(tokens: list[Token]) -> dict[str, str]:
    """Give every heading an anchor, as GitHub would name it; return those of the second level with their texts."""
    taken: dict[str, int] = {}
    contents = {}
    for opening, line in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(part.content for part in line.children or [])
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            taken[name] = taken.get(name, -1) + 1
            anchor = f"{name}-{taken[name]}" if taken[name] else name
            opening.attrs["id"] = anchor
            if opening.tag == "h2":
                contents[anchor] = text
    return contents


def mark_cells(tokens: list[Token]) -> None:
    """Tell names and numbers, which should not break, from sentences, which need room to."""
    for cell, line in pairwise(tokens):
        if cell.type == "td_open":
            cell.attrs["class"] = "short" if len(line.content) <= SHORT else "long"


def embed(image: Token, images: Mapping[str, bytes]) -> None:
    """Put an image's bytes where its path stands; drawn for print, so shown at half its pixels, or narrower."""
    path = unquote(str(image.attrs["src"]))
    name = PurePosixPath(path).name
    content = images.get(path, images.get(name))
    if content is None:
        raise ValueError(
            f"the page shows {path}, which is not among the images: "
            f"{', '.join(sorted(images)) or 'none'}"
        )
    kind = MEDIA.get(PurePosixPath(path).suffix.lower())
    if kind is None:
        raise ValueError(
            f"the page shows {path}, which is no image of a known kind: {', '.join(MEDIA)}"
        )
    image.attrs["src"] = f"data:{kind};base64,{b64encode(content).decode()}"
    if content.startswith(PNG):
        width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
        image.attrs |= {"width": width // 2, "height": height // 2}


def make_figures(tokens: list[Token]) -> None:
    """Turn an image that stands alone into a figure, and the emphasised paragraph under it into its caption."""
    for at, line in enumerate(tokens):
        if tokens[at - 1].type == "paragraph_open" and outermost(line) == ["image"]:
            opening, closing, under = tokens[at - 1], tokens[at + 1], tokens[at + 2 : at + 5]
            opening.tag = closing.tag = "figure"
            if (
                under
                and under[0].type == "paragraph_open"
                and outermost(under[1]) == ["em_open", "em_close"]
            ):
                under[0].tag = under[2].tag = "figcaption"
                under[1].children = [
                    part for part in under[1].children if part.level or part.nesting == 0
                ]
                tokens[at + 1 : at + 5] = [*under, closing]


def outermost(line: Token) -> list[str]:
    """The kinds of the parts that a line of text has, without what they enclose."""
    parts = line.children or []
    return [
        part.type
        for part in parts
        if part.level == 0 and (part.type, part.content) != ("text", "")
    ]


def wrap_tables(tokens: list[Token]) -> Iterator[Token]:
    """The tokens, with a wrapper that scrolls around every table; who uses the keyboard alone can scroll it too."""
    for token in tokens:
        if token.type == "table_open":
            opening = '<div class="table" role="region" aria-label="Table" tabindex="0">\n'
            yield Token("html_block", "", 0, content=opening)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n")


def dress(body: str, title: str, contents: dict[str, str], made_by: Mapping[str, str]) -> str:
    """The page around its body."""
    items = "".join(
        f'<li><a href="#{anchor}">{html.escape(text)}</a></li>\n'
        for anchor, text in contents.items()
    )
    listed = f'<nav aria-label="Contents">\n<ul>\n{items}</ul>\n</nav>\n' if contents else ""
    body = body.replace("</h1>\n", f"</h1>\n{listed}", 1)  # a phone shows the title first
    origin = html.escape(json.dumps(dict(made_by), sort_keys=True))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="made-by" content="{origin}">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body{' class="listed"' if contents else ""}>
<main>
{body}</main>
</body>
</html>
"""
