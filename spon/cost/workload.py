"""Count what a study's jobs compute: passes of the model, products with its head, and statistics.

All is counted from the model's shape and the settings. Operations are floating-point ones, two per
multiplication and addition.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import yaml

from spon.allocate import FISHER, MEAN_RESIDUAL, MODE, TRAINED, choose_layers

STATES = "float32"  # in which hidden states are compared, as `spon.models` says
CHARACTERS_PER_TOKEN = 4  # about
PRODUCTS, CURVATURE_BLOCKS, SCALE_BLOCKS = 8, 32, 16  # of a Newton step, as `spon.newton` says
GREEDY_STEP, GREEDY_TOKENS = 0.01, 2048  # as `spon.methods.greedy` says
# The rule that makes the biases of a run, by how they are learned.
LEARNING = {
    TRAINED: "train_spon",
    MEAN_RESIDUAL: "average_residual",
    FISHER: "take_newton_step",
    MODE: "centre_on_mode",
}
# With fewer samples, a product of states takes as long as writing and reading its matrix.
FEWEST_SAMPLES = 64
# Operations of a symmetric eigendecomposition, in cubes of the dimensions (Golub and Van Loan,
# section 8.3).
EIGENVECTOR_FLOP = 9


@dataclass(frozen=True)
class Work:
    """Amounts of each kind of work whose rate is measured by itself.

    Attributes:
        forward: Tokens times layers of passes without a gradient.
        states: The same in float32, where hidden states are compared.
        trained: Tokens times layers of passes forwards and, through frozen weights, backwards.
        scored: Tokens times products with the head, in evaluation.
        compared: The same in training: two for the loss and one for its gradient.
        products: Operations of float64 products, on the CPU.
        axes: Cubed dimensions of float64 eigendecompositions, on the CPU.
    """

    forward: int | float = 0
    states: int | float = 0
    trained: int | float = 0
    scored: int | float = 0
    compared: int | float = 0
    products: int | float = 0
    axes: int | float = 0

    def __add__(self, other: "Work") -> "Work":
        """Add up the work of two jobs, or of two parts of one."""
        amounts = zip(astuple(self), astuple(other), strict=True)
        return Work(*(mine + theirs for mine, theirs in amounts))


@dataclass(frozen=True)
class Scale:
    """A model's shape and the settings that decide how much is computed with it.

    Attributes:
        shape: As in `model.json`.
        settings: The config's sections, and `text` and `protocol` of the study.
    """

    shape: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def length(self) -> int:
        """Return the tokens of a block."""
        return self.settings["protocol"]["block_length"]

    def passes(self, blocks: int) -> int:
        """Return the tokens times layers of one pass over blocks."""
        return blocks * self.length * self.shape["layers"]

    def layers_of(self, allocation: str) -> list[int]:
        """Return the indices of an allocation's layers."""
        layers = self.settings["allocations"][allocation]["layers"]
        return choose_layers(layers, self.shape["layers"])

    def sites_of(self, allocation: str) -> list[dict[str, int]]:
        """Return the `d_in` and `d_out` of every site that gets a bias."""
        maps = self.settings["allocations"][allocation]["biases"]
        return [self.shape["maps"][name] for _ in self.layers_of(allocation) for name in maps]

    def samples(self) -> tuple[int, float]:
        """Return the tokens of the blocks whose states are read, and of the prompts, about."""
        characters = sum(len(text) for text in self.settings["prompts"])
        tokens = self.settings["analyses"]["blocks"] * self.length
        return tokens, characters / CHARACTERS_PER_TOKEN


def layer_flop(shape: Mapping[str, Any], length: int) -> int:
    """Return the operations of a layer's forward pass per token.

    These are the linear maps that every layer has, without experts, and attention to half a block
    on average.
    """
    linear = sum(2 * size["d_in"] * size["d_out"] for size in shape["maps"].values())
    return linear + 4 * length * shape["heads_width"] // 2


def head_flop(shape: Mapping[str, Any]) -> int:
    """Return the operations of a product with the output head per token."""
    return 2 * shape["width"] * shape["vocabulary"]


def count_flop(work: Work, shape: Mapping[str, Any], length: int) -> int | float:
    """Count the operations of an amount of work; a pass forwards and backwards is two passes."""
    passes = work.forward + work.states + 2 * work.trained
    heads = work.scored + work.compared
    statistics = work.products + EIGENVECTOR_FLOP * work.axes
    return passes * layer_flop(shape, length) + heads * head_flop(shape) + statistics


