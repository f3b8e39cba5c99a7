"""Describe what biases do to hidden states: their directions, and how far states move."""

from collections.abc import Iterator, Mapping

import pandas as pd

from spon.claims.verdicts import ALPHA, say_p
from spon.report.markdown import (
    embed_figure,
    join_blocks,
    join_words,
    say_bounds,
    say_fixed,
    say_p_value,
    say_range,
    write_table,
)
from spon.report.sections.biases import group_by_run, name_site

ALL = "all"
# The smallest difference in percent that two decimals show.
LEAST_GAP = 0.01
CATEGORIES = {"prompts": "all prompts", "held_out": "held-out text"}


def describe_alignment(pca_alignment: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the biases' cosines with principal components with those of random directions."""
    components = pca_alignment["component"].max()
    tokens = pca_alignment.loc[pca_alignment["definition"] == "sound", "samples"].max()
    introduction = (
        f"Measured is the largest |cosine| of a site's bias with the first {components} principal "
        "components of the site's outputs: as published over a few prompts' means, soundly over "
        f"{tokens:,} held-out tokens. A random direction does not have zero either: *chance* is "
        "its mean, with the value that 95 % of random directions stay under; p is the share of "
        "them that reach the bias's value, not adjusted."
    )
    header = [
        "run",
        "layer",
        "as published",
        "p",
        "sound",
        "component",
        "p",
        "chance (95 % under)",
    ]
    rows = []
    for run, sites in group_by_run(pca_alignment):
        for _, site in sites.groupby("site", sort=False):
            name = name_site(site["layer"].iloc[0], site["map"].iloc[0], pca_alignment)
            rows.append([run, name, *describe_alignment_of_site(site)])
    caption = (
        "Left of each pair: |cosine| of each bias with each component, darker is larger. Right: "
        "the largest of a site beside what random directions reach; a point inside the grey bar "
        "is what chance gives."
    )
    return join_blocks(
        introduction,
        write_table(header, rows),
        conclude_alignment(pca_alignment),
        embed_figure(
            figures, "fig4_pca_alignment", "Alignment of biases with principal components", caption
        ),
    )


def describe_alignment_of_site(site: pd.DataFrame) -> list[str]:
    """Return the cells of one site, behind its run and name."""
    # Every component's row has the site's largest cosine and its p-value.
    published = site[site["definition"] == "as_published"].iloc[0]
    sound = site[site["definition"] == "sound"].iloc[0]
    return [
        say_fixed(published["max_abs_cosine"], 3),
        say_p_value(published["p_value"]),
        say_fixed(sound["max_abs_cosine"], 3),
        str(sound["best_component"]),
        say_p_value(sound["p_value"]),
        f"{sound['null_mean']:.3f} ({sound['null_95']:.3f})",
    ]


def conclude_alignment(alignment: pd.DataFrame) -> str:
    """Count the sites that lie beyond chance, run by run."""
    counts = []
    for run, components in group_by_run(alignment[alignment["definition"] == "sound"]):
        sites = components.drop_duplicates("site")
        beyond = int((sites["p_value"] < ALPHA).sum())
        counts.append(f"{beyond} of {len(sites)} sites of {run}")
    return (
        f"More aligned than 95 % of random directions are {' and '.join(counts)}; chance gives "
        "one in twenty. Where a bias is not, a small cosine is what any direction has in so many "
        "dimensions, and no sign that it avoids the components."
    )


def describe_categories(category_shift: pd.DataFrame) -> str:
    """Compare shift and CKA of the kinds of prompt, beside what chance gives."""
    over_sites = category_shift[category_shift["site"] == ALL]
    introduction = (
        "Measured is how far the sparse model with biases moves the sites' outputs from the dense "
        "ones (L2), and how alike both are (CKA, 1 is alike), over five kinds of prompt and "
        "held-out text; means over sites. As published, states are averaged over a prompt and CKA "
        "sees five of them; soundly, states are single tokens and CKA is debiased. *Permuted* "
        "pairs each state with another token's: what CKA gives where nothing is shared. *Noised* "
        "moves the dense states as far in random directions."
    )
    header = [
        "run",
        "text",
        "shift, as published",
        "CKA, as published",
        "permuted",
        "shift, sound",
        "CKA, sound [95 %]",
        "permuted",
        "noised",
    ]
    rows = []
    for run, categories in group_by_run(over_sites):
        for category, definitions in categories.groupby("category", sort=False):
            cells = describe_category(category, definitions.set_index("definition"))
            rows.append([run, *cells])
    conclusion = conclude_categories(over_sites)
    return join_blocks(introduction, write_table(header, rows, words=2), conclusion)


def describe_category(category: str, definitions: pd.DataFrame) -> list[str]:
    """Return the cells of one category, behind its run.

    Args:
        category: A kind of prompt, `prompts` or `held_out`.
        definitions: A row per definition; held-out text has no published one.
    """
    published_cells = [""] * 3
    if "as_published" in definitions.index:
        published = definitions.loc["as_published"]
        published_cells = [
            say_fixed(published["l2_shift"], 3),
            say_fixed(published["cka"], 4),
            say_fixed(published["cka_permuted"], 2),
        ]
    sound = definitions.loc["sound"]
    return [
        CATEGORIES.get(category, category),
        *published_cells,
        say_fixed(sound["l2_shift"], 3),
        say_bounds(sound["cka"], sound["cka_low"], sound["cka_high"], 4),
        say_fixed(sound["cka_permuted"], 3),
        say_fixed(sound["cka_noised"], 4),
    ]


def conclude_categories(over_sites: pd.DataFrame) -> str:
    """Conclude whether shifts depend on the category, and what CKA can show."""
    sound = over_sites[over_sites["definition"] == "sound"]
    sentences = [conclude_dependence(run, rows) for run, rows in group_by_run(sound)]
    held_out = sound[(sound["category"] == "held_out") & (sound["cka_high"] < sound["cka_noised"])]
    runs = join_words(run for run, _ in group_by_run(held_out))
    if runs:
        sentences.append(
            f"On held-out text, CKA under {runs} is lower than random moves of the same length "
            "make it: the shift is no mere noise."
        )
    published = over_sites[over_sites["definition"] == "as_published"]
    # The published CKA is of the five prompts of a category, never of all prompts together.
    nulls = published.loc[published["category"] != "prompts", "cka_permuted"]
    sentences.append(
        f"The published CKA of a category gives {say_range(nulls, 2)} for states paired at "
        "random, so a high value of it says little."
    )
    return " ".join(sentences)


def conclude_dependence(run: str, rows: pd.DataFrame) -> str:
    """Conclude whether the shift of one run depends on the category of the prompt."""
    pooled = rows[rows["category"] == "prompts"].iloc[0]
    shifts = rows[~rows["category"].isin(["prompts", "held_out"])]["l2_shift"]
    if pooled["category_p"] < ALPHA:
        verdict = "differ more than 95 % of random deals of the prompts"
    else:
        verdict = "do not differ surely"
    return (
        f"In {run}, categories {verdict} (they hold {100 * pooled['category_share']:.0f} % of the "
        f"variance of the prompts' shifts, {say_p(pooled['category_p'])} unadjusted); their mean "
        f"shifts are {say_range(shifts, 3)}."
    )


def describe_shifts(hidden_state_shift: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the distance of states from the dense ones with biases and without.

    Compared are the outputs of sites and the residual stream.
    """
    introduction = (
        "Measured is the distance of hidden states from the dense model's (root mean square over "
        "tokens, a block's first apart) under TEAL and under SPON, and the share of TEAL's "
        "distance that SPON takes away: above zero it moves states back, below zero further away. "
        "*Same input* gives a site the dense model's inputs, where the shift is predicted from "
        "the bias and the mean error alone, and without their cross term if the bias knew nothing "
        "of the error. *In the sparse model* inputs have shifted too; *residual stream* is the "
        "sum behind each layer. cos(b, error) above zero means that the bias points where it "
        "corrects. Brackets hold 95 % intervals."
    )
    header = [
        "run",
        "layer",
        "TEAL",
        "SPON",
        "predicted",
        "without cross term",
        "cos(b, error)",
        "taken away, same input",
        "in the sparse model",
        "in the residual stream",
        "as published",
    ]
    rows = []
    for run, shifts in group_by_run(hidden_state_shift):
        for site, shifts_of_site in group_by_site(shifts):
            rows.append([run, site, *describe_shift_of_site(shifts_of_site)])
    caption = (
        "Share of TEAL's shift that biases take away, by layer: at the sites (top), in the "
        "residual stream (middle), and as published (bottom). Below zero, states move away from "
        "the dense model's. Lines are predictions."
    )
    return join_blocks(
        introduction,
        write_table(header, rows),
        conclude_shifts(hidden_state_shift),
        embed_figure(
            figures, "fig5_hidden_state_shift", "Shift of hidden states by layer", caption
        ),
    )


def group_by_site(shifts: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each site with its name, and last those of all sites together.

    Args:
        shifts: The rows of one run.

    Yields:
        The rows of a site include those of the residual stream behind its layer.
    """
    sites = shifts[(shifts["place"] == "site") & (shifts["site"] != ALL)].drop_duplicates("site")
    for site in sites.sort_values("layer", kind="stable").itertuples():
        behind = (shifts["place"] == "residual") & (shifts["layer"] == site.layer)
        name = name_site(site.layer, site.map, sites)
        yield name, shifts[(shifts["site"] == site.site) | behind]
    yield "all sites", shifts[shifts["site"] == ALL]


def describe_shift_of_site(shifts: pd.DataFrame) -> list[str]:
    """Return the cells of one site, or of all sites with a bias, behind the run and the name."""
    same_input = pick_row(shifts, "site_same_input")
    in_sparse_model = pick_row(shifts, "site")
    return [
        say_if_known(same_input, "teal_shift", 3),
        say_if_known(same_input, "spon_shift", 3),
        say_if_known(same_input, "predicted_spon_shift", 3),
        say_if_known(same_input, "predicted_without_cross_term", 3),
        say_if_known(same_input, "cosine_bias_mean_error", 2),
        say_recovery(same_input),
        say_recovery(in_sparse_model) if in_sparse_model.get("biased", False) else "",
        say_recovery(pick_row(shifts, "residual")),
        say_recovery(pick_row(shifts, "site", "as_published"), decimals=0),
    ]


def pick_row(shifts: pd.DataFrame, place: str, definition: str = "sound") -> pd.Series:
    """Return the row of a place, over all tokens but each block's first, or an empty row.

    Args:
        shifts: The rows of one site.
        place: `site`, `site_same_input` or `residual`.
        definition: `sound` or `as_published`.
    """
    defined = shifts[(shifts["place"] == place) & (shifts["definition"] == definition)]
    rows = defined[defined["positions"] != "first"]
    return rows.iloc[0] if len(rows) else pd.Series(dtype=float)


def say_if_known(row: pd.Series, column: str, decimals: int) -> str:
    """Write a row's number, or nothing if the row lacks it."""
    return "" if pd.isna(row.get(column)) else say_fixed(row[column], decimals)


def say_recovery(row: pd.Series, decimals: int = 1) -> str:
    """Write the share of TEAL's shift that is taken away, or nothing for an empty row."""
    if row.empty:
        return ""
    return say_bounds(
        row["recovery_percent"], row["recovery_low"], row["recovery_high"], decimals, "%"
    )


def conclude_shifts(shifts: pd.DataFrame) -> str:
    """Count the sites that biases bring closer, and say how good the prediction is.

    Then, run by run, say what becomes of the shift in the residual stream.
    """
    sound = shifts[(shifts["definition"] == "sound") & (shifts["positions"] == "rest")]
    sound = sound[sound["site"] != ALL]
    sites = sound[sound["place"] == "site_same_input"]
    closer = int((sites["recovery_low"] > 0).sum())
    farther = int((sites["recovery_high"] < 0).sum())
    gap = (100 * (sites["predicted_spon_shift"] / sites["spon_shift"] - 1)).abs().max()
    blind = (100 * (sites["predicted_without_cross_term"] / sites["spon_shift"] - 1)).max()
    aligned = int((sites["cosine_bias_mean_error"] > sites["cosine_null_95"]).sum())
    half = len(sites) / 2
    too_long = ""
    if aligned > half and farther > half:
        too_long = (
            ", so they point where they correct, but most are too long to bring the outputs closer"
        )
    sentences = [
        f"With the same input, biases move the outputs of {closer} of {len(sites)} sites closer "
        f"to the dense ones and those of {farther} farther away. The prediction is off by "
        f"{say_gap(gap)}; without the cross term it is up to {blind:.0f} % too large. At "
        f"{aligned} of {len(sites)} sites the bias points along the mean error more than 95 % of "
        f"random directions do{too_long}."
    ]
    for run, rows in group_by_run(sound[sound["place"] == "residual"]):
        sentences.append(conclude_residual(run, rows.sort_values("layer").iloc[-1]))
    return " ".join(sentences)


def say_gap(percent: float) -> str:
    """Write how far a prediction is off; a gap too small for two decimals is bounded."""
    return f"{percent:.2f} % at most" if percent >= LEAST_GAP else f"less than {LEAST_GAP} %"


def conclude_residual(run: str, last: pd.Series) -> str:
    """Conclude whether biases bring the states behind the last layer closer to the dense ones."""
    if last["recovery_low"] > 0:
        verdict = "closer to the dense model than under TEAL"
    elif last["recovery_high"] < 0:
        verdict = "farther from the dense model than under TEAL"
    else:
        verdict = "as far from the dense model as under TEAL, as far as can be told"
    return (
        f"Behind the last layer, states of {run} are {verdict} ({say_recovery(last)} of the shift "
        "taken away)."
    )
