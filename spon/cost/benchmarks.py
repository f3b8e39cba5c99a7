"""What a study cost: the time and memory of its jobs, from the benchmarks that Snakemake writes."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spon.figures.style import DOUBLE, MUTED, dress_rows, printed

STAGES = {
    "text": ("fetch_model", "collect_docstrings", "tokenize_text", "tokenize_prompts"),
    "calibration": ("read_quantiles", "choose_thresholds"),
    "training": (
        "allocate_biases",
        "train_spon",
        "average_residual",
        "import_checkpoint",
        "list_checkpoints",
    ),
    "evaluation": (
        "evaluate_dense",
        "evaluate_teal",
        "evaluate_spon",
        "evaluate_on_dense",
        "evaluate_draws",
    ),
    "analyses": (
        "align_with_components",
        "compare_categories",
        "measure_shifts",
        "describe_bias_statistics",
        "rank_norms",
        "compare_configurations",
    ),
}
LAST = "tables and figures"  # whatever comes after: it is made from tables, in seconds
MEASURED = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "largest_memory_mb"}
GREYS = ("#6b6b6b", "#b4b4b4")  # neighbours in a bar differ
NAMED = 4  # rules of a stage that are named under its bar


def count_cost(benchmarks: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Jobs, time and memory of every rule, and of the study.

    Seconds are summed over jobs, so a study whose jobs ran side by side took less by the clock. Snakemake looks at a
    job every few seconds: of a short one it knows the time by the clock, but maybe neither CPU time nor memory.

    Args:
        benchmarks: The tables of the benchmark files, by a path whose stem is the rule; a row per time that a job ran.

    Returns:
        `rules` by name, in the order of the stages, and `total`. Each has `jobs`, `seconds`, `cpu_seconds` of the jobs
        where they were measured and `largest_memory_mb` of any one job; the last two are None where no job has them.
    """
    if not benchmarks:
        raise ValueError("there are no benchmarks to count: run the study first")
    jobs = pd.concat(
        [read_jobs(path, table) for path, table in benchmarks.items()], ignore_index=True
    )
    order = [*STAGES, LAST]
    names = sorted(jobs["rule"].unique(), key=lambda rule: (order.index(stage_of(rule)), rule))
    rules = {
        name: {"stage": stage_of(name), **add_up(jobs[jobs["rule"] == name])} for name in names
    }
    return {"rules": rules, "total": add_up(jobs)}


def read_jobs(path: str, table: pd.DataFrame) -> pd.DataFrame:
    """A benchmark's rows with the rule and what is counted; what Snakemake could not measure is missing."""
    if missing := sorted(set(MEASURED) - set(table)):
        raise ValueError(f"the benchmark {path} has no column {', '.join(missing)}")
    columns = {
        name: pd.to_numeric(table[column], errors="coerce") for column, name in MEASURED.items()
    }
    return pd.DataFrame(columns).assign(rule=PurePosixPath(path).stem)


def stage_of(rule: str) -> str:
    """The part of the study that a rule belongs to."""
    return next((stage for stage, rules in STAGES.items() if rule in rules), LAST)


def add_up(jobs: pd.DataFrame) -> dict[str, int | float | None]:
    """What these jobs took together."""
    cpu_seconds, memory = jobs["cpu_seconds"].sum(min_count=1), jobs["largest_memory_mb"].max()
    return {
        "jobs": len(jobs),
        "seconds": round(float(jobs["seconds"].sum()), 1),
        "cpu_seconds": None if pd.isna(cpu_seconds) else round(float(cpu_seconds), 1),
        "largest_memory_mb": None if pd.isna(memory) else round(float(memory)),
    }


@printed()
def plot_cost(cost: Mapping[str, Any]) -> Figure:
    """The seconds of every stage as a bar, parted by rule; under a bar its longest rules, in the bar's order.

    Args:
        cost: What `count_cost` returns.
    """
    stages = {stage: rules_of(cost, stage) for stage in (*STAGES, LAST) if rules_of(cost, stage)}
    figure = Figure(figsize=(DOUBLE, 0.5 + 0.34 * len(stages)), layout="constrained")
    ax = figure.add_subplot()
    widest = max(sum(rules.values()) for rules in stages.values())
    for row, (stage, rules) in enumerate(stages.items()):
        plot_stage(ax, row, rules)
        jobs = sum(rule["jobs"] for rule in cost["rules"].values() if rule["stage"] == stage)
        beside = f"{sum(rules.values()):,.0f} s, {count(jobs, 'job')}"
        ax.annotate(
            beside,
            (sum(rules.values()), row),
            (3, 0),
            textcoords="offset points",
            va="center_baseline",
        )
    dress_rows(ax, list(stages))
    total = cost["total"]
    ax.set(
        xlim=(0, 1.2 * widest or 1),
        xlabel=f"seconds, summed over jobs ({total['seconds']:,.0f} in all)",
    )
    ax.grid(visible=False)  # its lines would run through the names
    return figure


def rules_of(cost: Mapping[str, Any], stage: str) -> dict[str, float]:
    """The seconds of a stage's rules, longest first."""
    rules = {
        name: rule["seconds"] for name, rule in cost["rules"].items() if rule["stage"] == stage
    }
    return dict(sorted(rules.items(), key=lambda item: -item[1]))


def plot_stage(ax: Axes, row: int, rules: dict[str, float]) -> None:
    """One bar, a part per rule, and under it the names of the rules that it can be seen to consist of."""
    left, whole = 0.0, sum(rules.values())
    for number, (name, seconds) in enumerate(rules.items()):
        ax.barh(row, seconds, 0.36, left, color=GREYS[number % 2], ec="white", lw=0.4, gid=name)
        left += seconds
    named = [
        f"{name} {100 * seconds / (whole or 1):.0f} %"
        for name, seconds in list(rules.items())[:NAMED]
    ]
    named += [f"{len(rules) - NAMED} more"] * (len(rules) > NAMED)
    under = ax.text(0, row + 0.22, " · ".join(named), va="top", color=MUTED, size=5.5)
    under.set_in_layout(False)  # it may be longer than its bar, and there is room for it


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'s' * (number != 1)}"
