"""Write markdown: tables, figures, and numbers rounded for a reader."""

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

import numpy as np
import pandas as pd

NOTHING = "n/a"


def write_table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Write a markdown table.

    Args:
        header: One title per column.
        rows: The cells of each row, as many as there are columns.
        words: How many columns, the first ones, hold words and are aligned left; the others hold
            numbers and are aligned right.
    """
    align = ["---"] * min(words, len(header)) + ["---:"] * (len(header) - words)
    lines = [header, align, *rows]
    widths = {len(cells) for cells in lines}
    assert widths == {len(header)}, f"rows of {sorted(widths)} cells under {len(header)} titles"
    return "\n".join(f"| {' | '.join(escape(cell) for cell in cells)} |" for cells in lines)


def escape(cell: str) -> str:
    """Escape what would end a cell: a bar, or the end of a line."""
    return cell.replace("|", "\\|").replace("\n", " ")


def embed_figure(figures: Mapping[str, str], name: str, alt: str, caption: str) -> str:
    """Write a figure with its caption, or nothing if the study has no such figure."""
    return f"![{alt}]({figures[name]})\n\n*{caption}*" if name in figures else ""


def join_blocks(*blocks: str) -> str:
    """Join paragraphs, tables and figures by one empty line; empty blocks are left out."""
    return "\n\n".join(filter(None, (block.strip("\n") for block in blocks)))


def join_words(words: Iterable[str], last: str = "and") -> str:
    """Write an enumeration: `a, b and c`."""
    words = list(words)
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def say_percent(share: float, decimals: int = 0) -> str:
    """Write a share as percent: 0.5 is `50 %`."""
    return f"{100 * share:.{decimals}f} %" if decimals else f"{100 * share:g} %"


def say_change(percent: float, decimals: int = 2) -> str:
    """Write a change, which is in percent already, with its sign."""
    return NOTHING if pd.isna(percent) else f"{fix(percent, decimals):+.{decimals}f} %"


def say_bounds(
    value: float, low: float, high: float, decimals: int, unit: str = "", scale: float = 1.0
) -> str:
    """Write a number with its interval: `6.5 % [6.2, 6.8]`.

    Args:
        value: The number.
        low: Lower end of its interval.
        high: Upper end of its interval.
        decimals: Number of decimals of all three.
        unit: Stands behind the number.
        scale: Factor on all three.

    Returns:
        The number alone if an end of its interval is NaN; `n/a` if the number itself is.
    """
    if pd.isna(value):
        return NOTHING
    number = f"{say_fixed(scale * value, decimals)} {unit}".strip()
    if pd.isna(low) or pd.isna(high):
        return number
    return f"{number} [{say_fixed(scale * low, decimals)}, {say_fixed(scale * high, decimals)}]"


def say_fixed(value: Real, decimals: int) -> str:
    """Write a number with a fixed number of decimals."""
    return NOTHING if pd.isna(value) else f"{fix(value, decimals):.{decimals}f}"


def say_range(values: Iterable[Real], decimals: int, unit: str = "") -> str:
    """Write the smallest and the largest of some numbers: `1.0 to 2.5 %`.

    Returns:
        One number if both read the same; `n/a` if there is none. NaNs do not count.
    """
    numbers = [value for value in values if not pd.isna(value)]
    if not numbers:
        return NOTHING
    low, high = say_fixed(min(numbers), decimals), say_fixed(max(numbers), decimals)
    interval = low if low == high else f"{low} to {high}"
    return f"{interval} {unit}".strip()


def say_p_value(p_value: float) -> str:
    """Write a p-value for a table."""
    if pd.isna(p_value):
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def say_origin(text: str) -> str:
    """Spell out the sparsity and the seed that a number is of: `s0.5 seed1` is `50 %, seed 1`."""
    text = re.sub(r"\bs(0\.\d+)", lambda match: say_percent(float(match[1])), text)
    text = re.sub(r" seed(\d+)", r", seed \1", text)
    return text.replace("→", " → ")


def fix(value: Real, decimals: int) -> float:
    """Round a number; a zero never has a sign."""
    # Adding zero turns -0.0 into 0.0.
    return float(np.round(value, decimals)) + 0.0
