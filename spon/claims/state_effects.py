"""Effects in the hidden states: claims about shifts, categories of prompts, CKA and directions."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import ncf, norm

from spon import stats
from spon.claims.bias_effects import say_ends
from spon.claims.effects import (
    HALF,
    Effect,
    Evidence,
    effects_per_run,
    normal_effect,
    not_applicable,
    say_number,
)

SHIFT = {"analysis": "hidden_state_shift", "definition": "sound", "positions": "rest"}
# Rows of the analysis of categories that are no single category.
TOGETHER = {"prompts", "held_out"}


def shift_recovery(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's shift that biases take away at the biased sites, in the sparse model."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: read_recovery(rows.iloc[0], against),
        place="site",
        site="all",
        **SHIFT,
    )


def residual_recovery(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's shift that biases take away in the residual stream, behind all layers."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: read_recovery(rows.sort_values("layer").iloc[-1], against),
        place="residual",
        **SHIFT,
    )


def read_recovery(row: pd.Series, against: float) -> Effect:
    """The recovery in a row, with its interval."""
    if np.isnan(row["p_value"]):
        return not_applicable("TEAL shifts nothing there")
    spon, teal = say_number(row["spon_shift"]), say_number(row["teal_shift"])
    return Effect(
        float(row["recovery_percent"]),
        float(row["recovery_low"]),
        float(row["recovery_high"]),
        float(row["p_value"]),
        null=against,
        context=f"shift {spon} under SPON, {teal} under TEAL",
    )


def shift_recovery_drop(
    evidence: Evidence, allocations: list[str], against: float
) -> list[Effect]:
    """That recovery at the first biased site, less that at the last one; points."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: drop_recovery(rows[rows["site"] != "all"], against),
        place="site",
        biased=True,
        **SHIFT,
    )


def drop_recovery(rows: pd.DataFrame, against: float) -> Effect:
    """The recovery at the site nearest the input, less that at the farthest one."""
    if len(rows) < 2:
        return not_applicable("a drop needs 2 or more sites with a bias")
    first, last = (row for _, row in rows.sort_values("layer").iloc[[0, -1]].iterrows())
    # ASSUME: the two intervals add up, which is wide enough however the sites' errors are
    # correlated, for the analysis gives no interval of their difference.
    half = sum((row["recovery_high"] - row["recovery_low"]) / 2 for row in (first, last))
    values = float(first["recovery_percent"]), float(last["recovery_percent"])
    effect = normal_effect(values[0] - values[1], against, float(half / HALF))
    return replace(effect, context=say_ends(*values))


def category_share(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of the variance of the prompts' mean shifts that lies between their categories."""
    return effects_per_run(
        evidence,
        "category_shift",
        allocations,
        lambda rows: read_category_share(rows, against),
        site="all",
    )


def read_category_share(rows: pd.DataFrame, against: float) -> Effect:
    """The share of one run beyond what chance gives, with the interval of the true share.

    That of the prompts at hand is larger by chance, since categories of few prompts differ; the
    interval and the p-value are those of the noncentral F distribution.
    """
    prompts = rows[rows["category"] == "prompts"].set_index("definition")
    # As published, a sample is a prompt.
    count = float(prompts.loc["as_published", "samples"])
    groups = len(set(rows["category"]) - TOGETHER)
    found = float(prompts.loc["sound", "category_share"])
    degrees = groups - 1, count - groups
    ratio = found / degrees[0] / ((1 - found) / degrees[1])
    share = max(0.0, 1 - (1 - found) * (count - 1) / degrees[1])
    low, high = (bound_share(ratio, degrees, (1 + sign * stats.LEVEL) / 2) for sign in (1, -1))
    # A share of the variance s among n prompts is the noncentrality n s / (1 - s).
    below = float(ncf.cdf(ratio, *degrees, count * against / (100 - against)))
    tail = 1 - below if 100 * share > against else below
    chance = say_number(float(prompts.loc["sound", "category_p"]))
    context = (
        f"{say_number(100 * found)} % among these {count:.0f} prompts; dealt to the categories "
        f"at random they reach it with p = {chance}"
    )
    p_value = min(1.0, 2 * tail)
    return Effect(100 * share, low, high, p_value, against, context=context)


def bound_share(ratio: float, degrees: tuple[int, float], tail: float) -> float:
    """The true share, in percent, under which so much of the distribution lies below a ratio."""

    def excess(noncentrality: float) -> float:
        return float(ncf.cdf(ratio, *degrees, noncentrality)) - tail

    if excess(0.0) <= 0:
        return 0.0
    most = 10.0
    while excess(most) > 0:
        most *= 2
    noncentrality = brentq(excess, 0.0, most)
    return 100 * noncentrality / (noncentrality + sum(degrees) + 1)


def held_out_cka(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Linear CKA of dense and biased sparse outputs on held-out text, mean over sites."""
    return effects_per_run(
        evidence,
        "category_shift",
        allocations,
        lambda rows: read_cka(rows.iloc[0], against),
        definition="sound",
        category="held_out",
        site="all",
    )


def read_cka(row: pd.Series, against: float) -> Effect:
    """The CKA of one run, with the interval over groups of blocks."""
    value, low, high = (float(row[name]) for name in ("cka", "cka_low", "cka_high"))
    # ASSUME: normal, for the analysis gives an interval and no p-value.
    effect = normal_effect(value, against, (high - low) / 2 / HALF)
    context = f"{row['cka_noised']:.5f} with noise of the shift's size instead of the shift"
    return replace(effect, low=low, high=high, context=context)


def alignment(evidence: Evidence, allocations: list[str], margin: int | float) -> list[Effect]:
    """Largest |cosine| of a bias with principal components, mean over sites.

    The null is that of random directions, and a margin on top of it.
    """
    return effects_per_run(
        evidence,
        "pca_alignment",
        allocations,
        lambda rows: combine_alignment(rows, float(margin)),
        definition="sound",
    )


def combine_alignment(rows: pd.DataFrame, margin: float) -> Effect:
    """The sites of one run together; the interval is as wide as that of random directions."""
    sites = rows.drop_duplicates("site")
    deviations = (sites["null_95"] - sites["null_mean"]) / norm.ppf(stats.LEVEL)
    chance = float(sites["null_mean"].mean())
    value = float(sites["max_abs_cosine"].mean())
    error = float(np.sqrt(np.sum(deviations**2)) / len(sites))
    context = f"random directions have {say_number(chance)} on average"
    return replace(normal_effect(value, chance + margin, error), context=context)
