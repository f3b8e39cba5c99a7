"""Describe what sparsity costs in tasks, and what biases win back there."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import (
    NOTHING,
    embed_figure,
    join_blocks,
    join_words,
    say_fixed,
    say_percent,
    write_table,
)
from spon.report.sections.results import say_scope
from spon.sites import DENSE, TEAL

# Standard errors beyond which a difference is called one: 5 % of a normal number.
BEYOND = 1.96
MEASURE = ["task", "metric"]
HEADER = ["task", "metric", "model", "sparsified", "value"]
HEADER += ["less dense", "less TEAL", "less TEAL tempered"]
REFERENCES = ("dense", "teal", "tempered")


def describe_tasks(tasks: pd.DataFrame, figures: Mapping[str, str] | None = None) -> str:
    """Describe what every model scores in every task, and the paired differences."""
    introduction = (
        f"Measured by {tasks['harness'].iloc[0].replace('_', '-')} on the sparse model itself. "
        f"{count_documents(tasks)} Behind ± stand standard errors over documents; that of a "
        "difference is of the differences document by document. *Tempered*: logits divided by the "
        "temperature that suits TEAL best on calibration text. Of metrics in nats, lower is "
        "better. Intervals are of these trainings, and not adjusted for their number."
    )
    return join_blocks(
        introduction,
        tabulate_models(tasks),
        *(conclude_metric(rows) for _, rows in tasks.groupby(MEASURE, sort=False)),
        embed_figure(
            figures or {},
            "fig10_tasks",
            "Differences from the dense model in tasks",
            "Differences from the dense model in tasks, with 95 % intervals over documents.",
        ),
    )


def count_documents(tasks: pd.DataFrame) -> str:
    """Say how many documents each task has, and what guessing gives."""
    phrases = []
    for task, rows in tasks.groupby("task", sort=False):
        chance = rows["chance"].dropna()
        guessing = "" if chance.empty else f", of which guessing gets {100 * chance.iloc[0]:.3g} %"
        phrases.append(f"`{task}` has {rows['documents'].iloc[0]:,} documents{guessing}")
    return f"{join_words(phrases)}."


def tabulate_models(tasks: pd.DataFrame) -> str:
    """Write a table with a row per task, metric and model."""
    rows = []
    for model in tasks.itertuples():
        place = "" if model.allocation == DENSE else say_place(model)
        value = say_error(model.value, model.standard_error)
        differences = [
            say_error(getattr(model, f"difference_{name}"), getattr(model, f"error_{name}"))
            for name in REFERENCES
        ]
        rows.append([model.task, model.metric, name_model(model), place, value, *differences])
    return write_table(HEADER, rows, words=4)


def say_place(model: tuple) -> str:
    """Say what is sparsified, and how much: `down_proj 50 %`."""
    return f"{say_scope(model.scope)} {say_percent(model.sparsity)}"


def name_model(model: tuple) -> str:
    """Return what the report calls a row of the table."""
    if model.allocation == TEAL:
        return "TEAL" if model.temperature == 1 else "TEAL tempered"
    if model.allocation == DENSE:
        return "dense"
    return f"{model.allocation}, seed {model.seed:g}"


def say_error(value: float, error: float) -> str:
    """Write a number with its standard error, with as many decimals as the error needs."""
    if pd.isna(value):
        return ""
    if pd.isna(error):
        return say_fixed(value, 4)
    return f"{say_fixed(value, 4)} ± {say_fixed(error, 4)}"


def conclude_metric(rows: pd.DataFrame) -> str:
    """Say where TEAL differs from the dense model in a metric, and biases from TEAL."""
    teal = rows[(rows["allocation"] == TEAL) & (rows["temperature"] == 1)]
    runs = rows[~rows["allocation"].isin([DENSE, TEAL])]
    task, metric = rows[MEASURE].iloc[0]
    return (
        f"**{task}, {metric}.** TEAL {say_changes(teal, 'dense', 'the dense model')}. "
        f"Biases {say_changes(runs, 'teal', 'TEAL', plural=True)}."
    )


def say_changes(rows: pd.DataFrame, reference: str, other: str, plural: bool = False) -> str:
    """Say where models are better and worse than a reference, by more than chance in documents."""
    shifts = rows[f"difference_{reference}"].where(
        rows["higher_is_better"], -rows[f"difference_{reference}"]
    )
    beyond = shifts.abs() > BEYOND * rows[f"error_{reference}"]
    verb = "are" if plural else "is"
    phrases = [
        f"{verb} {word} than {other} at {join_words(map(name_row, rows[chosen].itertuples()))}"
        for word, chosen in (("better", beyond & (shifts > 0)), ("worse", beyond & (shifts < 0)))
        if chosen.any()
    ]
    if phrases:
        return join_words(phrases)
    return f"{verb} nowhere shown to differ from {other}" if len(rows) else NOTHING


def name_row(model: tuple) -> str:
    """Name a row in a sentence: a run by its allocation too."""
    if model.allocation == TEAL:
        return say_place(model)
    return f"{say_place(model)} ({name_model(model)})"
