"""How fast a training step is, against the same method written down first (`bench.naive`), and
whether it is the same.

    python -m bench.training [SHAPE ...]      writes results/training.csv; `make bench` does so

Shapes: `pydoc`, the reference model on a CPU thread, as the default study runs; `smollm2-135m`
with random weights on a CPU thread, as the study of that model runs; `llama-3.2-1b` with random
weights, whole in bfloat16 on a GPU, else its first two layers in float32 on the CPU.
Both engines take turns, so that a drift of the speed meets both, and the rate of matrix products
is measured in between.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from bench import naive
from bench.shapes import ROOT, build
from spon import calibrate, divergence, layers, models, schedule, sparsify, train
from spon.head import Head
from spon.schedule import Recipe
from spon.sites import name_site

RESULTS = Path(__file__).parent / "results"
SPARSITY = 0.5
GIB = 2**30


@dataclass(frozen=True)
class Case:
    """A case to measure: a model, a batch and a way to sparsify.

    Attributes:
        layers: First layers of the model that are kept; None for all.
        blocks: Blocks of 128 tokens per step.
        repeats: Timed steps of each engine.
    """

    shape: str
    method: str
    device: str
    dtype: torch.dtype
    layers: int | None
    blocks: int
    threads: int
    repeats: int

    def load(self) -> nn.Module:
        """Load the model of the case."""
        torch.set_num_threads(self.threads)
        if self.shape != "pydoc":
            return build(self.shape, self.device, self.dtype, self.layers)
        folder = ROOT / "resources/models/pydoc"
        network = models.read_network(folder, self.dtype)
        return network.requires_grad_(False).eval()


def list_cases(shape: str) -> list[Case]:
    """List the cases of a shape, by what this machine has: one per way to sparsify."""
    if shape == "pydoc":
        settings = ("cpu", torch.float32, None, 4, 1, 15)
    elif shape == "smollm2-135m":
        settings = ("cpu", torch.float32, None, 4, 1, 5)
    elif torch.cuda.is_available():
        settings = ("cuda", torch.bfloat16, None, 8, torch.get_num_threads(), 15)
    else:
        settings = ("cpu", torch.float32, 2, 8, 2, 3)
    return [Case(shape, method, *settings) for method in ("threshold", "topk")]


class Step:
    """A training step of a case, by either engine."""

    def __init__(self, case: Case):
        self.case, self.network = case, case.load()
        generator = torch.Generator().manual_seed(0)
        vocabulary, size = self.network.config.vocab_size, (case.blocks, 128)
        self.tokens = torch.randint(vocabulary, size, generator=generator, dtype=torch.int32)
        count = self.tokens.numel()
        depth = len(self.network.get_decoder().layers)
        sites = [name_site(layer, "mlp.down_proj") for layer in range(depth)]
        quantiles = calibrate.read_quantiles(self.network, self.tokens, sites, count, 0.0)
        self.thresholds = calibrate.choose_thresholds(sites, quantiles, SPARSITY)
        self.masks = sparsify.make_sparsifiers(
            self.network, self.thresholds, case.method, SPARSITY, 0.0
        )
        self.biases = {
            site: train.start(self.network.get_submodule(site), "bias") for site in sites
        }
        self.head = Head(self.network)
        self.chunk = 256

    def dense(self) -> Tensor:
        """Compute the dense model's states; a training does so once per block, or reads them."""
        with torch.inference_mode():
            return models.final_states(self.network, self.tokens)

    def run_spon(self, dense: Tensor) -> Tensor:
        """Take a step of `spon.train`, and return its loss."""
        with (
            sparsify.sparsified(self.network, self.masks),
            sparsify.biased(self.network, self.biases),
        ):
            states = models.final_states(self.network, self.tokens)
            loss = divergence.kl_to_dense(states, dense, self.head, self.chunk)
            loss.backward()
        return loss.detach()

    def run_naive(self) -> Tensor:
        """Take a step of `bench.naive`, and return its loss."""
        batch = self.tokens.to(self.network.device, torch.long)
        with self.wrap() as sites:
            return naive.take_step(self.network, batch, sites)

    def wrap(self) -> AbstractContextManager[list[naive.Site]]:
        """Wrap the sites for `bench.naive`."""
        method, thresholds = self.case.method, self.thresholds
        return naive.wrapped(self.network, self.biases, method, thresholds, SPARSITY)

    def take_gradients(self) -> Tensor:
        """Return all gradients, concatenated, and reset them."""
        gradients = torch.cat([bias.grad.flatten() for bias in self.biases.values()]).clone()
        for bias in self.biases.values():
            bias.grad = None
        return gradients


