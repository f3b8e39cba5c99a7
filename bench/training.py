"""How fast a training step is, against the same method written down first (`bench.naive`), and whether it is the same.

    python -m bench.training [SHAPE ...]      writes results/training.csv; `make bench` does so

Shapes: `pydoc`, the reference model on a CPU thread, as the default study runs; `llama-3.2-1b` with random weights,
whole in bfloat16 on a GPU, else its first two layers in float32 on the CPU. Both engines take turns, so that a drift of
the speed meets both, and the rate of matrix products is measured in between.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from bench import naive
from bench.shapes import ROOT, build
from spon import calibrate, divergence, layers, models, sparsify, train

RESULTS = Path(__file__).parent / "results"
SPARSITY = 0.5
GIB = 2**30


@dataclass(frozen=True)
class Case:
    """What is measured: a model, a batch, a way to sparsify.

    Attributes:
        layers: Of the model; None for all.
        blocks: Of 128 tokens, per step.
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
        """The model of the case."""
        torch.set_num_threads(self.threads)
        if self.shape != "pydoc":
            return build(self.shape, self.device, self.dtype, self.layers)
        network = LlamaForCausalLM.from_pretrained(
            ROOT / "resources/models/pydoc", dtype=self.dtype
        )
        return network.requires_grad_(False).eval()


def list_cases(shape: str) -> list[Case]:
    """The cases of a shape, on the machine as it is."""
    if shape == "pydoc":
        return [
            Case(shape, method, "cpu", torch.float32, None, 4, 1, 15)
            for method in ("threshold", "topk")
        ]
    if torch.cuda.is_available():
        whole = ("cuda", torch.bfloat16, None, 8, torch.get_num_threads(), 15)
        return [Case(shape, method, *whole) for method in ("threshold", "topk")]
    return [
        Case(shape, method, "cpu", torch.float32, 2, 8, 2, 3) for method in ("threshold", "topk")
    ]


class Step:
    """A training step of a case, by either engine."""

    def __init__(self, case: Case):
        self.case, self.network = case, case.load()
        generator = torch.Generator().manual_seed(0)
        vocabulary, length = self.network.config.vocab_size, 128
        self.tokens = torch.randint(
            vocabulary, (case.blocks, length), generator=generator, dtype=torch.int32
        )
        names = models.name_sites(self.network, ["mlp.down_proj"])
        quantiles = calibrate.read_quantiles(
            self.network, self.tokens, names, self.tokens.numel(), 0.0
        )
        self.thresholds = calibrate.choose_thresholds(names, quantiles, SPARSITY)
        self.masks = sparsify.make_sparsifiers(
            self.network, self.thresholds, case.method, SPARSITY, 0.0
        )
        self.biases = {
            name: train.start(self.network.get_submodule(name), "bias") for name in names
        }
        self.head = models.head_weight(self.network)
        self.chunk = 256

    def dense(self) -> Tensor:
        """The dense model's states, which a training computes once for each of its blocks, or finds."""
        with torch.inference_mode():
            return models.final_states(self.network, self.tokens)

    def run_spon(self, dense: Tensor) -> Tensor:
        """A step of `spon.train`."""
        with (
            sparsify.sparsified(self.network, self.masks),
            sparsify.biased(self.network, self.biases),
        ):
            loss = divergence.kl_to_dense(
                models.final_states(self.network, self.tokens), dense, self.head, self.chunk
            )
            loss.backward()
        return loss.detach()

    def run_naive(self) -> Tensor:
        """A step of `bench.naive`."""
        batch = self.tokens.to(self.network.device, torch.long)
        with naive.wrapped(
            self.network, self.biases, self.case.method, self.thresholds, SPARSITY
        ) as sites:
            return naive.take_step(self.network, batch, sites)

    def take_gradients(self) -> Tensor:
        """All gradients in a row, which are then none again."""
        gradients = torch.cat([bias.grad.flatten() for bias in self.biases.values()]).clone()
        for bias in self.biases.values():
            bias.grad = None
        return gradients


