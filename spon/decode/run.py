"""Open a run for decoding: its model, tokenizer, sparsifiers and biases, each by itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spon import sparsify
from spon.export.attach import find_model, load_dense, read_any
from spon.inputs.tokens import read_tokenizer


class Run(NamedTuple):
    """A run that can be decoded with.

    Attributes:
        names: `allocation, scope, sparsity, seed`, and more.
    """

    network: nn.Module
    tokenizer: Callable
    sparsifiers: Mapping[str, sparsify.Sparsifier]
    biases: Mapping[str, Float[Tensor, "d_out"]]
    names: Mapping[str, object]


def open_run(path: str | Path) -> Run:
    """Open a run, float32 on the CPU; its model is the dense one.

    Args:
        path: A run's folder in a study, or one that `spon export` wrote.

    Raises:
        ValueError: It is no run, a file is damaged or missing, or the model cannot be had.
    """
    run = read_any(path)
    network = load_dense(run, dtype="float32")
    sparsifiers = sparsify.make_sparsifiers(
        network,
        run.thresholds,
        run.method,
        run.sparsity,
        run.dense_share,
        {site: torch.from_numpy(centre) for site, centre in run.centres.items()},
    )
    biases = {site: torch.from_numpy(bias) for site, bias in run.biases.items()}
    return Run(network, read_tokenizer(find_model(run)), sparsifiers, biases, run.names)
