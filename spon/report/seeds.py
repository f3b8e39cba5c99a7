"""Pick from tables over seeds the rows that count: means over trainings, or the only training."""

from collections.abc import Iterable, Sequence
from numbers import Real

import pandas as pd

from spon.report.markdown import NOTHING, join_words, say_fixed
from spon.sites import EVALUATION

# An evaluation, whatever its seed.
PLACE = [name for name in EVALUATION if name != "seed"]


def keep_counting(table: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Keep of every quantity the row that counts, which is the one over most trainings.

    Args:
        table: Has the column `seeds`, the number of trainings behind a row.
        key: The columns that name a quantity, whatever its seed.
    """
    ordered = table.sort_values("seeds", kind="stable")
    return ordered.drop_duplicates([*key], keep="last").sort_index()


def average_seeds(perplexity: pd.DataFrame) -> pd.DataFrame:
    """Average the evaluations of every allocation over its trainings.

    Returns:
        A row per allocation, scope and sparsity, in the order of the table, with the means of all
        numbers and the number of trainings in `seeds`, which is 0 where nothing was trained.
    """
    places = perplexity.groupby(PLACE, sort=False, dropna=False)
    means = places.mean(numeric_only=True).drop(columns="seed")
    return means.assign(seeds=places["seed"].count()).reset_index()


def say_each(values: Iterable[Real], decimals: int) -> str:
    """Write the numbers of single trainings: `6.5, 6.2, 6.4`; nothing for one training."""
    numbers = [say_fixed(value, decimals) for value in values]
    return ", ".join(numbers) if len(numbers) > 1 else ""


def say_trainings(counts: Iterable[Real]) -> str:
    """Write how many trainings stand behind some rows: `3 trainings`, `1 or 3 trainings`."""
    numbers = sorted({int(count) for count in counts if count > 0})
    if not numbers:
        return NOTHING
    plural = "s" * (numbers != [1])
    return f"{join_words(map(str, numbers), last='or')} training{plural}"
