"""Describe what sparsity costs and what biases win back: the baselines, and every allocation."""

from collections.abc import Mapping

import pandas as pd

from spon.allocate import TRAINED, site_sparsity
from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    NOTHING,
    embed_figure,
    join_blocks,
    join_words,
    say_bounds,
    say_change,
    say_fixed,
    say_percent,
    say_range,
    write_table,
)
from spon.report.seeds import PLACE, average_seeds, keep_counting, say_each
from spon.sites import DENSE, TEAL

# The scope of all linear maps of the decoder, which is sparsified as a whole.
WHOLE = "all"
# Differences in log-likelihood are written in thousandths of a nat.
MILLI = 1000.0
# A distance of the sparsity that is reached from the one asked for that is worth a sentence.
NOTICEABLE = 0.02
LEVEL = f"at the {100 * ALPHA:g} % level"
# So many pairs of allocations are named; more are counted.
FEW = 2
MEASURES = {"kl": "KL divergence", "nll": "log-likelihood"}
HOW_TO_READ = (
    "*Recovered* is the share of TEAL's damage that is won back. Where there are several "
    "trainings, a row is their mean, its interval covers their spread, and the last column has "
    "the single ones, KL / log-likelihood. P-values are Holm-adjusted over all contrasts by the "
    "same measure."
)


def describe_baselines(
    perplexity: pd.DataFrame,
    contrasts: pd.DataFrame,
    model: Mapping,
    thresholds: pd.DataFrame | None = None,
) -> str:
    """Describe the dense model, and what TEAL costs and spares at each scope and sparsity."""
    dense = perplexity.loc[perplexity["allocation"] == DENSE].iloc[0]
    level = say_bounds(dense["perplexity"], dense["perplexity_low"], dense["perplexity_high"], 3)
    introduction = (
        f"The dense model has a perplexity of {level} on held-out text. *Of the model*: share of "
        "the decoder's linear weights that meet a zero on held-out text. *Reached*: that share of "
        "the sparsified sites' weights, with the dense model's inputs / the sparse one's. The "
        "last two columns are in thousandths of a nat per token."
    )
    header = ["sites sparsified", "sparsity", "of the model", "reached", "TEAL's perplexity"]
    header += ["over dense", "KL", "TEAL less dense [95 %]"]
    damages = contrasts[(contrasts["contrast"] == "teal_dense") & (contrasts["measure"] == "nll")]
    damages = damages.set_index(["scope", "sparsity"])
    rows, baselines = [], perplexity[perplexity["allocation"] == TEAL]
    for teal in baselines.itertuples():
        damage = damages.loc[(teal.scope, teal.sparsity)]
        reached = NOTHING if thresholds is None else say_reached(teal, thresholds, model["shape"])
        rows.append(describe_baseline(teal, damage, reached))
    return join_blocks(introduction, warn_of_sparsity(baselines), write_table(header, rows))


def describe_baseline(teal, damage: pd.Series, reached: str) -> list[str]:
    """Return the cells of one baseline.

    Args:
        teal: Its row of the table of perplexities.
        damage: Its difference from the dense model.
        reached: The sparsities that it reaches.
    """
    difference = [damage[name] for name in ("difference_nats_per_token", "low", "high")]
    return [
        say_scope(teal.scope),
        say_percent(teal.sparsity),
        say_percent(teal.model_sparsity, 1),
        reached,
        say_fixed(teal.perplexity, 3),
        say_change(teal.over_dense_percent),
        say_fixed(MILLI * teal.kl_nats_per_token, 1),
        say_bounds(*difference, 1, scale=MILLI),
    ]


def say_reached(teal, thresholds: pd.DataFrame, shape: Mapping) -> str:
    """Write the sparsity that a baseline reaches: in the dense pass, and in the sparse one."""
    places = (thresholds["scope"] == teal.scope) & (thresholds["sparsity"] == teal.sparsity)
    in_dense = thresholds[places].set_index("site")["sparsity_dense_pass"].to_dict()
    shares = (site_sparsity(shape, in_dense), teal.site_sparsity)
    return f"{' / '.join(say_fixed(100 * share, 1) for share in shares)} %"