def time_call(call: Callable[[], object], device: str) -> float:
    """Seconds that a call takes."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def count_operations(network: nn.Module, length: int) -> float:
    """Operations per token that a step needs: forwards, backwards through activations, and three head products."""
    config = network.config
    sizes = [
        module.weight.numel()
        for module in network.get_decoder().layers.modules()
        if isinstance(module, nn.Linear)
    ]
    heads = config.num_attention_heads * network.get_decoder().layers[0].self_attn.head_dim
    attention = 4 * heads * length / 2 * config.num_hidden_layers
    return 2 * (2 * sum(sizes) + attention) + 3 * 2 * config.vocab_size * config.hidden_size


def time_products(step: Step) -> float:
    """Operations per second of the model's products with its weights as they are: the best of MLP and head."""
    config, dtype, device = step.network.config, step.case.dtype, step.case.device
    rates = []
    for size in (config.intermediate_size, config.vocab_size):
        x = torch.randn(
            min(step.tokens.numel(), step.chunk), config.hidden_size, device=device, dtype=dtype
        )
        weight = torch.randn(config.hidden_size, size, device=device, dtype=dtype)
        seconds = min(time_call(lambda x=x, weight=weight: x @ weight, device) for _ in range(8))
        rates.append(2 * x.numel() * size / seconds)
    return max(rates)


def measure(case: Case) -> Iterator[dict]:
    """A row per engine."""
    step = Step(case)
    dense, runs = step.dense(), {"naive": step.run_naive}
    runs["spon"] = lambda: step.run_spon(dense)
    losses, gradients = {}, {}
    for name, run in runs.items():  # the warm-up
        losses[name] = run().item()
        gradients[name] = step.take_gradients()
    times: dict[str, list[float]] = {name: [] for name in (*runs, "dense")}
    rates = [time_products(step)]
    for _ in range(case.repeats):
        for name, run in runs.items():
            times[name].append(time_call(run, case.device))
        times["dense"].append(time_call(step.dense, case.device))
        rates.append(time_products(step))
    medians = {name: statistics.median(found) for name, found in times.items()}
    if case.device == "cuda" or case.shape == "pydoc":
        name = "spon compiled"
        medians[name], losses[name], gradients[name] = measure_compiled(step, dense)
    yield from describe(step, medians, losses, gradients, max(rates))


def measure_compiled(step: Step, dense: Tensor) -> tuple[float, float, Tensor]:
    """Seconds, loss and gradients of a step whose layers are compiled; the compilation is left out."""
    with layers.compiled(step.network, 0, True):
        found = [
            time_call(lambda: step.run_spon(dense), step.case.device)
            for _ in range(step.case.repeats + 3)
        ]
        step.take_gradients()
        loss = step.run_spon(dense).item()
    return statistics.median(found[3:]), loss, step.take_gradients()


def describe(
    step: Step, seconds: dict, losses: dict, gradients: dict, rate: float
) -> Iterator[dict]:
    """The rows of a case."""
    case, tokens = step.case, step.tokens.numel()
    operations = tokens * count_operations(step.network, step.tokens.shape[1])
    weights = sum(weight.numel() * weight.element_size() for weight in step.network.parameters())
    for engine in losses:
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
    """Bytes at the peak of a step in a process of its own: of the whole process, on a GPU of its tensors."""
    command = [sys.executable, "-m", "bench.training", case.shape, "--peak", case.method, engine]
    return int(
        subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=ROOT
        ).stdout.split()[-1]
    )


def measure_peak(case: Case, engine: str) -> int:
    """The peak of this process."""
    step = Step(case)
    if case.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with layers.compiled(step.network, 0, engine.endswith("compiled")):
        step.run_naive() if engine == "naive" else step.run_spon(step.dense())
    return torch.cuda.max_memory_allocated() if case.device == "cuda" else read_resident_peak()


