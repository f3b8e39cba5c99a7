"""The table of trainings: how long each took, and whether it converged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from spon.sites import EVALUATION

# The schedule that ends a training by a rule.
PLATEAU = "plateau"
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


def tabulate_trainings(paths: Sequence[str | Path], schedule: str) -> pd.DataFrame:
    """Read the curves of trainings.

    Args:
        paths: Of `curve.csv` files, in the order of the table.
        schedule: Of their learning rate: `plateau`, which has a stopping rule, or another.

    Returns:
        One row per training: `allocation, scope, sparsity, seed, steps, converged, worse,
        learning_rate, last_rate, held_out_kl_start, held_out_kl, won_percent,
        last_tenth_percent`. `converged` is whether the training was ended by its stopping rule,
        and empty without one; `worse` is whether it ended with a higher KL than it began with,
        which the config has to allow. The KL is nats per token on calibration blocks that were not
        trained on, first without biases, then with the learned ones, and `won_percent` is the
        share that was won. Of that, `last_tenth_percent` was won in the last tenth of the steps,
        or since the last measurement before.
    """
    rows = [describe_training(pd.read_csv(path), schedule) for path in paths]
    return pd.DataFrame(rows, columns=TRAININGS).astype({"converged": "boolean"})


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
    ended = bool((curve["event"] == "converged").any())
    return {
        **curve[EVALUATION].iloc[0],
        "steps": steps,
        "converged": ended if schedule == PLATEAU else None,
        "worse": bool((curve["event"] == "worse").any()),
        "learning_rate": float(trained["learning_rate"].iloc[0]),
        "last_rate": float(trained["learning_rate"].iloc[-1]),
        "held_out_kl_start": start,
        "held_out_kl": end,
        "won_percent": 100 * won / start if start else np.nan,
        "last_tenth_percent": 100 * (before - end) / won if won > 0 else np.nan,
    }
