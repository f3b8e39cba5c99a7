"""What all rules share: the checked config, the spec of a job, and how many jobs a machine takes."""

import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))
# Scripts import spon from here, wherever Snakemake was called.
os.environ.update(
    PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])])
)

from spon import checkpoints, lineage, settings
from spon.corpus import read_versions as corpus_versions

try:
    settings.check(config, ROOT / "workflow/schemas/config.schema.yaml", ROOT)
except settings.SettingsError as mistake:
    raise WorkflowError(str(mistake))

SWEEP = config["sweep"]
STUDIES = [
    name
    for name in SWEEP["studies"]
    if not settings.is_checkpoints(config["studies"][name])
]
CHECKPOINTS = [name for name in SWEEP["studies"] if name not in STUDIES]


def find_checkpoints(study):
    """The bias checkpoints of a study without a model: the folder of `--config checkpoints=DIR`, or its own."""
    folder = config.get("checkpoints", config["studies"][study]["checkpoints"])
    return checkpoints.find_checkpoints(folder)


ALLOCATIONS = {*config["allocations"]} | {
    run["allocation"] for name in CHECKPOINTS for run in find_checkpoints(name)
}
LIMITS = workflow.global_resources
# `--resources gpu=0` runs on the CPU, whatever the machine has.
GPU = int(
    settings.wants_gpu(config["device"])
    and not ("gpu" in LIMITS and LIMITS["gpu"].value == 0)
)
CPUS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
)
# In whole MiB, since Snakemake rounds resources.
MEMORY_MIB = int(1024 * config["memory_gib"])
# On a GPU its token decides how many models run at once, and each may use all cores. Without one, a model job claims
# its share of --cores, which may be more than the machine has, so that its threads never outnumber the real cores.
TORCH_THREADS = CPUS if GPU else min(config["threads"], CPUS)
MODEL_CORES = 1 if GPU else max(1, -(-workflow.cores * TORCH_THREADS // CPUS))


wildcard_constraints:
    study=r"[^/]+",
    part="calibration|evaluation",
    scope="|".join(map(re.escape, config["scopes"])),
    allocation="|".join(map(re.escape, ALLOCATIONS)),
    sparsity=r"0\.\d+",
    seed=r"\d+",


def study(wildcards):
    """The settings of a job's study."""
    return config["studies"][wildcards.study]


def spec(script, **settings):
    """A rule's one param: the settings that it depends on, by name, and the digest of its code.

    A setting is a key of the config (`blocks="train.blocks"`) or a function of the wildcards.
    """
    code = lineage.digest_code(ROOT / "workflow/scripts" / script)

    def look_up(wildcards):
        values = {
            name: value(wildcards) if callable(value) else look_in_config(value)
            for name, value in sorted(settings.items())
        }
        return values | {"code": code}

    return look_up


def look_in_config(key):
    """The value of a dotted key of the config."""
    value = config
    for name in key.split("."):
        value = value[name]
    return value


def measure(wildcards):
    """How a study's model is loaded and sparsified."""
    chosen = study(wildcards)
    return {
        "dtype": chosen["dtype"],
        "method": chosen["method"],
        "dense_share": chosen["protocol"]["dense_share"],
    }


def measure_dense(wildcards):
    """How a study's model is loaded where nothing is sparsified."""
    return measure(wildcards) | {"method": "threshold", "dense_share": 0.0}


def measure_states(wildcards):
    """How a study's model is sparsified where its states are read, in float32."""
    return {key: measure(wildcards)[key] for key in ("method", "dense_share")}


def maps(wildcards):
    """The linear maps of a scope."""
    return config["scopes"][wildcards.scope]


def learned_by(*ways):
    """Pattern of the allocations whose biases are learned in one of these ways."""
    names = [
        name
        for name, chosen in config["allocations"].items()
        if chosen.get("learn", "kl") in ways
    ]
    return "|".join(map(re.escape, names)) or "(?!)"


def describe(name, sentence):
    """Give a rule that was made from another one a sentence of its own, for `snakemake --list`."""
    workflow.get_rule(name).docstring = sentence


def table(name):
    """A table's files: as CSV, which goes into the report, as JSON and as LaTeX."""
    path = f"results/{{study}}/tables/{name}"
    shown = report(
        f"{path}.csv",
        caption="../report/tables.rst",
        category="{study}",
        subcategory="tables",
        labels={"table": name.replace("_", " ")},
    )
    return [shown, f"{path}.json", f"{path}.tex"]
