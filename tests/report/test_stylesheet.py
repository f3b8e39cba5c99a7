"""The style of the page: what it needs, and that it knows every part that the page names."""

import re

import pytest

from spon.report.page import render_page
from spon.report.stylesheet import STYLE

TEXT = """\
# Title

## First

| run | gain |
| --- | ---: |
| TOP-50 | Not to be told from the gain of a run without any biases. |

![a](a.svg)

---

## Second
"""


def test_it_loads_nothing():
    assert "url(" not in STYLE and "@import" not in STYLE


def test_it_closes_what_it_opens():
    assert STYLE.count("{") == STYLE.count("}")
    assert STYLE.count("/*") == STYLE.count("*/")


def test_it_knows_every_class_that_the_page_has():
    page = render_page(TEXT, "Title", {"a.svg": b""})
    used = set(re.findall(r'class="([a-z]+)"', page))
    assert used == {"listed", "first", "table", "short", "long", "large", "close", "folded"}
    assert used - set(re.findall(r"\.([a-z]+)", STYLE)) == set()


@pytest.mark.parametrize("part", [".table", ".large:target"])
def test_a_wide_table_and_an_opened_image_scroll_by_themselves(part):
    rules = STYLE.split(f"\n{part} {{")[1].split("}")[0]
    assert re.search(r"overflow(-x)?: auto", rules)
