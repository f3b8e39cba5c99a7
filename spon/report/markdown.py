"""Markdown: tables, figures, and numbers as a reader wants them."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

NOTHING = "n/a"


def write_table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A markdown table whose first columns, as many as `words`, hold words and the others numbers."""
    align = ["---"] * min(words, len(header)) + ["---:"] * (len(header) - words)
    return "\n".join(
        f"| {' | '.join(escape(cell) for cell in cells)} |" for cells in [header, align, *rows]
    )


def escape(cell: str) -> str:
    """A cell whose text cannot end it."""
    return cell.replace("|", "\\|").replace("\n", " ")


def embed_figure(figures: Mapping[str, str], name: str, alt: str, caption: str) -> str:
    """A figure with its caption, or nothing where the study has no such figure."""
    return f"![{alt}]({figures[name]})\n\n*{caption}*" if name in figures else ""


def join_blocks(*blocks: str) -> str:
    """Paragraphs, tables and figures, one empty line between; empty ones are left out."""
    return "\n\n".join(filter(None, (block.strip("\n") for block in blocks)))


def join_words(words: Iterable[str], last: str = "and") -> str:
    """An enumeration: `a, b and c`."""
    words = list(words)
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def say_percent(share: float, decimals: int = 0) -> str:
    """A share as percent: 0.5 is `50 %`."""
    return f"{100 * share:.{decimals}f} %" if decimals else f"{100 * share:g} %"


def say_change(percent: float, decimals: int = 2) -> str:
    """A change, already in percent, with its sign."""
    return NOTHING if pd.isna(percent) else f"{fix(percent, decimals):+.{decimals}f} %"


def say_bounds(
    value: float, low: float, high: float, decimals: int, unit: str = "", scale: float = 1.0
) -> str:
    """A number with its interval: `6.5 % [6.2, 6.8]`; without one where there is none."""
    if pd.isna(value):
        return NOTHING
    number = f"{fix(scale * value, decimals):.{decimals}f} {unit}".strip()
    if pd.isna(low) or pd.isna(high):
        return number
    return f"{number} [{fix(scale * low, decimals):.{decimals}f}, {fix(scale * high, decimals):.{decimals}f}]"


def say_fixed(value: float, decimals: int) -> str:
    """A number of so many decimals."""
    return NOTHING if pd.isna(value) else f"{fix(value, decimals):.{decimals}f}"


def say_range(values: Iterable[float], decimals: int, unit: str = "") -> str:
    """The smallest and the largest of some numbers, or the one that they all are."""
    finite = [value for value in values if not pd.isna(value)]
    if not finite:
        return NOTHING
    ends = dict.fromkeys(
        f"{fix(end, decimals):.{decimals}f}" for end in (min(finite), max(finite))
    )
    return f"{' to '.join(ends)} {unit}".strip()


def say_p_value(p_value: float) -> str:
    """A p-value for a table."""
    if pd.isna(p_value):
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def say_place(text: str) -> str:
    """Names of folders as a reader says them: `s0.5 seed1` is `50 %, seed 1`."""
    spelled = re.sub(r"\bs(0\.\d+)", lambda found: say_percent(float(found[1])), text)
    return re.sub(r" seed(\d+)", r", seed \1", spelled).replace("→", " → ").replace(" %→", " % →")


def fix(value: float, decimals: int) -> float:
    """A rounded number that is never a negative zero."""
    return float(np.round(value, decimals)) + 0.0
