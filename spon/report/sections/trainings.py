"""Describe the trainings: how long they ran, and whether they are done."""

import pandas as pd

from spon.report.markdown import (
    NOTHING,
    join_blocks,
    join_words,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.results import MILLI
from spon.report.seeds import PLACE

# Held-out KL at the start of a training, and at its end.
HELD_OUT = ["held_out_kl_start", "held_out_kl"]
# So many trainings are named one by one; more are counted by allocation.
FEW = 6


def describe_trainings(trainings: pd.DataFrame) -> str:
    """Write a table with a row per allocation and sparsity, and say how many are converged."""
    if trainings.empty:
        return ""
    introduction = (
        "*Converged*: ended by the stopping rule, not by the cap on the steps. Held-out KL is of "
        "calibration blocks that are not trained on, in thousandths of a nat per token; *last "
        "tenth* is the share of its fall that the last tenth of the steps still won. Ranges are "
        "over trainings; each stands in `tables/trainings.csv`."
    )
    header = ["allocation", "sparsity", "converged", "steps", "learning rate"]
    header += ["held-out KL, start → end", "last tenth"]
    rows = [describe_place(place, runs) for place, runs in trainings.groupby(PLACE, sort=False)]
    counts = " ".join(filter(None, [count_converged(trainings), count_worse(trainings)]))
    return join_blocks(introduction, write_table(header, rows), counts)


def describe_place(place: tuple, runs: pd.DataFrame) -> list[str]:
    """Return the cells of the trainings of one allocation at one sparsity."""
    rates = dict.fromkeys(f"{rate:g}" for rate in runs["learning_rate"])
    return [
        place[0],
        say_percent(place[2]),
        f"{runs['converged'].sum()}/{len(runs)}" if has_rule(runs) else NOTHING,
        say_range(runs["steps"], 0),
        join_words(rates),
        " → ".join(say_range(MILLI * runs[name], 1) for name in HELD_OUT),
        say_range(runs["last_tenth_percent"], 2, "%"),
    ]


def count_converged(trainings: pd.DataFrame) -> str:
    """Say how many trainings are converged; nothing if there is none."""
    if trainings.empty:
        return ""
    if not has_rule(trainings):
        return "All took a fixed number of steps: no rule says whether they are done."
    done, count = int(trainings["converged"].sum()), len(trainings)
    if done == count > 1:
        return f"All {count} trainings are converged by the rule."
    return f"{done} of {count} trainings {'is' if done == 1 else 'are'} converged by the rule."


def count_worse(trainings: pd.DataFrame) -> str:
    """Say which trainings ended worse than they began; nothing if there is none."""
    worse = trainings[trainings["worse"]]
    if worse.empty:
        return ""
    which = name_trainings(worse)
    return f"Ended with a higher held-out KL than they began with: {which}."


def has_rule(trainings: pd.DataFrame) -> bool:
    """Whether a stopping rule decided when trainings end."""
    return bool(trainings["converged"].notna().all())


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
