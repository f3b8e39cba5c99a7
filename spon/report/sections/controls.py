"""Describe the controls: does training earn its cost, and do biases repair or adapt?"""

from collections.abc import Callable

import pandas as pd

from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    join_blocks,
    join_words,
    say_bounds,
    say_fixed,
    say_p_value,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.results import MILLI

HEADER = [
    "run",
    "sparsity",
    "trained gains",
    "control gains",
    "trained less control [95 %]",
    "p (Holm)",
    "control's share [95 %]",
    "the same by KL [95 %]",
]
HOW_TO_READ = (
    "A gain is the fall in negative log-likelihood against TEAL, in thousandths of a nat per "
    "token, above zero where it helps. The control's share is its gain over the trained one "
    "(n/a where the trained gain may be zero). Verdicts are by the difference, its p-value "
    f"Holm-adjusted over all controls of a measure and below {ALPHA:g}."
)


def describe_controls(controls: pd.DataFrame) -> str:
    """Describe each control that the study has, with its table and its conclusion."""
    blocks = []
    for control, (title, introduction, conclude) in CONTROLS.items():
        rows = controls[controls["control"] == control]
        if rows.empty:
            continue
        conclusions = [conclude(rows[rows["measure"] == "nll"])]
        # Biases are trained to lower the KL divergence, but not on the dense model.
        if control != "dense_model":
            conclusions.append(conclude_kl(rows))
        conclusion = " ".join(filter(None, conclusions))
        blocks += [f"### {title}", introduction, tabulate_control(rows), conclusion]
    return join_blocks(HOW_TO_READ, *blocks) if blocks else ""


def tabulate_control(rows: pd.DataFrame) -> str:
    """Write a table with a row per run and sparsity.

    The share of the trained gain is given by log-likelihood and by KL divergence.
    """
    key = ["allocation", "sparsity", "seed"]
    by_kl = rows[rows["measure"] == "kl"].set_index(key)
    several = rows["seed"].nunique() > 1
    lines = []
    for _, row in rows[rows["measure"] == "nll"].iterrows():
        gain = [
            row[name] for name in ("control_gain_nats_per_token", "control_low", "control_high")
        ]
        difference = [row[name] for name in ("difference_nats_per_token", "low", "high")]
        lines.append(
            [
                f"{row['allocation']}, seed {row['seed']:g}" if several else row["allocation"],
                say_percent(row["sparsity"]),
                say_fixed(MILLI * row["trained_gain_nats_per_token"], 2),
                say_bounds(*gain, 2, scale=MILLI),
                say_bounds(*difference, 2, scale=MILLI),
                say_p_value(row["p_holm"]),
                say_share(row),
                say_share(by_kl.loc[tuple(row[key])]),
            ]
        )
    return write_table(HEADER, lines)


def say_share(row: pd.Series) -> str:
    """Write the control's share of the trained gain with its interval."""
    return say_bounds(row["share_of_trained_percent"], row["share_low"], row["share_high"], 0, "%")


def conclude_mean_residual(rows: pd.DataFrame) -> str:
    """Conclude, scope by scope, whether training is better than one forward pass."""
    scopes = rows.groupby("scope", sort=False)
    return " ".join(conclude_training(scope, runs) for scope, runs in scopes)


def conclude_training(scope: str, rows: pd.DataFrame) -> str:
    """Conclude whether training is better than the mean residual at one scope."""
    better, worse = pick_significant(rows, above=True), pick_significant(rows, above=False)
    undecided = rows.drop([*better.index, *worse.index])
    parts = []
    if len(better):
        parts.append(say_better(better, rows))
    if len(undecided):
        parts.append(f"{say_sparsities(undecided)} it is not to be told from the mean residual")
    if len(worse):
        parts.append(
            f"{say_sparsities(worse)} the mean residual, which needs no training, is better"
        )
    return f"At {scope}, {'; '.join(parts)}."


