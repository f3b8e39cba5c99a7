"""Open a finished run for decoding: its model, tokenizer, sparsifiers and biases."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from spon import centre, models, sparsify
from spon.inputs import check
from spon.inputs.tokens import read_tokenizer

RECORD = "evaluate_spon.json"


class Run(NamedTuple):
    """A run that can be decoded with.

    Attributes:
        names: `allocation, scope, sparsity, seed`.
    """

    network: nn.Module
    tokenizer: Callable
    sparsifiers: Mapping[str, sparsify.Sparsifier]
    biases: Mapping[str, Float[Tensor, "d_out"]]
    names: Mapping[str, object]


def open_run(folder: str | Path) -> Run:
    """Open a run, float32 on the CPU, from what its evaluation says it has read.

    Args:
        folder: `results/STUDY/ALLOCATION/sSPARSITY/seedN`.

    Raises:
        ValueError: The folder is no evaluated run's, or a file is damaged or missing.
    """
    record, root = find_record(Path(folder))
    spec, inputs = check.read_json(record, "spec"), check.read_json(record, "inputs")
    files = {Path(name).name: root / name for name in inputs}
    described = check.read_json(files["model.json"])
    source = described["source"]
    if "path" in source:  # relative to where the study ran
        described = described | {"source": {"path": str(root / source["path"])}}
    network = models.load_described(described, "cpu", "float32")
    names = spec["names"]
    biases = sparsify.load_biases(files["biases.safetensors"], network, names)
    sparsifiers = sparsify.read_sparsifiers(
        network,
        files["thresholds.csv"],
        spec["sparsification"],
        names["sparsity"],
        centre.read_centres(files.get("centres.safetensors"), network, biases),
        names,
    )
    return Run(network, read_tokenizer(described), sparsifiers, biases, names)


def find_record(folder: Path) -> tuple[Path, Path]:
    """Return the record of a run's evaluation, and the folder in which its study ran.

    Raises:
        ValueError: There is no such record.
    """
    parts = folder.resolve().parts
    if len(parts) > 5 and parts[-5] == "results":
        study = Path(*parts[:-3])
        record = study.joinpath("lineage", *parts[-3:], RECORD)
        if record.exists():
            return record, study.parents[1]
    raise ValueError(
        f"'{folder}' is no run that was evaluated: allowed is "
        f"results/STUDY/ALLOCATION/sSPARSITY/seedN of a study, whose lineage has {RECORD}"
    )
