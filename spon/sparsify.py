"""The method: set a site's small inputs to zero, and add a constant to its outputs.

A site computes W S(x) + b. S, its sparsifier, is a forward pre-hook, and b is the `bias` of the
ordinary `nn.Linear`: so adding it is part of the matrix product, and folding it is saving it under
the name that transformers reads.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import hardshrink

from spon import models
from spon.biases import check_run, read_biases
from spon.inputs import check
from spon.methods import registry
from spon.sites import map_of, name_sites

Sparsifier = Callable[[Tensor], Tensor]
NO_SITES: Mapping[str, Tensor] = MappingProxyType({})
NO_NAMES: Mapping[str, object] = MappingProxyType({})


def keep_large(x: Float[Tensor, "*batch d_in"], threshold: float) -> Float[Tensor, "*batch d_in"]:
    """Set the entries of `x` that are no larger in magnitude than `threshold` to zero (TEAL).

    Args:
        x: Activations entering a site.
        threshold: Largest magnitude dropped, in the units of `x`; zero or more.

    Returns:
        `x` where it is kept, zero elsewhere. A NaN stays NaN: a broken activation must not pass as
        a dropped one.
    """
    assert threshold >= 0, f"threshold must be zero or more, got {threshold}"
    # One kernel forwards and one backwards; a NaN stays NaN.
    return hardshrink(x, threshold)


def keep_top(x: Float[Tensor, "*batch d_in"], kept: int) -> Float[Tensor, "*batch d_in"]:
    """Keep the `kept` largest magnitudes of every token and set the rest to zero.

    Args:
        x: Activations entering a site.
        kept: Entries kept per token, from 0 to d_in; of equal magnitudes, some are kept and some
            are not.

    Returns:
        A tensor with at most `kept` entries per token that are not zero.
    """
    assert 0 <= kept <= x.shape[-1], f"kept must lie between 0 and {x.shape[-1]}, got {kept}"
    index = x.detach().abs().topk(kept, dim=-1, sorted=False).indices
    return x * torch.zeros_like(x).scatter_(-1, index, 1)


def make_sparsifier(method: str, sparsity: float, threshold: float, d_in: int) -> Sparsifier:
    """Return the S of one site: by its threshold, or by rank a share of its `d_in` entries."""
    assert method in ("threshold", "topk"), method
    if method == "threshold":
        return lambda x: keep_large(x, threshold)
    # ASSUME: a share of entries that is no whole number is rounded; Llama's widths leave nothing
    # to round at 50 %.
    kept = round(d_in * (1 - sparsity))
    return lambda x: keep_top(x, kept)


def leave_start_dense(sparsifier: Sparsifier, dense_share: float) -> Sparsifier:
    """Return an S that leaves the first `dense_share` of every sequence as it is.

    Its inputs have the shape [batch, length, d_in].
    """
    # ASSUME: the bias is added there too, since a folded bias is added at every position.
    if dense_share == 0:
        return sparsifier

    def apply(x: Float[Tensor, "batch length d_in"]) -> Float[Tensor, "batch length d_in"]:
        start = int(dense_share * x.shape[1])
        return torch.cat([x[:, :start], sparsifier(x[:, start:])], dim=1)

    return apply


def subtract(sparsifier: Sparsifier, centre: Float[Tensor, "d_in"]) -> Sparsifier:
    """Return an S that acts on inputs less a centre, which the site's bias has to make up for."""
    return lambda x: sparsifier(x - centre.to(x.device, x.dtype))


def read_thresholds(
    path: str | Path | None, names: Mapping[str, object] = NO_NAMES
) -> dict[str, float]:
    """Read thresholds by site, NaN where a site is sparsified by rank; none without a file.

    Args:
        path: Of a `thresholds.csv`.
        names: Of the evaluation, which the file must not contradict.

    Raises:
        FileError: It is of another evaluation, a site stands twice, or a threshold is no finite
            number of zero or more.
    """
    if path is None:
        return {}
    table = check.read_table(path, ["site", "threshold"])
    check.check_names(table, path, names)
    check.check_rows(table, path, ["site"])
    if not table["threshold"].isna().all():
        check.check_numbers(table, path, ["threshold"], least=0)
    with Path(path).open(newline="") as file:  # as pandas rounds the last digit
        return {row["site"]: float(row["threshold"] or "nan") for row in csv.DictReader(file)}


def check_thresholds(
    thresholds: Mapping[str, float], path: str | Path, model: nn.Module, method: str
) -> None:
    """Refuse thresholds of other sites than the model has in every layer, or of another method.

    Raises:
        FileError: A site is no linear map of the model, a layer lacks one, or sites that are
            sparsified by a threshold have none.
    """
    linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if unknown := [site for site in thresholds if site not in linear]:
        raise check.FileError(path, f"has the site {unknown[0]}, which the model has not")
    maps = list(dict.fromkeys(map(map_of, thresholds)))
    sites = name_sites(models.count_layers(model), maps)
    if lost := [site for site in sites if site not in thresholds]:
        raise check.FileError(path, f"lacks the site {lost[0]}")
    if (method == "topk") != isnan(next(iter(thresholds.values()))):
        has = "a" if method == "topk" else "no"
        raise check.FileError(path, f"has {has} threshold, and the study's method is {method}")


