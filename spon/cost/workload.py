"""What the jobs of a study compute: passes of the model, products with its head, and statistics of states.

Counted from the model's shape alone. Operations are floating-point ones, two per multiplication and addition.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import yaml

from spon import allocate

STATES = "float32"  # in which hidden states are compared, as `spon.models` says
CHARACTERS = 4  # of a token, about
# Below so many samples, what a product of states costs is writing and reading its matrix.
FEWEST_SAMPLES = 64
# Operations of a symmetric eigendecomposition over the cube of the dimensions (Golub and Van Loan, section 8.3).
EIGENVECTORS = 9


@dataclass(frozen=True)
class Work:
    """How much of each thing that is measured by itself.

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
        """The work of two jobs, or of two parts of one."""
        return Work(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Study:
    """A model's shape and the settings that decide how much is computed with it.

    Attributes:
        shape: As in `model.json`.
        settings: The config's sections, and `text` and `protocol` of the study.
    """

    shape: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def length(self) -> int:
        """Tokens of a block."""
        return self.settings["protocol"]["block_length"]

    def passes(self, blocks: int) -> int:
        """Tokens times layers of one pass over blocks."""
        return blocks * self.length * self.shape["layers"]

    def layers_of(self, allocation: str) -> list[int]:
        """The layers of an allocation."""
        return allocate.choose_layers(
            self.settings["allocations"][allocation]["layers"], self.shape["layers"]
        )

    def sites_of(self, allocation: str) -> list[dict[str, int]]:
        """The sizes of the sites that get a bias."""
        chosen = self.settings["allocations"][allocation]
        maps = chosen.get("biases", self.settings["scopes"][chosen["scope"]])
        return [self.shape["maps"][name] for _ in self.layers_of(allocation) for name in maps]

    def samples(self) -> tuple[int, float]:
        """Tokens of the blocks whose states are read, and of the prompts, about."""
        characters = sum(len(text) for text in self.settings["prompts"])
        return self.settings["analyses"]["blocks"] * self.length, characters / CHARACTERS


def layer_flop(shape: Mapping[str, Any], length: int) -> int:
    """Operations of a layer's forward pass per token: its linear maps, and attention to half a block on average."""
    linear = sum(2 * size["d_in"] * size["d_out"] for size in shape["maps"].values())
    return linear + 4 * length * shape["maps"]["self_attn.q_proj"]["d_out"] // 2


def head_flop(shape: Mapping[str, Any]) -> int:
    """Operations of a product with the output head per token."""
    return 2 * shape["width"] * shape["vocabulary"]


def count_flop(work: Work, shape: Mapping[str, Any], length: int) -> int | float:
    """The operations that a job's work consists of."""
    passes = work.forward + work.states + 2 * work.trained
    heads = work.scored + work.compared
    statistics = work.products + EIGENVECTORS * work.axes
    return passes * layer_flop(shape, length) + heads * head_flop(shape) + statistics


def convert_teraflops(
    shape: Mapping[str, Any], length: int, teraflops: int | float
) -> dict[str, float]:
    """Seconds per unit of a model's work, from a rate that it sustains, in 10^12 operations per second."""
    layer, head = (
        flop / (1e12 * teraflops) for flop in (layer_flop(shape, length), head_flop(shape))
    )
    return {
        "forward": layer,
        "states": layer,
        "trained": 2 * layer,
        "scored": head,
        "compared": head,
    }


def read_quantiles(study: Study, job: Mapping) -> Work:
    """One dense pass."""
    return Work(forward=study.passes(study.settings["calibrate"]["blocks"]))


def choose_thresholds(study: Study, job: Mapping) -> Work:
    """A dense pass and a sparse one."""
    return Work(forward=2 * study.passes(study.settings["calibrate"]["held_out_blocks"]))


def train_spon(study: Study, job: Mapping) -> Work:
    """Passes forwards and backwards through the layers from the lowest trained one on; those below it run once.

    The first run of a seed makes the dense model's final states, which the others share. With checkpointing, the way
    back begins with another pass forwards.
    """
    recipe, layers = study.settings["train"], study.shape["layers"]
    lowest = min(study.layers_of(job["allocation"]))
    tokens = recipe["blocks"] * study.length
    trained = recipe["epochs"] * tokens * (layers - lowest)
    return Work(
        forward=tokens * (lowest + layers * job["first"]) + trained * recipe["checkpointing"],
        trained=trained,
        compared=3 * recipe["epochs"] * tokens,
    )


def average_residual(study: Study, job: Mapping) -> Work:
    """One dense pass."""
    return Work(forward=study.passes(study.settings["train"]["blocks"]))


def evaluate_dense(study: Study, job: Mapping) -> Work:
    """One pass, whose final states all other evaluations share."""
    blocks = study.settings["text"]["evaluation"]["blocks"]
    return Work(forward=study.passes(blocks), scored=blocks * study.length)


def evaluate_other(study: Study, job: Mapping) -> Work:
    """One pass, whose predictions are compared with the dense model's."""
    return evaluate_dense(study, job) + Work(
        scored=study.settings["text"]["evaluation"]["blocks"] * study.length
    )


def evaluate_draws(study: Study, job: Mapping) -> Work:
    """A pass per draw, all compared with the same dense states, which the first of these jobs makes."""
    draws, blocks = (study.settings["controls"][name] for name in ("draws", "draw_blocks"))
    return Work(
        forward=(draws + job["first"]) * study.passes(blocks),
        scored=(draws + 1) * blocks * study.length,
    )


def align_with_components(study: Study, job: Mapping) -> Work:
    """A dense pass, and at every site the principal components of tokens and of prompts."""
    blocks, prompts = study.samples()
    sizes = [site["d_out"] for site in study.sites_of(job["allocation"])]
    return Work(
        states=(blocks + prompts) * study.shape["layers"],
        products=sum(2 * (blocks + FEWEST_SAMPLES) * size**2 for size in sizes),
        axes=sum(2 * size**3 for size in sizes),
    )


def compare_categories(study: Study, job: Mapping) -> Work:
    """A dense pass and a sparse one, and at every site the CKA of tokens, its controls and its jackknife.

    A debiased CKA takes three products of states: of both sets, and of each with itself. Of held-out tokens three
    CKAs are taken, and the products twice more for the jackknife; of prompts, each of which belongs to a category and
    to all, three CKAs of tokens, and three of the few means of six sets.
    """
    blocks, prompts = study.samples()
    sizes = [site["d_out"] for site in study.sites_of(job["allocation"])]
    samples = 3 * (3 + 2) * blocks + 3 * 3 * (2 * prompts + 6 * FEWEST_SAMPLES)
    return Work(
        states=2 * (blocks + prompts) * study.shape["layers"],
        products=sum(2 * samples * size**2 for size in sizes),
    )


def measure_shifts(study: Study, job: Mapping) -> Work:
    """Passes of the dense, the TEAL and the SPON model, and every biased site once more, with the dense input."""
    linear = sum(2 * site["d_in"] * site["d_out"] for site in study.sites_of(job["allocation"]))
    layers = 3 * study.shape["layers"] + linear / layer_flop(study.shape, study.length)
    return Work(states=sum(study.samples()) * layers)


def read_prompts(path: str | Path) -> list[str]:
    """The texts of all prompts."""
    return [text for texts in yaml.safe_load(Path(path).read_text()).values() for text in texts]


# By rule. Whatever is not here runs no model.
WORK: dict[str, Callable[[Study, Mapping], Work]] = {
    "read_quantiles": read_quantiles,
    "choose_thresholds": choose_thresholds,
    "train_spon": train_spon,
    "average_residual": average_residual,
    "evaluate_dense": evaluate_dense,
    "evaluate_teal": evaluate_other,
    "evaluate_spon": evaluate_other,
    "evaluate_on_dense": evaluate_other,
    "evaluate_draws": evaluate_draws,
    "align_with_components": align_with_components,
    "compare_categories": compare_categories,
    "measure_shifts": measure_shifts,
}


def count_work(study: Study, jobs: Iterable[Mapping]) -> dict[str, list[Work]]:
    """The work of every job, by rule.

    Args:
        jobs: Each with its `rule`, and `allocation` and `seed` where it is of a run.
    """
    seen, found = set(), {}
    for job in jobs:
        rule = job["rule"]
        # Only training on random blocks reads others with another seed.
        drawn = rule == "train_spon" and study.settings["train"]["order"] == "random"
        text = rule, job["seed"] if drawn else None
        count = WORK.get(rule, lambda *_: Work())
        found.setdefault(rule, []).append(count(study, {**job, "first": text not in seen}))
        seen.add(text)
    return found
