"""Describe the trainings: how long they ran, and whether they are done."""

import pandas as pd

from spon.report.markdown import (
    join_blocks,
    join_words,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.results import MILLI

PLACE = ["allocation", "scope", "sparsity"]
# Held-out KL at the start of a training, and at its end.
HELD_OUT = ["held_out_kl_start", "held_out_kl"]
# So many trainings are named one by one; more are counted by allocation.
FEW = 6


def describe_trainings(trainings: pd.DataFrame) -> str:
    """Write a table with a row per allocation and sparsity, and say how many are converged."""
    introduction = (
        "A training is *converged* if the stopping rule of its recipe ended it and not the cap on "
        "its steps. Held-out KL is of calibration blocks that are not trained on, in thousandths "
        "of a nat per token; *last tenth* is the share of its fall that the last tenth of the "
        "steps still won. Ranges are over trainings; each stands in `tables/trainings.csv`."
    )
    header = ["allocation", "sparsity", "converged", "steps", "learning rate"]
    header += ["held-out KL, start → end", "last tenth"]
    rows = [describe_place(place, runs) for place, runs in trainings.groupby(PLACE, sort=False)]
    return join_blocks(introduction, write_table(header, rows), count_converged(trainings))


def describe_place(place: tuple, runs: pd.DataFrame) -> list[str]:
    """Return the cells of the trainings of one allocation at one sparsity."""
    rates = dict.fromkeys(f"{rate:g}" for rate in runs["learning_rate"])
    return [
        place[0],
        say_percent(place[2]),
        f"{runs['converged'].sum()}/{len(runs)}",
        say_range(runs["steps"], 0),
        join_words(rates),
        " → ".join(say_range(MILLI * runs[name], 1) for name in HELD_OUT),
        say_range(runs["last_tenth_percent"], 2, "%"),
    ]


def count_converged(trainings: pd.DataFrame) -> str:
    """Say how many trainings are converged."""
    done = trainings["converged"].astype(bool)
    if done.all():
        return f"All {len(trainings)} trainings are converged by the rule."
    return f"{done.sum()} of {len(trainings)} trainings are converged by the rule."


def name_trainings(trainings: pd.DataFrame) -> str:
    """Name a few trainings one by one, or count many by allocation and sparsity."""
    if len(trainings) <= FEW:
        return join_words(
            f"{run.allocation} at {say_percent(run.sparsity)}, seed {run.seed}"
            for run in trainings.itertuples()
        )
    places = trainings.groupby(["allocation", "sparsity"], sort=False).size()
    return join_words(
        f"{count} of {allocation} at {say_percent(sparsity)}"
        for (allocation, sparsity), count in places.items()
    )
