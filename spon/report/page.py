"""Render a report as one HTML page that needs no other file, no network and no script."""

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
# A table's cell of up to so many characters stays on one line.
SHORT_CELL = 32
# Links that begin like this work wherever the page lies.
LASTING_LINKS = ("https://", "http://", "mailto:", "#")

# A backslash ends a line that the page has in one piece.
STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --muted: #5c5c5c; --faint: #dcdcdc; --link: #00528a; }
* { box-sizing: border-box; }
html { background: #fff; color: var(--ink); -webkit-text-size-adjust: 100%; \
text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 78rem; line-height: 1.55; \
overflow-wrap: break-word;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
:is(main, .folded) > :is(h1, h2, h3, h4, p, ul, ol, blockquote), figcaption { max-width: 72ch; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2rem 0 0.6rem; text-wrap: balance; \
scroll-margin-top: 1rem; }
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
  background: linear-gradient(to left, #fff 1rem, #fff0 2.5rem) \
right / 2.5rem 100% no-repeat local,
    linear-gradient(to left, #0003, #0000) right / 0.8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--ink); }
td { border-bottom: 1px solid var(--faint); }
thead:not(:has(th:not(:empty))) { display: none; }
.short { white-space: nowrap; }
.long { min-width: 12.5rem; }
figure { margin: 1.6rem 0 2rem; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: 0.6rem; font-size: 0.9rem; color: var(--muted); }
details { border-bottom: 1px solid var(--faint); }
summary { padding: 0.7rem 0; cursor: pointer; }
summary h2 { display: inline; font-size: 1.1rem; }
.folded { padding: 0.3rem 0 1rem; scroll-margin-top: 4rem; }
nav { margin: 0 0 2rem; padding: 0.9rem 0; border: solid var(--faint); border-width: 1px 0; \
font-size: 0.92rem; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li { display: inline-block; margin: 0.2rem 1rem 0.2rem 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media (min-width: 64rem) {
  body { padding-top: 2.5rem; }
  body.listed { padding-left: 17.5rem; }
  nav { position: fixed; top: 2.5rem; width: 13.5rem; max-height: calc(100vh - 5rem); \
overflow-y: auto;
    margin: 0 0 0 -16.25rem; border: 0; padding: 0.4rem 0 0; }
  nav li { display: block; margin: 0.3rem 0; }
}
@media print {
  @page { margin: 18mm 15mm; }
  body, body.listed { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  :is(main, .folded) > :is(h1, h2, h3, h4, p, ul, ol, blockquote), figcaption \
{ max-width: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
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
    """Render markdown as one HTML page.

    Wide tables scroll by themselves, images are embedded, and the headings of the second level are
    listed as contents. Behind the first line across the page (`---`), every section of the second
    level is folded: its heading shows, and opens it. Links to other files lose their target and
    stay as text, since the page may be sent without them.

    Args:
        markdown: The report. HTML in it is shown as text. An image alone in its paragraph becomes
            a figure; if all of the next paragraph is emphasised, that becomes its caption.
        title: The page's title; also its first heading if the markdown has none of level one.
        images: The images' bytes, by the path that the markdown names or by file name alone.
        made_by: What made the page; goes into a `meta` element as JSON.

    Returns:
        The page: the same markdown and images give the same bytes.

    Raises:
        ValueError: An image of the markdown is missing, or is of no known kind.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    contents = name_headings(tokens)
    for token in walk_tokens(tokens):
        if token.type == "image":
            embed_image(token, images)
        elif token.type == "link_open" and not str(token.attrs["href"]).startswith(LASTING_LINKS):
            token.attrs.pop("href")
        elif token.type == "text":
            # A number and its percent sign stay on one line.
            token.content = token.content.replace(" %", "\u00a0%")
    mark_cells(tokens)
    make_figures(tokens)
    tokens = list(fold_sections(list(wrap_tables(tokens))))
    body = parser.renderer.render(tokens, parser.options, {})
    if not any(token.type == "heading_open" and token.tag == "h1" for token in tokens):
        body = f"<h1>{html.escape(title)}</h1>\n{body}"
    return complete_page(body, title, contents, made_by or {})


def walk_tokens(tokens: list[Token]) -> Iterator[Token]:
    """Yield every token, each followed by the tokens of its line of text."""
    for token in tokens:
        yield token
        yield from token.children or []


def name_headings(tokens: list[Token]) -> dict[str, str]:
    """Give every heading an anchor, named as GitHub would name it.

    Returns:
        The texts of the headings of the second level, by anchor.
    """
    repeats: dict[str, int] = {}
    contents = {}
    for opening, line in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(part.content for part in line.children or [])
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            repeats[name] = repeats.get(name, -1) + 1
            anchor = f"{name}-{repeats[name]}" if repeats[name] else name
            opening.attrs["id"] = anchor
            if opening.tag == "h2":
                contents[anchor] = text
    return contents


def mark_cells(tokens: list[Token]) -> None:
    """Class the cells of tables: short ones should not break, long ones need room."""
    for cell, line in pairwise(tokens):
        if cell.type == "td_open":
            cell.attrs["class"] = "short" if len(line.content) <= SHORT_CELL else "long"


def embed_image(image: Token, images: Mapping[str, bytes]) -> None:
    """Replace the path of an image by its bytes, and show a PNG at half its pixels."""
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
        # A PNG names its width and height near its beginning. Figures are plotted for print, with
        # about twice the pixels that a screen needs.
        width = int.from_bytes(content[16:20], "big")
        height = int.from_bytes(content[20:24], "big")
        image.attrs |= {"width": width // 2, "height": height // 2}


def make_figures(tokens: list[Token]) -> None:
    """Turn an image that is alone in its paragraph into a figure, with its caption if it has one.

    The caption is the next paragraph, if it is emphasised as a whole. It is moved into the figure
    and loses its emphasis.
    """
    # A paragraph is three tokens: its opening, its line of text and its closing.
    for index, line in enumerate(tokens):
        opening = tokens[index - 1]
        if opening.type != "paragraph_open" or list_outer_kinds(line) != ["image"]:
            continue
        closing, caption = tokens[index + 1], tokens[index + 2 : index + 5]
        opening.tag = closing.tag = "figure"
        if not caption or caption[0].type != "paragraph_open":
            continue
        text = caption[1]
        if list_outer_kinds(text) == ["em_open", "em_close"]:
            caption[0].tag = caption[2].tag = "figcaption"
            text.children = [part for part in text.children if part.level or part.nesting == 0]
            tokens[index + 1 : index + 5] = [*caption, closing]


def list_outer_kinds(line: Token) -> list[str]:
    """List the kinds of a line's parts, without empty text and without what the parts enclose."""
    outer = [part for part in line.children or [] if part.level == 0]
    return [part.type for part in outer if (part.type, part.content) != ("text", "")]


def wrap_tables(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens, with an element around every table that scrolls."""
    # With a tab index, the element scrolls by the keyboard alone.
    opening = '<div class="table" role="region" aria-label="Table" tabindex="0">\n'
    for token in tokens:
        if token.type == "table_open":
            yield Token("html_block", "", 0, content=opening)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n")


def fold_sections(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens, with an element that opens and closes around every section of details.

    Details are what stands behind the first line across the page; the line itself is dropped.
    """
    lines = [index for index, token in enumerate(tokens) if token.type == "hr"]
    first = lines[0] if lines else len(tokens)
    yield from tokens[:first]
    closing = ""
    for token in tokens[first + 1 :]:
        if token.type == "heading_open" and token.tag == "h2":
            # A link to what is folded opens it, so the anchor is the text behind the heading.
            anchor = token.attrs.pop("id")
            yield Token("html_block", "", 0, content=f"{closing}<details>\n<summary>\n")
            closing = "</div>\n</details>\n"
        yield token
        if token.type == "heading_close" and token.tag == "h2":
            folded = f'</summary>\n<div class="folded" id="{anchor}">\n'
            yield Token("html_block", "", 0, content=folded)
    yield Token("html_block", "", 0, content=closing)


def complete_page(
    body: str, title: str, contents: dict[str, str], made_by: Mapping[str, str]
) -> str:
    """Return the whole page: its head, its contents behind the first heading, and its body."""
    assert "</h1>\n" in body, f"a page has a first heading, got {body[:80]!r}"
    items = "".join(
        f'<li><a href="#{anchor}">{html.escape(text)}</a></li>\n'
        for anchor, text in contents.items()
    )
    nav = f'<nav aria-label="Contents">\n<ul>\n{items}</ul>\n</nav>\n' if contents else ""
    # Behind the title, since a phone shows one after the other.
    body = body.replace("</h1>\n", f"</h1>\n{nav}", 1)
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
