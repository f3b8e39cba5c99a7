"""Measure how fast this machine is at what a study computes.

The model is timed on a cut of it: two of its layers and its head, with random weights.
"""

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from spon import divergence, evaluate, memory, models, sparsify, train
from spon.cost import workload
from spon.head import Head
from spon.inputs import corpus
from spon.sites import name_site

CUT_LAYERS = 2
FEWEST_CALLS, FEWEST_SECONDS = 3, 0.5  # of calls that are timed, after one that is not
MOST_OPERATIONS = 2e10  # of a timed call on a CPU, unless one block takes more
FEWEST_TOKENS = 64  # with fewer, a product waits for the weights
DIMENSIONS = 512  # of the states whose statistics are timed, at most
FILE_BYTES = 2**26
SOURCE_FILES = 200  # of the corpus, to be read
# What jobs do before they compute, by kind of job. Each makes one model or figure, since a model's
# class is imported with the first model, and fonts are sought with the first figure.
STARTS = {
    "model": """
import pyarrow.parquet
from spon.job import job
from spon import evaluate, models, sparsify, train
from spon.inputs import tokens
from transformers import AutoModelForCausalLM, LlamaConfig
AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=8, hidden_size=64, num_hidden_layers=1))
""",
    "table": """
import tempfile
from matplotlib.figure import Figure
from spon.job import job
from spon.figures import outcomes, style
from spon.tables import gains, perplexity
with tempfile.TemporaryDirectory() as folder, style.printed():
    figure = Figure(figsize=(style.DOUBLE, 2), layout="constrained")
    figure.subplots(1, 3)
    style.save(figure, f"{folder}/figure.png", f"{folder}/figure.pdf", {})
""",
}


def measure_rate(
    shape: Mapping[str, Any], settings: Mapping[str, Any], device: str, processes: int
) -> dict[str, Any]:
    """Measure the seconds per unit of everything in `workload.Work`, and of a job's start.

    Args:
        shape: As in `model.json`.
        settings: `dtype`, `method`, `block_length`, `teraflops`, `memory_gib`, and the sections
            `train` and `evaluate` of the config; `pydoc`, if the study's text is that corpus. With
            `teraflops`, nothing of the model is measured, as another machine will run it.
        device: `cpu` or `cuda`.
        processes: Those that read the corpus.

    Returns:
        `seconds_per` by the names of `Work`; `start_seconds` by kind of job;
        `load_seconds_per_byte`, of weights; `corpus_seconds`, None without it; and
        `matrix_teraflops` of the model's largest map, None where not measured.
    """
    teraflops, pydoc = settings["teraflops"], settings["pydoc"]
    if teraflops:
        model = workload.convert_teraflops(shape, settings["block_length"], teraflops)
    else:
        model = measure_model(shape, settings, device)
    return {
        "device": device,
        "torch_threads": torch.get_num_threads(),
        "matrix_teraflops": None
        if teraflops
        else measure_matrix(shape, settings["dtype"], device),
        "seconds_per": {**model, **measure_statistics(shape)},
        "start_seconds": {kind: measure_start(code) for kind, code in STARTS.items()},
        "load_seconds_per_byte": measure_load(settings["dtype"], device),
        "corpus_seconds": measure_corpus(pydoc, processes) if pydoc else None,
    }


def measure_model(
    shape: Mapping[str, Any], settings: Mapping[str, Any], device: str
) -> dict[str, float]:
    """Measure the seconds per token and layer of passes, and per token and product of the head.

    Raises:
        ValueError: Not even the cut fits into the memory.
    """
    check_cut(shape, settings, device)
    dtype, length = settings["dtype"], settings["block_length"]
    network = build_cut(shape, dtype, device)
    depth = models.count_layers(network)
    thresholds = {name_site(layer, "mlp.down_proj"): 0.1 for layer in range(depth)}
    sparsifiers = sparsify.make_sparsifiers(
        network, thresholds, settings["method"], sparsity=0.5, dense_share=0.0
    )
    assert depth == min(CUT_LAYERS, shape["layers"]), f"the cut has {depth} layers"
    evaluated, trained = count_blocks(shape, settings, device, depth)
    seconds = {
        "forward": time_forward(network, sparsifiers, evaluated, length) / depth,
        "trained": time_training(network, sparsifiers, trained, length) / depth,
        **time_head(network, settings, count_tokens(shape, settings, device)),
    }
    if dtype == models.STATES:
        return {**seconds, "states": seconds["forward"]}
    network = network.to(getattr(torch, models.STATES))
    return {**seconds, "states": time_forward(network, sparsifiers, evaluated, length) / depth}


