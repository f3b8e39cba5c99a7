"""Decide how much memory and time a job asks a cluster for, and for more at every attempt."""

import math
from collections.abc import Mapping
from typing import Any

from spon.memory import Limit, cpu_memory

MIB_PER_GIB = 1024
# ASSUME: GiB of a process beside what `memory_gib` counts: Python, torch and what they import took
# half of one where jobs were measured, on a CPU; those of CUDA take more.
BESIDE = {"cpu": 1, "cuda": 4}
SMALL_GIB = 1  # of a job that runs no model, beside the same
# ASSUME: minutes of a job that no plan knows, with a model and without one. Trainings go on where
# they were stopped.
MINUTES, SMALL_MINUTES = 120, 30
# ASSUME: a plan has the mean of a rule's jobs on the machine that planned; one job on a node takes
# at most three times as much. The least is for the start, on a slow disk.
MARGIN, FEWEST_MINUTES = 3, 10


def ask_memory(gib: float | int, attempt: int, device: str = "cpu") -> int:
    """Return the MiB of a node's memory that a job asks for, at each attempt half as much more.

    Args:
        gib: What it holds in that memory, without libraries.
        attempt: 1 for the first.
        device: `cpu`, or `cuda`, whose libraries are larger.

    >>> [ask_memory(4, attempt) for attempt in (1, 2, 3)]
    [5120, 7680, 10240]
    """
    return math.ceil(MIB_PER_GIB * (gib + BESIDE[device]) * (1 + attempt) / 2)


def count_host(
    shape: Mapping[str, Any] | None, memory_gib: Limit, device: str = "cuda"
) -> float | int:
    """Return the GiB of a node's memory that a job uses, or through which weights go to GPUs.

    Args:
        shape: As in `model.json`; its weights count four bytes each, as analyses load them in
            float32. None as long as it is not known.
        memory_gib: Memory of the job. Of several devices, `cpu` is what layers may take.
        device: Where the model runs.
    """
    if device == "cpu" or (isinstance(memory_gib, Mapping) and "cpu" in memory_gib):
        return cpu_memory(memory_gib)
    of_gpus = memory_gib
    if isinstance(memory_gib, Mapping):
        of_gpus = sum(gib for name, gib in memory_gib.items() if name != "disk")
    if shape is None or "parameters" not in shape:
        return of_gpus
    return min(of_gpus, 4 * shape["parameters"] / 2**30)


def ask_minutes(planned: Mapping[str, Any] | None, attempt: int, otherwise: int = MINUTES) -> int:
    """Return the minutes that a job asks for, at each attempt as many more.

    Args:
        planned: `jobs` and `seconds` of its rule in the study's plan; None if that has none.
        attempt: 1 for the first.
        otherwise: What it asks for at first without a plan.
    """
    if planned is None:
        return attempt * otherwise
    mean = planned["seconds"] / planned["jobs"] / 60
    return attempt * max(FEWEST_MINUTES, math.ceil(MARGIN * mean))