def warn_of_sparsity(baselines: pd.DataFrame) -> str:
    """Say where sites reach another sparsity than was asked for, if they do."""
    others = (baselines["site_sparsity"] - baselines["sparsity"]).abs() > NOTICEABLE
    if not others.any():
        return ""
    places = [
        f"{say_percent(teal.site_sparsity, 1)} for {say_percent(teal.sparsity)} at "
        f"{say_scope(teal.scope)}"
        for teal in baselines[others].itertuples()
    ]
    return (
        "Sites reach another sparsity than was asked for, which is what a model costs: "
        f"{', '.join(places)}."
    )


def describe_results(
    perplexity: pd.DataFrame,
    contrasts: pd.DataFrame,
    damage_recovery: pd.DataFrame,
    settings: Mapping,
    figures: Mapping[str, str],
) -> str:
    """Describe the trained allocations of every scope but the whole model."""
    runs = keep_trained(perplexity.dropna(subset=["seed"]), settings)
    runs = runs[runs["scope"] != WHOLE]
    bars = embed_figure(
        figures,
        "fig2_damage_recovery",
        "Share of TEAL's damage that is won back",
        "Share of TEAL's damage that is won back: 0 % is TEAL, 100 % the dense model. Grey: "
        "controls.",
    )
    return join_blocks(
        HOW_TO_READ,
        tabulate_runs(runs, contrasts, damage_recovery),
        *(compare_allocations(runs, contrasts, measure) for measure in MEASURES),
        bars,
    )


def describe_whole_model(
    perplexity: pd.DataFrame,
    contrasts: pd.DataFrame,
    damage_recovery: pd.DataFrame,
    settings: Mapping,
) -> str:
    """Describe the allocations whose scope is the whole model; nothing if there is none."""
    runs = keep_trained(perplexity.dropna(subset=["seed"]), settings)
    runs = runs[runs["scope"] == WHOLE]
    if runs.empty:
        return ""
    introduction = (
        "Here all linear maps of the decoder are sparsified, as in the original paper, and "
        "allocations differ in the maps that get a bias."
    )
    table = tabulate_runs(runs, contrasts, damage_recovery)
    return join_blocks(introduction, table)


def say_scope(scope: str) -> str:
    """Name the sites of a scope."""
    return "whole model" if scope == WHOLE else scope


def keep_trained(rows: pd.DataFrame, settings: Mapping) -> pd.DataFrame:
    """Keep the rows of trained runs, without those of controls.

    Args:
        rows: Have the column `allocation`.
        settings: Say under `allocations` how each allocation learns its biases; one that they do
            not name counts as trained.
    """
    allocations = settings.get("allocations", {})
    controls = [name for name, one in allocations.items() if one["learn"] != TRAINED]
    return rows[~rows["allocation"].isin(controls)]


def keep_largest(perplexity: pd.DataFrame, settings: Mapping) -> pd.DataFrame:
    """Keep of every scope and sparsity the trained allocation with the most biases.

    Returns:
        A row per scope and sparsity, averaged over trainings; of several allocations with as many
        biases the first.
    """
    trained = average_seeds(keep_trained(perplexity.dropna(subset=["seed"]), settings))
    largest = trained.sort_values("bias_parameters", ascending=False, kind="stable")
    return largest.drop_duplicates(["scope", "sparsity"]).sort_index()