def read_resident_peak() -> int:
    """Bytes of main memory that this process has had at most; Linux's `ru_maxrss` would count its parent's."""
    status = Path("/proc/self/status")
    found = (
        re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.M) if status.exists() else None
    )
    return (
        int(found[1]) * 1024
        if found
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


def compare_trainings() -> pd.DataFrame:
    """Whole trainings of the default study's recipe on the reference model by both engines, and one of ours again."""
    rows = []
    for case in list_cases("pydoc"):
        step = Step(replace(case, blocks=384))
        recipe = train.Recipe(
            384, "first", 1, 4, 0.01, "cosine", 256, "bias", checkpointing=False, compile=False
        )
        ours, again, parted = (
            train_ours(step, recipe, split_blocks) for split_blocks in (4, 4, 1)
        )
        row = {"shape": "pydoc", "method": case.method, "steps": recipe.steps}
        row |= {
            f"naive_{name}": value
            for name, value in compare(ours, train_naively(step, recipe)).items()
        }
        # The same sums in another order: what rounding alone does to a training.
        row |= {f"rounding_{name}": value for name, value in compare(ours, parted).items()}
        identical = all(one.equal(other) for one, other in zip(ours, again, strict=True))
        rows.append(row | {"repeated_run_is_bit_identical": identical})
    return pd.DataFrame(rows)


def train_ours(step: Step, recipe: train.Recipe, split_blocks: int) -> tuple[Tensor, Tensor]:
    """Losses and final biases, in a row, of our engine."""
    learn = partial(
        train.learn_biases, step.network, step.tokens, step.masks, list(step.biases), recipe
    )
    biases, curve = learn(seed=0, split_blocks=split_blocks)
    return torch.tensor([point["kl_nats_per_token"] for point in curve]), torch.cat(
        [*biases.values()]
    )


def compare(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> dict[str, str]:
    """How far two trainings are apart."""
    curve, bias = ((a - b).norm() / b.norm() for a, b in zip(one, other, strict=True))
    largest = ((one[0] - other[0]) / other[0]).abs().max()
    names = {
        "curve_relative_difference": curve,
        "curve_largest": largest,
        "bias_relative_difference": bias,
    }
    return {name: f"{value:.1e}" for name, value in names.items()}


def train_naively(step: Step, recipe: train.Recipe) -> tuple[Tensor, Tensor]:
    """Losses and final biases, in a row, of the naive engine."""
    optimizer = torch.optim.AdamW(step.biases.values(), lr=recipe.learning_rate, weight_decay=0.0)
    batches = step.tokens.long().split(recipe.batch_blocks)
    with naive.wrapped(
        step.network, step.biases, step.case.method, step.thresholds, SPARSITY
    ) as sites:
        losses = naive.train(
            step.network, batches, sites, optimizer, train.make_scheduler(optimizer, recipe)
        )
    return torch.tensor(losses), torch.cat([bias.detach() for bias in step.biases.values()])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="*", default=["pydoc", "llama-3.2-1b"])
    parser.add_argument("--peak", nargs=2, metavar=("METHOD", "ENGINE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        case = next(
            case for case in list_cases(arguments.shapes[0]) if case.method == arguments.peak[0]
        )
        sys.stdout.write(f"{measure_peak(case, arguments.peak[1])}\n")
        return
    RESULTS.mkdir(exist_ok=True)
    table = pd.DataFrame(
        [row for shape in arguments.shapes for case in list_cases(shape) for row in measure(case)]
    )
    sys.stdout.write(table.T.to_string(header=False) + "\n")
    table.to_csv(RESULTS / "training.csv", index=False)
    same = compare_trainings()
    sys.stdout.write("\n" + same.T.to_string(header=False) + "\n")
    same.to_csv(RESULTS / "same_training.csv", index=False)


if __name__ == "__main__":
    main()
