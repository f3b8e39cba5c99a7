"""The table of trainings: how long each took, and whether it converged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from spon.allocate import TRAINED
from spon.inputs import check
from spon.sites import EVALUATION

# The schedule that ends a training by a rule.
PLATEAU = "plateau"
MEASURED = ["learning_rate", "kl_nats_per_token", "held_out_kl"]
TRAININGS = [
    *EVALUATION,
    "steps",
    "converged",
    "worse",
    "learning_rate",
    "last_rate",
    "held_out_kl_start",
    "held_out_kl",
    "won_percent",
    "last_tenth_percent",
]


def tabulate_trainings(
    paths: Sequence[str | Path], schedule: str, runs: Sequence[Mapping], allow_worse: bool
) -> pd.DataFrame:
    """Read the curves of trainings.

    Args:
        paths: Of `curve.csv` files, in the order of the table.
        runs: `allocation`, `sparsity` and `seed` of each.
        schedule: Of their learning rate: `plateau`, which has a stopping rule, or another.
        allow_worse: Whether a training may end with a higher held-out KL than it began with.

    Returns:
        One row per training: `allocation, scope, sparsity, seed, steps, converged, worse,
        learning_rate, last_rate, held_out_kl_start, held_out_kl, won_percent,
        last_tenth_percent`. `converged` is whether the training was ended by its stopping rule,
        and empty without one; `worse` is whether it ended with a higher KL than it began with. The
        KL is nats per token on calibration blocks that were not
        trained on, first without biases, then with the learned ones, and `won_percent` is the
        share that was won. Of that, `last_tenth_percent` was won in the last tenth of the steps,
        or since the last measurement before.

    Raises:
        FileError: A file is damaged, or of another run.
        ValueError: A training ended worse than it began, and that is not allowed.
    """
    curves = [read_curve(path, names) for path, names in zip(paths, runs, strict=True)]
    rows = [describe_training(curve, schedule) for curve in curves]
    worse = [curve for curve, row in zip(curves, rows, strict=True) if row["worse"]]
    if worse and not allow_worse:
        raise ValueError(
            f"trainings ended with a higher held-out KL, in nats per token, than they began with: "
            f"{'; '.join(map(say_course, worse))}: lower train.learning_rate, or set "
            f"train.allow_worse to true"
        )
    return pd.DataFrame(rows, columns=TRAININGS).astype({"converged": "boolean"})


def read_curve(path: str | Path, names: Mapping) -> pd.DataFrame:
    """Read the curve of a training, every step of it.

    Args:
        path: Of a `curve.csv`.
        names: Of its run.

    Raises:
        FileError: It is of another run, lacks a step, the KL before or after all of them, or has a
            number out of range.
    """
    curve = check.read_table(path, [*EVALUATION, "step", *MEASURED, "event"])
    check.check_names(curve, path, names)
    if curve["step"].tolist() != list(range(len(curve))) or len(curve) < 2:
        raise check.FileError(path, "lacks a step, or has one twice")
    check.check_numbers(curve.iloc[1:], path, MEASURED[:2], least=-check.ROUNDING)
    ends = curve.iloc[[0, -1]]
    check.check_numbers(ends, path, ["held_out_kl"], least=-check.ROUNDING)
    check.check_numbers(curve.dropna(subset="held_out_kl"), path, ["held_out_kl"], -check.ROUNDING)
    return curve


def say_course(curve: pd.DataFrame) -> str:
    """Name a training, with its held-out KL before and after it and its learning rate."""
    first, last = curve.iloc[0], curve.iloc[-1]
    return (
        f"{check.describe(first[EVALUATION].to_dict())}, from {first['held_out_kl']:.4g} to "
        f"{last['held_out_kl']:.4g} at a rate of {curve['learning_rate'].iloc[1]:g}"
    )


def read_trainings(path: str | Path, points: pd.DataFrame) -> pd.DataFrame:
    """Read the table of trainings, which has a row for every trained evaluation.

    Args:
        path: Of a `trainings.csv`.
        points: The study's evaluations, as `outcomes.Outcomes` has them.

    Raises:
        FileError: It lacks one.
    """
    table = check.read_table(path, TRAININGS, is_filled=False).astype({"seed": "Int64"})
    check.check_rows(table, path, EVALUATION)
    trained = points.loc[points["learn"] == TRAINED, EVALUATION]
    matched = trained.merge(table, on=EVALUATION) if len(table) else table
    if len(matched) < len(trained):
        raise check.FileError(path, "lacks a training of the study")
    return table


def describe_training(curve: pd.DataFrame, schedule: str) -> dict:
    """The row of one training."""
    trained = curve[curve["step"] > 0]
    measured = curve.dropna(subset="held_out_kl").set_index("step")["held_out_kl"]
    # On a plateau, the best measurement gives the biases.
    reached = measured.cummin() if schedule == PLATEAU else measured
    start, end = float(reached.iloc[0]), float(reached.iloc[-1])
    steps = int(trained["step"].iloc[-1])
    before = reached[reached.index <= 0.9 * steps].iloc[-1]
    won = start - end
    event = str(curve["event"].iloc[-1])
    return {
        **curve[EVALUATION].iloc[0],
        "steps": steps,
        "converged": "converged" in event if schedule == PLATEAU else None,
        "worse": "worse" in event,
        "learning_rate": float(trained["learning_rate"].iloc[0]),
        "last_rate": float(trained["learning_rate"].iloc[-1]),
        "held_out_kl_start": start,
        "held_out_kl": end,
        "won_percent": 100 * won / start if start else np.nan,
        "last_tenth_percent": 100 * (before - end) / won if won > 0 else np.nan,
    }
