"""The naive engine: the method without any optimisation, to measure that of `spon.train` against.

Every step runs the dense model again. A site multiplies twice, with its input as it is and with it
sparsified. All logits are held in float32, the top-k threshold comes from `kthvalue`, and autograd
goes through everything.
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
        """Return the dense product; or, if `sparse`, that of the entries kept, plus the bias."""
        dense = self.linear(x)
        if not self.sparse:
            return dense
        size, threshold = x.abs(), self.threshold
        if self.method == "topk":
            threshold = size.kthvalue(self.dropped, dim=-1, keepdim=True).values
        product = functional.linear(x * (size > threshold), self.linear.weight)
        return product + self.bias.to(x.dtype)


@contextmanager
def wrapped(
    network: nn.Module,
    biases: Mapping[str, Tensor],
    method: str,
    thresholds: Mapping,
    sparsity: float,
) -> Iterator[list[Site]]:
    """Wrap all sites of the model within the context, and yield the wrappers."""
    linears, sites = {}, {}
    for name, threshold in thresholds.items():
        linears[name] = network.get_submodule(name)
        sites[name] = Site(linears[name], biases[name], method, threshold, sparsity)
    try:
        for name, site in sites.items():
            network.set_submodule(name, site)
        yield list(sites.values())
    finally:
        for name, linear in linears.items():
            network.set_submodule(name, linear)


def take_step(network: nn.Module, batch: Tensor, sites: list[Site]) -> Tensor:
    """Return the loss of a batch, and leave its gradients at the biases."""
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
    """Train the biases, and return the loss of every step."""
    losses = []
    for batch in batches:
        losses.append(take_step(network, batch, sites))
        nn.utils.clip_grad_norm_([site.bias for site in sites], 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return [loss.item() for loss in losses]