def check_cut(shape: Mapping[str, Any], settings: Mapping[str, Any], device: str) -> None:
    """Refuse a model of which not even two layers and the head fit.

    Raises:
        ValueError: They do not.
    """
    in_layer = sum(size["d_in"] * size["d_out"] for size in shape["maps"].values())
    in_head = shape["vocabulary"] * shape["width"]
    parameters = min(CUT_LAYERS, shape["layers"]) * in_layer + in_head
    cut = {**shape, "parameters": parameters}
    needed = memory.estimate_weights(cut, models.STATES, device) / memory.GIB
    if needed > memory.main_memory(settings["memory_gib"]):
        limit = memory.name_limit(settings["memory_gib"])
        raise ValueError(
            f"memory_gib is {limit}, two layers of the model and its head need "
            f"{needed:.2g}: allowed is that or more, or plan.teraflops, the rate of a machine "
            f"that has it"
        )


def build_cut(shape: Mapping[str, Any], dtype: str, device: str) -> nn.Module:
    """Build a Llama of at most two layers, as wide as the model, with random frozen weights."""
    queries, keys = shape["heads_width"], shape["keys_width"]
    head = math.gcd(queries, keys, 128)
    config = LlamaConfig(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["width"],
        intermediate_size=shape["inner"],
        num_hidden_layers=min(CUT_LAYERS, shape["layers"]),
        num_attention_heads=queries // head,
        num_key_value_heads=keys // head,
        head_dim=head,
        tie_word_embeddings=True,
    )
    with torch.device(device):
        network = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return network.requires_grad_(False).eval()


def count_blocks(
    shape: Mapping[str, Any], settings: Mapping[str, Any], device: str, depth: int
) -> tuple[int, int]:
    """Choose how many blocks are timed at one time, in an evaluation and in a training.

    As many as the settings say; fewer where a CPU would take long.
    """
    length = settings["block_length"]
    evaluated = max(1, settings["evaluate"]["batch_tokens"] // length)
    trained = settings["train"]["batch_blocks"]
    if device == "cpu":
        most = int(MOST_OPERATIONS / (depth * length * workload.layer_flop(shape, length)))
        evaluated, trained = min(evaluated, most), min(trained, most)
    return max(1, evaluated), max(1, trained)


def count_tokens(shape: Mapping[str, Any], settings: Mapping[str, Any], device: str) -> int:
    """Choose how many tokens the head is timed with; fewer where a CPU would take long."""
    tokens = settings["train"]["batch_blocks"] * settings["block_length"]
    if device == "cpu":
        most = int(MOST_OPERATIONS / workload.head_flop(shape))
        tokens = min(tokens, max(FEWEST_TOKENS, most))
    return tokens


def time_forward(
    network: nn.Module, sparsifiers: Mapping[str, sparsify.Sparsifier], blocks: int, length: int
) -> float:
    """Measure the seconds per token of a sparsified pass."""
    tokens = torch.randint(network.config.vocab_size, (blocks, length), dtype=torch.int32)
    with torch.inference_mode(), sparsify.sparsified(network, sparsifiers):
        seconds = time_call(lambda: models.final_states(network, tokens), network.device)
    return seconds / tokens.numel()


def time_training(
    network: nn.Module, sparsifiers: Mapping[str, sparsify.Sparsifier], blocks: int, length: int
) -> float:
    """Measure the seconds per token of a sparsified pass forwards and backwards.

    Backwards down to the bias of the first layer.
    """
    tokens = torch.randint(network.config.vocab_size, (blocks, length), dtype=torch.int32)
    biases = {site: train.start(network.get_submodule(site), "bias") for site in sparsifiers}

    def step() -> None:
        with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, biases):
            models.final_states(network, tokens).sum().backward()

    return time_call(step, network.device) / (blocks * length)


