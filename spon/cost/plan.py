"""Estimate what a study will cost before it runs: jobs, operations, time, disk and memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from spon import memory
from spon.cost import workload
from spon.cost.benchmarks import count, count_cost, sort_rules, stage_of
from spon.cost.workload import LEARNING, Scale, Work

# What a job imports and loads before it computes, by rule; every other rule starts as a `table`.
STARTS = dict.fromkeys((*workload.WORK, "tokenize_text", "tokenize_prompts"), "model")
FILES = "bfloat16"  # as the weights of nearly all published models are stored
# Bytes on disk, about: a row of likelihoods, a row of quantiles, an entry of a bias or token; and
# what does not depend on the model: the corpus of docstrings; and figures, page, tables and
# records together.
LIKELIHOOD, QUANTILE, NUMBER, CORPUS, REPORT = 32, 22, 4, 4.5e6, 5e6
SHARES = 999  # quantiles of a site
UNITS = ("", "k", "M", "G", "T", "P", "E")


def make_plan(
    scale: Scale,
    jobs: Sequence[Mapping[str, Any]],
    rate: Mapping[str, Any],
    machine: Mapping[str, Any],
    benchmarks: Mapping[str, pd.DataFrame],
    rule_files: Mapping[str, str],
) -> dict[str, Any]:
    """Estimate the cost of every rule and of the study.

    Args:
        scale: Shape and settings.
        jobs: All of the study's, each with its `rule`, and `allocation` and `seed` where it is of
            a run.
        rate: What `rate.measure_rate` returns.
        machine: `gpu`, whether models run on one; `side_by_side`, model jobs at one time; `cores`,
            for the others.
        benchmarks: The tables of the benchmark files of earlier runs, as `count_cost` takes them;
            may be empty.
        rule_files: The stem of the file of rules that each rule stands in.

    Returns:
        `rules` by name, in the order of the stages, each with `stage`, `jobs`, `teraflop`,
        `seconds` summed over jobs, and `measured_jobs` and `measured_seconds`, None without
        benchmarks; `total` with the same; `wall_seconds`; `gpu_hours`, of all GPUs that a
        job holds, None without one; `disk_bytes` and `memory_bytes` by what needs them;
        `memory_gib`; and `layers`, how many each device holds by precision, none where
        `memory_gib` is of one.

    Raises:
        ValueError: A job cannot fit into the memory.
    """
    measured = count_cost(benchmarks, rule_files)["rules"] if benchmarks else {}
    works = workload.count_work(scale, jobs)
    rules = {}
    for name in sort_rules(works, rule_files):
        rule = plan_rule(name, works[name], scale, rate, measured.get(name))
        rules[name] = {"stage": stage_of(name, rule_files), **rule}
    gpus = max(1, memory.count_gpus(scale.settings["memory_gib"]))
    model_seconds = sum(rule["seconds"] for name, rule in rules.items() if name in workload.WORK)
    return {
        "machine": dict(machine),
        "rules": rules,
        "total": add_up(list(rules.values())),
        "wall_seconds": estimate_wall(rules, machine),
        "gpu_hours": gpus * model_seconds / 3600 if machine["gpu"] else None,
        "disk_bytes": estimate_disk(scale, jobs),
        "memory_bytes": estimate_memory(scale, jobs, "cuda" if machine["gpu"] else "cpu"),
        "memory_gib": scale.settings["memory_gib"],
        "layers": count_layers(scale, "cuda" if machine["gpu"] else "cpu"),
    }


def plan_rule(
    name: str,
    works: Sequence[Work],
    scale: Scale,
    rate: Mapping[str, Any],
    measured: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Estimate what the jobs of a rule take together, and add what earlier jobs of it took."""
    work = sum(works, Work())
    return {
        "jobs": len(works),
        "teraflop": workload.count_flop(work, scale.shape, scale.length) / 1e12,
        "seconds": len(works) * estimate_start(name, scale, rate) + estimate_seconds(work, rate),
        "measured_jobs": measured["jobs"] if measured else None,
        "measured_seconds": measured["seconds"] if measured else None,
    }


def estimate_seconds(work: Work, rate: Mapping[str, Any]) -> int | float:
    """Estimate the seconds of an amount of work at this machine's rate."""
    return sum(amount * rate["seconds_per"][name] for name, amount in asdict(work).items())


