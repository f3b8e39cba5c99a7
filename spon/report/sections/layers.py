"""Which layers gain, what more of them add, and what is worth its cost."""

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

# Narrower than any interval of a share that was estimated, in percent.
EXACT = 1e-6


def describe_layers(
    layer_position: pd.DataFrame,
    marginal_gain: pd.DataFrame,
    pareto: pd.DataFrame,
    figures: Mapping[str, str],
) -> str:
    """Early against late layers, shares of the full gain, and the frontier of perplexity against parameters."""
    caption = (
        "Perplexity against the number of bias parameters, one frontier for each scope and "
        "sparsity; points whose paired interval holds zero are ties, and are not ranked."
    )
    figure = embed_figure(figures, "fig3_pareto", "Perplexity against bias parameters", caption)
    return join_blocks(
        compare_halves(layer_position),
        compare_shares(marginal_gain),
        compare_costs(pareto),
        figure,
    )


def compare_halves(position: pd.DataFrame) -> str:
    """The ratio of gains of the early layers to those of the late ones."""
    if position.empty:
        return ""
    told = "Gain of biases in the early layers over that of as many in the late ones; 1 is no difference."
    rows = []
    for names, found in position.groupby(["sparsity", "seed", "early", "late"], sort=False):
        ratios = found.set_index("measure")[["ratio", "ratio_low", "ratio_high"]]
        cells = [say_bounds(*ratios.loc[measure], 2) for measure in ("nll", "kl")]
        kind = [conclude_ratio(ratios.loc[measure]) for measure in ("nll", "kl")]
        rows.append(
            [f"{names[2]} over {names[3]}", say_percent(names[0]), *cells, " / ".join(kind)]
        )
    header = ["", "sparsity", "by log-likelihood [95 %]", "by KL [95 %]", "its interval lies"]
    return join_blocks(told, write_table(header, rows))


def conclude_ratio(ratio: pd.Series) -> str:
    """Where the interval of a ratio lies."""
    if pd.isna(ratio["ratio_low"]):
        return "not applicable"
    if ratio["ratio_low"] > 1:
        return "above 1"
    return "below 1" if ratio["ratio_high"] < 1 else "around 1"


def compare_shares(marginal: pd.DataFrame) -> str:
    """The share of the full gain that fewer layers reach."""
    # The allocation with all layers reaches exactly its own gain.
    share, width = (
        marginal["share_of_full_percent"],
        marginal["share_high"] - marginal["share_low"],
    )
    full = ((share - 100).abs() < EXACT) & (width < EXACT)
    shares = marginal[share.notna() & ~full].drop_duplicates(
        ["scope", "sparsity", "seed", "larger", "measure"]
    )
    if shares.empty:
        return ""
    rows = []
    for names, found in shares.groupby(["sparsity", "seed", "larger"], sort=False):
        share = found.set_index("measure")[["share_of_full_percent", "share_low", "share_high"]]
        cells = [say_bounds(*bounds, 0, "%") for bounds in share.reindex(["nll", "kl"]).to_numpy()]
        rows.append([names[2], say_percent(names[0]), f"{names[1]:g}", *cells])
    told = "Share of the gain with biases at every layer that fewer layers reach:"
    header = ["layers with biases", "sparsity", "seed", "by log-likelihood [95 %]", "by KL [95 %]"]
    return join_blocks(told, write_table(header, rows))


def compare_costs(pareto: pd.DataFrame) -> str:
    """What no cheaper run of its scope and sparsity beats."""
    frontier = pareto[(pareto["frontier"] == "scope") & pareto["on_frontier"].astype(bool)]
    if frontier.empty:
        return ""
    parts = [
        f"{scope} at {say_percent(sparsity)}: "
        f"{join_words(dict.fromkeys(rows.sort_values('cost')['allocation']))}"
        for (scope, sparsity), rows in frontier.groupby(["scope", "sparsity"], sort=False)
    ]
    return f"On the frontier of perplexity against bias parameters (ties included) are, for {'; '.join(parts)}."
