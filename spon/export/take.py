"""Take in biases that were learned elsewhere, with what they need to be of use."""

from math import isnan
from pathlib import Path

from spon import sparsify
from spon.analyses import checkpoints
from spon.export.bundle import write_bundle
from spon.export.run import Run
from spon.export.write import placed
from spon.methods.names import BY_RANK
from spon.sites import map_of, name_sites


def read_checkpoint(file: Path, layers: int, method: str, thresholds: Path | None) -> Run:
    """Read biases of a checkpoint as a run, whose scope is the maps that have one.

    Args:
        file: A `.pt` of the published form, or safetensors, named
            `[spon_]ALLOCATION_sSPARSITY[_seedN]`.
        layers: How many the model has; the inputs of all are sparsified, with a bias or without.
        method: How the inputs were sparsified when the biases were learned.
        thresholds: A table with `site` and `threshold`, needed by all methods but `topk`.

    Raises:
        ValueError: The file is no checkpoint, or thresholds lack, are too many or are of other
            sites.
    """
    if (method == BY_RANK) == (thresholds is not None):
        needed = "takes no --thresholds" if method == BY_RANK else "needs --thresholds CSV"
        raise ValueError(f"--method {method} {needed}")
    if not file.is_file():
        raise ValueError(f"FILE is '{file}', which is no file")
    names = checkpoints.read_name(file)
    biases = checkpoints.read_checkpoint(file, layers)
    scope = sorted({map_of(site) for site in biases})
    sites = name_sites(layers, scope)
    by_site = dict.fromkeys(sites, float("nan"))
    if thresholds is not None:
        by_site = sparsify.read_thresholds(thresholds, {"sparsity": names["sparsity"]})
        if any(map(isnan, by_site.values())):
            raise ValueError(f"{thresholds} has no thresholds, which --method {method} needs")
        if differing := sorted(by_site.keys() ^ set(sites)):
            raise ValueError(
                f"{thresholds} and the biases differ in the site {differing[0]}: allowed are "
                f"thresholds of {', '.join(scope)} in layers 0 to {layers - 1}"
            )
    return Run(
        names=names | {"scope": ", ".join(scope)},
        method=method,
        dense_share=0.0,
        dtype="float32",
        thresholds=by_site,
        biases={site: bias.numpy() for site, bias in biases.items()},
    )


def write_taken(run: Run, folder: Path) -> str:
    """Write a run into a new folder, and say what it is.

    Raises:
        ValueError: The folder exists.
    """
    with placed(folder) as place:
        write_bundle(run, place)
    return (
        f"{folder}: {len(run.biases)} biases of {run.names['allocation']} for "
        f"{len(run.thresholds)} sites sparsified by {run.method}: "
        f"spon.attach(model, '{folder}') puts them into their model"
    )
