"""The method as one writes it down first: what the engine of `spon.train` is measured against.

Every step runs the dense model again; a site multiplies twice, with its input as it is and with it sparsified; all
logits are there in float32; ranks are found by `kthvalue`; and autograd goes through everything.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


class Site(nn.Module):
    """A linear map with a sparsified input and a bias."""

    def __init__(
        self, linear: nn.Linear, bias: Tensor, method: str, threshold: float, sparsity: float
    ):
        super().__init__()
        self.linear, self.bias, self.method = linear, bias, method
        self.threshold, self.dropped = threshold, round(linear.in_features * sparsity)
        self.sparse = True

    def forward(self, x: Tensor) -> Tensor:
        """The dense product, or the one of what is kept, plus the bias."""
        dense = self.linear(x)
        if not self.sparse:
            return dense
        size = x.abs()
        limit = (
            size.kthvalue(self.dropped, dim=-1, keepdim=True).values
            if self.method == "topk"
            else self.threshold
        )
        return functional.linear(x * (size > limit), self.linear.weight) + self.bias.to(x.dtype)


@contextmanager
def wrapped(
    network: nn.Module,
    biases: Mapping[str, Tensor],
    method: str,
    thresholds: Mapping,
    sparsity: float,
):
    """The model with wrappers at all sites; what is given are the wrappers."""
    linears = {name: network.get_submodule(name) for name in thresholds}
    sites = {
        name: Site(linear, biases[name], method, thresholds[name], sparsity)
        for name, linear in linears.items()
    }
    try:
        for name, site in sites.items():
            network.set_submodule(name, site)
        yield list(sites.values())
    finally:
        for name, linear in linears.items():
            network.set_submodule(name, linear)


def take_step(network: nn.Module, batch: Tensor, sites: list[Site]) -> Tensor:
    """Loss of a batch, with its gradients left at the biases."""
    for site in sites:
        site.sparse = False
    with torch.no_grad():
        dense = network(input_ids=batch, use_cache=False).logits.float().flatten(0, 1)
    for site in sites:
        site.sparse = True
    sparse = network(input_ids=batch, use_cache=False).logits.float().flatten(0, 1)
    logs = functional.log_softmax(sparse, dim=-1), functional.log_softmax(dense, dim=-1)
    loss = functional.kl_div(*logs, reduction="batchmean", log_target=True)
    loss.backward()
    return loss.detach()


def train(
    network: nn.Module, batches: Iterator[Tensor], sites: list[Site], optimizer, scheduler
) -> list[float]:
    """A whole training; the loss of every step."""
    losses = []
    for batch in batches:
        losses.append(take_step(network, batch, sites))
        nn.utils.clip_grad_norm_([site.bias for site in sites], 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return [loss.item() for loss in losses]