def tabulate_runs(
    runs: pd.DataFrame, contrasts: pd.DataFrame, damage_recovery: pd.DataFrame
) -> str:
    """Write a table with a row per allocation and sparsity.

    Args:
        runs: Perplexities of the runs to show, a row per training.
        contrasts: Differences of all runs.
        damage_recovery: Shares of damage won back by all runs.
    """
    header = ["allocation", "sparsity", "KL recovered [95 %]", "log-likelihood recovered [95 %]"]
    header += ["at own temperature", "single trainings"]
    means = average_seeds(runs).set_index(PLACE)
    rows = []
    for place, mean in means.iterrows():
        here = damage_recovery[(damage_recovery[PLACE] == list(place)).all(axis=1)]
        shares = keep_counting(here, [*PLACE, "measure"]).set_index("measure")
        cells = [say_recovery(shares.loc[measure]) for measure in MEASURES]
        cells.append(say_range([mean["recovery_own_temperature_percent"]], 1, "%"))
        rows.append([place[0], say_percent(place[2]), *cells, say_single(here)])
    return join_blocks(write_table(header, rows), judge_runs(runs, contrasts))


def say_single(recovery: pd.DataFrame) -> str:
    """Write the recoveries of single trainings by each measure: `6.5, 6.2 / 19.9, 23.1`."""
    single = recovery[recovery["seed"].notna()].set_index("measure")["recovery_percent"]
    each = [say_each(single.loc[[measure]], 1) for measure in MEASURES]
    return " / ".join(filter(None, each))


def say_recovery(share: pd.Series) -> str:
    """Write a share of damage with its interval; without an interval it is not applicable."""
    if pd.isna(share["low"]):
        return NOTHING
    return say_bounds(share["recovery_percent"], share["low"], share["high"], 1, "%")


def judge_runs(runs: pd.DataFrame, contrasts: pd.DataFrame) -> str:
    """Say by each measure which allocations are not better than TEAL."""
    rows = contrasts[contrasts["contrast"] == "run_teal"].merge(runs[PLACE].drop_duplicates())
    rows = keep_counting(rows, [*PLACE, "measure"])
    phrases = []
    for measure, words in MEASURES.items():
        of_measure = rows[rows["measure"] == measure]
        verdicts = of_measure.apply(judge_difference, axis=1)
        others = [
            f"{row.allocation} at {say_percent(row.sparsity)} ({verdict})"
            for row, verdict in zip(of_measure.itertuples(), verdicts, strict=True)
            if verdict != "better"
        ]
        but = f" but {join_words(others)}" if others else ""
        phrases.append(f"by {words} all{but}")
    return f"Better than TEAL {LEVEL} are {'; '.join(phrases)}."


def judge_difference(contrast: pd.Series) -> str:
    """Judge a difference from its p-value: `better`, `worse` or `not told apart`.

    The difference is in nats, so a negative one is better.
    """
    # A p-value that is NaN decides nothing, and no comparison with it is true.
    if not contrast["p_holm"] < ALPHA:
        return "not told apart"
    return "better" if contrast["difference_nats_per_token"] < 0 else "worse"


def compare_allocations(runs: pd.DataFrame, contrasts: pd.DataFrame, measure: str) -> str:
    """Say how many pairs of allocations differ by a measure, and name those that do not."""
    allocations = set(runs["allocation"])
    pairs = contrasts[(contrasts["contrast"] == "run_run") & (contrasts["measure"] == measure)]
    pairs = pairs[pairs["allocation"].isin(allocations) & pairs["reference"].isin(allocations)]
    pairs = keep_counting(pairs, [*PLACE, "reference"])
    if pairs.empty:
        return ""
    tied = pairs[[judge_difference(pair) == "not told apart" for _, pair in pairs.iterrows()]]
    sentence = (
        f"By {MEASURES[measure]}, {len(pairs) - len(tied)} of {len(pairs)} pairs of allocations "
        "of one place are told apart"
    )
    if tied.empty or len(tied) == len(pairs):
        return f"{sentence}."
    return f"{sentence}; not: {name_pairs(tied)}."


def name_pairs(pairs: pd.DataFrame) -> str:
    """Name a few pairs of allocations, sparsity by sparsity, or count many."""
    phrases = []
    for sparsity, rows in pairs.groupby("sparsity"):
        names = f"{len(rows)} pairs"
        if len(rows) <= FEW:
            names = ", ".join(f"{row.allocation} and {row.reference}" for row in rows.itertuples())
        phrases.append(f"{names} at {say_percent(sparsity)}")
    return "; ".join(phrases)
