"""Read what a run consists of, for handing it on: its biases are half of it.

The other half is what is sparsified and how: thresholds, method, sparsity, scope. Both travel
together, with the model that they belong to and what was measured.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors.numpy import load_file
from torch import Tensor, nn

from spon import sparsify
from spon.biases import read_biases
from spon.centre import SUFFIX as CENTRE
from spon.inputs import check
from spon.inputs.folder import digest_file
from spon.sites import DENSE, TEAL, map_of

RECORD = "evaluate_spon.json"
CENTRES = "centres.safetensors"
NEEDED = {"biases.safetensors", "thresholds.csv", CENTRES, "model.json"}
# The rows of a study's table that a run is shown beside, and what is told of each.
TABLE, TOLD = "tables/perplexity.csv", ["perplexity", "nll_nats_per_token", "kl_nats_per_token"]
ON_DENSE = "on_dense.parquet"


@dataclass(frozen=True)
class Run:
    """Biases, and all that they are of no use without.

    Attributes:
        names: `study`, `allocation`, `scope`, `sparsity` and `seed`, as far as they are known.
        method: How inputs are sparsified: `threshold`, `topk` or `wina`.
        dense_share: Share of every sequence, from its start, that is not sparsified.
        dtype: Of weights and activations in the study.
        thresholds: Of every site whose inputs are sparsified; NaN where that is done by rank.
        biases: By site; not every site needs to have one.
        centres: By site, what is taken from its inputs before they are sparsified; mostly none.
        model: The `model.json` of the study; empty if the model is not known.
        measured: On held-out text, by kind of model (`dense`, `TEAL`, `run`, `run on dense`), its
            `perplexity` and more.
        lineage: The job that evaluated the run, and the SHA-256 of each file that it read.
        samples: Of every sparsified site, some entries of its weight, by which a model is told
            from another one.
        home: The folder that relative paths of the model begin in.
    """

    names: Mapping[str, Any]
    method: str
    dense_share: float
    dtype: str
    thresholds: Mapping[str, float]
    biases: Mapping[str, Float[np.ndarray, "d_out"]]
    centres: Mapping[str, Float[np.ndarray, "d_in"]] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    home: Path = Path()

    @property
    def sparsity(self) -> float:
        """Share of a site's input entries set to zero."""
        return float(self.names["sparsity"])

    @property
    def vectors(self) -> dict[str, Float[Tensor, "d_out"]]:
        """The biases as tensors."""
        return {site: torch.from_numpy(bias) for site, bias in self.biases.items()}

    def make_sparsifiers(self, network: nn.Module) -> dict[str, sparsify.Sparsifier]:
        """Return the S of every site of its model."""
        return sparsify.make_sparsifiers(
            network,
            self.thresholds,
            self.method,
            self.sparsity,
            self.dense_share,
            {site: torch.from_numpy(centre) for site, centre in self.centres.items()},
        )

    @property
    def maps(self) -> list[str]:
        """The linear maps whose inputs are sparsified."""
        return sorted({map_of(site) for site in self.thresholds})

    def describe(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON has it."""
        return {
            **self.names,
            "method": self.method,
            "dense_share": self.dense_share,
            "dtype": self.dtype,
            "thresholds": {
                site: None if math.isnan(threshold) else threshold
                for site, threshold in self.thresholds.items()
            },
            "model": dict(self.model),
            "measured": {kind: dict(numbers) for kind, numbers in self.measured.items()},
            "lineage": dict(self.lineage),
            "samples": {site: list(entries) for site, entries in self.samples.items()},
        }


def read_run(folder: str | Path) -> Run:
    """Read a run of a study.

    Args:
        folder: The run's folder, `results/STUDY/ALLOCATION/sSPARSITY/seedSEED`.

    Raises:
        ValueError: It is no such folder, was not evaluated, or a file is not the one that its
            evaluation read.
    """
    folder = Path(folder).absolute()
    record = check.read_json(find_record(folder))
    study, root = folder.parents[2], folder.parents[4]
    spec, inputs = record["spec"], record["inputs"]
    names = {"study": study.name, **spec["names"]}
    files = {Path(name).name: root / name for name in inputs if Path(name).name in NEEDED}
    for path in files.values():
        check_digest(path, inputs[path.relative_to(root).as_posix()])
    return Run(
        names=names,
        **{name: spec["sparsification"][name] for name in ("method", "dense_share", "dtype")},
        thresholds=sparsify.read_thresholds(files["thresholds.csv"], names),
        biases=read_biases(files["biases.safetensors"]),
        centres=load_centres(files[CENTRES]) if CENTRES in files else {},
        model=check.read_json(files["model.json"]),
        measured=read_measured(study, folder, names),
        lineage={name: record[name] for name in ("rule", "job", "inputs")},
        home=root,
    )


def load_centres(file: Path) -> dict[str, Float[np.ndarray, "d_in"]]:
    """Read centres by site, whose file is the one that is meant."""
    return {name.removesuffix(CENTRE): centre for name, centre in load_file(file).items()}


def find_record(folder: Path) -> Path:
    """Find the record of the job that evaluated the run in a folder.

    Raises:
        ValueError: There is none.
    """
    if len(folder.parents) > 4 and (folder / "biases.safetensors").is_file():
        study = folder.parents[2]
        record = study / "lineage" / folder.relative_to(study) / RECORD
        if record.is_file():
            return record
    state = "holds no evaluated run" if folder.is_dir() else "is no folder"
    raise ValueError(
        f"'{folder}' {state}: allowed are a run's folder in a study, such as "
        f"results/pydoc/UNIF-ALL/s0.5/seed0, and one that spon export or spon import wrote"
        f"{suggest(folder)}"
    )


def suggest(folder: Path) -> str:
    """Suggest the runs of a study that a mistyped one may mean, as the end of a sentence."""
    around = next((one for one in folder.parents if (one / "lineage").is_dir()), None)
    if around is None:
        return ""
    runs = [record.parent for record in (around / "lineage").rglob(RECORD)]
    names = sorted(run.relative_to(around / "lineage").as_posix() for run in runs)
    near = difflib.get_close_matches(folder.relative_to(around).as_posix(), names, cutoff=0.5)
    return f": of {around.name}, did you mean {' or '.join(near)}?" if near else ""


def check_digest(path: Path, expected: str) -> None:
    """Refuse a file that is not the one that the run was evaluated with.

    Raises:
        ValueError: It is missing, or has other bytes.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: `dvc pull` fetches what was published")
    if digest_file(path) != expected:
        raise ValueError(
            f"{path} is not the file that this run was evaluated with (`spon verify` names all "
            f"such files): `dvc checkout` or Snakemake brings it back"
        )


def read_measured(study: Path, folder: Path, names: Mapping) -> dict[str, dict[str, float]]:
    """Read what a study has measured of a run and of what it is compared with; maybe nothing."""
    if not (study / TABLE).is_file():
        return {}
    table = check.read_table(study / TABLE, ["allocation", "scope", "sparsity", "seed", *TOLD])
    here = (table["scope"] == names["scope"]) & (table["sparsity"] == names["sparsity"])
    chosen = {
        "dense": table["allocation"] == DENSE,
        "TEAL": here & (table["allocation"] == TEAL),
        "run": here
        & (table["allocation"] == names["allocation"])
        & (table["seed"] == names["seed"]),
    }
    measured = {
        kind: table.loc[rows, TOLD].iloc[0].to_dict()
        for kind, rows in chosen.items()
        if rows.any()
    }
    if (folder / ON_DENSE).is_file():
        measured["run on dense"] = average_blocks(check.read_table(folder / ON_DENSE))
    return measured


def average_blocks(blocks: pd.DataFrame) -> dict[str, float]:
    """Return what a table with a row per block of text says on average."""
    per_token = blocks[["nll_nats", "kl_nats"]].sum() / blocks["predictions"].sum()
    nll, kl = (float(number) for number in per_token)
    return dict(zip(TOLD, (math.exp(nll), nll, kl), strict=True))


def find_tokens(folder: str | Path) -> Path | None:
    """Find the held-out text of the study that a run's folder belongs to, if it is here."""
    path = Path(folder).absolute().parents[2] / "tokens/evaluation.safetensors"
    return path if path.is_file() else None
