"""How fast this machine is at what a study computes: measured on a cut of its model, with random weights."""

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from spon import corpus, divergence, evaluate, layers, memory, models, sparsify, train
from spon.cost import workload

LAYERS = 2  # of the cut
CALLS, SECONDS = 3, 0.5  # timed at least, behind one that is not
OPERATIONS = 2e10  # of a timed call on a CPU, unless one block is more
FEWEST_TOKENS = 64  # below, a product waits for the weights
DIMENSIONS = 512  # of the states whose statistics are timed, at most
FILE_BYTES = 2**26
SOURCE_FILES = 200  # of the corpus that are read
# What jobs do before they compute. A model's class comes with its first model, fonts with the first figure.
STARTS = {
    "model": """
import pyarrow.parquet
from spon.job import job
from spon import data, evaluate, models, sparsify, train
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
    """Seconds per unit of everything in `workload.Work`, and what jobs need before they compute.

    Args:
        shape: As in `model.json`.
        settings: `dtype`, `method`, `block_length`, `teraflops`, `memory_gib`, and the sections `train` and `evaluate`
            of the config; `pydoc`, if the study's text is that corpus. With `teraflops`, nothing of the model is
            measured, as another machine will run it.
        device: `cpu` or `cuda`.
        processes: Those that read the corpus.

    Returns:
        `seconds_per` by the names of `Work`; `start_seconds` by kind of job; `load_seconds_per_byte`, of weights;
        `corpus_seconds`, None without it; and `matrix_teraflops` of the model's largest map, None where not measured.
    """
    teraflops = settings["teraflops"]
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
        "corpus_seconds": measure_corpus(settings["pydoc"], processes)
        if settings["pydoc"]
        else None,
    }


def measure_model(
    shape: Mapping[str, Any], settings: Mapping[str, Any], device: str
) -> dict[str, float]:
    """Seconds per token and layer of passes, and per token and product of the head.

    Raises:
        ValueError: Not even the cut fits into the memory.
    """
    check_cut(shape, settings, device)
    dtype, length = settings["dtype"], settings["block_length"]
    network = build_cut(shape, dtype, device)
    sites = models.name_sites(network, ["mlp.down_proj"])
    thresholds = dict.fromkeys(sites, 0.1)
    sparsifiers = sparsify.make_sparsifiers(
        network, thresholds, settings["method"], sparsity=0.5, dense_share=0.0
    )
    count = len(network.get_decoder().layers)
    evaluated, trained = count_blocks(shape, settings, device, count)
    found = {
        "forward": time_forward(network, sparsifiers, evaluated, length) / count,
        "trained": time_training(network, sparsifiers, trained, length) / count,
        **time_head(network, settings, count_tokens(shape, settings, device)),
    }
    if dtype == models.STATES:
        return {**found, "states": found["forward"]}
    states = network.to(getattr(torch, models.STATES))
    return {**found, "states": time_forward(states, sparsifiers, evaluated, length) / count}


def check_cut(shape: Mapping[str, Any], settings: Mapping[str, Any], device: str) -> None:
    """Refuse a model of which not even two layers and the head fit.

    Raises:
        ValueError: They do not.
    """
    in_layer = sum(size["d_in"] * size["d_out"] for size in shape["maps"].values())
    parameters = min(LAYERS, shape["layers"]) * in_layer + shape["vocabulary"] * shape["width"]
    needed = (
        memory.estimate_weights({**shape, "parameters": parameters}, models.STATES, device)
        / memory.GIB
    )
    if needed > settings["memory_gib"]:
        raise ValueError(
            f"memory_gib is {settings['memory_gib']:g}, two layers of the model and its head need {needed:.2g}: "
            f"allowed is that or more, or plan.teraflops, the rate of a machine that has it"
        )


def build_cut(shape: Mapping[str, Any], dtype: str, device: str) -> nn.Module:
    """A Llama of at most two layers, as wide as the shape says, with random weights, frozen."""
    maps = shape["maps"]
    queries, keys = maps["self_attn.q_proj"]["d_out"], maps["self_attn.k_proj"]["d_out"]
    head = math.gcd(queries, keys, 128)
    config = LlamaConfig(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["width"],
        intermediate_size=maps["mlp.down_proj"]["d_in"],
        num_hidden_layers=min(LAYERS, shape["layers"]),
        num_attention_heads=queries // head,
        num_key_value_heads=keys // head,
        head_dim=head,
        tie_word_embeddings=True,
    )
    with torch.device(device):
        network = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return network.requires_grad_(False).eval()


def count_blocks(
    shape: Mapping[str, Any], settings: Mapping[str, Any], device: str, count: int
) -> tuple[int, int]:
    """Blocks at one time in an evaluation and in a training; fewer where a CPU would take long."""
    length = settings["block_length"]
    wanted = (
        max(1, settings["evaluate"]["batch_tokens"] // length),
        settings["train"]["batch_blocks"],
    )
    most = (
        OPERATIONS / (count * length * workload.layer_flop(shape, length))
        if device == "cpu"
        else math.inf
    )
    return tuple(max(1, int(min(blocks, most))) for blocks in wanted)


def count_tokens(shape: Mapping[str, Any], settings: Mapping[str, Any], device: str) -> int:
    """Tokens that the head is timed with; fewer where a CPU would take long."""
    wanted = settings["train"]["batch_blocks"] * settings["block_length"]
    most = OPERATIONS / workload.head_flop(shape) if device == "cpu" else math.inf
    return int(min(wanted, max(FEWEST_TOKENS, most)))


def time_forward(
    network: nn.Module, sparsifiers: Mapping[str, sparsify.Sparsifier], blocks: int, length: int
) -> float:
    """Seconds per token of a sparsified pass."""
    tokens = torch.randint(network.config.vocab_size, (blocks, length), dtype=torch.int32)
    with torch.inference_mode(), sparsify.sparsified(network, sparsifiers):
        return (
            time_call(lambda: models.final_states(network, tokens), network.device)
            / tokens.numel()
        )


def time_training(
    network: nn.Module, sparsifiers: Mapping[str, sparsify.Sparsifier], blocks: int, length: int
) -> float:
    """Seconds per token of a sparsified pass forwards and, down to what enters the first layer, backwards."""
    entering = torch.randn(
        blocks, length, network.config.hidden_size, device=network.device, dtype=network.dtype
    )
    entering.requires_grad_()
    biases = {site: train.start(network.get_submodule(site), "bias") for site in sparsifiers}

    def step() -> None:
        with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, biases):
            layers.run_from(network, entering, 0).sum().backward()

    return time_call(step, network.device) / (blocks * length)


def time_head(network: nn.Module, settings: Mapping[str, Any], tokens: int) -> dict[str, float]:
    """Seconds per token and product: of the two of an evaluation, and of the three of a training."""
    head = models.head_weight(network)
    dense, sparse = torch.randn(
        2, 1, tokens, network.config.hidden_size, device=network.device, dtype=network.dtype
    )
    sparse.requires_grad_()
    targets = torch.randint(network.config.vocab_size, (1, tokens), device=network.device)
    evaluated, trained = (settings[name]["chunk_tokens"] for name in ("evaluate", "train"))
    with torch.no_grad():
        scored = time_call(
            lambda: evaluate.score(dense, [sparse], targets, head, evaluated), network.device
        )
    compared = time_call(
        lambda: divergence.kl_to_dense(sparse, dense, head, trained).backward(), network.device
    )
    return {"scored": scored / (2 * (tokens - 1)), "compared": compared / (3 * tokens)}


def measure_matrix(shape: Mapping[str, Any], dtype: str, device: str) -> float:
    """Operations per second of the model's largest map, in units of 10^12."""
    largest = max(shape["maps"].values(), key=lambda size: size["d_in"] * size["d_out"])
    flop = 2 * largest["d_in"] * largest["d_out"]
    tokens = 4096 if device != "cpu" else max(FEWEST_TOKENS, min(512, int(OPERATIONS / flop)))
    options = {"dtype": getattr(torch, dtype), "device": device}
    x = torch.randn(tokens, largest["d_in"], **options)
    weight = torch.randn(largest["d_out"], largest["d_in"], **options)
    return tokens * flop / time_call(lambda: x @ weight.T, torch.device(device)) / 1e12


def measure_statistics(shape: Mapping[str, Any]) -> dict[str, float]:
    """Seconds per operation of float64 products, and per cubed dimension of eigendecompositions, on the CPU."""
    size = min(DIMENSIONS, shape["width"])
    states = torch.randn(4 * size, size, dtype=torch.float64)
    square = states.T @ states
    cpu = states.device
    return {
        "products": time_call(lambda: states.T @ states, cpu) / (8 * size**3),
        "axes": time_call(lambda: torch.linalg.eigh(square), cpu) / size**3,
    }


def measure_load(dtype: str, device: str) -> float:
    """Seconds per byte of weights that a file system has at hand."""
    weights = torch.zeros(FILE_BYTES // memory.SIZES[dtype], dtype=getattr(torch, dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_file({"weights": weights}, path)
        return (
            time_call(lambda: load_file(path)["weights"].clone().to(device), torch.device(device))
            / FILE_BYTES
        )


def measure_start(code: str) -> float:
    """Seconds of a process that runs this code: the faster of two, as the first may wait for the disk."""
    return min(
        clock(lambda: subprocess.run([sys.executable, "-c", code], check=True)) for _ in range(2)
    )


def measure_corpus(pydoc: Mapping[str, Any], processes: int) -> float:
    """Seconds to collect the corpus, from some of its files: reading them in parallel, and finding duplicates."""
    selection = corpus.Selection(**pydoc)
    files = [path for package in selection.packages for _, path in corpus.source_files(package)]
    chosen = files[:: max(1, len(files) // SOURCE_FILES)]
    share = sum(Path(path).stat().st_size for path in chosen) / sum(
        Path(path).stat().st_size for path in files
    )
    texts: list[str] = []
    read = clock(
        lambda: texts.extend(text for path in chosen for text in corpus.read_docstrings(path))
    )
    compared = clock(
        lambda: corpus.mark_new(texts, selection.shingle_words, selection.duplicate_share)
    )
    return (read / processes + compared) / share


def time_call(call: Callable[[], object], device: torch.device) -> float:
    """Median seconds of a call, behind one that warms up."""

    def finish() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    finish()
    taken: list[float] = []
    while len(taken) < CALLS or sum(taken) < SECONDS:
        taken.append(clock(finish))
    return statistics.median(taken)


def clock(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
