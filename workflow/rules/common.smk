"""What all rules share: the checked config, the spec of a job, and how many jobs a machine takes."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))
# Scripts import spon from here, wherever Snakemake was called.
os.environ.update(
    PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])])
)

from spon import lineage, settings
from spon.corpus import read_versions as corpus_versions

try:
    settings.check(config, ROOT / "workflow/schemas/config.schema.yaml")
except settings.SettingsError as mistake:
    raise WorkflowError(str(mistake))

SWEEP = config["sweep"]
LIMITS = workflow.global_resources
# `--resources gpu=0` runs on the CPU, whatever the machine has.
GPU = int(
    settings.wants_gpu(config["device"])
    and not ("gpu" in LIMITS and LIMITS["gpu"].value == 0)
)
CPUS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
)
# On a GPU its token decides how many models run at once, and each may use all cores. Without one, a model job claims
# its share of --cores, which may be more than the machine has, so that its threads never outnumber the real cores.
TORCH_THREADS = CPUS if GPU else min(config["threads"], CPUS)
MODEL_CORES = 1 if GPU else max(1, -(-workflow.cores * TORCH_THREADS // CPUS))


wildcard_constraints:
    study=r"[^/]+",
    part="calibration|evaluation",
    scope="|".join(config["scopes"]),
    allocation="|".join(config["allocations"]),
    sparsity=r"0\.\d+",
    seed=r"\d+",


def study(wildcards):
    """The settings of a job's study."""
    return config["studies"][wildcards.study]


def spec(script, **settings):
    """A rule's one param: the settings that it depends on, by name, and the digest of its code.

    A setting is a key of the config (`train="train"`) or a function of the wildcards.
    """
    code = lineage.digest_code(ROOT / "workflow/scripts" / script)

    def look_up(wildcards):
        values = {
            name: value(wildcards) if callable(value) else config[value]
            for name, value in sorted(settings.items())
        }
        return values | {"code": code}

    return look_up


def measure(wildcards):
    """How a study's model is loaded and sparsified."""
    chosen = study(wildcards)
    return {
        "dtype": chosen["dtype"],
        "method": chosen["method"],
        "dense_share": chosen["protocol"]["dense_share"],
    }


def describe(name, sentence):
    """Give a rule that was made from another one a sentence of its own, for `snakemake --list`."""
    workflow.get_rule(name).docstring = sentence