def convert_teraflops(
    shape: Mapping[str, Any], length: int, teraflops: int | float
) -> dict[str, float]:
    """Convert a rate that a machine sustains into seconds per unit of a model's work.

    Args:
        shape: As in `model.json`.
        length: Tokens of a block.
        teraflops: In 10^12 operations per second.
    """
    assert teraflops > 0, f"a machine computes something, got {teraflops} TFLOP/s"
    layer = layer_flop(shape, length) / (1e12 * teraflops)
    head = head_flop(shape) / (1e12 * teraflops)
    return {
        "forward": layer,
        "states": layer,
        "trained": 2 * layer,
        "scored": head,
        "compared": head,
    }


def read_quantiles(scale: Scale, job: Mapping) -> Work:
    """Count one dense pass."""
    return Work(forward=scale.passes(scale.settings["calibrate"]["blocks"]))


def choose_thresholds(scale: Scale, job: Mapping) -> Work:
    """Count a dense pass and a sparse one."""
    return Work(forward=2 * scale.passes(scale.settings["calibrate"]["held_out_blocks"]))


def choose_greedy_thresholds(scale: Scale, job: Mapping) -> Work:
    """Count a pass through a layer for every map and step beside what a choice takes else."""
    maps = len(scale.settings["scopes"][job["scope"]])
    tried = math.ceil(job["sparsity"] / GREEDY_STEP) * maps
    passes = Work(forward=(1 + tried) * GREEDY_TOKENS * scale.shape["layers"])
    return passes + choose_thresholds(scale, job)


