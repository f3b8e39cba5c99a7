"""The table of what runs win back on every text of a study."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from spon.inputs.check import read_table


def compare_texts(paths: Sequence[str | Path], names: Sequence[str]) -> pd.DataFrame:
    """Put the recoveries on several texts side by side.

    Args:
        paths: Of the tables `perplexity.tabulate_damage_recovery`, one of each text.
        names: What the texts are called, in the same order.

    Returns:
        Their rows, text by text, behind a column `text`. An interval is over the blocks of its own
        text, so two texts are compared by their intervals, and not block by block.

    Raises:
        FileError: A table cannot be read.
    """
    tables = []
    for path, name in zip(paths, names, strict=True):
        table = read_table(path, is_filled=False)
        table.insert(0, "text", name)
        tables.append(table)
    whole = dict.fromkeys(("seed", "seeds"), "Int64")
    return pd.concat(tables, ignore_index=True).astype(whole)
