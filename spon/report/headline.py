"""Write the headline table: a study in a few rows of markdown, for the README."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import say_change, say_percent, say_range, write_table
from spon.report.sections.results import MEASURES, keep_largest, say_recovery, say_scope
from spon.report.seeds import PLACE, keep_counting
from spon.sites import DENSE, TEAL

COLUMNS = [
    "sites sparsified",
    "sparsity",
    "of the model",
    "KL damage recovered [95 %]",
    "log-likelihood damage recovered [95 %]",
    "at own temperature",
    "TEAL over dense",
    "SPON over dense",
]


def write_headline(
    perplexity: pd.DataFrame, damage_recovery: pd.DataFrame, allocations: Mapping[str, Mapping]
) -> str:
    """Write a markdown table of the trained allocation with most biases at each place.

    A place is a scope and a sparsity.

    Args:
        perplexity: The table of that name.
        damage_recovery: The table of that name.
        allocations: Say how each allocation learns its biases: `learn`.

    Returns:
        The table, with the dense model's perplexity in the line above it. Numbers are means over
        trainings.
    """
    dense = perplexity.loc[perplexity["allocation"] == DENSE, "perplexity"].item()
    largest = keep_largest(perplexity, {"allocations": allocations})
    rows = [describe_run(run, perplexity, damage_recovery) for run in largest.itertuples()]
    table = write_table(COLUMNS, rows)
    return f"Perplexity of the dense model on held-out text: {dense:.3f}.\n\n{table}\n"


def describe_run(run, perplexity: pd.DataFrame, damage_recovery: pd.DataFrame) -> list[str]:
    """Return the cells of one allocation's row."""
    here = (perplexity["scope"] == run.scope) & (perplexity["sparsity"] == run.sparsity)
    baseline = here & (perplexity["allocation"] == TEAL)
    teal = perplexity.loc[baseline, "over_dense_percent"].item()
    shares = keep_counting(damage_recovery, [*PLACE, "measure"]).set_index([*PLACE, "measure"])
    place = tuple(getattr(run, name) for name in PLACE)
    return [
        f"{say_scope(run.scope)} ({run.allocation})",
        say_percent(run.sparsity),
        say_percent(run.model_sparsity, 1),
        *(say_recovery(shares.loc[(*place, measure)]) for measure in MEASURES),
        say_range([run.recovery_own_temperature_percent], 1, "%"),
        say_change(teal),
        say_change(run.over_dense_percent),
    ]
