"""What a study will cost: jobs, operations, time, disk and memory, before any of them runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from spon import memory
from spon.cost import workload
from spon.cost.benchmarks import LAST, STAGES, count, count_cost, stage_of
from spon.cost.workload import Study, Work

# What a job has to import and load before it computes; any other is one that makes tables.
STARTS = dict.fromkeys((*workload.WORK, "tokenize_text", "tokenize_prompts"), "model")
FILES = "bfloat16"  # as the weights of nearly all published models are stored
# Bytes on disk, about: a row of likelihoods, a row of quantiles, an entry of a bias or token; and what does not depend
# on the model: the corpus of docstrings, and figures, page, tables and records.
LIKELIHOOD, QUANTILE, NUMBER, CORPUS, REPORT = 32, 22, 4, 4.5e6, 5e6
SHARES = 999  # quantiles of a site
UNITS = ("", "k", "M", "G", "T", "P", "E")


def make_plan(
    study: Study,
    jobs: Sequence[Mapping[str, Any]],
    rate: Mapping[str, Any],
    machine: Mapping[str, Any],
    benchmarks: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """The cost of every rule and of the study.

    Args:
        study: Shape and settings.
        jobs: All of the study's, each with its `rule`, and `allocation` and `seed` where it is of a run.
        rate: What `rate.measure_rate` returns.
        machine: `gpu`, whether models run on one; `side_by_side`, model jobs at one time; `cores`, for the others.
        benchmarks: What earlier runs left, as `count_cost` takes them; may be empty.

    Returns:
        `rules` by name, in the order of the stages, each with `stage`, `jobs`, `teraflop`, `seconds` summed over jobs,
        and `measured_jobs` and `measured_seconds`, None without benchmarks; `total` with the same; `wall_seconds`;
        `gpu_hours`, None without a GPU; `disk_bytes` and `memory_bytes` by what needs them; and `memory_gib`.

    Raises:
        ValueError: A job cannot fit into the memory.
    """
    measured = count_cost(benchmarks)["rules"] if benchmarks else {}
    found = workload.count_work(study, jobs)
    order = [*STAGES, LAST]
    rules = {
        name: plan_rule(name, found[name], study, rate, measured.get(name))
        for name in sorted(found, key=lambda rule: (order.index(stage_of(rule)), rule))
    }
    on_gpu = sum(rule["seconds"] for name, rule in rules.items() if name in workload.WORK)
    return {
        "machine": dict(machine),
        "rules": rules,
        "total": add_up(list(rules.values())),
        "wall_seconds": estimate_wall(rules, machine),
        "gpu_hours": on_gpu / 3600 if machine["gpu"] else None,
        "disk_bytes": estimate_disk(study, jobs),
        "memory_bytes": estimate_memory(study, jobs, "cuda" if machine["gpu"] else "cpu"),
        "memory_gib": study.settings["memory_gib"],
    }


def plan_rule(
    name: str,
    works: Sequence[Work],
    study: Study,
    rate: Mapping[str, Any],
    measured: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the jobs of a rule ask for together, beside what earlier ones took."""
    work = sum(works, Work())
    return {
        "stage": stage_of(name),
        "jobs": len(works),
        "teraflop": workload.count_flop(work, study.shape, study.length) / 1e12,
        "seconds": len(works) * estimate_start(name, study, rate) + estimate_seconds(work, rate),
        "measured_jobs": measured["jobs"] if measured else None,
        "measured_seconds": measured["seconds"] if measured else None,
    }


def estimate_seconds(work: Work, rate: Mapping[str, Any]) -> int | float:
    """How long this work takes at this rate."""
    return sum(amount * rate["seconds_per"][name] for name, amount in asdict(work).items())


def estimate_start(rule: str, study: Study, rate: Mapping[str, Any]) -> int | float:
    """What a job needs before it computes; for the corpus, all of it."""
    start = rate["start_seconds"][STARTS.get(rule, "table")]
    if rule == "collect_docstrings":
        return start + rate["corpus_seconds"]
    reads_weights = rule in workload.WORK or rule == "fetch_model"
    return start + reads_weights * weight_bytes(study) * rate["load_seconds_per_byte"]


