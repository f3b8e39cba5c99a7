"""Name sites, runs and evaluations, alike in files, tables and models.

A site is named as transformers names the module, so its bias is named by that and `.bias`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from spon.inputs import check

# The columns that name a run, and those that name an evaluation, in the order of the tables.
RUN = ["allocation", "sparsity", "seed"]
EVALUATION = ["allocation", "scope", "sparsity", "seed"]
# The tables' names of evaluations without biases.
DENSE, TEAL = "DENSE", "BASELINE-TEAL"
# The columns of a `sites.csv`.
SITES = ["allocation", "learn", "site", "layer", "map", "d_in", "d_out"]


def name_site(layer: int, map_: str) -> str:
    """Return the name of a layer's linear map: `model.layers.3.mlp.down_proj`."""
    return f"{name_layer(layer)}.{map_}"


def name_sites(layers: int, maps: Iterable[str]) -> list[str]:
    """Return the maps of these names in every one of a model's layers, layer by layer."""
    names = list(maps)
    return [name_site(layer, name) for layer in range(layers) for name in names]


def name_layer(layer: int) -> str:
    """Return the name of a whole layer: `model.layers.3`."""
    return f"model.layers.{layer}"


def layer_of(site: str) -> int:
    """Return the layer of a site, or of a whole layer: 3 of `model.layers.3.mlp.down_proj`."""
    return int(site.split(".")[2])


def map_of(site: str) -> str:
    """Return the linear map of a site: `mlp.down_proj` of `model.layers.3.mlp.down_proj`."""
    return site.split(".", maxsplit=3)[3]


def describe_site(site: str) -> dict:
    """Return a site with its layer and map, as the tables name it."""
    return {"site": site, "layer": layer_of(site), "map": map_of(site)}


def order_of(site: str) -> tuple[int, str]:
    """Return the key to sort a site by: its layer, then the name of its map."""
    return layer_of(site), map_of(site)


def read_sites(path: str | Path, shape: Mapping) -> pd.DataFrame:
    """Read the sites of an allocation that get a bias.

    Args:
        path: Of a `sites.csv`.
        shape: A `model.json`'s shape.

    Raises:
        FileError: A site stands twice, or the model has no such site.
    """
    table = check.read_table(path, SITES)
    check.check_rows(table, path, ["site"])
    known = {
        name_site(layer, map_): (layer, map_, size["d_in"], size["d_out"])
        for layer in range(shape["layers"])
        for map_, size in shape["maps"].items()
    }
    for site, *facts in table[SITES[2:]].itertuples(index=False, name=None):
        if known.get(site) != tuple(facts):
            raise check.FileError(path, f"has the site {site}, which the model has not like this")
    return table


def name_rows(table: pd.DataFrame, names: Mapping[str, object]) -> pd.DataFrame:
    """Return a table with `names` in front: a column for each, the same value in every row.

    A sparsity becomes a float and a seed an integer; None becomes a missing value.
    """
    types = {"sparsity": float, "seed": "Int64"}
    rows = table.assign(**names)[[*names, *table.columns]]
    return rows.astype({name: types[name] for name in types if name in names})
