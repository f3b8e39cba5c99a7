"""What the numbers in biases say by themselves: their statistics, their norms, and how runs agree."""

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
COMPARED = ["allocation", "sparsity", "seed", "reference", "reference_sparsity", "reference_seed"]
COMPARISONS = {
    "allocation": "another allocation",
    "seed": "another seed",
    "sparsity": "another sparsity",
}
# No kurtosis lies below one, so no excess kurtosis below this.
LEAST_EXCESS = -2.0
# So many outlier coordinates are named.
FEW = 3
# The share of sets of normal numbers whose kurtosis lies above a two-sided 95 % range.
ABOVE_BY_CHANCE = ALPHA / 2


def describe_statistics(bias_statistics: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """The biases' entries beside normal numbers, site by site."""
    told = (
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
    figure = embed_figure(
        figures, "fig7_bias_statistics", "Statistics of biases by layer", caption
    )
    return join_blocks(
        told, tabulate_statistics(bias_statistics), conclude_statistics(bias_statistics), figure
    )


def say_normal_range(statistics: pd.DataFrame) -> str:
    """The 95 % range of excess kurtosis of normal numbers, by width if there are several."""
    ranges = statistics.drop_duplicates("d_out")
    return join_words(
        f"[{row.kurtosis_null_low:.2f}, {row.kurtosis_null_high:.2f}] (width {row.d_out:,})"
        for row in ranges.itertuples()
    )


def tabulate_statistics(statistics: pd.DataFrame) -> str:
    """A row per run and site."""
    header = [
        "run",
        "layer",
        "L2 norm",
        "std",
        "largest magnitude",
        "kurtosis as published",
        "excess kurtosis",
    ]
    header += ["without outliers", "outliers", "positive [95 %]"]
    rows = []
    for name, sites in name_runs(statistics):
        for site in sites.itertuples():
            shares = [
                100 * share
                for share in (site.positive_fraction, site.positive_low, site.positive_high)
            ]
            rows.append(
                [
                    name,
                    name_site(site.layer, site.map, statistics),
                    *(f"{number:#.3g}" for number in (site.l2_norm, site.std, site.max_abs)),
                    say_fixed(site.kurtosis_as_published, 2),
                    say_fixed(site.excess_kurtosis, 2),
                    say_fixed(site.excess_kurtosis_without_outliers, 2),
                    say_outliers(site),
                    say_bounds(*shares, 1, "%"),
                ]
            )
    return write_table(header, rows)


def name_site(layer: Real, kind: str, table: pd.DataFrame) -> str:
    """A site by its layer, and by its map if the table has several."""
    return f"{layer:g} {kind}" if table["map"].nunique() > 1 else f"{layer:g}"


def say_outliers(site) -> str:
    """How many outliers there are, and which coordinates if they are few."""
    if not 0 < site.outliers <= FEW:
        return f"{site.outliers}"
    # A column of single coordinates is read from a file as numbers.
    coordinates = [
        f"{float(coordinate):.0f}" for coordinate in str(site.outlier_coordinates).split(";")
    ]
    return f"{site.outliers} ({', '.join(coordinates)})"


def conclude_statistics(statistics: pd.DataFrame) -> str:
    """Tails and signs, in sentences."""
    return " ".join(filter(None, [conclude_kurtosis(statistics), conclude_signs(statistics)]))


def conclude_kurtosis(statistics: pd.DataFrame) -> str:
    """How many sites have heavy or light tails, and what becomes of them without outliers."""
    sites, kurtosis = len(statistics), statistics["excess_kurtosis"]
    heavy = kurtosis > statistics["kurtosis_null_high"]
    light = kurtosis < statistics["kurtosis_null_low"]
    still = int(
        (statistics["excess_kurtosis_without_outliers"] > statistics["kurtosis_null_high"]).sum()
    )
    impossible = int((statistics["kurtosis_as_published"] < LEAST_EXCESS).sum())
    none_light = "none light ones" if not light.any() else f"{light.sum()} light ones"
    told = (
        f"Of {sites} sites, {heavy.sum()} have heavier tails than normal numbers and {none_light}"
    )
    told += f"; by chance about {sites * ABOVE_BY_CHANCE:.1f} of each would."
    if heavy.any():
        count = "none remains" if not still else f"{still} remain{'s' * (still == 1)}"
        told += f" Without outlier coordinates {count} heavier."
    if impossible:
        verb = "lies" if impossible == 1 else "lie"
        told += f" As published, {impossible} of the values {verb} below -2, which no excess kurtosis can."
    return told


def conclude_signs(statistics: pd.DataFrame) -> str:
    """Whether positive and negative entries are equally many."""
    uneven = (statistics["positive_low"] > 0.5) | (statistics["positive_high"] < 0.5)
    if not uneven.any():
        return "At every site the interval of the share of positive entries holds 50 %: no asymmetry can be shown."
    return f"The interval of the share of positive entries leaves out 50 % at {uneven.sum()} of {len(statistics)} sites."


def describe_norms(norm_ranking: pd.DataFrame) -> str:
    """The biases' norms against depth, with and without layers at the edge of an allocation."""
    told = (
        "Measured is Spearman's rank correlation (rho) of a bias's norm with its layer, for "
        "each run and kind of map; its p-value is not adjusted. *Inside* leaves out boundary "
        "layers, those beside a layer without a bias, which do part of its work. The last "
        "column is the norm there over that of the widest allocation at the same layer."
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
    rows = [describe_norms_of_run(name, sites) for name, sites in name_runs(norm_ranking, "map")]
    return join_blocks(told, write_table(header, rows), conclude_norms(norm_ranking))


def describe_norms_of_run(name: str, sites: pd.DataFrame) -> list[str]:
    """One row of the ranking."""
    first = sites.iloc[0]
    edge = sites[sites["boundary"].astype(bool)]
    over = [
        f"{say_fixed(row.norm_over_widest, 2)} times (layer {row.layer})"
        for row in edge.itertuples()
    ]
    inside = len(edge) > 0
    return [
        name,
        str(len(sites)),
        f"{sites['l2_norm'].min():#.3g} to {sites['l2_norm'].max():#.3g}",
        f"layer {sites.loc[sites['l2_norm'].idxmax(), 'layer']}",
        say_fixed(first["spearman_rho"], 2),
        say_p_value(first["spearman_p"]),
        say_fixed(first["spearman_rho_inside"], 2) if inside else "the same",
        say_p_value(first["spearman_p_inside"]) if inside else "",
        ", ".join(over) or "no boundary",
    ]


def conclude_norms(ranking: pd.DataFrame) -> str:
    """For how many runs the norm surely grows or falls, and how large it is at the boundary."""
    runs = ranking.drop_duplicates([*RUN, "map"])
    sure = runs["spearman_p"] < ALPHA
    grows, falls = (
        int((sure & (runs["spearman_rho"] > 0)).sum()),
        int((sure & (runs["spearman_rho"] < 0)).sum()),
    )
    total = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    told = f"The norm grows with depth in {grows} of {total}" + (
        f" and falls in {falls}" if falls else ""
    )
    told = f"{told} (rho {say_range(runs['spearman_rho'], 2)})."
    if not grows and not falls:
        told = f"In none of {total} can a growth with depth, or its opposite, be told from a random order of the layers."
    edge = ranking["boundary"].astype(bool)
    at_edge, inside = (ranking.loc[rows, "norm_over_widest"].dropna() for rows in (edge, ~edge))
    if at_edge.empty or inside.empty:
        return told
    larger = (
        " The edge of an allocation inflates the norm." if at_edge.min() > inside.max() else ""
    )
    return (
        f"{told} At boundary layers the norm is {say_range(at_edge, 2)} times that of the widest "
        f"allocation, at others {say_range(inside, 2)} times.{larger}"
    )


def describe_agreement(cross_configuration: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """The cosines of two runs' biases, between chance and another seed."""
    null = cross_configuration["null_95"]
    told = (
        "Measured is the cosine of two runs' biases at each site that both have: 1 is the same "
        "direction. Chance lies below: 95 % of random directions stay under "
        f"{say_range(null, 3)}. Another seed of the same allocation, where there is one, says "
        "how well two trainings agree that differ by chance alone; runs that share a seed share "
        "the order of their text, too, and can agree better."
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
    rows = [
        describe_pair(words, sites)
        for comparison, words in COMPARISONS.items()
        for _, sites in cross_configuration[
            cross_configuration["comparison"] == comparison
        ].groupby(COMPARED)
    ]
    caption = (
        "Cosines of two runs' biases by layer. The grey band is what random directions reach; "
        "dashed lines, where there are any, compare two seeds of one allocation."
    )
    figure = embed_figure(
        figures, "fig6_cross_configuration", "Agreement of biases between runs", caption
    )
    return join_blocks(
        told, write_table(header, rows, words=3), conclude_agreement(cross_configuration), figure
    )


def describe_pair(comparison: str, sites: pd.DataFrame) -> list[str]:
    """One pair of runs."""
    pair, by_depth = sites.iloc[0], sites.sort_values("layer")["cosine"]
    return [
        comparison,
        f"{pair['allocation']} {say_percent(pair['sparsity'])}, seed {pair['seed']}",
        f"{pair['reference']} {say_percent(pair['reference_sparsity'])}, seed "
        f"{pair['reference_seed']}",
        str(len(sites)),
        say_fixed(sites["cosine"].mean(), 3),
        say_range(sites["cosine"], 3),
        say_fixed(by_depth.iloc[0], 3),
        say_fixed(by_depth.iloc[-1], 3),
    ]


def conclude_agreement(cosines: pd.DataFrame) -> str:
    """Whether all cosines are beyond chance, and how allocations compare with the ceiling at the same sites."""
    beyond = (cosines["cosine"] > cosines["null_95"]).sum()
    told = f"{f'All {beyond}' if beyond == len(cosines) else f'{beyond} of {len(cosines)}'} cosines lie beyond chance."
    place = ["sparsity", "site"]
    kinds = dict([*cosines.groupby("comparison")])
    if "allocation" not in kinds:
        return told
    if "seed" not in kinds:
        mean = say_number(kinds["allocation"]["cosine"].mean())
        return (
            f"{told} Two allocations agree by {mean} on average. There is no second seed, so it "
            "stays open how well two trainings of the same allocation agree."
        )
    ceiling = kinds["seed"].groupby(place)["cosine"].mean().rename("ceiling")
    both = kinds["allocation"].join(ceiling, on=place, how="inner")
    if both.empty:
        return told
    above, total = int((both["cosine"] > both["ceiling"]).sum()), len(both)
    told = f"{told} At {above} of the {total} sites that both have, two allocations agree more than two seeds of one"
    if 2 * above <= total:
        return f"{told}."
    return f"{told}: runs that share a seed see the same text in the same order, and part of their agreement may be that."


def name_runs(table: pd.DataFrame, *more: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The runs of a table with the name that tells them apart."""
    several = {name for name in (*RUN, *more) if table[name].nunique() > 1} | {
        "allocation",
        "sparsity",
    }
    for values, rows in table.groupby([*RUN, *more], sort=False):
        names = dict(zip([*RUN, *more], values, strict=True))
        parts = [
            names["allocation"],
            say_percent(names["sparsity"]),
            *(names[name] for name in more if name in several),
        ]
        yield (
            ", ".join(
                [" ".join(parts), *([f"seed {names['seed']}"] if "seed" in several else [])]
            ),
            rows,
        )