def say_better(better: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Say where training earns its cost, and how much of its gain the mean residual reaches.

    Args:
        better: The rows where training is better.
        rows: All rows of the scope.
    """
    earns = "training earns its cost"
    if len(better) < len(rows):
        earns += f" {say_sparsities(better)}"
    gaining = better[(better["control_low"] > 0) & (better["share_low"] > 0)]
    if len(gaining):
        share = say_range(gaining["share_of_trained_percent"], 0, "%")
        earns += f", though the mean residual alone reaches {share} of its gain"
    idle = rows[rows["control_low"] <= 0]
    if idle.empty:
        return earns
    where = say_sparsities(idle) if len(idle) < len(rows) else "at any sparsity"
    return f"{earns} and the mean residual shows no gain of its own {where}"


def conclude_kl(rows: pd.DataFrame) -> str:
    """Say where the trained biases bring the model nearer to the dense one than the control."""
    by_kl = rows[rows["measure"] == "kl"]
    nearer = pick_significant(by_kl, above=True)
    if nearer.empty:
        return ""
    where = "in every row" if len(nearer) == len(by_kl) else say_runs(nearer)
    return f"By KL divergence, which is what is trained, the trained biases do better {where}."


def conclude_random(rows: pd.DataFrame) -> str:
    """Conclude whether the direction of a bias counts."""
    better = pick_significant(rows, above=True)
    undecided = rows.drop(better.index)
    harmful = rows[rows["control_high"] < 0]
    sentences = []
    if len(better):
        sentences.append(
            f"Trained biases do better than random ones of the same norms {say_runs(better)}. "
            "There it is the direction of the biases that helps, not an addition of that size."
        )
    if len(undecided):
        sentences.append(f"No such difference can be shown {say_runs(undecided)}.")
    if len(harmful):
        sentences.append(f"Each of the draws makes the likelihood worse {say_runs(harmful)}.")
    return " ".join(sentences)


def conclude_dense(rows: pd.DataFrame) -> str:
    """Conclude whether a part of the gain is adaptation to the text."""
    rises, falls = rows[rows["control_low"] > 0], rows[rows["control_high"] < 0]
    undecided = rows.drop([*rises.index, *falls.index])
    sentences = []
    if len(rises):
        share = say_range(rises["share_of_trained_percent"], 0, "%")
        sentences.append(
            f"The dense model's likelihood rises {say_runs(rises)}, by {share} of what the biases "
            "gain on the sparse model: there, a part of the gain is adaptation to the text and "
            "not repair."
        )
    if len(falls):
        subject = "It" if len(rises) else "The dense model's likelihood"
        sentences.append(f"{subject} falls {say_runs(falls)}: no adaptation shows there.")
    if len(undecided):
        sentences.append(
            f"On the dense model no change of the likelihood can be shown {say_runs(undecided)}."
        )
    return " ".join(sentences)


def pick_significant(rows: pd.DataFrame, above: bool) -> pd.DataFrame:
    """Pick the rows whose difference is significant and above zero, or else below it."""
    significant = rows["p_holm"] < ALPHA
    return rows[significant & ((rows["difference_nats_per_token"] > 0) == above)]


def say_sparsities(rows: pd.DataFrame) -> str:
    """Write the sparsities of some rows: `at 50 % and 60 %`."""
    sparsities = dict.fromkeys(say_percent(sparsity) for sparsity in rows["sparsity"])
    return f"at {join_words(sparsities)}"


def say_runs(rows: pd.DataFrame) -> str:
    """Write the allocations and sparsities of some rows.

    For example, `with UNIF-ALL at 50 % and with ATTN-ONLY at 60 %`.
    """
    allocations = rows.groupby("allocation", sort=False)
    return join_words(f"with {name} {say_sparsities(runs)}" for name, runs in allocations)


CONTROLS: dict[str, tuple[str, str, Callable[[pd.DataFrame], str]]] = {
    "mean_residual": (
        "Does training earn its cost?",
        "The *mean residual* `b = E[W (x - S(x))]` is the constant that repairs each site's own "
        "output best. It needs one forward pass over the calibration text and no training. In "
        "brackets behind its gain: a 95 % interval.",
        conclude_mean_residual,
    ),
    "random": (
        "Is it the direction that counts?",
        "*Random directions* have the norms of the trained biases and point anywhere. Their "
        "gain is the mean over draws, in brackets the smallest and largest draw; they are "
        "evaluated on fewer blocks, and so is the trained run that they are compared with.",
        conclude_random,
    ),
    "dense_model": (
        "Repair or adaptation?",
        "The trained biases *on the dense model*, where nothing is sparsified and so nothing is "
        "to be repaired. A gain there, against the dense model without biases, is adaptation to "
        "the text. KL divergence cannot fall there.",
        conclude_dense,
    ),
}
