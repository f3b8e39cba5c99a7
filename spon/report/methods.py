"""Write how methods compare at equal sparsity, as a page of markdown."""

import pandas as pd

from spon.report.markdown import (
    join_blocks,
    join_words,
    say_bounds,
    say_fixed,
    say_p_value,
    say_percent,
    write_table,
)
from spon.report.sections.results import say_scope
from spon.report.seeds import keep_counting
from spon.sites import TEAL

KEY = ["method", "allocation", "scope", "sparsity"]
HEADER = ["method", "biases", "of the model", "perplexity", "KL, nats", "Δ KL", "p", "Δ nll", "p"]


def write_methods(table: pd.DataFrame) -> str:
    """Write a table per scope and sparsity, without biases first.

    Args:
        table: As `tables.methods.tabulate_methods` returns it.
    """
    counted = keep_counting(table, [*KEY, "measure"])
    methods = list(dict.fromkeys(counted["method"]))
    number = int(counted["seeds"].max())
    single = number == 1
    trainings = "one training" if single else f"up to {number} trainings"
    blocks = [
        "# Methods at the same sparsity asked for",
        f"The same model, text and budget of training with {join_words(methods)}. Δ is a method "
        f"less {methods[0]}, paired over {counted['blocks'].iloc[0]} blocks of held-out text, "
        f"below zero where it is better, with its 95 % interval in thousandths of a nat per "
        f"token; p is adjusted by Holm's method over all differences of one measure. *Of the "
        f"model* is the share of its weights that really meet a zero. Rows with biases are "
        f"of {trainings} each{', so intervals are of the text alone' if single else ''}.",
    ]
    for (scope, sparsity), rows in counted.groupby(["scope", "sparsity"], sort=False):
        blocks.append(f"## {say_scope(scope)}, {say_percent(sparsity)}")
        blocks.append(write_table(HEADER, describe_place(rows), words=2))
    return join_blocks(*blocks) + "\n"


def describe_place(rows: pd.DataFrame) -> list[list[str]]:
    """Return the cells of all methods at a place, allocation by allocation."""
    wide = rows.pivot(index=["allocation", "method"], columns="measure")
    order = dict.fromkeys(zip(rows["allocation"], rows["method"], strict=True))
    allocations = list(dict.fromkeys(rows["allocation"]))
    return [
        describe_method(allocation, method, wide.loc[(allocation, method)])
        for allocation, method in sorted(order, key=lambda one: allocations.index(one[0]))
    ]


def describe_method(allocation: str, method: str, row: pd.Series) -> list[str]:
    """Return the cells of a method with the biases of an allocation, or without."""
    return [
        method,
        "none" if allocation == TEAL else allocation,
        say_percent(row["model_sparsity", "kl"], 1),
        say_fixed(row["perplexity", "nll"], 3),
        say_fixed(row["nats_per_token", "kl"], 4),
        *say_difference(row, "kl"),
        *say_difference(row, "nll"),
    ]


def say_difference(row: pd.Series, measure: str) -> list[str]:
    """Write a difference with its interval, and its p-value."""
    bounds = [
        row[name, measure]
        for name in ("difference_nats_per_token", "difference_low", "difference_high")
    ]
    return [say_bounds(*bounds, decimals=2, scale=1000.0), say_p_value(row["p_holm", measure])]
