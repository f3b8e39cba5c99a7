"""What a study ran on: numbers differ in their last digits between machines and versions."""

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
]
PACKAGES += ["snakemake"]


def describe_environment(device: str, threads: int, packages: Sequence[str] = PACKAGES) -> dict:
    """The machine and the versions of what computes.

    Args:
        device: `cpu` or `cuda`, where models run.
        threads: Of one model job.
        packages: Distributions; one that is not installed has the version None.
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
    """The processor's name as Linux lists it, elsewhere as Python knows it."""
    match = re.search(r"^model name\s*: (.+)$", path.read_text(), re.M) if path.exists() else None
    return match[1] if match else platform.processor()


def find_version(name: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
