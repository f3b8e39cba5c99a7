"""Linear maps that read only the weights of the inputs they keep, while one token is decoded."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn.functional import linear

from spon.decode.product import build, multiply
from spon.sparsify import NO_SITES, Sparsifier, biased


class KeptInputs(nn.Module):
    """A linear map with its sparsifier, which reads the weights of kept inputs alone.

    With several tokens, as where a prompt is read, nearly every input is kept by one of them, so
    the product is the ordinary one.
    """

    def __init__(
        self,
        dense: nn.Linear,
        sparsifier: Sparsifier,
        transposed: Float32[Tensor, "d_in d_out"],
    ):
        super().__init__()
        self.dense, self.sparsifier, self.transposed = dense, sparsifier, transposed

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Return W S(x) + b."""
        kept = self.sparsifier(x)
        if kept.numel() > kept.shape[-1]:
            return linear(kept, self.dense.weight, self.dense.bias)
        # ASSUME: with a `dense_share`, a decoded token is no start of its sequence: it is sparse.
        y = multiply(kept.reshape(-1), self.transposed, self.dense.bias)
        return y.view(*x.shape[:-1], -1)


def transpose_weights(
    network: nn.Module, sites: Iterable[str]
) -> dict[str, Float32[Tensor, "d_in d_out"]]:
    """Return the weights of these sites, transposed: as much memory again.

    Raises:
        ValueError: The model is not in float32 on a CPU.
    """
    if network.device.type != "cpu" or network.dtype != torch.float32:
        kind = f"{str(network.dtype).removeprefix('torch.')} on {network.device.type}"
        raise ValueError(f"the model is in {kind}: sparse decoding is for float32 on cpu")
    return {site: network.get_submodule(site).weight.T.contiguous() for site in sites}


@contextmanager
def reading_kept(
    network: nn.Module,
    sparsifiers: Mapping[str, Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]] = NO_SITES,
    transposed: Mapping[str, Float32[Tensor, "d_in d_out"]] = NO_SITES,
) -> Iterator[nn.Module]:
    """Sparsify and bias a model, whose sites read the weights of kept inputs alone.

    For as long as the context lasts, it computes what `sparsify.sparsified` and `sparsify.biased`
    do, to rounding.

    Args:
        transposed: As `transpose_weights` returns them for all sites that have a sparsifier, for
            more than one use; made here if left out.

    Raises:
        ValueError: The model is not in float32 on a CPU, or there is no C++ compiler.
    """
    weights = transposed or transpose_weights(network, sparsifiers)
    if sparsifiers:
        build()
    sites = {site: network.get_submodule(site) for site in sparsifiers}
    with biased(network, biases):
        try:
            for site, dense in sites.items():
                network.set_submodule(site, KeptInputs(dense, sparsifiers[site], weights[site]))
            yield network
        finally:
            for site, dense in sites.items():
                network.set_submodule(site, dense)