def time_head(network: nn.Module, settings: Mapping[str, Any], tokens: int) -> dict[str, float]:
    """Measure the seconds per token and product with the head.

    Returns:
        `scored`, of the two products of an evaluation, and `compared`, of the three of a training.
    """
    head, device = Head(network), network.device
    dense, sparse = torch.randn(
        2, 1, tokens, network.config.hidden_size, device=device, dtype=network.dtype
    )
    sparse.requires_grad_()
    targets = torch.randint(network.config.vocab_size, (1, tokens), device=device)

    def score() -> None:
        chunk_tokens = settings["evaluate"]["chunk_tokens"]
        evaluate.compare(dense, sparse, targets, head, chunk_tokens, temperature=1.1)

    def compare() -> None:
        chunk_tokens = settings["train"]["chunk_tokens"]
        divergence.kl_to_dense(sparse, dense, head, chunk_tokens).backward()

    with torch.no_grad():
        scored = time_call(score, device)
    compared = time_call(compare, device)
    # The last token has no successor to be scored.
    return {"scored": scored / (2 * (tokens - 1)), "compared": compared / (3 * tokens)}


def measure_matrix(shape: Mapping[str, Any], dtype: str, device: str) -> float:
    """Measure the operations per second of the model's largest map, in units of 10^12."""
    largest = max(shape["maps"].values(), key=lambda size: size["d_in"] * size["d_out"])
    flop = 2 * largest["d_in"] * largest["d_out"]
    tokens = 4096
    if device == "cpu":
        tokens = max(FEWEST_TOKENS, min(512, int(MOST_OPERATIONS / flop)))
    options = {"dtype": getattr(torch, dtype), "device": device}
    x = torch.randn(tokens, largest["d_in"], **options)
    weight = torch.randn(largest["d_out"], largest["d_in"], **options)
    return tokens * flop / time_call(lambda: x @ weight.T, torch.device(device)) / 1e12


def measure_statistics(shape: Mapping[str, Any]) -> dict[str, float]:
    """Measure the statistics of states, in float64 on the CPU.

    Returns:
        `products`, seconds per operation of products, and `axes`, seconds per cubed dimension of
        eigendecompositions.
    """
    size = min(DIMENSIONS, shape["width"])
    states = torch.randn(4 * size, size, dtype=torch.float64)
    square = states.T @ states
    cpu = states.device
    return {
        "products": time_call(lambda: states.T @ states, cpu) / (8 * size**3),
        "axes": time_call(lambda: torch.linalg.eigh(square), cpu) / size**3,
    }


def measure_load(dtype: str, device: str) -> float:
    """Measure the seconds per byte of reading weights that a file system has at hand."""
    elements = FILE_BYTES // memory.SIZES[dtype]
    weights = torch.zeros(elements, dtype=getattr(torch, dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_file({"weights": weights}, path)

        def load() -> None:
            load_file(path)["weights"].clone().to(device)

        return time_call(load, torch.device(device)) / FILE_BYTES


def measure_start(code: str) -> float:
    """Measure the seconds of a process that runs this code.

    The faster of two, as the first may wait for the disk.
    """

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return min(clock(run), clock(run))


def measure_corpus(pydoc: Mapping[str, Any], processes: int) -> float:
    """Estimate the seconds to collect the corpus from the seconds of some of its files.

    Files are read in parallel; duplicates are sought by one process.
    """
    selection = corpus.Selection(**pydoc)
    files = []
    for package in selection.packages:
        files += [path for _, path in corpus.source_files(package)]
    sample = files[:: max(1, len(files) // SOURCE_FILES)]
    share = count_bytes(sample) / count_bytes(files)
    texts: list[str] = []

    def read() -> None:
        for path in sample:
            texts.extend(corpus.read_docstrings(path))

    def compare() -> None:
        corpus.mark_new(texts, selection.shingle_words, selection.duplicate_share)

    reading = clock(read)
    comparing = clock(compare)
    return (reading / processes + comparing) / share


def count_bytes(files: Iterable[str | Path]) -> int:
    """Return the size of several files."""
    return sum(Path(file).stat().st_size for file in files)


def time_call(call: Callable[[], object], device: torch.device) -> float:
    """Measure the median seconds of a call, after one that warms up."""

    def finish() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    finish()
    seconds: list[float] = []
    while len(seconds) < FEWEST_CALLS or sum(seconds) < FEWEST_SECONDS:
        seconds.append(clock(finish))
    return statistics.median(seconds)


def clock(call: Callable[[], object]) -> float:
    """Measure the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
