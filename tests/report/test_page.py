"""The page needs no other file; it is read back with a parser of HTML."""

from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from spon.report.page import render_page

ROOT = Path(__file__).parents[2]
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
    + (800).to_bytes(4, "big")
    + (600).to_bytes(4, "big")
    + b"\x08\x00\x00\x00\x00"
)
MARKDOWN = """\
# Findings

See [the paper](https://example.org/a?b=1&c=2), [the method](../../docs/method.md) and \
[the rows](#the-rows).

## The *rows*

| run | gain |
| --- | ---: |
| TOP-50 | 1.5 |
| TOP-75 | Not to be told from the gain of a run without any biases. |

## Figures & more

![Gain per run](../../figures/pydoc/fig1.png)

*Figure 1. A `run` per row.*

A paragraph.

### The *rows*
"""
IMAGES = {"fig1.png": PIXEL}


class Elements(HTMLParser):
    """The elements of a page: names and attributes in order, and the texts in them by name."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.texts = [], [], {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} ends what it did not begin"

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag] = self.texts.get(tag, "") + data

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page():
    return Elements(render_page(MARKDOWN, "Findings of pydoc", IMAGES, {"rule": "render_page"}))


def test_every_element_is_closed(page):
    assert page.open == []


def test_a_page_loads_nothing_and_runs_nothing(page):
    assert not {"script", "link", "iframe", "object"} & {name for name, _ in page.elements}
    sources = [attributes["src"] for _, attributes in page.elements if "src" in attributes]
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)


def test_a_link_leads_into_the_page_or_to_the_web_but_to_no_file_beside_the_page(page):
    targets = [attributes.get("href") for attributes in page.attributes("a")]
    assert targets.count(None) == 1  # the method: its words stay
    assert "the method" in page.texts["a"]
    assert "https://example.org/a?b=1&c=2" in targets
    assert all(target is None or target.startswith(("#", "https://")) for target in targets)


def test_the_contents_list_the_headings_of_the_second_level_by_anchors_that_exist(page):
    anchors = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    headings = ["findings", "the-rows", "figures--more", "the-rows-1"]
    assert [anchor for anchor in anchors if not anchor.startswith("figure1")] == headings
    assert page.texts["nav"].split() == ["Contents", "The", "rows", "Figures", "&", "more"]
    listed = [attributes["href"] for attributes in page.attributes("a")[:2]]
    assert listed == ["#the-rows", "#figures--more"]


def test_a_table_scrolls_in_a_wrapper_and_keeps_the_alignment_of_the_markdown(page):
    names = [name for name, _ in page.elements]
    wrapper = page.elements[names.index("table") - 1]
    assert wrapper == (
        "div",
        {"class": "table", "role": "region", "aria-label": "Table", "tabindex": "0"},
    )
    styles = [attributes.get("style") for attributes in page.attributes("td")]
    assert styles == [None, "text-align:right"] * 2


def test_short_cells_do_not_break_and_sentences_do(page):
    assert [attributes["class"] for attributes in page.attributes("td")] == [
        "short",
        "short",
        "short",
        "long",
    ]


def test_an_image_is_in_the_page_at_half_its_pixels_with_the_emphasised_paragraph_as_its_caption(
    page,
):
    (image,) = page.attributes("img")
    assert (image["alt"], image["width"], image["height"]) == ("Gain per run", "400", "300")
    assert page.texts["figcaption"] == "Figure 1. A run per row."
    assert "em" not in page.texts or "Figure 1" not in page.texts["em"]
    assert page.texts["figure"].strip() == "Close" + page.texts["figcaption"]


def test_an_image_of_a_figure_leads_to_itself_and_what_closes_it_to_its_figure(page):
    (figure,) = page.attributes("figure")
    links = [attributes for attributes in page.attributes("a") if "class" in attributes]
    assert figure == {"id": "figure1"}
    assert links == [
        {"class": "large", "id": "figure1-large", "href": "#figure1-large"},
        {"class": "close", "href": "#figure1"},
    ]
    names = [name for name, _ in page.elements]
    assert page.elements[names.index("img") - 1] == ("a", links[0])


def test_the_first_section_is_framed_up_to_the_next_one():
    text = "# Title\n\n## First\n\nOne.\n\n## Second\n\nTwo.\n"
    page = Elements(render_page(text, "Title", {}))
    assert page.attributes("section") == [{"class": "first"}]
    assert page.texts["section"].split() == ["First", "One."]
    folded = Elements(render_page("# Title\n\n---\n\n## Only\n", "Title", {}))
    assert folded.attributes("section") == [] and folded.open == []


def test_an_interval_stays_on_one_line():
    assert "5 [-1.0,\u00a02.5] [a, b]" in render_page("5 [-1.0, 2.5] [a, b]", "Title", {})


def test_a_paragraph_under_an_image_that_is_not_emphasised_as_a_whole_is_no_caption():
    page = Elements(render_page("![a](fig1.png)\n\n*Not* a caption.\n", "Title", IMAGES))
    assert "figcaption" not in page.texts
    assert page.texts["p"] == "Not a caption."


@pytest.mark.parametrize("images", [{"../../figures/pydoc/fig1.png": PIXEL}, {"fig1.png": PIXEL}])
def test_an_image_is_found_by_its_path_or_by_its_file_name(images):
    assert "data:image/png" in render_page(MARKDOWN, "Title", images)


def test_an_image_that_is_not_given_is_refused_in_one_sentence():
    with pytest.raises(
        ValueError, match=r"^the page shows ../a b.png, which is not among the images: fig1.png$"
    ):
        render_page("![a](<../a b.png>)", "Title", IMAGES)
    with pytest.raises(
        ValueError, match=r"^the page shows table.pdf, which is no image of a known kind: .png, "
    ):
        render_page("![a](table.pdf)", "Title", {"table.pdf": b""})


def test_a_percent_sign_stays_with_its_number_but_code_is_left_as_it_is():
    page = render_page("It is 50 % and `50 %`.", "Title", {})
    assert "It is 50\u00a0% and <code>50 %</code>." in page


def test_sections_behind_a_line_are_folded_and_a_link_to_one_opens_it():
    text = "# Title\n\n## First\n\nOne.\n\n---\n\n## Second\n\nTwo.\n\n### Part\n\n## Third\n"
    page = Elements(render_page(text, "Title", {}))
    assert page.open == []
    names = [name for name, _ in page.elements]
    assert names.count("details") == 3 and "hr" not in names  # the contents are folded too
    assert page.texts["summary"].split() == ["Contents", "Second", "Third"]
    folded = page.texts["details"].removeprefix(page.texts["nav"].removeprefix("\n").rstrip("\n"))
    assert folded.split() == ["Second", "Two.", "Part", "Third"]
    # What a link leads to is folded, so that the browser opens it.
    folded = [attributes["id"] for attributes in page.attributes("div")]
    assert folded == ["second", "third"]
    assert [attributes["href"] for attributes in page.attributes("a")] == [
        "#first",
        "#second",
        "#third",
    ]


def test_html_in_the_markdown_is_shown_and_not_obeyed():
    page = render_page("A <script>alert(1)</script> & <b>.", "1 < 2", {})
    assert "&lt;script&gt;" in page and "<script" not in page
    assert "<title>1 &lt; 2</title>" in page and "<h1>1 &lt; 2</h1>" in page


def test_a_page_says_its_language_and_what_made_it_fits_a_phone_and_is_the_same_every_time(page):
    assert page.attributes("html") == [{"lang": "en"}]
    metas = {
        attributes.get("name"): attributes.get("content") for attributes in page.attributes("meta")
    }
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["made-by"] == '{"rule": "render_page"}'
    assert render_page(MARKDOWN, "Title", IMAGES) == render_page(MARKDOWN, "Title", IMAGES)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workflow/report").glob("*.rst")), ids=lambda path: path.stem
)
def test_a_caption_of_the_report_is_sound_and_names_its_study(path):
    snakemake = SimpleNamespace(
        wildcards=SimpleNamespace(study="some_"), config={"sweep": {"studies": ["some", "other"]}}
    )
    # Snakemake adds such links of its own.
    links = "\n.. _Workflow: https://example.org\n.. _Statistics: https://example.org\n"
    template = Environment(undefined=StrictUndefined).from_string(path.read_text() + links)
    text = template.render(snakemake=snakemake)
    caption = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["html_body"]
    assert ("some, other" if path.stem == "workflow" else "some_") in caption
