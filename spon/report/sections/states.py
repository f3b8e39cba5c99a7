"""What biases do to hidden states: where they point, how far they move states, and on which text."""

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
from spon.report.sections.biases import name_runs, name_site

ALL = "all"
# The smallest difference in percent that two decimals show.
LEAST_GAP = 0.01


def describe_alignment(pca_alignment: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """The cosines of biases with principal components, beside random directions."""
    components = pca_alignment["component"].max()
    tokens = pca_alignment.loc[pca_alignment["definition"] == "sound", "samples"].max()
    told = (
        f"Measured is the largest |cosine| of a site's bias with the first {components} "
        "principal components of the site's outputs: as published over a few prompts' means, "
        f"soundly over {tokens:,} held-out tokens. A random direction does not have zero either: "
        "*chance* is its mean, with the value that 95 % of random directions stay under; p is "
        "the share of them that reach the bias's value, not adjusted."
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
    rows = [
        [
            name,
            name_site(site["layer"].iloc[0], site["map"].iloc[0], pca_alignment),
            *describe_alignment_of_site(site),
        ]
        for name, sites in name_runs(pca_alignment)
        for _, site in sites.groupby("site", sort=False)
    ]
    caption = (
        "Left of each pair: |cosine| of each bias with each component, darker is larger. Right: "
        "the largest of a site beside what random directions reach; a point inside the grey bar "
        "is what chance gives."
    )
    figure = embed_figure(
        figures, "fig4_pca_alignment", "Alignment of biases with principal components", caption
    )
    return join_blocks(told, write_table(header, rows), conclude_alignment(pca_alignment), figure)


def describe_alignment_of_site(site: pd.DataFrame) -> list[str]:
    """The cells of one site."""
    published, sound = (
        site[site["definition"] == name].iloc[0] for name in ("as_published", "sound")
    )
    return [
        say_fixed(published["max_abs_cosine"], 3),
        say_p_value(published["p_value"]),
        say_fixed(sound["max_abs_cosine"], 3),
        str(sound["best_component"]),
        say_p_value(sound["p_value"]),
        f"{sound['null_mean']:.3f} ({sound['null_95']:.3f})",
    ]


def conclude_alignment(alignment: pd.DataFrame) -> str:
    """How many sites lie beyond chance, run by run."""
    parts = []
    for name, sites in name_runs(alignment[alignment["definition"] == "sound"]):
        sites = sites.drop_duplicates("site")
        beyond = int((sites["p_value"] < ALPHA).sum())
        parts.append(f"{beyond} of {len(sites)} sites of {name}")
    told = f"More aligned than 95 % of random directions are {' and '.join(parts)}; chance gives one in twenty. "
    return told + (
        "Where a bias is not, a small cosine is what any direction has in so many dimensions, "
        "and no sign that it avoids the components."
    )


def describe_categories(category_shift: pd.DataFrame) -> str:
    """Shift and CKA by kind of prompt, with their nulls."""
    over_sites = category_shift[category_shift["site"] == ALL]
    told = (
        "Measured is how far the sparse model with biases moves the sites' outputs from the "
        "dense ones (L2), and how alike both are (CKA, 1 is alike), over five kinds of prompt "
        "and held-out text; means over sites. As published, states are averaged over a prompt "
        "and CKA sees five of them; soundly, states are single tokens and CKA is debiased. "
        "*Permuted* pairs each state with another token's: what CKA gives where nothing is "
        "shared. *Noised* moves the dense states as far in random directions."
    )
    header = ["run", "text", "shift, as published", "CKA, as published", "permuted"]
    header += ["shift, sound", "CKA, sound [95 %]", "permuted", "noised"]
    rows = [
        [name, *describe_category(category, found.set_index("definition"))]
        for name, rows in name_runs(over_sites)
        for category, found in rows.groupby("category", sort=False)
    ]
    return join_blocks(told, write_table(header, rows, words=2), conclude_categories(over_sites))


def describe_category(category: str, found: pd.DataFrame) -> list[str]:
    """The cells of one category; the published definition has no held-out text."""
    names = {"prompts": "all prompts", "held_out": "held-out text"}
    published = found.loc["as_published"] if "as_published" in found.index else None
    sound = found.loc["sound"]
    cells = [""] * 3
    if published is not None:
        cells = [
            say_fixed(published[name], places)
            for name, places in (("l2_shift", 3), ("cka", 4), ("cka_permuted", 2))
        ]
    return [
        names.get(category, category),
        *cells,
        say_fixed(sound["l2_shift"], 3),
        say_bounds(sound["cka"], sound["cka_low"], sound["cka_high"], 4),
        say_fixed(sound["cka_permuted"], 3),
        say_fixed(sound["cka_noised"], 4),
    ]


def conclude_categories(over_sites: pd.DataFrame) -> str:
    """Whether shifts depend on the category, and what CKA can tell."""
    sound = over_sites[over_sites["definition"] == "sound"]
    parts = [conclude_dependence(name, rows) for name, rows in name_runs(sound)]
    held_out = sound[(sound["category"] == "held_out") & (sound["cka_high"] < sound["cka_noised"])]
    lower = join_words(name for name, _ in name_runs(held_out))
    if lower:
        parts.append(
            f"On held-out text, CKA under {lower} is lower than random moves of the same length "
            "make it: the shift is no mere noise."
        )
    # A category of the published study has five prompts; all of them together are another matter.
    nulls = over_sites[
        (over_sites["definition"] == "as_published") & (over_sites["category"] != "prompts")
    ]["cka_permuted"]
    parts.append(
        f"The published CKA of a category gives {say_range(nulls, 2)} for states paired at "
        "random, so a high value of it says little."
    )
    return " ".join(parts)


def conclude_dependence(name: str, rows: pd.DataFrame) -> str:
    """Whether the shift of one run depends on the category of the prompt."""
    pooled = rows[rows["category"] == "prompts"].iloc[0]
    shifts = rows[~rows["category"].isin(["prompts", "held_out"])]["l2_shift"]
    found = (
        "differ more than 95 % of random deals of the prompts"
        if pooled["category_p"] < ALPHA
        else "do not differ surely"
    )
    return (
        f"In {name}, categories {found} (they hold {100 * pooled['category_share']:.0f} % of the "
        f"variance of the prompts' shifts, {say_p(pooled['category_p'])} unadjusted); their mean "
        f"shifts are {say_range(shifts, 3)}."
    )


def describe_shifts(hidden_state_shift: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """How far states are from the dense ones with and without biases, at sites and in the residual stream."""
    told = (
        "Measured is the distance of hidden states from the dense model's (root mean square "
        "over tokens, a block's first apart) under TEAL and under SPON, and the share of TEAL's "
        "distance that SPON takes away: above zero it moves states back, below zero further "
        "away. *Same input* gives a site the dense model's inputs, where the shift is predicted "
        "from the bias and the mean error alone, and without their cross term if the bias knew "
        "nothing of the error. *In the sparse model* inputs have shifted too; *residual stream* "
        "is the sum behind each layer. cos(b, error) above zero means that the bias points "
        "where it corrects. Brackets hold 95 % intervals."
    )
    header = ["run", "layer", "TEAL", "SPON", "predicted", "without cross term", "cos(b, error)"]
    header += [
        "taken away, same input",
        "in the sparse model",
        "in the residual stream",
        "as published",
    ]
    rows = [
        [name, label, *describe_shift_of_site(here)]
        for name, shifts in name_runs(hidden_state_shift)
        for label, here in list_places(shifts)
    ]
    caption = (
        "Share of TEAL's shift that biases take away, by layer: at the sites (top), in the "
        "residual stream (middle), and as published (bottom). Below zero, states move away from "
        "the dense model's. Lines are predictions."
    )
    figure = embed_figure(
        figures, "fig5_hidden_state_shift", "Shift of hidden states by layer", caption
    )
    return join_blocks(
        told, write_table(header, rows), conclude_shifts(hidden_state_shift), figure
    )


def list_places(shifts: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each site of a run, with those of the residual stream behind it, and of all sites together."""
    sites = shifts[(shifts["place"] == "site") & (shifts["site"] != ALL)].drop_duplicates("site")
    for site in sites.sort_values("layer", kind="stable").itertuples():
        behind = (shifts["place"] == "residual") & (shifts["layer"] == site.layer)
        yield (
            name_site(site.layer, site.map, sites),
            shifts[(shifts["site"] == site.site) | behind],
        )
    yield "all sites", shifts[shifts["site"] == ALL]


def describe_shift_of_site(here: pd.DataFrame) -> list[str]:
    """The cells of one site, or of all sites with a bias."""
    same = select(here, "site_same_input")
    numbers = ["teal_shift", "spon_shift", "predicted_spon_shift", "predicted_without_cross_term"]
    inside = select(here, "site")
    return [
        *(say_known(same, name, 3) for name in numbers),
        say_known(same, "cosine_bias_mean_error", 2),
        say_recovery(same),
        say_recovery(inside) if inside.get("biased", False) else "",
        say_recovery(select(here, "residual")),
        say_recovery(select(here, "site", "as_published"), decimals=0),
    ]


def select(shifts: pd.DataFrame, place: str, definition: str = "sound") -> pd.Series:
    """The one row of a place, over all tokens but the first ones; an empty one where there is none."""
    rows = shifts[
        (shifts["place"] == place)
        & (shifts["definition"] == definition)
        & (shifts["positions"] != "first")
    ]
    return rows.iloc[0] if len(rows) else pd.Series(dtype=float)


def say_known(row: pd.Series, name: str, decimals: int) -> str:
    """A number where there is one; most places lack some."""
    return "" if pd.isna(row.get(name)) else say_fixed(row[name], decimals)


def say_recovery(row: pd.Series, decimals: int = 1) -> str:
    """The share of a shift that is taken away."""
    if row.empty:
        return ""
    return say_bounds(
        row["recovery_percent"], row["recovery_low"], row["recovery_high"], decimals, "%"
    )


def conclude_shifts(shifts: pd.DataFrame) -> str:
    """Closer or farther, at sites and in the residual stream; and what the prediction says."""
    rest = shifts[
        (shifts["definition"] == "sound")
        & (shifts["positions"] == "rest")
        & (shifts["site"] != ALL)
    ]
    same = rest[rest["place"] == "site_same_input"]
    closer, farther = int((same["recovery_low"] > 0).sum()), int((same["recovery_high"] < 0).sum())
    gaps = (100 * (same["predicted_spon_shift"] / same["spon_shift"] - 1)).abs().max()
    blind = (100 * (same["predicted_without_cross_term"] / same["spon_shift"] - 1)).max()
    pointing = int((same["cosine_bias_mean_error"] > same["cosine_null_95"]).sum())
    correct = pointing > len(same) / 2 and farther > len(same) / 2
    so = (
        ", so they point where they correct, but most are too long to bring the outputs closer"
        if correct
        else ""
    )
    told = [
        f"With the same input, biases move the outputs of {closer} of {len(same)} sites closer "
        f"to the dense ones and those of {farther} farther away. The prediction is off by "
        f"{say_gap(gaps)}; without the cross term it is up to {blind:.0f} % too large. At "
        f"{pointing} of {len(same)} sites the bias points along the mean error more than 95 % of "
        f"random directions do{so}."
    ]
    for name, rows in name_runs(rest[rest["place"] == "residual"]):
        told.append(conclude_residual(name, rows.sort_values("layer").iloc[-1]))
    return " ".join(told)


def say_gap(percent: float) -> str:
    """How far a prediction is off; what two decimals do not show is said to be less."""
    return f"{percent:.2f} % at most" if percent >= LEAST_GAP else f"less than {LEAST_GAP} %"


def conclude_residual(name: str, last: pd.Series) -> str:
    """What becomes of the shift behind the last layer, where the head reads."""
    if last["recovery_low"] > 0:
        found = "closer to the dense model than under TEAL"
    elif last["recovery_high"] < 0:
        found = "farther from the dense model than under TEAL"
    else:
        found = "as far from the dense model as under TEAL, as far as can be told"
    return f"Behind the last layer, states of {name} are {found} ({say_recovery(last)} of the shift taken away)."
