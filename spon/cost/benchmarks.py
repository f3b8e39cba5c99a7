"""Add up what a study cost: the time and memory of its jobs, from Snakemake's benchmark files."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spon.figures.style import DOUBLE, MUTED, dress_rows, printed

# The stage of a study that a file of rules is: workflow/rules/{name}.smk.
STAGES = {
    "inputs": "text",
    "calibrate": "calibration",
    "train": "training",
    "checkpoints": "training",
    "evaluate": "evaluation",
    "tasks": "evaluation",
    "analyses": "analyses",
}
LAST_STAGE = "tables and figures"  # every other rule: it works on tables and takes seconds
COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "largest_memory_mb"}
GREYS = ("#6b6b6b", "#b4b4b4")  # neighbours in a bar differ
NAMED_RULES = 4  # rules of a stage that are named under its bar


def count_cost(
    benchmarks: Mapping[str, pd.DataFrame], rule_files: Mapping[str, str]
) -> dict[str, Any]:
    """Count the jobs, time and memory of every rule, and of the study.

    Seconds are summed over jobs, so a study whose jobs ran side by side took less by the clock.
    Snakemake looks at a job every few seconds, so the CPU time and memory of a short job may be
    missing, though its seconds by the clock are known.

    Args:
        benchmarks: The tables of the benchmark files, by a path whose stem is the rule; a row per
            time that a job ran.
        rule_files: The stem of the file of rules that each rule stands in.

    Returns:
        `rules` by name, in the order of the stages, and `total`. Each has `jobs`, `seconds`,
        `cpu_seconds` of the jobs where they were measured and `largest_memory_mb` of any one job;
        the last two are None where no job has them.
    """
    if not benchmarks:
        raise ValueError("there are no benchmarks to count: run the study first")
    jobs = pd.concat(
        [read_jobs(path, table) for path, table in benchmarks.items()], ignore_index=True
    )
    rules = {}
    for name in sort_rules(jobs["rule"].unique(), rule_files):
        stage = stage_of(name, rule_files)
        rules[name] = {"stage": stage, **add_up(jobs[jobs["rule"] == name])}
    return {"rules": rules, "total": add_up(jobs)}


def read_jobs(path: str, table: pd.DataFrame) -> pd.DataFrame:
    """Select a benchmark's counted columns, as numbers, and add its rule.

    What Snakemake could not measure (`-`) is missing.

    Raises:
        ValueError: A column is not there.
    """
    if missing := sorted(set(COLUMNS) - set(table)):
        raise ValueError(f"the benchmark {path} has no column {', '.join(missing)}")
    jobs = pd.DataFrame(
        {name: pd.to_numeric(table[column], errors="coerce") for column, name in COLUMNS.items()}
    )
    return jobs.assign(rule=PurePosixPath(path).stem)


def stage_of(rule: str, rule_files: Mapping[str, str]) -> str:
    """Return the stage of the study that a rule belongs to, by the file that it stands in."""
    return STAGES.get(rule_files.get(rule, ""), LAST_STAGE)


def sort_rules(rules: Iterable[str], rule_files: Mapping[str, str]) -> list[str]:
    """Sort rules by their stage, in it by name."""
    order = [*dict.fromkeys(STAGES.values()), LAST_STAGE]
    return sorted(rules, key=lambda rule: (order.index(stage_of(rule, rule_files)), rule))


def add_up(jobs: pd.DataFrame) -> dict[str, int | float | None]:
    """Add up the time of these jobs, and take the memory of the largest."""
    cpu_seconds, memory = jobs["cpu_seconds"].sum(min_count=1), jobs["largest_memory_mb"].max()
    return {
        "jobs": len(jobs),
        "seconds": round(float(jobs["seconds"].sum()), 1),
        "cpu_seconds": None if pd.isna(cpu_seconds) else round(float(cpu_seconds), 1),
        "largest_memory_mb": None if pd.isna(memory) else round(float(memory)),
    }


@printed()
def plot_cost(cost: Mapping[str, Any]) -> Figure:
    """Plot the seconds of every stage as a bar, divided by rule.

    Under a bar stand the names of its longest rules, in the bar's order.

    Args:
        cost: What `count_cost` returns.
    """
    stages = {}
    for stage in dict.fromkeys([*STAGES.values(), LAST_STAGE]):
        if seconds := seconds_by_rule(cost, stage):
            stages[stage] = seconds
    figure = Figure(figsize=(DOUBLE, 0.5 + 0.34 * len(stages)), layout="constrained")
    ax = figure.add_subplot()
    longest = max(sum(seconds.values()) for seconds in stages.values())
    for row, (stage, seconds) in enumerate(stages.items()):
        plot_stage(ax, row, seconds)
        jobs = sum(rule["jobs"] for rule in cost["rules"].values() if rule["stage"] == stage)
        ax.annotate(
            f"{sum(seconds.values()):,.0f} s, {count(jobs, 'job')}",
            (sum(seconds.values()), row),
            (3, 0),
            textcoords="offset points",
            va="center_baseline",
        )
    dress_rows(ax, list(stages))
    label = f"seconds, summed over jobs ({cost['total']['seconds']:,.0f} in all)"
    ax.set(xlim=(0, 1.2 * longest or 1), xlabel=label)
    ax.grid(visible=False)  # its lines would run through the names
    return figure


def seconds_by_rule(cost: Mapping[str, Any], stage: str) -> dict[str, float]:
    """Select the seconds of a stage's rules, longest first."""
    seconds = {}
    for name, rule in cost["rules"].items():
        if rule["stage"] == stage:
            seconds[name] = rule["seconds"]
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def plot_stage(ax: Axes, row: int, seconds: dict[str, float]) -> None:
    """Plot one stage: a bar with a part per rule, and under it the names of its longest rules."""
    left, total = 0.0, sum(seconds.values())
    for number, (name, width) in enumerate(seconds.items()):
        ax.barh(row, width, 0.36, left, color=GREYS[number % 2], ec="white", lw=0.4, gid=name)
        left += width
    labels = []
    for name, width in list(seconds.items())[:NAMED_RULES]:
        labels.append(f"{name} {100 * width / (total or 1):.0f} %")
    if len(seconds) > NAMED_RULES:
        labels.append(f"{len(seconds) - NAMED_RULES} more")
    text = ax.text(0, row + 0.22, " · ".join(labels), va="top", color=MUTED, size=5.5)
    text.set_in_layout(False)  # it may be longer than its bar, and there is room for it


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}{'s' * (number != 1)}"
