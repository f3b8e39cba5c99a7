"""Write what a run consists of beside a model, and read it again.

The biases' own file says all that is no tensor, so that it can be handed on alone; `spon.json`
says the same to programs that read no safetensors.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from spon import biases
from spon.centre import SUFFIX as CENTRE
from spon.export.form import FORMAT, check_description
from spon.export.run import CENTRES, Run, load_centres
from spon.inputs import check
from spon.inputs.folder import digest_file

BIASES, DESCRIPTION = "biases.safetensors", "spon.json"
NAMES = ("study", "allocation", "scope", "sparsity", "seed")


def write_bundle(run: Run, folder: Path) -> None:
    """Write a run's biases, with thresholds and all else that they need, into a folder."""
    description = {"format": FORMAT, **run.describe()}
    if run.centres:
        centres = {site + CENTRE: np.ascontiguousarray(c) for site, c in run.centres.items()}
        save_file(centres, folder / CENTRES)
        description["centres_sha256"] = digest_file(folder / CENTRES)
    text = json.dumps(description, sort_keys=True, allow_nan=False)
    biases.write_biases(run.biases, folder / BIASES, text)
    pretty = json.dumps(description, indent=1, sort_keys=True, allow_nan=False)
    (folder / DESCRIPTION).write_text(pretty + "\n", encoding="utf-8")


def read_bundle(path: str | Path) -> Run:
    """Read a run that was handed on.

    Args:
        path: A folder that `spon export` or `spon import` wrote, or its `biases.safetensors`.

    Raises:
        ValueError: It is none, or of a format that this version does not know.
    """
    path = Path(path)
    file = path / BIASES if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"'{path}' holds no {BIASES}: name a folder that `spon export` or `spon import` wrote"
        )
    description = read_description(file)
    parts = {field.name for field in fields(Run)} - {"names", "biases", "centres", "home"}
    known = {name: description[name] for name in parts if name in description}
    known["thresholds"] = {
        site: float("nan") if threshold is None else float(threshold)
        for site, threshold in known["thresholds"].items()
    }
    centres = read_centres(file.parent / CENTRES, description.get("centres_sha256"))
    return Run(
        names={name: description[name] for name in NAMES if name in description},
        biases=biases.read_biases(file),
        centres=centres,
        **known,
    )


def read_centres(file: Path, digest: str | None) -> dict[str, np.ndarray]:
    """Read centres by site; none where the biases' file does not ask for any.

    Raises:
        ValueError: It asks for others than there are.
    """
    if digest is None:
        return {}
    if not file.is_file() or digest_file(file) != digest:
        raise ValueError(
            f"'{file}' is missing or changed, and the biases beside it are for inputs that are "
            f"sparsified around its centres: take both files"
        )
    return load_centres(file)


def read_description(file: Path) -> Mapping[str, Any]:
    """Read what a file of biases says of the run.

    Raises:
        ValueError: It does not say what is sparsified, or in another form.
    """
    with check.reading(file), safe_open(file, framework="np") as tensors:
        description = dict(json.loads((tensors.metadata() or {}).get("made_by", "{}")))
    if "thresholds" not in description:
        raise ValueError(
            f"'{file}' has biases alone, without thresholds, method and sparsity, and biases are "
            f"half of the method: name a run's folder, or one that `spon export` wrote"
        )
    check_description(description, file)
    return description
