"""Decode one stream greedily with a cache of keys and values, and count the weights it reads."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon.sparsify import NO_SITES, Sparsifier

NO_SHARES: Mapping[str, float] = MappingProxyType({})


class Stream(NamedTuple):
    """What was decoded behind a prompt.

    Attributes:
        tokens: The prompt is not among them.
        seconds: Of all but the first of them, which comes of reading the prompt.
    """

    tokens: Int[Tensor, "length"]
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return (len(self.tokens) - 1) / self.seconds


def decode(network: nn.Module, prompt: Int[Tensor, "length"], count: int) -> Stream:
    """Decode `count` tokens, two or more, each the likeliest; the stream goes on behind an end.

    Raises:
        ValueError: The model knows fewer positions than prompt and tokens take.
    """
    assert count >= 2, f"count is {count}, and the first token is not timed"
    positions = getattr(network.config, "max_position_embeddings", None)
    check_positions(positions, len(prompt), count)
    ids = prompt.to(network.device, torch.long)[None]
    with torch.inference_mode():
        passed = network(input_ids=ids, use_cache=True, logits_to_keep=1)
        decoded = [passed.logits[:, -1:].argmax(dim=-1)]
        start = time.perf_counter()
        for _ in range(count - 1):
            passed = network(
                input_ids=decoded[-1], past_key_values=passed.past_key_values, use_cache=True
            )
            decoded.append(passed.logits.argmax(dim=-1))
        seconds = time.perf_counter() - start
    return Stream(torch.cat(decoded, dim=1)[0].clone(), seconds)


def check_positions(positions: int | None, prompt: int, count: int) -> None:
    """Refuse streams that are longer than what a model knows.

    Args:
        positions: That it knows; None without a limit.
        prompt: Its tokens.
        count: Tokens decoded behind it.

    Raises:
        ValueError: They are.
    """
    if positions and prompt + count > positions:
        raise ValueError(
            f"the prompt has {prompt} tokens, and {count} are to be decoded: allowed are "
            f"{positions} or fewer in all, the positions that the model knows"
        )


class Kept:
    """The inputs that sites have kept, counted over single tokens."""

    def __init__(self):
        self.inputs: dict[str, int] = {}
        self.of: dict[str, int] = {}

    def shares(self) -> dict[str, float]:
        """Return the share of its inputs that each site has kept."""
        return {site: self.inputs[site] / self.of[site] for site in self.inputs}

    def counting(self, site: str, sparsifier: Sparsifier) -> Sparsifier:
        """Return an S that does what another does, and counts what is left."""

        def apply(x: Tensor) -> Tensor:
            kept = sparsifier(x)
            if kept.numel() == kept.shape[-1]:
                self.inputs[site] = self.inputs.get(site, 0) + int(kept.count_nonzero())
                self.of[site] = self.of.get(site, 0) + kept.numel()
            return kept

        return apply


@contextmanager
def counted(sparsifiers: Mapping[str, Sparsifier]) -> Iterator[tuple[dict[str, Sparsifier], Kept]]:
    """Yield the sparsifiers, each of which counts, and what they have counted."""
    kept = Kept()
    yield {site: kept.counting(site, one) for site, one in sparsifiers.items()}, kept


def count_bytes(
    network: nn.Module,
    kept: Mapping[str, float] = NO_SHARES,
    biases: Mapping[str, Float[Tensor, "d_out"]] = NO_SITES,
) -> float:
    """Return the bytes of weights that one token reads.

    That is every parameter once, of an embedding one row, and of a site its share of kept inputs.
    A head that is the embedding is read as a whole.

    Args:
        kept: By site, share of its inputs that are kept; of others, all.
        biases: By site; one that is added to a bias of the model takes no bytes of its own.
    """
    added = [len(b) for site, b in biases.items() if network.get_submodule(site).bias is None]
    total = sum(added) * float(network.dtype.itemsize)
    for name, module in network.named_modules():
        for parameter in module.parameters(recurse=False):
            size = parameter.numel() * parameter.element_size()
            if isinstance(module, nn.Embedding):
                size /= module.num_embeddings
            total += size * (kept.get(name, 1.0) if parameter.ndim == 2 else 1.0)
    return total
