"""Describe what biases say by themselves: their statistics, their norms, how runs agree."""

from collections.abc import Iterator, Mapping
from numbers import Real

import pandas as pd

from spon.claims.effects import say_number
from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    embed_figure,
    join_blocks,
    join_words,
    say_bounds,
    say_fixed,
    say_p_value,
    say_percent,
    say_range,
    write_table,
)

RUN = ["allocation", "sparsity", "seed"]
PAIR = [*RUN, "reference", "reference_sparsity", "reference_seed"]
COMPARISONS = {
    "allocation": "another allocation",
    "seed": "another seed",
    "sparsity": "another sparsity",
}
# Kurtosis is one or more, and excess kurtosis is kurtosis less three.
LEAST_EXCESS = -2.0
# Outlier coordinates are named if there are at most so many.
FEW_OUTLIERS = 3
# The share of sets of normal numbers whose kurtosis lies above a two-sided 95 % range.
ABOVE_BY_CHANCE = ALPHA / 2


def describe_statistics(bias_statistics: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the entries of each site's bias with normal numbers."""
    introduction = (
        "Measured are the entries of each bias as a set of numbers. The excess kurtosis of "
        f"normal numbers is zero on average, and in {say_normal_range(bias_statistics)} for 95 % "
        "of the sets of this size; above that lie heavy tails, below light ones (platykurtic). "
        "*As published* it is divided by `std⁴ + 1e-12`, which for small entries is far from "
        "`std⁴`. Outliers lie beyond the largest of as many normal numbers; *without outliers* "
        "leaves them out."
    )
    caption = (
        "By layer: norms (hollow at the edge of an allocation), excess kurtosis beside the grey "
        "range of normal numbers, share of positive entries with its interval, and the largest "
        "entry (filled if beyond normal numbers)."
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
    """Write a table with a row per run and site."""
    header = [
        "run",
        "layer",
        "L2 norm",
        "std",
        "largest magnitude",
        "kurtosis as published",
        "excess kurtosis",
        "without outliers",
        "outliers",
        "positive [95 %]",
    ]
    rows = []
    for run, sites in group_by_run(statistics):
        for site in sites.itertuples():
            rows.append([run, *describe_site(site, statistics)])
    return write_table(header, rows)


def describe_site(site, statistics: pd.DataFrame) -> list[str]:
    """Return the cells of one site, behind its run."""
    return [
        name_site(site.layer, site.map, statistics),
        f"{site.l2_norm:#.3g}",
        f"{site.std:#.3g}",
        f"{site.max_abs:#.3g}",
        say_fixed(site.kurtosis_as_published, 2),
        say_fixed(site.excess_kurtosis, 2),
        say_fixed(site.excess_kurtosis_without_outliers, 2),
        say_outliers(site),
        say_bounds(
            100 * site.positive_fraction, 100 * site.positive_low, 100 * site.positive_high, 1, "%"
        ),
    ]


def name_site(layer: Real, kind: str, table: pd.DataFrame) -> str:
    """Name a site by its layer, and by its map too if the table has several maps."""
    return f"{layer:g} {kind}" if table["map"].nunique() > 1 else f"{layer:g}"


def say_outliers(site) -> str:
    """Write the number of outliers, and their coordinates if they are few."""
    if not 0 < site.outliers <= FEW_OUTLIERS:
        return f"{site.outliers}"
    # pandas reads a column whose cells all hold one coordinate as numbers, not as text.
    coordinates = str(site.outlier_coordinates).split(";")
    numbers = ", ".join(f"{float(coordinate):.0f}" for coordinate in coordinates)
    return f"{site.outliers} ({numbers})"


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
    impossible = int((statistics["kurtosis_as_published"] < LEAST_EXCESS).sum())
    sentences = [
        f"Of {sites} sites, {heavy} have heavier tails than normal numbers and "
        f"{light or 'none'} light ones; by chance about {sites * ABOVE_BY_CHANCE:.1f} of each "
        "would."
    ]
    if heavy:
        verb = "remains" if still_heavy <= 1 else "remain"
        sentences.append(f"Without outlier coordinates {still_heavy or 'none'} {verb} heavier.")
    if impossible:
        verb = "lies" if impossible == 1 else "lie"
        sentences.append(
            f"As published, {impossible} of the values {verb} below -2, which no excess kurtosis "
            "can."
        )
    return " ".join(sentences)


def conclude_signs(statistics: pd.DataFrame) -> str:
    """Say at how many sites positive and negative entries are not equally many."""
    uneven = (statistics["positive_low"] > 0.5) | (statistics["positive_high"] < 0.5)
    if not uneven.any():
        return (
            "At every site the interval of the share of positive entries holds 50 %: no asymmetry "
            "can be shown."
        )
    return (
        f"The interval of the share of positive entries leaves out 50 % at {uneven.sum()} of "
        f"{len(statistics)} sites."
    )


def describe_norms(norm_ranking: pd.DataFrame) -> str:
    """Compare the biases' norms with depth, with and without the layers at a boundary."""
    introduction = (
        "Measured is Spearman's rank correlation (rho) of a bias's norm with its layer, for each "
        "run and kind of map; its p-value is not adjusted. *Inside* leaves out boundary layers, "
        "those beside a layer without a bias, which do part of its work. The last column is the "
        "norm there over that of the widest allocation at the same layer."
    )
    header = [
        "run",
        "layers",
        "norms",
        "largest at",
        "rho",
        "p",
        "rho inside",
        "p inside",
        "at the boundary",
    ]
    rows = [describe_norms_of_run(run, sites) for run, sites in group_by_run(norm_ranking, "map")]
    return join_blocks(introduction, write_table(header, rows), conclude_norms(norm_ranking))


def describe_norms_of_run(run: str, sites: pd.DataFrame) -> list[str]:
    """Return the cells of one run and kind of map."""
    # The correlations are of the run, so every row of it has the same.
    first = sites.iloc[0]
    largest = sites.loc[sites["l2_norm"].idxmax(), "layer"]
    boundary = sites[sites["boundary"].astype(bool)]
    if boundary.empty:
        inside = ["the same", "", "no boundary"]
    else:
        ratios = [
            f"{say_fixed(site.norm_over_widest, 2)} times (layer {site.layer})"
            for site in boundary.itertuples()
        ]
        inside = [
            say_fixed(first["spearman_rho_inside"], 2),
            say_p_value(first["spearman_p_inside"]),
            ", ".join(ratios),
        ]
    return [
        run,
        str(len(sites)),
        f"{sites['l2_norm'].min():#.3g} to {sites['l2_norm'].max():#.3g}",
        f"layer {largest}",
        say_fixed(first["spearman_rho"], 2),
        say_p_value(first["spearman_p"]),
        *inside,
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
            f"The norm grows with depth in {grows} of {total}{falling} "
            f"(rho {say_range(runs['spearman_rho'], 2)})."
        )
    else:
        trend = (
            f"In none of {total} can a growth with depth, or its opposite, be told from a random "
            "order of the layers."
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
        "Measured is the cosine of two runs' biases at each site that both have: 1 is the same "
        f"direction. Chance lies below: 95 % of random directions stay under {chance}. "
        "Another seed of the same allocation, where there is one, says how well two trainings "
        "agree that differ by chance alone; runs that share a seed share the order of their text, "
        "too, and can agree better."
    )
    header = [
        "compared with",
        "run",
        "and",
        "sites",
        "mean cosine",
        "range",
        "first layer",
        "last layer",
    ]
    rows = []
    for comparison, words in COMPARISONS.items():
        compared = cross_configuration[cross_configuration["comparison"] == comparison]
        rows += [describe_pair(words, sites) for _, sites in compared.groupby(PAIR)]
    caption = (
        "Cosines of two runs' biases by layer. The grey band is what random directions reach; "
        "dashed lines, where there are any, compare two seeds of one allocation."
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
    """Return the cells of one pair of runs."""
    pair, by_depth = sites.iloc[0], sites.sort_values("layer")["cosine"]
    reference = f"{pair['reference']} {say_percent(pair['reference_sparsity'])}"
    return [
        comparison,
        f"{pair['allocation']} {say_percent(pair['sparsity'])}, seed {pair['seed']}",
        f"{reference}, seed {pair['reference_seed']}",
        str(len(sites)),
        say_fixed(sites["cosine"].mean(), 3),
        say_range(sites["cosine"], 3),
        say_fixed(by_depth.iloc[0], 3),
        say_fixed(by_depth.iloc[-1], 3),
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
    return (
        f"{sentence}: runs that share a seed see the same text in the same order, and part of "
        "their agreement may be that."
    )


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
