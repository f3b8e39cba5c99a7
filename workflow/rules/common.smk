"""What all rules share: the checked config's studies, the spec of a job, and its resources."""

import json
import os
import re
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(ROOT))
# Scripts import spon from here, wherever Snakemake was called.
os.environ.update(
    PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])])
)

from spon import failures, memory, settings, signals, texts
from spon.analyses.checkpoints import find_checkpoints
from spon.cost import batch
from spon.lineage import digest, publish
from spon.names import find_inside
from spon.study import Study

# Jobs end when this process does.
os.environ[signals.SNAKEMAKE] = str(os.getpid())
signals.listen_before_jobs()


def require_writable(paths):
    """End with a sentence if a file could not be written."""
    try:
        failures.check_writable(paths)
    except ValueError as mistake:
        raise WorkflowError(f"folder: {mistake}") from mistake


require_writable([".snakemake/locks"])


def hint_at_published(studies):
    """Say that what was published of studies can be fetched, if there are any."""
    if studies:
        there = "" if Path.cwd() == ROOT else f"-C {os.path.relpath(ROOT)} "
        sys.stderr.write(
            f"What is published of {', '.join(studies)} is not here: `make {there}pull` "
            "fetches it, in place of making it.\n"
        )


@cache
def read_study(name):
    """A study of the config; `--config checkpoints=DIR` replaces the folder of one without a model."""
    folder = config["studies"][name].get("checkpoints")
    if not folder:
        return Study(name, config)
    try:
        runs = find_checkpoints(config.get("checkpoints", folder))
    except ValueError as mistake:
        raise settings.SettingsError(f"config: {mistake}") from mistake
    return Study(name, config, runs)


def study(wildcards):
    """The study of a job."""
    return read_study(wildcards.study)


def names_of_run(wildcards):
    """What a file of a run calls itself."""
    return study(wildcards).name_evaluation(
        wildcards.allocation, float(wildcards.sparsity), int(wildcards.seed)
    )


def of_study(name):
    """A setting of a rule: what the study of its job says under this name."""
    return lambda wildcards: getattr(study(wildcards), name)


def sparsified(name="sparsification"):
    """A setting of a rule: how the study of its job sparsifies.

    The code of a sparsifier of `spon/methods` is part of it, since no other digest holds it.
    """

    def describe_sparsifier(wildcards):
        values = getattr(study(wildcards), name)
        code = f"methods.{values['method']}"
        if code not in digest.APART:
            return values
        return values | {"code": digest.digest_code(digest.module_path(code))}

    return describe_sparsifier


try:
    settings.check(config, ROOT / "workflow/schemas/config.schema.yaml", ROOT)
    SWEPT = [read_study(name) for name in config["sweep"]["studies"]]
except settings.SettingsError as mistake:
    read = f" (read was {OF_FOLDER} too)" if HAS_FOLDER_A_CONFIG else ""
    raise WorkflowError(f"{mistake}{read}")

WITH_MODEL = [one.name for one in SWEPT if one.has_model]
WITH_TEXTS = [one.name for one in SWEPT if one.further_texts]
BIASES_ALONE = [one.name for one in SWEPT if not one.has_model]

LIMITS = workflow.global_resources
# `--resources gpu=0` runs on the CPU, whatever the machine has.
GPU = int(
    settings.wants_gpu(config["device"])
    and not ("gpu" in LIMITS and LIMITS["gpu"].value == 0)
)
if (
    not GPU
    and isinstance(config["memory_gib"], dict)
    and memory.count_gpus(config["memory_gib"])
):
    raise WorkflowError(
        f"config: memory_gib is {memory.name_limit(config['memory_gib'])}, and --resources says gpu=0: "
        "allowed with it is a memory_gib of cpu and disk, with device: cpu"
    )
