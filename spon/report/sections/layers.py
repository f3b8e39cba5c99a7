"""Describe which layers gain, what more of them add, and which runs are worth their cost."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import (
    embed_figure,
    join_blocks,
    join_words,
    say_bounds,
    say_percent,
    write_table,
)

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
        "Perplexity against the number of bias parameters, one frontier for each scope and "
        "sparsity; points whose paired interval holds zero are ties, and are not ranked."
    )
    return join_blocks(
        compare_halves(layer_position),
        compare_shares(marginal_gain),
        compare_costs(pareto),
        embed_figure(figures, "fig3_pareto", "Perplexity against bias parameters", caption),
    )


def compare_halves(position: pd.DataFrame) -> str:
    """Write a table of the ratios of gains, early layers over late ones."""
    if position.empty:
        return ""
    introduction = (
        "Gain of biases in the early layers over that of as many in the late ones; 1 is no "
        "difference."
    )
    header = ["", "sparsity", "by log-likelihood [95 %]", "by KL [95 %]", "its interval lies"]
    rows = []
    pairs = position.groupby(["sparsity", "seed", "early", "late"], sort=False)
    for (sparsity, _, early, late), measures in pairs:
        ratios = measures.set_index("measure")[["ratio", "ratio_low", "ratio_high"]]
        by_nll, by_kl = ratios.loc["nll"], ratios.loc["kl"]
        rows.append(
            [
                f"{early} over {late}",
                say_percent(sparsity),
                say_bounds(*by_nll, 2),
                say_bounds(*by_kl, 2),
                f"{conclude_ratio(by_nll)} / {conclude_ratio(by_kl)}",
            ]
        )
    return join_blocks(introduction, write_table(header, rows))


def conclude_ratio(ratio: pd.Series) -> str:
    """Say where the interval of a ratio lies: `above 1`, `below 1` or `around 1`."""
    if pd.isna(ratio["ratio_low"]):
        return "not applicable"
    if ratio["ratio_low"] > 1:
        return "above 1"
    return "below 1" if ratio["ratio_high"] < 1 else "around 1"


def compare_shares(marginal: pd.DataFrame) -> str:
    """Write a table of the shares of the full gain that fewer layers reach."""
    # The allocation with all layers reaches exactly its own gain, which says nothing.
    share = marginal["share_of_full_percent"]
    width = marginal["share_high"] - marginal["share_low"]
    full = ((share - 100).abs() < EXACT) & (width < EXACT)
    shares = marginal[share.notna() & ~full].drop_duplicates(
        ["scope", "sparsity", "seed", "larger", "measure"]
    )
    if shares.empty:
        return ""
    introduction = "Share of the gain with biases at every layer that fewer layers reach:"
    header = ["layers with biases", "sparsity", "seed", "by log-likelihood [95 %]", "by KL [95 %]"]
    rows = []
    runs = shares.groupby(["sparsity", "seed", "larger"], sort=False)
    for (sparsity, seed, allocation), measures in runs:
        bounds = measures.set_index("measure")[
            ["share_of_full_percent", "share_low", "share_high"]
        ]
        # A measure whose share is not known has a row of NaNs.
        by_nll, by_kl = bounds.reindex(["nll", "kl"]).to_numpy()
        rows.append(
            [
                allocation,
                say_percent(sparsity),
                f"{seed:g}",
                say_bounds(*by_nll, 0, "%"),
                say_bounds(*by_kl, 0, "%"),
            ]
        )
    return join_blocks(introduction, write_table(header, rows))


def compare_costs(pareto: pd.DataFrame) -> str:
    """List the runs that no cheaper run of the same scope and sparsity beats."""
    frontier = pareto[(pareto["frontier"] == "scope") & pareto["on_frontier"].astype(bool)]
    if frontier.empty:
        return ""
    frontiers = []
    for (scope, sparsity), runs in frontier.groupby(["scope", "sparsity"], sort=False):
        allocations = dict.fromkeys(runs.sort_values("cost")["allocation"])
        frontiers.append(f"{scope} at {say_percent(sparsity)}: {join_words(allocations)}")
    return (
        "On the frontier of perplexity against bias parameters (ties included) are, for "
        f"{'; '.join(frontiers)}."
    )
