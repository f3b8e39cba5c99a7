"""List the sites that get a bias, and count the weights that sparsified sites skip."""

import random
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from math import fsum

import pandas as pd

from spon.sites import map_of, name_layer, name_site, name_sites

COLUMNS = ["site", "layer", "map", "d_in", "d_out"]
# The values of `learn`: how the biases of an allocation are learned.
TRAINED, MEAN_RESIDUAL, FISHER, MODE, RANDOM = "kl", "mean_residual", "fisher", "mode", "random"


def choose_layers(layers: object, count: int) -> list[int]:
    """Resolve the config's `layers` to layer numbers, layer 0 being the one nearest the input.

    Args:
        layers: `all`, `alternating`, `{first: share}`, `{last: share}`, `{random: share, seed: n}`
            or a list of layer numbers; shares are of the model's depth, above 0 and at most 1.
        count: Layers of the model.

    Returns:
        Layer numbers in ascending order, at least one; a share of 1 gives all of them.

    Raises:
        ValueError: No model of `count` layers has such layers.
    """
    match layers:
        case "all":
            return list(range(count))
        case "alternating":
            # ASSUME: beginning at the input, where the published gains are larger.
            return list(range(0, count, 2))
        case {"first": share, **rest} if not rest and _is_share(share):
            return list(range(count))[: count_share(share, count)]
        case {"last": share, **rest} if not rest and _is_share(share):
            return list(range(count))[-count_share(share, count) :]
        case {"random": share, "seed": int(seed), **rest} if not rest and _is_share(share):
            return pick_layers(count_share(share, count), count, seed)
        case [_, *_] if _are_layers(layers, count):
            return sorted(layers)
    raise ValueError(
        f"layers is {layers!r}: allowed are all, alternating, {{first: SHARE}}, {{last: SHARE}} "
        f"and {{random: SHARE, seed: N}} with a SHARE above 0 and at most 1, "
        f"and different layer numbers from 0 to {count - 1}"
    )


def count_share(share: int | float, count: int) -> int:
    """Return how many of `count` layers a share is: rounded half up, at least one."""
    # ASSUME: half a layer counts as one and every allocation has a layer; the papers' depths leave
    # nothing to round. In decimals, since 0.285 of 100 layers is 28 and a half as it is written,
    # but less as a binary float.
    exact = Decimal(str(share)) * count
    return max(1, int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def pick_layers(size: int, count: int, seed: int) -> list[int]:
    """Pick `size` of `count` layers at random; return them in ascending order.

    A seed picks the same layers on every Python.
    """
    assert 1 <= size <= count, f"{size} layers cannot be picked from {count}"
    # Python promises for its method random() alone that a seed gives the same numbers for ever.
    generator = random.Random(seed)
    keys = [generator.random() for _ in range(count)]
    return sorted(sorted(range(count), key=keys.__getitem__)[:size])


def list_sites(shape: Mapping, maps: Sequence[str], layers: Sequence[int]) -> pd.DataFrame:
    """List the sites of some maps in some layers, layer by layer.

    Args:
        shape: A `model.json`'s shape: `layers`, and `maps` with the `d_in` and `d_out` of each.

    Returns:
        `site, layer, map, d_in, d_out`, one row per site.

    Raises:
        ValueError: The model has no such map.
    """
    check_maps(shape, maps)
    rows = []
    for layer in layers:
        for name in maps:
            size = shape["maps"][name]
            rows.append((name_site(layer, name), layer, name, size["d_in"], size["d_out"]))
    return pd.DataFrame(rows, columns=COLUMNS)


def name_scope(shape: Mapping, maps: Sequence[str]) -> list[str]:
    """Return the sites of a scope: every layer's maps of these names, layer by layer.

    Raises:
        ValueError: The model has no such map.
    """
    check_maps(shape, maps)
    return name_sites(shape["layers"], maps)


def allocate_biases(
    shape: Mapping, scope_maps: Sequence[str], biased_maps: Sequence[str], layers: object
) -> pd.DataFrame:
    """List the sites of an allocation: the sites of its scope that get a bias.

    Args:
        shape: As in `list_sites`.
        scope_maps: The linear maps of the scope; all of their sites are sparsified.
        biased_maps: Those of them that get a bias.
        layers: As in `choose_layers`.

    Returns:
        `site, layer, map, d_in, d_out`, one row per site.

    Raises:
        ValueError: The model has no such map or layer, or a map is not sparsified.
    """
    check_maps(shape, scope_maps)
    for name in biased_maps:
        if name not in scope_maps:
            allowed = ", ".join(scope_maps)
            raise ValueError(
                f"biases names '{name}', which the scope does not sparsify: allowed are {allowed}"
            )
    return list_sites(shape, biased_maps, choose_layers(layers, shape["layers"]))


def site_sparsity(shape: Mapping, zeros: Mapping[str, float]) -> float:
    """Return the share of some sites' weights that are multiplied by zero.

    Args:
        shape: As in `list_sites`.
        zeros: By site, the share of its input entries that are zero. A column of a weight matrix
            is multiplied by one entry, so a site skips that share of its weights.
    """
    return count_skipped(shape, zeros) / count_skipped(shape, dict.fromkeys(zeros, 1.0))


def model_sparsity(shape: Mapping, zeros: Mapping[str, float]) -> float:
    """Return the share of the weights of the decoder's linear maps that are multiplied by zero.

    Embeddings, norms and the output head do not count, and the zeros of other sites than those
    given neither.

    Args:
        shape: A `model.json`'s shape: `linear_weights`, and `maps` as in `list_sites`.
        zeros: As in `site_sparsity`; without sites the share is 0.
    """
    return count_skipped(shape, zeros) / shape["linear_weights"]


def count_skipped(shape: Mapping, zeros: Mapping[str, float]) -> float:
    """Return how many of some sites' weights are multiplied by zero, as `site_sparsity`."""
    sizes = {site: shape["maps"][map_of(site)] for site in zeros}
    return fsum(zeros[site] * size["d_in"] * size["d_out"] for site, size in sizes.items())


def check_maps(shape: Mapping, maps: Sequence[str]) -> None:
    """Refuse maps that the model does not have."""
    for name in maps:
        if name not in shape["maps"]:
            raise ValueError(say_lacking(name, shape))


def say_lacking(name: str, shape: Mapping) -> str:
    """Return the sentence for a map that the model, or one of its layers, does not have."""
    allowed = ", ".join(shape["maps"]) or "none, since no map is in every layer"
    if name in shape["lacking"]:
        layer = name_layer(shape["lacking"][name])
        found = f"'{name}' is no linear map of {layer} that takes every token once"
        return f"{found}, or has another size there: allowed are {allowed}"
    return f"the model has no linear map '{name}': allowed are {allowed}"


def _is_share(share: object) -> bool:
    return isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1


def _are_layers(layers: Sequence[object], count: int) -> bool:
    numbers = all(isinstance(layer, int) and not isinstance(layer, bool) for layer in layers)
    return (
        numbers and len(set(layers)) == len(layers) and all(0 <= layer < count for layer in layers)
    )