CPUS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
)
# On a GPU its token decides how many models run at once, and each may use all cores. Without one,
# a model job claims its share of --cores, which may be more than the machine has, so that its
# threads never outnumber the real cores.
TORCH_THREADS = CPUS if GPU else min(config["threads"], CPUS)
MODEL_CORES = 1 if GPU else max(1, -(-workflow.cores * TORCH_THREADS // CPUS))


def read_part(path, part):
    """A part of a JSON file that a job may ask by; None if it is not there, damaged or of another version."""
    try:
        return json.loads(Path(path).read_text())[part]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ask_memory(wildcards, attempt):
    """The memory of a node that a model job asks a cluster for, in MiB; on a GPU, the host's."""
    pinned = rules.fetch_model.output.model.format(study=wildcards.study)
    shape, device = read_part(pinned, "shape"), "cuda" if GPU else "cpu"
    host = batch.count_host(shape, config["memory_gib"], device)
    return batch.ask_memory(host, attempt, device)


def ask_minutes(otherwise):
    """The time that jobs ask a cluster for, in minutes: by their study's plan, if it has one."""

    def ask(wildcards, attempt, rulename):
        plan = rules.write_plan.output.plan.format(study=wildcards.study)
        planned = read_part(plan, "rules") or {}
        own_name = name_of(workflow.get_rule(rulename))
        return batch.ask_minutes(planned.get(own_name), attempt, otherwise)

    return ask


# What a job that runs a model asks for. Scripts read the first two, clusters the others and `gpu`:
# there, CPUs are not those of the machine that submits, and a rule without `cpus_per_task` is not
# submitted.
MODEL = {
    "gpu": GPU * memory.count_gpus(config["memory_gib"]),
    "torch_threads": TORCH_THREADS,
    "mem_mb": ask_memory,
    "runtime": ask_minutes(batch.MINUTES),
    "cpus_per_task": config["threads"],
}
# Of a job that runs none, and yet is too long for a login node, or says what a node is.
SMALL = {
    "mem_mb": lambda wildcards, attempt: batch.ask_memory(batch.SMALL_GIB, attempt),
    "runtime": ask_minutes(batch.SMALL_MINUTES),
    "cpus_per_task": 1,
}


def fill(pattern, **names):
    """A path with some of its wildcards filled in.

    `str.format` would forget that the path has a module's prefix, and it would get another one.
    """
    return expand(pattern, allow_missing=True, **names)[0]


def name_of(rule):
    """A rule's own name, whatever a module calls it: that of its log."""
    return Path(rule.log[0]).stem


def any_of(names):
    """Pattern of these names; nothing matches that of none."""
    return "|".join(map(re.escape, dict.fromkeys(names))) or "(?!)"


# Every text of any study by its part, and those on which runs are evaluated beside the first.
TEXTS = [
    part
    for one in config["studies"].values()
    if "text" in one
    for part in texts.name_texts(one["text"])
]
FURTHER = any_of(part for part in TEXTS if part not in texts.PARTS)
IMPORTED = [run["allocation"] for one in SWEPT for run in one.checkpoints]


wildcard_constraints:
    study=any_of(config["studies"]),
    part=any_of(TEXTS),
    scope=any_of(config["scopes"]),
    allocation=any_of([*config["allocations"], *IMPORTED]),
    # As the config's schema has them, each written in one way, so that no run has two folders.
    sparsity=r"0\.(?!000|999\d)\d*[1-9]",
    seed=r"0|[1-9]\d{0,8}",


def spec(script, *keys, **others):
    """A rule's one param: the settings that it depends on, by name, and the digest of its code.

    Keys are of the config, such as `train.blocks`, which is then called `blocks`; any other setting
    is plain data, or a function of the wildcards that gives it.
    """
    code = digest.digest_code(ROOT / "workflow/scripts" / script)
    of_config = {key.split(".")[-1]: look_in_config(key) for key in keys}
    settings = of_config | others
    assert len(settings) == len(keys) + len(others), (keys, others)

    def describe_settings(wildcards):
        values = {
            name: value(wildcards) if callable(value) else value
            for name, value in sorted(settings.items())
        }
        return values | {"code": code}

    return describe_settings


def look_in_config(key):
    """The value of a dotted key of the config."""
    value = config
    for name in key.split("."):
        value = value[name]
    return value


def describe(**sentences):
    """Give rules that were made from another one a sentence of their own (`snakemake --list`)."""
    for name, sentence in sentences.items():
        getattr(rules, name).rule.docstring = sentence
