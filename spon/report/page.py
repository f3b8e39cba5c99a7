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

from spon.report.stylesheet import STYLE

MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
PNG = b"\x89PNG\r\n\x1a\n"
INTERVAL = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\]")
# A table's cell of up to so many characters stays on one line.
SHORT_CELL = 32
# Links that begin like this work wherever the page lies.
LASTING_LINKS = ("https://", "http://", "mailto:", "#")


def render_page(
    markdown: str,
    title: str,
    images: Mapping[str, bytes],
    made_by: Mapping[str, str] | None = None,
) -> str:
    """Render markdown as one HTML page.

    Wide tables scroll by themselves, images are embedded, and the headings of the second level are
    listed as contents. The first section of that level has its first figure beside it where there
    is room, and every figure opens in its full size. Behind the first line across the page
    (`---`), every section of the second level is folded: its heading shows, and opens it. Links to
    other files lose their target and stay as text, since the page may be sent without them.

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
            # A number and its percent sign stay on one line, and so does an interval.
            text = token.content.replace(" %", "\u00a0%")
            token.content = INTERVAL.sub("[\\1,\u00a0\\2]", text)
    mark_cells(tokens)
    make_figures(tokens)
    tokens = list(fold_sections(list(frame_summary(list(wrap_tables(tokens))))))
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

    The figure is named by its number, and its image opens in full size. The caption is the next
    paragraph, if it is emphasised as a whole. It is moved into the figure and loses its emphasis.
    """
    number = 0
    # A paragraph is three tokens: its opening, its line of text and its closing.
    for index, line in enumerate(tokens):
        opening = tokens[index - 1]
        if opening.type != "paragraph_open" or list_outer_kinds(line) != ["image"]:
            continue
        closing, caption = tokens[index + 1], tokens[index + 2 : index + 5]
        opening.tag = closing.tag = "figure"
        number += 1
        opening.attrs["id"] = f"figure{number}"
        line.children = link_image(line.children, opening.attrs["id"])
        if not caption or caption[0].type != "paragraph_open":
            continue
        text = caption[1]
        if list_outer_kinds(text) == ["em_open", "em_close"]:
            caption[0].tag = caption[2].tag = "figcaption"
            text.children = [part for part in text.children if part.level or part.nesting == 0]
            tokens[index + 1 : index + 5] = [*caption, closing]


def link_image(image: list[Token], name: str) -> list[Token]:
    """Return the parts of a line with an image that opens in full size, and what closes it again.

    Nothing but the address of the page changes, so that a phone's key for going back closes it.
    """
    opening = f'<a class="large" id="{name}-large" href="#{name}-large">'
    closing = f'</a><a class="close" href="#{name}">Close</a>'
    first, last = (Token("html_inline", "", 0, content=text) for text in (opening, closing))
    return [first, *image, last]


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


def frame_summary(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens, with an element around the first section, unless that is folded."""
    cuts = [index for index, token in enumerate(tokens) if token.type == "hr" or is_section(token)]
    if not cuts or tokens[cuts[0]].type == "hr":
        yield from tokens
        return
    start, end = [*cuts, len(tokens)][:2]
    yield from tokens[:start]
    yield Token("html_block", "", 0, content='<section class="first">\n')
    yield from tokens[start:end]
    yield Token("html_block", "", 0, content="</section>\n")
    yield from tokens[end:]


def is_section(token: Token) -> bool:
    """Return whether a token opens a heading of the second level."""
    return token.type == "heading_open" and token.tag == "h2"


def fold_sections(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens, with an element that opens and closes around every section of details.

    Details are what stands behind the first line across the page; the line itself is dropped.
    """
    lines = [index for index, token in enumerate(tokens) if token.type == "hr"]
    first = lines[0] if lines else len(tokens)
    yield from tokens[:first]
    closing = ""
    for token in tokens[first + 1 :]:
        if is_section(token):
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
    listed = f"<details>\n<summary>Contents</summary>\n<ul>\n{items}</ul>\n</details>"
    nav = f'<nav aria-label="Contents">\n{listed}\n</nav>\n' if contents else ""
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