def estimate_start(rule: str, scale: Scale, rate: Mapping[str, Any]) -> int | float:
    """Estimate a job's seconds before it computes: imports, and reading the model's weights.

    For the corpus of docstrings, all of its seconds: none of them count as work.
    """
    start = rate["start_seconds"][STARTS.get(rule, "table")]
    if rule == "collect_docstrings":
        return start + rate["corpus_seconds"]
    if rule in workload.WORK:
        return start + weight_bytes(scale) * rate["load_seconds_per_byte"]
    return start


def weight_bytes(scale: Scale) -> int:
    """Return the bytes of a model's files."""
    return scale.shape["parameters"] * memory.SIZES[FILES]


def count_copied(scale: Scale) -> int:
    """Return the bytes of weights that are downloaded, or written from a GGUF file, as float32."""
    model = scale.settings["model"]
    if "path" in model:
        return 0
    if "repository" in model:
        return weight_bytes(scale)
    return scale.shape["parameters"] * memory.SIZES["float32"]


def add_up(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up several rules; the measured columns over those rules that have them."""
    measured = [rule for rule in rules if rule["measured_jobs"] is not None]
    total = {key: sum(rule[key] for rule in rules) for key in ("jobs", "teraflop", "seconds")}
    for key in ("measured_jobs", "measured_seconds"):
        total[key] = sum(rule[key] for rule in measured) if measured else None
    return total


def estimate_wall(
    rules: Mapping[str, Mapping[str, Any]], machine: Mapping[str, Any]
) -> int | float:
    """Estimate the seconds by the clock.

    The corpus comes first and takes all cores. Then, on a CPU, all jobs share its cores; on a GPU
    one model runs at a time, while the cores do the rest.
    """
    corpus = rules.get("collect_docstrings", {"seconds": 0.0})["seconds"]
    models = sum(rule["seconds"] for name, rule in rules.items() if name in workload.WORK)
    others = sum(rule["seconds"] for rule in rules.values()) - models - corpus
    if machine["gpu"]:
        return corpus + max(models, others / machine["cores"])
    return corpus + (models + others) / machine["side_by_side"]


def estimate_disk(scale: Scale, jobs: Sequence[Mapping[str, Any]]) -> dict[str, int | float]:
    """Estimate the bytes that a study puts on the disk.

    Returns:
        `weights` that are downloaded, `results` that stay, and the `cache` while the study runs.
    """
    settings, rules = scale.settings, [job["rule"] for job in jobs]
    draws = rules.count("evaluate_draws")
    rows = sum(
        settings["text"][job.get("part", "evaluation")]["blocks"]
        for job in jobs
        if job["rule"].startswith("evaluate_") and job["rule"] != "evaluate_draws"
    )
    rows += draws * settings["controls"]["draws"] * settings["controls"]["draw_blocks"]
    entries, maps = 0, 0
    for job in jobs:
        if job["rule"] in LEARNING.values():
            entries += sum(site["d_out"] for site in scale.sites_of(job["allocation"]))
        elif job["rule"] == "read_quantiles":
            maps += len(settings["scopes"][job["scope"]])
    tokens = sum(text["blocks"] for text in settings["text"].values()) * scale.length
    return {
        "weights": count_copied(scale),
        "results": LIKELIHOOD * rows
        + NUMBER * (entries + tokens)
        + QUANTILE * SHARES * maps * scale.shape["layers"]
        + CORPUS * ("collect_docstrings" in rules)
        + REPORT,
        "cache": count_cached(scale, jobs)
        * scale.shape["width"]
        * memory.SIZES[settings["dtype"]],
    }


def count_cached(scale: Scale, jobs: Sequence[Mapping[str, Any]]) -> int:
    """Count the tokens whose final dense states are cached.

    These are the tokens of all evaluation texts, of the draws, and of each training text: with a
    random order every seed trains on blocks of its own, else all seeds share theirs.
    """
    settings = scale.settings
    seeds = {job["seed"] for job in jobs if job["rule"] == "train_spon"}
    texts = len(seeds) if settings["train"]["order"] == "random" else min(1, len(seeds))
    evaluated = [part for part in settings["text"] if part != "calibration"]
    blocks = sum(settings["text"][part]["blocks"] for part in evaluated)
    blocks += texts * settings["train"]["blocks"]
    if any(job["rule"] == "evaluate_draws" for job in jobs):
        blocks += settings["controls"]["draw_blocks"]
    return blocks * scale.length


def estimate_memory(
    scale: Scale, jobs: Sequence[Mapping[str, Any]], device: str
) -> dict[str, int]:
    """Estimate the bytes of the largest training, Newton step, evaluation and analysis.

    A training's step is split until it fits, as the training itself splits it. Of several
    devices, they are those of the main one.

    Raises:
        ValueError: One of them cannot fit.
    """
    shape, settings = scale.shape, scale.settings
    limit, dtype, recipe = settings["memory_gib"], settings["dtype"], settings["train"]
    evaluate, analyses = settings["evaluate"], settings["analyses"]
    memory.check_weights(shape, dtype, device, limit)
    memory.check_weights(shape, workload.STATES, device, limit)
    elsewhere = {
        kind: memory.count_elsewhere(shape, kind, limit, device)
        for kind in (dtype, workload.STATES)
    }
    sizes = {
        "evaluation": memory.estimate_evaluation(
            shape, dtype, evaluate["batch_tokens"], evaluate["chunk_tokens"], device
        )
        - elsewhere[dtype],
        "analysis": memory.estimate_evaluation(
            shape, workload.STATES, analyses["batch_tokens"], 0, device
        )
        + count_states(scale, jobs, device) * analyses["batch_tokens"]
        - elsewhere[workload.STATES],
    }
    trained = [job["allocation"] for job in jobs if job["rule"] == "train_spon"]
    if trained:
        lowest = min(min(scale.layers_of(allocation)) for allocation in trained)
        step = {"lowest_layer": lowest, "device": device}
        blocks = memory.choose_split(
            shape, dtype, scale.length, train=recipe, memory_gib=limit, **step
        )
        step |= {
            "chunk_tokens": recipe["chunk_tokens"],
            "checkpointing": recipe["checkpointing"],
        }
        training = memory.estimate_training(shape, dtype, scale.length, blocks, **step)
        sizes["training"] = training - elsewhere[dtype]
    stepped = [job["allocation"] for job in jobs if job["rule"] == "take_newton_step"]
    if stepped:
        # As every activation has a tangent there, blocks count as twice as long.
        length = 2 * scale.length
        lowest = min(min(scale.layers_of(allocation)) for allocation in stepped)
        recipe = {
            "batch_blocks": max(1, settings["calibrate"]["batch_tokens"] // scale.length),
            "chunk_tokens": settings["train"]["chunk_tokens"],
            "checkpointing": False,
        }
        blocks = memory.choose_split(shape, dtype, length, lowest, recipe, limit, device)
        newton = memory.estimate_training(
            shape, dtype, length, blocks, recipe["chunk_tokens"], lowest, False, device
        )
        sizes["Newton step"] = newton - elsewhere[dtype]
    return sizes


def count_states(scale: Scale, jobs: Sequence[Mapping[str, Any]], device: str) -> int:
    """Count the bytes per token of the states that an analysis compares at one time.

    They are those of the dense, sparse and biased model behind every layer, and at the inputs and
    outputs of every site of a scope, as far as they lie on the main device.
    """
    shape, limit = scale.shape, scale.settings["memory_gib"]
    scopes = {
        scale.settings["allocations"][job["allocation"]]["scope"]
        for job in jobs
        if job["rule"] == "hidden_state_shift"
    }
    if not scopes:
        return 0
    running = shape["layers"]
    if isinstance(limit, Mapping):
        places = memory.place_layers(shape, workload.STATES, limit, device)
        fetched = memory.find_fetched(shape, workload.STATES, limit, device)
        running = places.count(memory.main_device(limit, device)) + len(fetched)
    sizes = {
        scope: sum(sum(shape["maps"][name].values()) for name in scale.settings["scopes"][scope])
        for scope in scopes
    }
    states = running * (2 * shape["width"] + max(sizes.values()))
    return 3 * memory.SIZES[workload.STATES] * states


def count_layers(scale: Scale, device: str) -> dict[str, dict[str, int]]:
    """Count the layers that each of several devices holds, by the precisions that are loaded."""
    shape, settings = scale.shape, scale.settings
    if not isinstance(settings["memory_gib"], Mapping):
        return {}
    return {
        dtype: dict(Counter(memory.place_layers(shape, dtype, settings["memory_gib"], device)))
        for dtype in (settings["dtype"], workload.STATES)
    }


def describe_plan(plan: Mapping[str, Any], name: str) -> str:
    """Describe a plan as an aligned table of stages, and below it the study as a whole."""
    parts = {}
    for stage in dict.fromkeys(rule["stage"] for rule in plan["rules"].values()):
        parts[stage] = add_up([rule for rule in plan["rules"].values() if rule["stage"] == stage])
    parts["total"] = plan["total"]
    # Two digits or more of the total, so that stages can be told apart.
    power = count_thousands(plan["total"]["teraflop"] * 1e11)
    head = ("", "jobs", f"{UNITS[power]}FLOP", "planned", "measured here")
    rows = [head, *(describe_row(stage, part, power) for stage, part in parts.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"what {name} will take, {describe_machine(plan['machine'])}"]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, *describe_whole(plan)])


def describe_row(stage: str, part: Mapping[str, Any], power: int) -> tuple[str, ...]:
    """Format a row of the table; where not all jobs have run here, with how many did."""
    operations = f"{part['teraflop'] * 1e12 / 1000**power:,.1f}"
    measured = ""
    if part["measured_jobs"] is not None:
        measured = format_time(part["measured_seconds"])
        if part["measured_jobs"] != part["jobs"]:
            measured += f" ({count(part['measured_jobs'], 'job')})"
    return stage, str(part["jobs"]), operations, format_time(part["seconds"]), measured


def describe_machine(machine: Mapping[str, Any]) -> str:
    """Describe where the study will run, and how many models at a time."""
    if machine["teraflops"]:
        return f"on a GPU that sustains {machine['teraflops']:g} TFLOP/s, one model at a time"
    if machine["gpu"]:
        return "on this machine's GPU, one model at a time"
    return f"on this machine, {count(machine['side_by_side'], 'model')} at a time"


def describe_whole(plan: Mapping[str, Any]) -> list[str]:
    """Describe the study as a whole: time, disk, memory and GPU-hours, a line each."""
    disk, sizes = plan["disk_bytes"], plan["memory_bytes"]
    weights, results, cache = (
        format_bytes(disk[name]) for name in ("weights", "results", "cache")
    )
    largest = max(sizes, key=sizes.get)
    lines = [
        f"by the clock  {format_time(plan['wall_seconds'])}",
        f"disk          {weights} of weights to fetch or convert, {results} of results, "
        f"{cache} of cache while it runs",
        f"memory        {sizes[largest] / memory.GIB:.2f} GiB in the largest job, its {largest}, "
        f"of {memory.main_memory(plan['memory_gib']):g} GiB ({name_memory(plan['memory_gib'])})",
    ]
    for dtype, counts in plan["layers"].items():
        spread = ", ".join(f"{number} on {name}" for name, number in counts.items())
        lines.append(f"layers        in {dtype}: {spread}")
    held = {name for counts in plan["layers"].values() for name in counts}
    if "disk" in held or ("cpu" in held and plan["machine"]["gpu"]):
        lines.append("              (fetching layers from main memory or the disk is not timed)")
    if plan["gpu_hours"] is not None:
        lines.append(f"GPU-hours     {plan['gpu_hours']:.2f}")
    return lines


def name_memory(memory_gib: memory.Limit) -> str:
    """Name the key of the config that says the memory of the main device."""
    if not isinstance(memory_gib, Mapping):
        return "memory_gib"
    return f"memory_gib, {memory.main_device(memory_gib, '')}"


def format_time(seconds: int | float) -> str:
    """Format a time in the unit that one would say.

    >>> [format_time(seconds) for seconds in (8, 125, 9000)]
    ['8 s', '2.1 min', '2.5 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def format_bytes(size: int | float) -> str:
    """Format a size in the unit that one would say.

    >>> [format_bytes(size) for size in (0, 1500, 16e9)]
    ['0 B', '1.5 kB', '16.0 GB']
    """
    power = count_thousands(size)
    return f"{size / 1000**power:.{int(power > 0)}f} {UNITS[power]}B"


def count_thousands(number: int | float) -> int:
    """Count how often a number is divided by 1000 until it is below 1000, or units end."""
    assert number >= 0, f"a size or number of operations is zero or more, got {number}"
    power = 0
    while number >= 1000 and power < len(UNITS) - 1:
        number, power = number / 1000, power + 1
    return power
