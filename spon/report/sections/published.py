"""Repeat numbers as the published study defines them, so that they can be compared."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import (
    join_blocks,
    join_words,
    say_change,
    say_fixed,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.biases import group_by_run
from spon.report.sections.results import WHOLE, keep_trained
from spon.report.seeds import average_seeds
from spon.sites import DENSE

ALL = "all"
INTRODUCTION = (
    "*As published*: the definitions of the published study, where the sections above use "
    "sounder ones. Means over trainings."
)
TIMES = (
    "Run times differ from machine to machine and are no part of the findings: `snakemake cost` "
    "sums what each job took."
)


def describe_as_published(
    settings: Mapping,
    perplexity: pd.DataFrame | None = None,
    pca_alignment: pd.DataFrame | None = None,
    bias_statistics: pd.DataFrame | None = None,
    hidden_state_shift: pd.DataFrame | None = None,
    category_shift: pd.DataFrame | None = None,
    cross_configuration: pd.DataFrame | None = None,
) -> str:
    """Write the tables of the published study, as far as this one has what they need."""
    blocks = []
    if perplexity is not None:
        blocks += [tabulate_perplexity(perplexity, settings), pool_frontier(perplexity, settings)]
    if pca_alignment is not None and hidden_state_shift is not None:
        blocks.append(
            tabulate_states(pca_alignment, bias_statistics, hidden_state_shift, category_shift)
        )
    elif bias_statistics is not None:
        blocks.append(say_kurtosis(bias_statistics))
    if cross_configuration is not None and not cross_configuration.empty:
        blocks.append(tabulate_differences(cross_configuration))
    if not blocks:
        return ""
    return join_blocks(INTRODUCTION, *blocks, TIMES if perplexity is not None else "")


def tabulate_perplexity(perplexity: pd.DataFrame, settings: Mapping) -> str:
    """Write perplexities with the changes against TEAL and dense, and the recovered damage."""
    header = ["allocation", "sparsity", "perplexity", "against TEAL", "against dense"]
    header.append("damage recovered")
    means = average_seeds(keep_trained(perplexity.dropna(subset=["seed"]), settings))
    rows = [
        [
            run.allocation,
            say_percent(run.sparsity),
            say_fixed(run.perplexity, 2),
            say_change(-run.gain_percent),
            say_change(run.over_dense_percent),
            say_range([run.recovery_percent], 1, "%"),
        ]
        for run in means[means["scope"] != WHOLE].itertuples()
    ]
    return write_table(header, rows)


def pool_frontier(perplexity: pd.DataFrame, settings: Mapping) -> str:
    """List the frontier of perplexity against bias parameters, pooled over all places."""
    means = average_seeds(keep_trained(perplexity, settings))
    points = means[means["allocation"] != DENSE].sort_values(
        ["bias_parameters", "perplexity"], kind="stable"
    )
    best = points["perplexity"].cummin().shift(fill_value=float("inf"))
    frontier = points[points["perplexity"] < best]
    names = join_words(
        f"{point.allocation} ({point.scope}, {say_percent(point.sparsity)})"
        for point in frontier.itertuples()
    )
    return (
        "Pooled over scopes and sparsities, ties broken by the last digit, the frontier of "
        f"perplexity against bias parameters is: {names}."
    )


def tabulate_states(
    alignment: pd.DataFrame,
    statistics: pd.DataFrame,
    shifts: pd.DataFrame,
    categories: pd.DataFrame,
) -> str:
    """Write the averages over layers of each analysed run, as published."""
    introduction = (
        "Averages over the layers of a run. The recovery of the shift is a mean of ratios, which "
        "one layer with a small shift can decide."
    )
    header = ["run", "recovery of the shift", "ratio of means", "CKA by category"]
    header += ["largest |cosine| with a component", "best component", "kurtosis"]
    by_run = [dict(group_by_run(pick_published(table))) for table in (shifts, categories)]
    of_statistics = dict(group_by_run(statistics))
    rows = []
    for run, cosines in group_by_run(pick_published(alignment)):
        sites = cosines.drop_duplicates("site").sort_values("layer")
        rows.append(
            [
                run,
                *describe_published_shift(by_run[0][run]),
                say_range(by_run[1][run].query("category != 'prompts'")["cka"], 4),
                say_fixed(sites["max_abs_cosine"].mean(), 3),
                ", ".join(map(str, sites["best_component"])),
                say_fixed(of_statistics[run]["kurtosis_as_published"].mean(), 2),
            ]
        )
    return join_blocks(introduction, write_table(header, rows))


def pick_published(table: pd.DataFrame) -> pd.DataFrame:
    """Pick the rows of the published definition."""
    return table[table["definition"] == "as_published"]


def describe_published_shift(shifts: pd.DataFrame) -> list[str]:
    """Return the mean over layers of the ratios of shifts, and the ratio of their means."""
    sites = shifts[(shifts["place"] == "site") & (shifts["site"] != ALL)]
    means = sites[["teal_shift", "spon_shift"]].mean()
    ratio_of_means = 100 * (1 - means["spon_shift"] / means["teal_shift"])
    return [
        f"{say_fixed(sites['recovery_percent'].mean(), 1)} %",
        f"{say_fixed(ratio_of_means, 1)} %",
    ]


def say_kurtosis(statistics: pd.DataFrame) -> str:
    """Say what the published formula of kurtosis gives, run by run."""
    phrases = [
        f"{say_fixed(sites['kurtosis_as_published'].mean(), 2)} for {run}"
        for run, sites in group_by_run(statistics)
    ]
    return (
        "Mean kurtosis over layers, divided by `std⁴ + 1e-12`, which for small entries is far "
        f"from `std⁴`: {join_words(phrases)}. No excess kurtosis can lie below -2."
    )


def tabulate_differences(cosines: pd.DataFrame) -> str:
    """Write cosines and L2 differences of two allocations of one sparsity and seed."""
    pairs = cosines[cosines["comparison"] == "allocation"]
    if pairs.empty:
        return ""
    header = ["run", "and", "mean cosine", "L2 difference, first / last layer"]
    key = ["allocation", "reference", "sparsity"]
    rows = []
    for (allocation, reference, sparsity), sites in pairs.groupby(key, sort=False):
        layers = sites.groupby("layer")["l2_difference"].mean().sort_index()
        rows.append(
            [
                f"{allocation} {say_percent(sparsity)}",
                reference,
                say_fixed(sites["cosine"].mean(), 3),
                " / ".join(f"{layers.iloc[end]:#.2g}" for end in (0, -1)),
            ]
        )
    return write_table(header, rows, words=2)
