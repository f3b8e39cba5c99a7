"""Name sites, runs and evaluations, alike in files, tables and models.

A site is named as transformers names the module, so its bias is named by that and `.bias`.
"""

from collections.abc import Mapping

import pandas as pd

# The columns that name a run, and those that name an evaluation, in the order of the tables.
RUN = ["allocation", "sparsity", "seed"]
EVALUATION = ["allocation", "scope", "sparsity", "seed"]
# The tables' names of evaluations without biases.
DENSE, TEAL = "DENSE", "BASELINE-TEAL"


def name_site(layer: int, map_: str) -> str:
    """Return the name of a layer's linear map: `model.layers.3.mlp.down_proj`."""
    return f"{name_layer(layer)}.{map_}"


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


def name_rows(table: pd.DataFrame, names: Mapping[str, object]) -> pd.DataFrame:
    """Return a table with `names` in front: a column for each, the same value in every row.

    A sparsity becomes a float and a seed an integer; None becomes a missing value.
    """
    types = {"sparsity": float, "seed": "Int64"}
    rows = table.assign(**names)[[*names, *table.columns]]
    return rows.astype({name: types[name] for name in types if name in names})
