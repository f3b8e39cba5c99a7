"""Describe the environment of a study: its machine and the versions of its packages.

Numbers differ in their last digits between machines and between versions.
"""

import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PACKAGES = [
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "numpy",
    "scipy",
    "pandas",
    "statsmodels",
    "matplotlib",
    "snakemake",
]


def describe_environment(device: str, threads: int, packages: Sequence[str] = PACKAGES) -> dict:
    """Describe the machine, and the versions of Python and of the packages that compute.

    Args:
        device: `cpu` or `cuda`, where models run.
        threads: Number of CPU threads of one model job.
        packages: Names of distributions; one that is not installed has the version None.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": read_processor(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads,
        "packages": {name: find_version(name) for name in packages},
    }


def read_processor(path: Path) -> str:
    """Return the processor's name from a file like `/proc/cpuinfo`, or else from Python."""
    match = re.search(r"^model name\s*: (.+)$", path.read_text(), re.M) if path.exists() else None
    return match[1] if match else platform.processor()


def find_version(name: str) -> str | None:
    """Return the version of a distribution, or None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
