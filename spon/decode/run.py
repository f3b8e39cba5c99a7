"""Open a run for decoding: its model, tokenizer, sparsifiers and biases, each by itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, sparsify
from spon.decode.measure import check_memory
from spon.decode.stream import check_positions
from spon.export.attach import find_model, read_any
from spon.export.bundle import BIASES
from spon.inputs.folder import CONFIG
from spon.inputs.tokens import read_tokenizer
from spon.memory import GIB


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


def open_run(path: str | Path, prompt: str, tokens: int) -> Run:
    """Open a run, float32 on the CPU; its model is the dense one.

    Args:
        path: A run's folder in a study, or one that `spon export --beside` wrote.
        prompt: What is to be decoded from, and how many `tokens`, so that what the model cannot
            do is refused before it is loaded.

    Raises:
        ValueError: It is no run or has a model of its own, a file is damaged or missing, the model
            cannot be had or does not fit into this machine's memory, or the prompt is empty or too
            long.
    """
    refuse_folded(Path(path))
    run = read_any(path)
    model = find_model(run)
    memory_gib = psutil.virtual_memory().total / GIB
    check_memory(model["shape"], memory_gib, "this machine's memory in GiB")
    tokenizer = read_tokenizer(model)
    positions = model["shape"]["positions"]
    check_positions(positions, len(read_prompt(tokenizer, prompt)), tokens)
    network = models.load_described(model, "cpu", "float32")
    return Run(network, tokenizer, run.make_sparsifiers(network), run.vectors, run.names)


def refuse_folded(path: Path) -> None:
    """Refuse a folder with a model of its own: biases are folded in, and it would decode as dense.

    Raises:
        ValueError: It is one.
    """
    if (path / CONFIG).is_file():
        what = "a model without a run"
        if (path / BIASES).is_file():
            what = "whose model has biases folded in and is no dense one to compare with"
        raise ValueError(
            f"RUN is '{path}', {what}: allowed is a run's folder in a study, or one of "
            f"`spon export --beside`"
        )


def read_prompt(tokenizer: Callable, prompt: str) -> Int[Tensor, "length"]:
    """Return the tokens of a prompt.

    Raises:
        ValueError: There is none.
    """
    ids = torch.tensor(tokenizer(prompt)["input_ids"])
    if not len(ids):
        raise ValueError("--prompt is empty, and the model goes on from at least one token")
    return ids
