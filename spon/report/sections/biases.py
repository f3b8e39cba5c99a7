"""Describe what biases say by themselves: their statistics, their norms, how runs agree."""

from collections.abc import Iterator, Mapping

import pandas as pd

from spon.claims.effects import say_number
from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    embed_figure,
    join_blocks,
    join_words,
    say_fixed,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.results import LEVEL
from spon.sites import RUN

PAIR = ["allocation", "sparsity", "reference", "reference_sparsity"]
COMPARISONS = {
    "allocation": "another allocation",
    "seed": "another seed",
    "sparsity": "another sparsity",
}
# The share of sets of normal numbers whose kurtosis lies above a two-sided 95 % range.
ABOVE_BY_CHANCE = ALPHA / 2


def describe_statistics(bias_statistics: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the entries of the biases of each run with normal numbers."""
    introduction = (
        "The entries of each bias as a set of numbers, as ranges over the sites of a run. Excess "
        f"kurtosis of normal numbers: {say_normal_range(bias_statistics)} in 95 % of such sets."
    )
    caption = (
        "Norms, excess kurtosis beside the range of normal numbers, share of positive entries, "
        "and the largest entry, by layer."
    )
    return join_blocks(
        introduction,
        tabulate_statistics(bias_statistics),
        conclude_statistics(bias_statistics),
        embed_figure(figures, "fig7_bias_statistics", "Statistics of biases by layer", caption),
    )


def say_normal_range(statistics: pd.DataFrame) -> str:
    """Write the 95 % range of excess kurtosis of normal numbers, for each width of a bias."""
    ranges = statistics.drop_duplicates("d_out")
    return join_words(
        f"[{row.kurtosis_null_low:.2f}, {row.kurtosis_null_high:.2f}] (width {row.d_out:,})"
        for row in ranges.itertuples()
    )


def tabulate_statistics(statistics: pd.DataFrame) -> str:
    """Write a table with a row per run."""
    header = ["run", "mean / std", "skewness", "excess kurtosis", "without outliers"]
    header += ["heavy tails", "positive"]
    rows = []
    for run, sites in group_by_run(statistics):
        heavy = sites["excess_kurtosis"] > sites["kurtosis_null_high"]
        rows.append(
            [
                run,
                say_range(sites["mean_over_std"], 2),
                say_range(sites["skewness"], 2),
                say_range(sites["excess_kurtosis"], 1),
                say_range(sites["excess_kurtosis_without_outliers"], 1),
                f"{heavy.sum()}/{len(sites)} sites",
                say_range(100 * sites["positive_fraction"], 0, "%"),
            ]
        )
    return write_table(header, rows)


def conclude_statistics(statistics: pd.DataFrame) -> str:
    """Conclude on the tails and the signs of entries."""
    return " ".join(filter(None, [conclude_kurtosis(statistics), conclude_signs(statistics)]))


def conclude_kurtosis(statistics: pd.DataFrame) -> str:
    """Count the sites with heavy or light tails, and those that stay heavy without outliers."""
    sites, kurtosis = len(statistics), statistics["excess_kurtosis"]
    highest = statistics["kurtosis_null_high"]
    heavy = int((kurtosis > highest).sum())
    light = int((kurtosis < statistics["kurtosis_null_low"]).sum())
    still_heavy = int((statistics["excess_kurtosis_without_outliers"] > highest).sum())
    sentence = (
        f"Of {sites} sites, {heavy or 'none'} have heavier tails than normal numbers and "
        f"{light or 'none'} lighter ones (by chance {sites * ABOVE_BY_CHANCE:.1f} of each)."
    )
    if not heavy:
        return sentence
    verb = "remains" if still_heavy == 1 else "remain"
    return f"{sentence} Without outlier entries {still_heavy or 'none'} {verb} heavier."


def conclude_signs(statistics: pd.DataFrame) -> str:
    """Say at how many sites positive and negative entries are not equally many."""
    uneven = (statistics["positive_low"] > 0.5) | (statistics["positive_high"] < 0.5)
    if not uneven.any():
        return (
            "At no site do positive and negative entries differ in number by more than chance "
            "gives."
        )
    return (
        f"Positive and negative entries are not equally many at {uneven.sum()} of "
        f"{len(statistics)} sites, each {LEVEL} by itself."
    )


def describe_norms(norm_ranking: pd.DataFrame) -> str:
    """Compare the biases' norms with depth, with and without the layers at a boundary."""
    introduction = (
        "Rank correlation (rho) of a bias's norm with its layer. *Inside* leaves out boundary "
        "layers, those beside a layer without a bias; *at the boundary* is the norm there over "
        "that of the widest allocation. Ranges are over trainings."
    )
    header = ["allocation", "sparsity", "norms", "rho", "p", "rho inside", "at the boundary"]
    rows = []
    for (allocation, sparsity), sites in norm_ranking.groupby(
        ["allocation", "sparsity"], sort=False
    ):
        rows.append([allocation, say_percent(sparsity), *describe_norms_of_place(sites)])
    return join_blocks(introduction, write_table(header, rows), conclude_norms(norm_ranking))


def describe_norms_of_place(sites: pd.DataFrame) -> list[str]:
    """Return the cells of all trainings of an allocation at one sparsity."""
    boundary = sites[sites["boundary"].astype(bool)]
    inside, ratios = "the same", "no boundary"
    if len(boundary):
        inside = say_range(sites["spearman_rho_inside"], 2)
        ratios = f"{say_range(boundary['norm_over_widest'], 2)} times"
    return [
        say_range(sites["l2_norm"], 2),
        say_range(sites["spearman_rho"], 2),
        say_range(sites["spearman_p"], 3),
        inside,
        ratios,
    ]


def conclude_norms(ranking: pd.DataFrame) -> str:
    """Count the runs whose norm grows or falls with depth, and compare the boundary's norms."""
    runs = ranking.drop_duplicates([*RUN, "map"])
    significant = runs["spearman_p"] < ALPHA
    grows = int((significant & (runs["spearman_rho"] > 0)).sum())
    falls = int((significant & (runs["spearman_rho"] < 0)).sum())
    total = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    if grows or falls:
        falling = f" and falls in {falls}" if falls else ""
        trend = (
            f"The norm grows with depth in {grows} of {total}{falling} {LEVEL} "
            f"(rho {say_range(runs['spearman_rho'], 2)})."
        )
    else:
        trend = (
            f"In none of {total} does the norm grow or fall with depth {LEVEL} "
            f"(rho {say_range(runs['spearman_rho'], 2)})."
        )
    boundary = ranking["boundary"].astype(bool)
    at_boundary = ranking.loc[boundary, "norm_over_widest"].dropna()
    inside = ranking.loc[~boundary, "norm_over_widest"].dropna()
    if at_boundary.empty or inside.empty:
        return trend
    ratios = (
        f"At boundary layers the norm is {say_range(at_boundary, 2)} times that of the widest "
        f"allocation, at others {say_range(inside, 2)} times."
    )
    if at_boundary.min() > inside.max():
        ratios += " The edge of an allocation inflates the norm."
    return f"{trend} {ratios}"


def describe_agreement(cross_configuration: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the biases of two runs by their cosine, beside chance and another seed."""
    chance = say_range(cross_configuration["null_95"], 3)
    introduction = (
        "Cosine of two runs' biases, a mean over common sites and pairs of runs; 95 % of random "
        f"directions stay under {chance}. Runs of one seed share the order of their text."
    )
    header = ["compared with", "run", "and", "pairs", "cosine", "first / last layer"]
    rows = []
    for comparison, words in COMPARISONS.items():
        compared = cross_configuration[cross_configuration["comparison"] == comparison]
        rows += [describe_pair(words, sites) for _, sites in compared.groupby(PAIR, sort=False)]
    caption = (
        "Cosines of two runs' biases by layer; the grey band is what random directions reach."
    )
    return join_blocks(
        introduction,
        write_table(header, rows, words=3),
        conclude_agreement(cross_configuration),
        embed_figure(
            figures, "fig6_cross_configuration", "Agreement of biases between runs", caption
        ),
    )


def describe_pair(comparison: str, sites: pd.DataFrame) -> list[str]:
    """Return the cells of two allocations or sparsities, over the seeds of all pairs of runs."""
    pair = sites.iloc[0]
    by_depth = sites.groupby("layer")["cosine"].mean().sort_index()
    ends = (say_fixed(by_depth.iloc[end], 2) for end in (0, -1))
    return [
        comparison,
        f"{pair['allocation']} {say_percent(pair['sparsity'])}",
        f"{pair['reference']} {say_percent(pair['reference_sparsity'])}",
        str(len(sites[["seed", "reference_seed"]].drop_duplicates())),
        say_fixed(sites["cosine"].mean(), 3),
        " / ".join(ends),
    ]


def conclude_agreement(cosines: pd.DataFrame) -> str:
    """Count the cosines beyond chance, and compare two allocations with two seeds of one."""
    beyond = (cosines["cosine"] > cosines["null_95"]).sum()
    count = f"All {beyond}" if beyond == len(cosines) else f"{beyond} of {len(cosines)}"
    sentence = f"{count} cosines lie beyond chance."
    by_comparison = dict([*cosines.groupby("comparison")])
    if "allocation" not in by_comparison:
        return sentence
    if "seed" not in by_comparison:
        mean = say_number(by_comparison["allocation"]["cosine"].mean())
        return (
            f"{sentence} Two allocations agree by {mean} on average. There is no second seed, so "
            "it stays open how well two trainings of the same allocation agree."
        )
    # Two seeds of one allocation agree as well as two trainings can be expected to.
    key = ["sparsity", "site"]
    ceiling = by_comparison["seed"].groupby(key)["cosine"].mean().rename("ceiling")
    both = by_comparison["allocation"].join(ceiling, on=key, how="inner")
    if both.empty:
        return sentence
    above, total = int((both["cosine"] > both["ceiling"]).sum()), len(both)
    sentence += (
        f" At {above} of the {total} sites that both have, two allocations agree more than two "
        "seeds of one"
    )
    if 2 * above <= total:
        return f"{sentence}."
    return f"{sentence}; part of that may be the text in the same order."


def group_by_run(table: pd.DataFrame, *more: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each run with its name: `TOP-50 50 %`, or `TOP-50 50 %, seed 1`.

    Args:
        table: Has the columns `allocation, sparsity, seed`.
        more: Further columns to group by. Such a column, or the seed, is part of the name only if
            the table has several values of it.
    """
    key = [*RUN, *more]
    several = {column for column in key if table[column].nunique() > 1}
    for values, rows in table.groupby(key, sort=False):
        run = dict(zip(key, values, strict=True))
        words = [run["allocation"], say_percent(run["sparsity"])]
        words += [run[column] for column in more if column in several]
        seed = f", seed {run['seed']}" if "seed" in several else ""
        yield " ".join(words) + seed, rows
