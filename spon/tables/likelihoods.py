"""Read likelihoods per block: each file must be whole, in range, and of the evaluation meant."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from spon.inputs import check
from spon.sites import EVALUATION

# What is summed over the predictions of a block, by the name of its mean per token.
SUMS = {
    "nll": "nll_nats",
    "kl": "kl_nats",
    "entropy": "entropy_nats",
    "top1": "top1",
    "nll_at_temperature": "nll_at_temperature_nats",
    "kl_at_temperature": "kl_at_temperature_nats",
}
# What an evaluation has one of, whatever the block.
CONSTANTS = ["temperature", "kl_median", "kl_95", "kl_99"]
OF_DRAWS = ["norms_of", *EVALUATION]


def read_evaluations(
    paths: Sequence[str | Path], evaluations: Sequence[Mapping]
) -> list[pd.DataFrame]:
    """Read the blocks of some evaluations.

    Args:
        paths: Their files.
        evaluations: What each of these has to be of, by some of the columns of `EVALUATION`.

    Raises:
        FileError: A file is damaged, or of another evaluation or other blocks.
    """
    tables = []
    for path, names in zip(paths, evaluations, strict=True):
        columns = [*EVALUATION, "block", "predictions", *SUMS.values(), *CONSTANTS]
        table = check.read_table(path, columns)
        check.check_names(table, path, names)
        check.check_rows(table, path, ["block"])
        check_blocks(table, path, len(table))
        check_likelihoods(table, path)
        check.check_numbers(table, path, ["top1"], 0, int(table["predictions"].max()))
        check.check_numbers(table, path, ["temperature"], least=np.finfo(float).tiny)
        check.check_numbers(table, path, CONSTANTS[1:], least=-check.ROUNDING)
        tables.append(table)
        if not table[["block", "predictions"]].equals(tables[0][["block", "predictions"]]):
            raise check.FileError(path, f"has other blocks than {paths[0]}")
    return tables


def read_draws(paths: Sequence[str | Path], runs: Sequence[Mapping]) -> list[pd.DataFrame]:
    """Read the blocks of random directions.

    Args:
        paths: Their files.
        runs: What each of these has to be of, by some of the columns of `OF_DRAWS`.

    Raises:
        FileError: A file is damaged, or of another run.
    """
    tables = []
    for path, names in zip(paths, runs, strict=True):
        table = check.read_table(
            path, [*OF_DRAWS, "draw", "block", "predictions", SUMS["nll"], SUMS["kl"]]
        )
        check.check_names(table, path, names)
        check.check_rows(table, path, ["draw", "block"])
        check_blocks(table, path, table["draw"].nunique() * table["block"].nunique(), "draw")
        check_likelihoods(table, path)
        tables.append(table)
    return tables


def check_blocks(table: pd.DataFrame, path: str | Path, rows: int, counted: str = "block") -> None:
    """Refuse a table that lacks rows, or that does not count from 0 by the column `counted`."""
    numbers = set(table[counted])
    if len(table) != rows or numbers != set(range(len(numbers))):
        raise check.FileError(path, f"lacks a {counted}")


def check_likelihoods(table: pd.DataFrame, path: str | Path) -> None:
    """Refuse sums over a block that cannot be likelihoods or divergences."""
    check.check_numbers(table, path, ["predictions"], least=1)
    sums = [name for name in SUMS.values() if name in table]
    check.check_numbers(table, path, sums, -check.ROUNDING * float(table["predictions"].max()))
