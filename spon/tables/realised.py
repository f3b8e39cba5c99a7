"""The sparsity that evaluations realise: it is what they spare, and not the sparsity asked for."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import pandas as pd

from spon.allocate import MODE, model_sparsity, site_sparsity
from spon.inputs import check
from spon.sites import DENSE, EVALUATION, name_site

REALISED = ["site_sparsity", "model_sparsity"]
NO_SEED = -1


def realise_sparsity(
    points: pd.DataFrame, thresholds: pd.DataFrame, shape: Mapping
) -> pd.DataFrame:
    """Return the shares of weights that every evaluation multiplies by zero.

    Args:
        points: `allocation, scope, sparsity, seed, learn`, one row per evaluation, its names
            filled in.
        thresholds: `scope, sparsity, site, sparsity_sparse_pass` of every scope at every sparsity
            and, with `allocation` and `seed`, of every run with thresholds of its own.
        shape: A `model.json`'s shape.

    Returns:
        `site_sparsity`, of the weights of the scope's sites, and `model_sparsity`, of those of all
        linear maps of the decoder; one row per evaluation, 0 for the dense model.
    """
    # ASSUME: a run sets as much to zero as TEAL does at its scope and sparsity, where it was
    # measured, so that matched evaluations have one cost. In the default study, biases move the
    # share by 0.6 points at most. Only a run with thresholds of its own is measured by itself.
    columns = [*EVALUATION, "site", "sparsity_sparse_pass"]
    named = fill_names(thresholds.reindex(columns=columns).astype({"allocation": object}))
    rows = []
    for key, sites in named.groupby(EVALUATION):
        zeros = dict(zip(sites["site"], sites["sparsity_sparse_pass"], strict=True))
        rows.append((*key, site_sparsity(shape, zeros), model_sparsity(shape, zeros)))
    measured = pd.DataFrame(rows, columns=[*EVALUATION, *REALISED])
    own = points["learn"] == MODE
    keys = points[EVALUATION].assign(
        allocation=points["allocation"].where(own, ""), seed=points["seed"].where(own, NO_SEED)
    )
    realised = keys.merge(measured, how="left", on=EVALUATION)[REALISED].set_axis(points.index)
    realised[points["allocation"] == DENSE] = 0.0
    assert realised.notna().all(axis=None), "an evaluation without thresholds"
    return realised


def read_thresholds(
    paths: Sequence[str | Path], shape: Mapping, scopes: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Read the thresholds of all scopes and sparsities, as `realise_sparsity` needs them.

    Args:
        paths: Of `thresholds.csv` files.
        shape: A `model.json`'s shape.
        scopes: The linear maps of every scope.

    Raises:
        FileError: A file has not exactly the sites of its scope, a share outside 0 to 1, or is of
            the same scope and sparsity as another one.
    """
    tables, files = [], {}
    for path in paths:
        table = check.read_table(path, ["scope", "sparsity", "site", "sparsity_sparse_pass"])
        check.check_numbers(table, path, ["sparsity_sparse_pass"], 0, 1)
        keys = fill_names(table.reindex(columns=EVALUATION).astype({"allocation": object}))
        for key, rows in table.groupby([keys[name] for name in EVALUATION]):
            if key in files:
                raise check.FileError(path, f"is of the same scope and sparsity as {files[key]}")
            files[key] = path
            maps = scopes.get(key[1], ())
            expected = {name_site(n, map_) for n in range(shape["layers"]) for map_ in maps}
            check_sites(rows, path, expected)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def check_sites(table: pd.DataFrame, path: str | Path, expected: Set[str]) -> None:
    """Refuse a table with other sites than those expected, each once."""
    check.check_rows(table, path, ["site"])
    if differing := sorted(expected ^ set(table["site"])):
        raise check.FileError(path, f"and its scope differ in the site {differing[0]}")


def fill_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of evaluations whose missing names are filled in, so that they match."""
    return table.assign(
        allocation=table["allocation"].fillna(""),
        scope=table["scope"].fillna(""),
        sparsity=table["sparsity"].fillna(0.0).astype(float),
        seed=table["seed"].astype("Int64").fillna(NO_SEED).astype(int),
    )