def train_spon(scale: Scale, job: Mapping) -> Work:
    """Count the passes of a training, and its products with the head.

    Passes go forwards and backwards through the layers from the lowest trained one on, and only
    forwards where the held-out KL is measured; the layers below run once. The first run of a seed
    makes the dense model's final states, which the others share. With checkpointing, the way back
    begins with another pass forwards. Counted are all epochs, though a training that has converged
    ends before.
    """
    recipe, layers = scale.settings["train"], scale.shape["layers"]
    above = layers - min(scale.layers_of(job["allocation"]))
    tokens, held_out = (recipe[name] * scale.length for name in ("blocks", "held_out_blocks"))
    steps = recipe["epochs"] * -(-recipe["blocks"] // recipe["batch_blocks"])
    measured = held_out * (1 + -(-steps // recipe["measure_every"]))
    trained = recipe["epochs"] * tokens * above
    once = (tokens + held_out) * (layers - above + layers * job["first"])
    return Work(
        forward=once + measured * above + trained * recipe["checkpointing"],
        trained=trained,
        # Of the three products of a training step, a measurement takes two: it has no gradient.
        compared=3 * recipe["epochs"] * tokens + 2 * measured,
    )


def average_residual(scale: Scale, job: Mapping) -> Work:
    """Count one dense pass."""
    return Work(forward=scale.passes(scale.settings["train"]["blocks"]))


def take_newton_step(scale: Scale, job: Mapping) -> Work:
    """Count a dense pass and one forwards and backwards for the gradient, and the curvature's.

    A product with the curvature takes a pass with tangents, about two forwards, and the way back;
    of both, there are three products with the head. An estimate of the scales comes before.
    """
    blocks, length = scale.settings["train"]["blocks"], scale.length
    bent = PRODUCTS * min(blocks, CURVATURE_BLOCKS)
    sampled = min(blocks, SCALE_BLOCKS)
    return Work(
        forward=scale.passes(blocks + bent),
        trained=scale.passes(blocks + bent + sampled),
        compared=(3 * (blocks + bent) + 2 * sampled) * length,
    )


def centre_on_mode(scale: Scale, job: Mapping) -> Work:
    """Count three dense passes, for the spread of inputs, their modes, and the thresholds.

    Then comes what a choice of thresholds takes too: a dense pass and a sparse one.
    """
    passes = Work(forward=3 * scale.passes(scale.settings["calibrate"]["blocks"]))
    return passes + choose_thresholds(scale, job)


def fetch_model(scale: Scale, job: Mapping) -> Work:
    """Count the passes over two blocks by which a model is compared with transformers' own."""
    return Work(forward=scale.passes(4 * 2), scored=3 * 2 * scale.length)


def evaluate_dense(scale: Scale, job: Mapping) -> Work:
    """Count one pass, whose final states all other evaluations share, and the temperature.

    The temperature takes a pass over its own blocks, and a product with the head for each step of
    Newton's method, of which there are about three.
    """
    blocks = scale.settings["text"]["evaluation"]["blocks"]
    fitted = scale.settings["evaluate"]["temperature_blocks"]
    return Work(forward=scale.passes(blocks + fitted), scored=(blocks + 3 * fitted) * scale.length)


def evaluate_against_dense(scale: Scale, job: Mapping) -> Work:
    """Count one pass, and products with the head of its states and of the dense model's."""
    blocks = scale.settings["text"]["evaluation"]["blocks"]
    return evaluate_dense(scale, job) + Work(scored=blocks * scale.length)


def evaluate_dense_further(scale: Scale, job: Mapping) -> Work:
    """Count one pass over a further text; the temperature is known."""
    blocks = scale.settings["text"][job["part"]]["blocks"]
    return Work(forward=scale.passes(blocks), scored=blocks * scale.length)


def evaluate_further(scale: Scale, job: Mapping) -> Work:
    """Count one pass over a further text, and two products with the head."""
    blocks = scale.settings["text"][job["part"]]["blocks"]
    return evaluate_dense_further(scale, job) + Work(scored=blocks * scale.length)


def evaluate_draws(scale: Scale, job: Mapping) -> Work:
    """Count a pass per random draw of biases.

    All draws are compared with the same dense states, which the first of these jobs makes.
    """
    draws = scale.settings["controls"]["draws"]
    blocks = scale.settings["controls"]["draw_blocks"]
    return Work(
        forward=(draws + job["first"]) * scale.passes(blocks),
        scored=(draws + 1) * blocks * scale.length,
    )


def pca_alignment(scale: Scale, job: Mapping) -> Work:
    """Count a dense pass, and at every site the principal components of tokens and of prompts."""
    blocks, prompts = scale.samples()
    sizes = [site["d_out"] for site in scale.sites_of(job["allocation"])]
    return Work(
        states=(blocks + prompts) * scale.shape["layers"],
        products=sum(2 * (blocks + FEWEST_SAMPLES) * size**2 for size in sizes),
        axes=sum(2 * size**3 for size in sizes),
    )


def category_shift(scale: Scale, job: Mapping) -> Work:
    """Count a dense pass and a sparse one, and at every site the CKAs of the two.

    A debiased CKA takes three products of states: of both sets, and of each with itself. Of
    held-out tokens three CKAs are taken (the models' and two controls), and the products twice
    more for the jackknife; of prompts, each of which belongs to a category and to all, three CKAs
    of tokens, and three of the few means of six sets.
    """
    blocks, prompts = scale.samples()
    sizes = [site["d_out"] for site in scale.sites_of(job["allocation"])]
    samples = 3 * (3 + 2) * blocks + 3 * 3 * (2 * prompts + 6 * FEWEST_SAMPLES)
    return Work(
        states=2 * (blocks + prompts) * scale.shape["layers"],
        products=sum(2 * samples * size**2 for size in sizes),
    )


def hidden_state_shift(scale: Scale, job: Mapping) -> Work:
    """Count passes of the dense, the TEAL and the SPON model.

    Every biased site runs once more, with the dense input.
    """
    linear = sum(2 * site["d_in"] * site["d_out"] for site in scale.sites_of(job["allocation"]))
    layers = 3 * scale.shape["layers"] + linear / layer_flop(scale.shape, scale.length)
    return Work(states=sum(scale.samples()) * layers)


def read_prompts(path: str | Path) -> list[str]:
    """Read the texts of all prompts, whatever their category."""
    prompts = yaml.safe_load(Path(path).read_text())
    return [text for texts in prompts.values() for text in texts]


# By rule. Whatever is not here runs no model.
WORK: dict[str, Callable[[Scale, Mapping], Work]] = {
    "fetch_model": fetch_model,
    "read_quantiles": read_quantiles,
    "choose_thresholds": choose_thresholds,
    "choose_greedy_thresholds": choose_greedy_thresholds,
    "train_spon": train_spon,
    "average_residual": average_residual,
    "take_newton_step": take_newton_step,
    "centre_on_mode": centre_on_mode,
    "evaluate_dense": evaluate_dense,
    "evaluate_teal": evaluate_against_dense,
    "evaluate_spon": evaluate_against_dense,
    "evaluate_on_dense": evaluate_against_dense,
    "evaluate_dense_further": evaluate_dense_further,
    "evaluate_teal_further": evaluate_further,
    "evaluate_spon_further": evaluate_further,
    "evaluate_draws": evaluate_draws,
    "pca_alignment": pca_alignment,
    "category_shift": category_shift,
    "hidden_state_shift": hidden_state_shift,
}


def count_work(scale: Scale, jobs: Iterable[Mapping]) -> dict[str, list[Work]]:
    """Count the work of every job, by rule.

    Args:
        scale: Shape and settings.
        jobs: Each with its `rule`, `allocation` and `seed` where it is of a run, and `part` where
            it is of a further text.
    """
    works: dict[str, list[Work]] = {}
    texts = set()  # by rule and seed, those whose dense states a job has made
    for job in jobs:
        rule = job["rule"]
        works.setdefault(rule, [])
        if rule not in WORK:
            works[rule].append(Work())
            continue
        # Only training on blocks in random order reads others with another seed.
        by_seed = rule == "train_spon" and scale.settings["train"]["order"] == "random"
        text = (rule, job["seed"] if by_seed else None)
        works[rule].append(WORK[rule](scale, {**job, "first": text not in texts}))
        texts.add(text)
    return works