def time_call(call: Callable[[], object], device: str) -> float:
    """Return the seconds that a call takes."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def count_operations(network: nn.Module, length: int) -> float:
    """Count the operations per token that a step needs.

    They are those of a pass forwards, of one backwards through the activations alone, and of three
    products with the head.
    """
    config, decoder = network.config, network.get_decoder()
    linears = [module for module in decoder.layers.modules() if isinstance(module, nn.Linear)]
    products = 2 * sum(linear.weight.numel() for linear in linears)
    heads = config.num_attention_heads * decoder.layers[0].self_attn.head_dim
    attention = 4 * heads * length / 2 * config.num_hidden_layers
    head = 2 * config.vocab_size * config.hidden_size
    return 2 * (products + attention) + 3 * head


def time_products(step: Step) -> float:
    """Measure the operations per second of plain products of the model's sizes and dtype.

    Returns:
        The better of the rates at an MLP map's size and at the head's.
    """
    config, dtype, device = step.network.config, step.case.dtype, step.case.device
    tokens = min(step.tokens.numel(), step.chunk)
    rates = []
    for size in (config.intermediate_size, config.vocab_size):
        x = torch.randn(tokens, config.hidden_size, device=device, dtype=dtype)
        weight = torch.randn(config.hidden_size, size, device=device, dtype=dtype)
        seconds = min(time_call(lambda x=x, weight=weight: x @ weight, device) for _ in range(8))
        rates.append(2 * x.numel() * size / seconds)
    return max(rates)


def measure(case: Case) -> Iterator[dict]:
    """Measure a case, and yield a row per engine."""
    step = Step(case)
    dense, runs = step.dense(), {"naive": step.run_naive}
    runs["spon"] = lambda: step.run_spon(dense)
    losses, gradients = {}, {}
    for name, run in runs.items():  # also warms up: these steps are not timed
        losses[name] = run().item()
        gradients[name] = step.take_gradients()
    times: dict[str, list[float]] = {name: [] for name in (*runs, "dense")}
    rates = [time_products(step)]
    for _ in range(case.repeats):
        for name, run in runs.items():
            times[name].append(time_call(run, case.device))
        times["dense"].append(time_call(step.dense, case.device))
        rates.append(time_products(step))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    if case.device == "cuda" or case.shape == "pydoc":
        name = "spon compiled"
        medians[name], losses[name], gradients[name] = measure_compiled(step, dense)
    yield from describe(step, medians, losses, gradients, max(rates))


def measure_compiled(step: Step, dense: Tensor) -> tuple[float, float, Tensor]:
    """Measure the median seconds, loss and gradients of a step whose layers are compiled."""
    warm_up = 3  # steps that are not counted, as layers are compiled during the first
    seconds = []
    with layers.compiled(step.network, 0, True):
        for _ in range(warm_up + step.case.repeats):
            seconds.append(time_call(lambda: step.run_spon(dense), step.case.device))
        step.take_gradients()
        loss = step.run_spon(dense).item()
    return statistics.median(seconds[warm_up:]), loss, step.take_gradients()


def describe(
    step: Step, seconds: dict, losses: dict, gradients: dict, rate: float
) -> Iterator[dict]:
    """Yield the rows of a case.

    Args:
        step: The case's step.
        seconds: Median time by engine, and of the dense model's states as `dense`.
        losses: By engine.
        gradients: By engine.
        rate: Operations per second of matrix products.
    """
    assert losses.keys() == gradients.keys(), f"{list(losses)} are not {list(gradients)}"
    case, tokens = step.case, step.tokens.numel()
    operations = tokens * count_operations(step.network, step.tokens.shape[1])
    weights = sum(weight.numel() * weight.element_size() for weight in step.network.parameters())
    for engine in losses:
        # A naive step runs the dense model itself. Ours needs its states as well, which cost in
        # full where there is one epoch.
        alone = seconds[engine] + (0 if engine == "naive" else seconds["dense"])
        difference = (gradients[engine] - gradients["naive"]).norm() / gradients["naive"].norm()
        yield {
            "shape": case.shape,
            "layers": step.network.config.num_hidden_layers,
            "device": torch.cuda.get_device_name() if case.device == "cuda" else "cpu",
            "threads": case.threads,
            "dtype": str(case.dtype).removeprefix("torch."),
            "method": case.method,
            "engine": engine,
            "tokens_per_step": tokens,
            "step_milliseconds": round(1e3 * seconds[engine], 2),
            "dense_milliseconds": round(1e3 * seconds["dense"], 2),
            "tokens_per_second": round(tokens / seconds[engine]),
            "speedup": round(seconds["naive"] / seconds[engine], 2),
            "speedup_of_one_epoch_alone": round(seconds["naive"] / alone, 2),
            "teraflops": round(operations / seconds[engine] / 1e12, 3),
            "matrix_teraflops": round(rate / 1e12, 3),
            "fraction_of_matrix_rate": round(operations / seconds[engine] / rate, 3),
            "weights_gib": round(weights / GIB, 3),
            "peak_memory_gib": round(read_peak(case, engine) / GIB, 3),
            "loss_relative_difference": f"{abs(losses[engine] / losses['naive'] - 1):.1e}",
            "gradient_relative_difference": f"{difference:.1e}",
        }


def read_peak(case: Case, engine: str) -> int:
    """Return the bytes at the peak of a step, which runs in a process of its own.

    On a CPU they are those of the whole process, on a GPU those of its tensors.
    """
    command = [sys.executable, "-m", "bench.training", case.shape, "--peak", case.method, engine]
    process = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return int(process.stdout.split()[-1])


def measure_peak(case: Case, engine: str) -> int:
    """Take a step, and return the bytes at the peak of this process."""
    step = Step(case)
    if case.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with layers.compiled(step.network, 0, engine.endswith("compiled")):
        if engine == "naive":
            step.run_naive()
        else:
            step.run_spon(step.dense())
    return torch.cuda.max_memory_allocated() if case.device == "cuda" else read_resident_peak()


def read_resident_peak() -> int:
    """Return the most bytes of main memory that this process has had.

    They are read from /proc where it exists: on Linux, `ru_maxrss` would count the parent's too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.M)
        if line:
            return int(line[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare_trainings() -> pd.DataFrame:
    """Compare whole trainings by the default study's recipe on the reference model.

    Ours is compared with the naive engine's, with itself, and with itself summed in another order.

    Returns:
        A row per way to sparsify.
    """
    rows = []
    for case in list_cases("pydoc"):
        step = Step(replace(case, blocks=385))  # one of them held out
        recipe = Recipe(
            blocks=384,
            held_out_blocks=1,
            order="first",
            epochs=1,
            batch_blocks=4,
            measure_every=96,
            learning_rate=0.01,
            schedule="cosine",
            plateau={"improvement": 0.03, "cuts": 1, "factor": 0.3},
            chunk_tokens=256,
            parametrisation="bias",
            checkpointing=False,
            compile=False,
        )
        ours = train_ours(step, recipe, split_blocks=4)
        repeated = train_ours(step, recipe, split_blocks=4)
        # The same sums in another order show what rounding alone does to a training.
        reordered = train_ours(step, recipe, split_blocks=1)
        row = {"shape": "pydoc", "method": case.method, "steps": recipe.steps}
        for name, value in compare(ours, train_naively(step, recipe)).items():
            row[f"naive_{name}"] = value
        for name, value in compare(ours, reordered).items():
            row[f"rounding_{name}"] = value
        same_losses, same_biases = (a.equal(b) for a, b in zip(ours, repeated, strict=True))
        row["repeated_run_is_bit_identical"] = same_losses and same_biases
        rows.append(row)
    return pd.DataFrame(rows)


def train_ours(step: Step, recipe: Recipe, split_blocks: int) -> tuple[Tensor, Tensor]:
    """Train with `spon.train`; return the losses and the final biases, concatenated."""
    network, tokens, sites = step.network, step.tokens, list(step.biases)
    biases, curve = train.learn_biases(
        network, tokens, step.masks, sites, recipe, seed=0, split_blocks=split_blocks
    )
    losses = torch.tensor([point["kl_nats_per_token"] for point in curve[1:]])
    return losses, torch.cat([*biases.values()])


def compare(training: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> dict[str, str]:
    """Return the differences of a training's losses and biases from those of a reference."""
    (losses, biases), (reference_losses, reference_biases) = training, reference
    curve, bias = losses - reference_losses, biases - reference_biases
    differences = {
        "curve_relative_difference": curve.norm() / reference_losses.norm(),
        "curve_largest": (curve / reference_losses).abs().max(),
        "bias_relative_difference": bias.norm() / reference_biases.norm(),
    }
    return {name: f"{value:.1e}" for name, value in differences.items()}


def train_naively(step: Step, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Train with `bench.naive`; return the losses and the final biases, concatenated."""
    optimizer = torch.optim.AdamW(step.biases.values(), lr=recipe.learning_rate, weight_decay=0.0)
    batches = step.tokens[: recipe.blocks].long().split(recipe.batch_blocks)
    scheduler = schedule.make_scheduler(optimizer, recipe)
    with step.wrap() as sites:
        losses = naive.train(step.network, batches, sites, optimizer, scheduler)
    return torch.tensor(losses), torch.cat([bias.detach() for bias in step.biases.values()])


def main() -> None:
    """Measure all shapes, compare whole trainings, and print and write both tables."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("shapes", nargs="*", default=["pydoc", "smollm2-135m", "llama-3.2-1b"])
    parser.add_argument("--peak", nargs=2, metavar=("METHOD", "ENGINE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        method, engine = arguments.peak
        cases = {case.method: case for case in list_cases(arguments.shapes[0])}
        sys.stdout.write(f"{measure_peak(cases[method], engine)}\n")
        return
    RESULTS.mkdir(exist_ok=True)
    rows = []
    for shape in arguments.shapes:
        for case in list_cases(shape):
            rows += measure(case)
    table = pd.DataFrame(rows)
    sys.stdout.write(table.T.to_string(header=False) + "\n")
    table.to_csv(RESULTS / "training.csv", index=False)
    trainings = compare_trainings()
    sys.stdout.write("\n" + trainings.T.to_string(header=False) + "\n")
    trainings.to_csv(RESULTS / "same_training.csv", index=False)


if __name__ == "__main__":
    main()
