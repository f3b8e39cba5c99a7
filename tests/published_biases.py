"""The published checkpoints, where they are at hand; they are not ours to ship."""

import csv
import json
from pathlib import Path

import pytest

from spon.analyses import checkpoints, runs
from spon.biases import write_biases
from spon.sites import RUN

REFERENCE = Path(__file__).parents[2] / "shared/reference"
needs_published = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the published checkpoints are not here"
)


def gather_published(folder: Path) -> list[runs.Run]:
    """TOP-50 and UNIF-ALL of Llama-3.2-1B at 50 %, imported as the workflow imports them."""
    found = checkpoints.find_checkpoints(REFERENCE / "checkpoints")
    paths = []
    for checkpoint in found:
        path = folder / f"{checkpoint['allocation']}.safetensors"
        names = {name: str(checkpoint[name]) for name in RUN}
        write_biases(
            checkpoints.read_checkpoint(checkpoint["file"], layers=16), path, json.dumps(names)
        )
        paths.append(path)
    return runs.gather_runs(paths, found)


def read_published_table(name: str) -> list[dict[str, str]]:
    """A published table, as it was printed."""
    with (REFERENCE / f"published/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def agrees(value: float, printed: str) -> bool:
    """Whether a number rounds to a printed one, to its last digit."""
    return f"{value:.{digits(printed)}f}" == f"{float(printed):.{digits(printed)}f}"


def digits(printed: str) -> int:
    """Digits after the point."""
    return len(printed.partition(".")[2])
