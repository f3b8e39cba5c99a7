"""Read learned biases for the analyses, as float64 vectors of runs, in the order of the layers.

Also check what the analyses measure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from spon.biases import read_biases, read_names
from spon.inputs import check
from spon.sites import RUN, map_of


@dataclass(frozen=True)
class Run:
    """The biases of an allocation at a sparsity with a seed.

    Attributes:
        biases: By site, layer by layer.
    """

    allocation: str
    sparsity: float
    seed: int
    biases: dict[str, Float64[np.ndarray, "d_out"]]

    @property
    def names(self) -> dict:
        """The columns with which tables name this run: `allocation, sparsity, seed`."""
        return {name: getattr(self, name) for name in RUN}

    @property
    def maps(self) -> frozenset[str]:
        """The linear maps that have a bias in some layer."""
        return frozenset(map(map_of, self.biases))


def read_run(path: str | Path) -> Run:
    """Read the biases of one run, and its names, from a file of `biases.write_biases`.

    Raises:
        FileError: The file is damaged, or says not which run it is of.
    """
    names = read_names(path)
    if lacking := [name for name in RUN if name not in names]:
        raise check.FileError(path, f"does not say the {lacking[0]} of its run")
    biases = {site: bias.astype(np.float64) for site, bias in read_biases(path).items()}
    return Run(names["allocation"], float(names["sparsity"]), int(names["seed"]), biases)


def gather_runs(paths: Sequence[str | Path], order: Sequence[Mapping]) -> list[Run]:
    """Read the biases of several runs of one model.

    Args:
        paths: Their files, in whatever order, since each says which run it is.
        order: `allocation`, `sparsity` and `seed` of every run, in the order of the rows.

    Raises:
        ValueError: A site has a bias of another length in another run.
        FileError: A file is damaged, or of another run.
    """
    wanted = [tuple(names[name] for name in RUN) for names in order]
    read: dict[tuple, tuple[str | Path, Run]] = {}
    for path in paths:
        run = read_run(path)
        key = tuple(run.names.values())
        if key not in wanted:
            raise check.FileError(path, f"is of another run: {check.describe(run.names)}")
        if key in read:
            first = read[key][0]
            raise check.FileError(path, f"is of the same run as {first}: one of them is wrong")
        read[key] = path, run
    runs = [read[key][1] for key in wanted]
    sizes: dict[str, tuple[str, int]] = {}
    for run in runs:
        for site, bias in run.biases.items():
            first, size = sizes.setdefault(site, (run.allocation, len(bias)))
            if size != len(bias):
                raise ValueError(
                    f"the bias of {site} has {size} entries in {first} and {len(bias)} in "
                    f"{run.allocation}: allowed are runs of one model"
                )
    return runs


def count_layers(model: str | Path | None, layers: int | None) -> int:
    """Return the number of layers of the model that biases belong to.

    Args:
        model: Its `model.json`, if the study has a model.
        layers: The number in the study's settings, if it has none.
    """
    return check.read_json(model, "shape", "layers") if model else layers


def check_measured(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table of an analysis, or refuse it if what it measured is not finite.

    Ratios and intervals may be missing or endless, where there is nothing to divide by.

    Args:
        table: With the columns `definition` and `site`.
        columns: What every row has to have.

    Raises:
        ValueError: It names the first such number.
    """
    for name in columns:
        broken = table[~np.isfinite(table[name])]
        if len(broken):
            row = broken.iloc[0]
            raise ValueError(
                f"the analysis ({row['definition']}) measured {name} {row[name]} at "
                f"{row['site'] or 'the residual stream'}: allowed are finite numbers"
            )
    return table