def make_sparsifiers(
    model: nn.Module,
    thresholds: Mapping[str, float],
    method: str,
    sparsity: float,
    dense_share: float,
    centres: Mapping[str, Float[Tensor, "d_in"]] = NO_SITES,
) -> dict[str, Sparsifier]:
    """Return the S of every site that has a threshold; around its centre, if it has one."""
    sparsifiers = {}
    for site, threshold in thresholds.items():
        linear = model.get_submodule(site)
        if method in registry.METHODS:
            weight = models.read_parameter(linear)
            sparsifier = registry.METHODS[method].make_sparsifier(weight, threshold)
        else:
            sparsifier = make_sparsifier(method, sparsity, threshold, linear.in_features)
        sparsifiers[site] = leave_start_dense(sparsifier, dense_share)
        if site in centres:
            sparsifiers[site] = subtract(sparsifiers[site], centres[site])
    return sparsifiers


def read_sparsifiers(
    model: nn.Module,
    thresholds: str | Path | None,
    sparsification: Mapping,
    sparsity: float,
    centres: Mapping[str, Float[Tensor, "d_in"]] = NO_SITES,
    names: Mapping[str, object] = NO_NAMES,
) -> dict[str, Sparsifier]:
    """Return the S of every site that a file of thresholds names; none without a file.

    Args:
        model: The model that has the sites.
        thresholds: The `thresholds.csv` of a scope at a sparsity.
        sparsification: The study's `method` and `dense_share`.
        sparsity: Share of a site's input entries set to zero, if it is sparsified by rank.
        centres: By site, what is taken from the inputs before; none but in mode centring.
        names: Of the evaluation, which the file must not contradict.

    Raises:
        FileError: The file has not the thresholds of a scope of this model.
    """
    by_site = read_thresholds(thresholds, {**names, "sparsity": sparsity})
    if thresholds is not None:
        check_thresholds(by_site, thresholds, model, sparsification["method"])
    return make_sparsifiers(
        model,
        by_site,
        method=sparsification["method"],
        sparsity=sparsity,
        dense_share=sparsification["dense_share"],
        centres=centres,
    )


@contextmanager
def sparsified(model: nn.Module, sparsifiers: Mapping[str, Sparsifier]) -> Iterator[nn.Module]:
    """Sparsify the inputs of the named sites for as long as the context lasts."""
    hooks = [
        model.get_submodule(site).register_forward_pre_hook(
            lambda _, inputs, s=sparsifier: (s(inputs[0]),)
        )
        for site, sparsifier in sparsifiers.items()
    ]
    try:
        yield model
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def biased(model: nn.Module, biases: Mapping[str, Float[Tensor, "d_out"]]) -> Iterator[nn.Module]:
    """Add `biases` to the outputs of their sites for as long as the context lasts.

    The biases may be of higher precision than the weights and may require gradients, which reach
    them through the cast. A bias that the site has already is added too.
    """
    sites = {site: model.get_submodule(site) for site in biases}
    originals = {site: linear.bias for site, linear in sites.items()}
    try:
        for site, linear in sites.items():
            entries, outputs = len(biases[site]), linear.out_features
            assert entries == outputs, f"{site}: {entries} entries for {outputs} outputs"
            total = biases[site].to(models.find_device(linear))
            if originals[site] is not None:
                total = total + models.read_parameter(linear, "bias")
            del linear.bias  # a registered parameter takes no tensor that was computed
            linear.bias = total.to(linear.weight.dtype)
        yield model
    finally:
        for site, linear in sites.items():
            linear.__dict__.pop("bias", None)
            linear.register_parameter("bias", originals[site])


def final_states(
    model: nn.Module,
    blocks: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
) -> Float[Tensor, "blocks length d_model"]:
    """Return the final states of the sparsified and biased model."""
    with sparsified(model, sparsifiers), biased(model, biases):
        return models.final_states(model, blocks)


def load_biases(
    path: str | Path | None,
    model: nn.Module,
    names: Mapping[str, object] = NO_NAMES,
    sites: str | Path | None = None,
) -> dict[str, Float[Tensor, "d_out"]]:
    """Read biases by site, float32, layer by layer; none without a file.

    Args:
        path: Of the file.
        model: The model that has the sites.
        names: Of the run, which the file must not contradict.
        sites: The `sites.csv` of its allocation, if these are to be its sites and no others.

    Raises:
        FileError: They are biases of another run, lack a site, or do not fit the model.
    """
    if not path:
        return {}
    biases = read_biases(path)
    check_run(path, names)
    expected = check.read_table(sites, ["site"])["site"] if sites else biases
    if differing := sorted(biases.keys() ^ set(expected)):
        raise check.FileError(path, f"and {sites} differ in the site {differing[0]}")
    sizes = {
        name: module.out_features
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    for site, bias in biases.items():
        if len(bias) != sizes.get(site):
            raise check.FileError(
                path,
                f"has {len(bias)} entries for {site}, which has {sizes.get(site, 'no')} outputs",
            )
    return {site: torch.from_numpy(bias) for site, bias in biases.items()}
