"""Describe what biases do to hidden states: their directions, and how far states move."""

from collections.abc import Mapping

import pandas as pd

from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    embed_figure,
    join_blocks,
    say_bounds,
    say_fixed,
    say_p_value,
    say_range,
    write_table,
)
from spon.report.sections.biases import group_by_run
from spon.report.sections.results import LEVEL
from spon.sites import RUN

ALL = "all"
# In percent: a prediction that is off by less is right.
GAP = 1.0


def describe_alignment(pca_alignment: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the biases' cosines with principal components with those of random directions."""
    components = pca_alignment["component"].max()
    tokens = pca_alignment.loc[pca_alignment["definition"] == "sound", "samples"].max()
    introduction = (
        f"Largest |cosine| of a bias with the first {components} principal components of its "
        f"site's outputs over {tokens:,} held-out tokens, and the mean of random directions (95 % "
        "stay under the number behind it). *cos(b, mean output)*: does a bias give back the mean "
        "that sparsity takes away?"
    )
    header = ["run", "largest |cosine|", "chance", "sites beyond chance", "cos(b, mean output)"]
    rows = []
    sound = pca_alignment[pca_alignment["definition"] == "sound"]
    for run, cosines in group_by_run(sound):
        sites = cosines.drop_duplicates("site")
        rows.append([run, *describe_alignment_of_run(sites)])
    caption = "|Cosine| of each bias with each component, and the largest of a site beside chance."
    return join_blocks(
        introduction,
        write_table(header, rows),
        conclude_alignment(pca_alignment),
        embed_figure(
            figures, "fig4_pca_alignment", "Alignment of biases with principal components", caption
        ),
    )


def describe_alignment_of_run(sites: pd.DataFrame) -> list[str]:
    """Return the cells of one run behind its name; `sites` has a row for each of its sites."""
    largest = sites["max_abs_cosine"]
    return [
        f"{say_fixed(largest.mean(), 2)} ({say_range(largest, 2)})",
        f"{sites['null_mean'].mean():.2f} ({sites['null_95'].mean():.2f})",
        f"{(sites['p_value'] < ALPHA).sum()} of {len(sites)}",
        say_range(sites["cosine_mean_output"], 2),
    ]


def conclude_alignment(alignment: pd.DataFrame) -> str:
    """Say what a small cosine is worth."""
    sound = alignment[alignment["definition"] == "sound"].drop_duplicates([*RUN, "site"])
    beyond = int((sound["p_value"] < ALPHA).sum())
    return (
        f"Beyond chance are {beyond} of {len(sound)} sites; elsewhere a small cosine is what any "
        "direction has."
    )


def describe_categories(category_shift: pd.DataFrame) -> str:
    """Compare shift and CKA of the kinds of prompt, beside what chance gives."""
    over_sites = category_shift[category_shift["site"] == ALL]
    introduction = (
        "How far the sites' outputs move from the dense ones (L2) by category of the prompt, and "
        "how alike both are on held-out tokens (debiased CKA). *Noised* moves the dense states as "
        "far in random directions."
    )
    header = ["run", "shift by category", "category's share of variance", "p", "CKA [95 %]"]
    header.append("noised")
    rows = []
    sound = over_sites[over_sites["definition"] == "sound"]
    for run, categories in group_by_run(sound):
        rows.append([run, *describe_category(categories.set_index("category"))])
    conclusion = conclude_categories(over_sites)
    return join_blocks(introduction, write_table(header, rows), conclusion)


def describe_category(categories: pd.DataFrame) -> list[str]:
    """Return the cells of one run behind its name, from a row per category."""
    pooled, held_out = categories.loc["prompts"], categories.loc["held_out"]
    return [
        say_range(categories.drop(index=["prompts", "held_out"])["l2_shift"], 2),
        f"{100 * pooled['category_share']:.0f} %",
        say_p_value(pooled["category_p"]),
        say_bounds(held_out["cka"], held_out["cka_low"], held_out["cka_high"], 4),
        say_fixed(held_out["cka_noised"], 4),
    ]


def conclude_categories(over_sites: pd.DataFrame) -> str:
    """Conclude whether shifts depend on the category, and what CKA can show."""
    sound = over_sites[over_sites["definition"] == "sound"]
    pooled = sound[sound["category"] == "prompts"]
    differing = int((pooled["category_p"] < ALPHA).sum())
    held_out = sound[sound["category"] == "held_out"]
    below = int((held_out["cka_high"] < held_out["cka_noised"]).sum())
    return (
        f"The shift depends on the category in {differing} of {len(pooled)} runs (unadjusted, "
        f"{LEVEL}). In {below} of {len(held_out)} runs CKA is lower than random moves of the same "
        "length make it: there the shift is no mere noise."
    )


def describe_shifts(hidden_state_shift: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Compare the distance of states from the dense ones with biases and without.

    Compared are the outputs of sites and the residual stream.
    """
    introduction = (
        "Share of TEAL's distance from the dense model's states (root mean square over tokens) "
        "that biases take away; below zero they add to it. *Same input* gives every site the "
        "dense model's inputs; cos(b, error) above zero means that a bias points where it "
        "corrects."
    )
    header = ["run", "sites, same input", "sites, in the sparse model", "residual, last layer"]
    header.append("cos(b, error)")
    rows = []
    for run, shifts in group_by_run(hidden_state_shift):
        rows.append([run, *describe_shift_of_run(shifts)])
    caption = "Share of TEAL's shift that biases take away, by layer. Lines are predictions."
    return join_blocks(
        introduction,
        write_table(header, rows),
        conclude_shifts(hidden_state_shift),
        embed_figure(
            figures, "fig5_hidden_state_shift", "Shift of hidden states by layer", caption
        ),
    )


def describe_shift_of_run(shifts: pd.DataFrame) -> list[str]:
    """Return the cells of one run behind its name."""
    all_sites = shifts[shifts["site"] == ALL]
    residual = shifts[shifts["place"] == "residual"].sort_values("layer")
    last = residual[residual["layer"] == residual["layer"].max()]
    cosines = shifts.loc[shifts["place"] == "site_same_input", "cosine_bias_mean_error"]
    return [
        say_recovery(pick_row(all_sites, "site_same_input")),
        say_recovery(pick_row(all_sites, "site")),
        say_recovery(pick_row(last, "residual")),
        say_range(cosines, 2),
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


def say_recovery(row: pd.Series, decimals: int = 1) -> str:
    """Write the share of TEAL's shift that is taken away, or nothing for an empty row."""
    if row.empty:
        return ""
    return say_bounds(
        row["recovery_percent"], row["recovery_low"], row["recovery_high"], decimals, "%"
    )


def conclude_shifts(shifts: pd.DataFrame) -> str:
    """Count the sites, and the runs' last states, that biases bring closer."""
    sound = shifts[(shifts["definition"] == "sound") & (shifts["positions"] == "rest")]
    sound = sound[sound["site"] != ALL]
    sites = sound[sound["place"] == "site_same_input"]
    closer = int((sites["recovery_low"] > 0).sum())
    farther = int((sites["recovery_high"] < 0).sum())
    aligned = int((sites["cosine_bias_mean_error"] > sites["cosine_null_95"]).sum())
    gap = (100 * (sites["predicted_spon_shift"] / sites["spon_shift"] - 1)).abs().max()
    residual = sound[sound["place"] == "residual"].sort_values("layer", kind="stable")
    last = residual.drop_duplicates(RUN, keep="last")
    return (
        f"With the same input, biases bring the outputs of {closer} of {len(sites)} sites closer "
        f"to the dense ones and move those of {farther} away{say_gap(gap)}; "
        f"{aligned} of {len(sites)} biases point along the mean error. Behind the last layer, "
        f"states come closer in {(last['recovery_low'] > 0).sum()} of {len(last)} runs and move "
        f"away in {(last['recovery_high'] < 0).sum()}."
    )


def say_gap(percent: float) -> str:
    """Write how far a prediction is off at most; nothing if that is not known."""
    if pd.isna(percent):
        return ""
    if percent >= GAP:
        return f" (the prediction is off by up to {percent:.0f} %)"
    return f", as predicted (less than {GAP:g} % off)"
