"""What the controls say: whether training earns its cost, and whether it repairs or adapts."""

from collections.abc import Callable

import pandas as pd

from spon.claims.verdicts import ALPHA
from spon.report.markdown import (
    join_blocks,
    join_words,
    say_bounds,
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
]
HEADER += ["control's share [95 %]", "the same by KL [95 %]"]
HOW_TO_READ = (
    "A gain is the fall in negative log-likelihood against TEAL, in thousandths of a nat per "
    "token, above zero where it helps. The control's share is its gain over the trained one "
    "(n/a where the trained gain may be zero). Verdicts are by the difference, its p-value "
    f"Holm-adjusted over all controls of a measure and below {ALPHA:g}."
)


def describe_controls(controls: pd.DataFrame) -> str:
    """Each control that the study has: what it is, its table, and its verdict."""
    parts = [HOW_TO_READ]
    for control, (title, told, conclude) in CONTROLS.items():
        rows = controls[controls["control"] == control]
        if not rows.empty:
            concluded = [
                conclude(rows[rows["measure"] == "nll"]),
                *([say_kl(rows)] if control != "dense_model" else []),
            ]
            parts += [
                f"### {title}",
                told,
                tabulate_control(rows),
                " ".join(filter(None, concluded)),
            ]
    return join_blocks(*parts) if len(parts) > 1 else ""


def tabulate_control(rows: pd.DataFrame) -> str:
    """A row per run and sparsity, with the difference by KL beside that by log-likelihood."""
    key = ["allocation", "sparsity", "seed"]
    by_kl = rows[rows["measure"] == "kl"].set_index(key)
    several = rows["seed"].nunique() > 1
    cells = []
    for row in rows[rows["measure"] == "nll"].itertuples():
        same = by_kl.loc[tuple(getattr(row, name) for name in key)]
        cells.append(
            [
                f"{row.allocation}, seed {row.seed:g}" if several else row.allocation,
                say_percent(row.sparsity),
                say_bounds(
                    row.trained_gain_nats_per_token, float("nan"), float("nan"), 2, scale=MILLI
                ),
                say_bounds(
                    row.control_gain_nats_per_token,
                    row.control_low,
                    row.control_high,
                    2,
                    scale=MILLI,
                ),
                say_bounds(row.difference_nats_per_token, row.low, row.high, 2, scale=MILLI),
                say_p_value(row.p_holm),
                say_bounds(row.share_of_trained_percent, row.share_low, row.share_high, 0, "%"),
                say_bounds(
                    same["share_of_trained_percent"], same["share_low"], same["share_high"], 0, "%"
                ),
            ]
        )
    return write_table(HEADER, cells)


def conclude_mean_residual(rows: pd.DataFrame) -> str:
    """Whether training earns its cost beside a bias that needs one forward pass."""
    return " ".join(
        conclude_training(scope, found) for scope, found in rows.groupby("scope", sort=False)
    )


def conclude_training(scope: str, rows: pd.DataFrame) -> str:
    """The verdict for one scope."""
    better, worse = pick(rows, above=True), pick(rows, above=False)
    open_ = rows.drop([*better.index, *worse.index])
    parts = []
    if len(better):
        earns = (
            "training earns its cost"
            if len(better) == len(rows)
            else f"training earns its cost {at(better)}"
        )
        some = better[(better["control_low"] > 0) & (better["share_low"] > 0)]
        share = say_range(some["share_of_trained_percent"], 0, "%")
        much = f"the mean residual alone reaches {share} of its gain" if len(some) else ""
        parts.append(
            join_words(
                filter(None, [f"{earns}, though {much}" if much else earns, say_idle(rows)]),
                last="and",
            )
        )
    if len(open_):
        parts.append(f"{at(open_)} it is not to be told from the mean residual")
    if len(worse):
        parts.append(f"{at(worse)} the mean residual, which needs no training, is better")
    return f"At {scope}, {'; '.join(parts)}."


def say_idle(rows: pd.DataFrame) -> str:
    """Where the mean residual shows no gain of its own."""
    idle = rows[rows["control_low"] <= 0]
    if idle.empty:
        return ""
    return f"the mean residual shows no gain of its own {at(idle) if len(idle) < len(rows) else 'at any sparsity'}"


def say_kl(rows: pd.DataFrame) -> str:
    """Where the trained biases are nearer to the dense model than the control's."""
    by_kl = rows[rows["measure"] == "kl"]
    nearer = pick(by_kl, above=True)
    if nearer.empty:
        return ""
    where = "in every row" if len(nearer) == len(by_kl) else name_runs(nearer)
    return f"By KL divergence, which is what is trained, the trained biases do better {where}."


def conclude_random(rows: pd.DataFrame) -> str:
    """Whether it is the direction of a bias that counts."""
    better = pick(rows, above=True)
    open_ = rows.drop(better.index)
    harm = rows[rows["control_high"] < 0]
    told = (
        f"Trained biases do better than random ones of the same norms {name_runs(better)}."
        if len(better)
        else ""
    )
    ties = f"No such difference can be shown {name_runs(open_)}." if len(open_) else ""
    every = f"Each of the draws makes the likelihood worse {name_runs(harm)}." if len(harm) else ""
    told += (
        " There it is the direction of the biases that helps, not an addition of that size."
        if len(better)
        else ""
    )
    return " ".join(filter(None, [told, ties, every]))


def conclude_dense(rows: pd.DataFrame) -> str:
    """Whether a part of the gain is adaptation to the text."""
    rises, falls = rows[rows["control_low"] > 0], rows[rows["control_high"] < 0]
    open_ = rows.drop([*rises.index, *falls.index])
    parts = []
    if len(rises):
        share = say_range(rises["share_of_trained_percent"], 0, "%")
        parts.append(
            f"The dense model's likelihood rises {name_runs(rises)}, by {share} of what the "
            "biases gain on the sparse model: there, a part of the gain is adaptation to the "
            "text and not repair."
        )
    if len(falls):
        what = "It" if len(rises) else "The dense model's likelihood"
        parts.append(f"{what} falls {name_runs(falls)}: no adaptation shows there.")
    if len(open_):
        parts.append(
            f"On the dense model no change of the likelihood can be shown {name_runs(open_)}."
        )
    return " ".join(parts)


def pick(rows: pd.DataFrame, above: bool) -> pd.DataFrame:
    """The rows whose difference lies surely above zero, or surely below."""
    sure = rows["p_holm"] < ALPHA
    return rows[sure & ((rows["difference_nats_per_token"] > 0) == above)]


def at(rows: pd.DataFrame) -> str:
    """The sparsities of some rows: `at 50 % and 60 %`."""
    return (
        f"at {join_words(dict.fromkeys(say_percent(sparsity) for sparsity in rows['sparsity']))}"
    )


def name_runs(rows: pd.DataFrame) -> str:
    """Allocations and sparsities of some rows: `with UNIF-ALL at 50 % and with ATTN-ONLY at 60 %`."""
    return join_words(
        f"with {name} {at(found)}" for name, found in rows.groupby("allocation", sort=False)
    )


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