def weight_bytes(study: Study) -> int:
    """The size of a model's files."""
    return study.shape["parameters"] * memory.SIZES[FILES]


def add_up(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several rules together; of what was measured, what there is."""
    measured = [rule for rule in rules if rule["measured_jobs"] is not None]
    return {
        "jobs": sum(rule["jobs"] for rule in rules),
        "teraflop": sum(rule["teraflop"] for rule in rules),
        "seconds": sum(rule["seconds"] for rule in rules),
        "measured_jobs": sum(rule["measured_jobs"] for rule in measured) if measured else None,
        "measured_seconds": sum(rule["measured_seconds"] for rule in measured)
        if measured
        else None,
    }


def estimate_wall(
    rules: Mapping[str, Mapping[str, Any]], machine: Mapping[str, Any]
) -> int | float:
    """Time by the clock: behind the corpus, which takes all cores, models and whatever else runs beside them.

    On a CPU all jobs share its cores; on a GPU one model runs at a time, while the cores do the rest.
    """
    first = rules.get("collect_docstrings", {"seconds": 0.0})["seconds"]
    models = sum(rule["seconds"] for name, rule in rules.items() if name in workload.WORK)
    others = sum(rule["seconds"] for rule in rules.values()) - models - first
    if machine["gpu"]:
        return first + max(models, others / machine["cores"])
    return first + (models + others) / machine["side_by_side"]


def estimate_disk(study: Study, jobs: Sequence[Mapping[str, Any]]) -> dict[str, int | float]:
    """Bytes of `weights` that are downloaded, of `results` that stay, and of the `cache` while the study runs."""
    settings, names = study.settings, [job["rule"] for job in jobs]
    draws = names.count("evaluate_draws")
    evaluated = sum(name.startswith("evaluate_") for name in names) - draws
    rows = evaluated * settings["text"]["evaluation"]["blocks"]
    rows += draws * settings["controls"]["draws"] * settings["controls"]["draw_blocks"]
    found = [
        job["allocation"] for job in jobs if job["rule"] in ("train_spon", "average_residual")
    ]
    entries = sum(site["d_out"] for allocation in found for site in study.sites_of(allocation))
    maps = [
        name
        for job in jobs
        if job["rule"] == "read_quantiles"
        for name in settings["scopes"][job["scope"]]
    ]
    tokens = sum(text["blocks"] for text in settings["text"].values()) * study.length
    return {
        "weights": weight_bytes(study) if "repository" in settings["model"] else 0,
        "results": LIKELIHOOD * rows
        + NUMBER * (entries + tokens)
        + QUANTILE * SHARES * len(maps) * study.shape["layers"]
        + CORPUS * ("collect_docstrings" in names)
        + REPORT,
        "cache": count_cached(study, jobs)
        * study.shape["width"]
        * memory.SIZES[settings["dtype"]],
    }


def count_cached(study: Study, jobs: Sequence[Mapping[str, Any]]) -> int:
    """Tokens whose final dense states are kept: of held-out blocks, those of the draws, and each seed's blocks."""
    settings = study.settings
    seeds = {job["seed"] for job in jobs if job["rule"] == "train_spon"}
    texts = len(seeds) if settings["train"]["order"] == "random" else min(1, len(seeds))
    drawn = any(job["rule"] == "evaluate_draws" for job in jobs)
    blocks = settings["text"]["evaluation"]["blocks"] + texts * settings["train"]["blocks"]
    return (blocks + drawn * settings["controls"]["draw_blocks"]) * study.length


def estimate_memory(
    study: Study, jobs: Sequence[Mapping[str, Any]], device: str
) -> dict[str, int]:
    """Bytes of the largest training, evaluation and analysis, a training's step split so that it fits.

    Raises:
        ValueError: One cannot fit.
    """
    shape, settings = study.shape, study.settings
    limit, dtype, recipe = settings["memory_gib"], settings["dtype"], settings["train"]
    memory.check_weights(shape, dtype, device, limit)
    memory.check_weights(shape, workload.STATES, device, limit)
    sizes = {
        "evaluation": memory.estimate_evaluation(
            shape,
            dtype,
            settings["evaluate"]["batch_tokens"],
            settings["evaluate"]["chunk_tokens"],
            device,
        ),
        "analysis": memory.estimate_evaluation(
            shape, workload.STATES, settings["analyses"]["batch_tokens"], 0, device
        ),
    }
    lowest = [
        min(study.layers_of(job["allocation"])) for job in jobs if job["rule"] == "train_spon"
    ]
    if lowest:
        step = {"lowest_layer": min(lowest), "device": device}
        blocks = memory.choose_split(
            shape, dtype, study.length, train=recipe, memory_gib=limit, **step
        )
        step |= {"chunk_tokens": recipe["chunk_tokens"], "checkpointing": recipe["checkpointing"]}
        sizes["training"] = memory.estimate_training(shape, dtype, study.length, blocks, **step)
    return sizes


def describe_plan(plan: Mapping[str, Any], name: str) -> str:
    """The plan as an aligned table of stages, and what the study takes as a whole below it."""
    stages = dict.fromkeys(rule["stage"] for rule in plan["rules"].values())
    parts = {
        stage: add_up([rule for rule in plan["rules"].values() if rule["stage"] == stage])
        for stage in stages
    }
    parts["total"] = plan["total"]
    power = count_thousands(
        plan["total"]["teraflop"] * 1e11
    )  # two digits or more, so that stages can be told apart
    head = ("", "jobs", f"{UNITS[power]}FLOP", "planned", "measured here")
    rows = [head, *(describe_row(stage, part, power) for stage, part in parts.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            f"what {name} will take, {describe_machine(plan['machine'])}",
            *lines,
            *describe_whole(plan),
        ]
    )


def describe_row(stage: str, part: Mapping[str, Any], power: int) -> tuple[str, ...]:
    """A line of the table; where not all jobs have run here, how many did."""
    operations = f"{part['teraflop'] * 1e12 / 1000**power:,.1f}"
    measured = "" if part["measured_jobs"] is None else tell_time(part["measured_seconds"])
    if measured and part["measured_jobs"] != part["jobs"]:
        measured += f" ({count(part['measured_jobs'], 'job')})"
    return stage, str(part["jobs"]), operations, tell_time(part["seconds"]), measured


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Where it will run."""
    if machine["teraflops"]:
        return f"on a GPU that sustains {machine['teraflops']:g} TFLOP/s, one model at a time"
    if machine["gpu"]:
        return "on this machine's GPU, one model at a time"
    return f"on this machine, {count(machine['side_by_side'], 'model')} at a time"


def describe_whole(plan: Mapping[str, Any]) -> list[str]:
    """Lines on the study as a whole."""
    disk, largest = plan["disk_bytes"], max(plan["memory_bytes"], key=plan["memory_bytes"].get)
    weights, results, cache = (tell_bytes(disk[name]) for name in ("weights", "results", "cache"))
    needed = plan["memory_bytes"][largest] / memory.GIB
    lines = [
        f"by the clock  {tell_time(plan['wall_seconds'])}",
        f"disk          {weights} of weights to download, {results} of results, {cache} of cache while it runs",
        f"memory        {needed:.2f} GiB in the largest job, its {largest}, of {plan['memory_gib']:g} GiB (memory_gib)",
    ]
    return lines + (
        [] if plan["gpu_hours"] is None else [f"GPU-hours     {plan['gpu_hours']:.2f}"]
    )


def tell_time(seconds: int | float) -> str:
    """A time in the unit that one would say.

    >>> [tell_time(seconds) for seconds in (8, 125, 9000)]
    ['8 s', '2.1 min', '2.5 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def tell_bytes(size: int | float) -> str:
    """A size in the unit that one would say.

    >>> [tell_bytes(size) for size in (0, 1500, 16e9)]
    ['0 B', '1.5 kB', '16.0 GB']
    """
    power = count_thousands(size)
    return f"{size / 1000**power:.{int(power > 0)}f} {UNITS[power]}B"


def count_thousands(number: int | float) -> int:
    """How often a number is to be divided by a thousand until it has three digits before the point, or fewer."""
    power = 0
    while number >= 1000 and power < len(UNITS) - 1:
        number, power = number / 1000, power + 1
    return power
