"""Describe which layers gain, what more of them add, and which runs are worth their cost."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import (
    NOTHING,
    embed_figure,
    join_blocks,
    say_bounds,
    say_percent,
    write_table,
)
from spon.report.sections.results import MEASURES, say_scope
from spon.report.seeds import keep_counting
from spon.sites import TEAL

RATIO = ["ratio", "ratio_low", "ratio_high"]
SHARE = ["share_of_full_percent", "share_low", "share_high"]
# In percent; the interval of a share that is estimated is always wider.
EXACT = 1e-6


def describe_layers(
    layer_position: pd.DataFrame,
    marginal_gain: pd.DataFrame,
    pareto: pd.DataFrame,
    figures: Mapping[str, str],
) -> str:
    """Compare early layers with late ones and with all, and gains with their cost."""
    caption = (
        "Damage against the number of bias parameters, one frontier for each scope and sparsity."
    )
    return join_blocks(
        compare_halves(layer_position),
        compare_shares(marginal_gain),
        compare_costs(pareto),
        embed_figure(figures, "fig3_pareto", "Damage against bias parameters", caption),
    )


def compare_halves(position: pd.DataFrame) -> str:
    """Write the ratios of gains, early layers over late ones."""
    if position.empty:
        return ""
    introduction = (
        "Here a cell is by KL / by log-likelihood, with 95 % intervals. Gain of biases in early "
        "layers over that of as many in late ones; 1 is no difference:"
    )
    key = ["early", "late", "sparsity"]
    counting = keep_counting(position, [*key, "measure"])
    counting = counting.assign(
        name=counting["early"] + " over " + counting["late"],
        words=[say_bounds(*ratio, 2) for ratio in counting[RATIO].to_numpy()],
    )
    return join_blocks(introduction, tabulate_by_sparsity(counting))


def tabulate_by_sparsity(rows: pd.DataFrame) -> str:
    """Write a table with a row per name and a column per sparsity, by both measures in each cell.

    Args:
        rows: Have `name, sparsity, measure` and, for the cell, `words`.
    """
    cells = rows.pivot(index="name", columns=["sparsity", "measure"], values="words")
    sparsities = sorted(rows["sparsity"].unique())
    columns = pd.MultiIndex.from_product([sparsities, MEASURES])
    cells = cells.reindex(index=rows["name"].unique(), columns=columns).fillna(NOTHING)
    lines = [
        [name, *(" / ".join(words[sparsity]) for sparsity in sparsities)]
        for name, words in cells.iterrows()
    ]
    return write_table(["", *map(say_percent, sparsities)], lines)


def compare_shares(marginal: pd.DataFrame) -> str:
    """Write a table of the shares of the full gain that allocations with fewer biases reach."""
    # The allocation with most biases reaches exactly its own gain, which says nothing.
    share = marginal["share_of_full_percent"]
    width = marginal["share_high"] - marginal["share_low"]
    full = ((share - 100).abs() < EXACT) & (width < EXACT)
    key = ["scope", "sparsity", "larger"]
    shares = keep_counting(marginal[share.notna() & ~full], [*key, "measure"])
    if shares.empty:
        return ""
    introduction = "Share of the gain of the allocation with most biases that others reach:"
    shares = shares.assign(
        name=shares["larger"],
        words=[say_bounds(*share, 0, "%") for share in shares[SHARE].to_numpy()],
    )
    return join_blocks(introduction, tabulate_by_sparsity(shares))


def compare_costs(pareto: pd.DataFrame) -> str:
    """Write by each measure the allocations that no cheaper one of the same place beats."""
    frontier = pareto[(pareto["frontier"] == "scope") & pareto["on_frontier"].astype(bool)]
    if frontier.empty:
        return ""
    key = ["scope", "sparsity", "measure"]
    points = []
    for place, rows in frontier.groupby(key, sort=False):
        row = dict(zip(key, place, strict=True))
        points.append(row | {"name": say_scope(place[0]), "words": name_allocations(rows)})
    introduction = "On the frontier of damage against bias parameters, ties included, beside TEAL:"
    return join_blocks(introduction, tabulate_by_sparsity(pd.DataFrame(points)))


def name_allocations(points: pd.DataFrame) -> str:
    """Name the allocations of some points from the cheapest on, without the baseline."""
    names = dict.fromkeys(points.sort_values("cost", kind="stable")["allocation"])
    return ", ".join(name for name in names if name != TEAL) or "none"
