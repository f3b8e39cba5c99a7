"""How long biases are trained, at what rate, and which of the steps counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# The schedule that lowers the rate, and ends the training, by the held-out KL.
PLATEAU = "plateau"
# What happened to a training after a step; `worse` may stand behind another word and an "and".
LOWERED, CONVERGED, WORSE = "rate lowered", "converged", "worse"
# ASSUME: on a plateau, biases are averaged over about the last 20 steps. At a rate that is still
# useful, single steps scatter by more than a measurement should tell apart.
MEMORY = 0.95


@dataclass(frozen=True)
class Recipe:
    """The settings by which biases are learned.

    Attributes:
        blocks: Calibration blocks trained on.
        held_out_blocks: Further calibration blocks, on which the KL is measured during training.
        order: `random` takes random blocks, in another order in each epoch, by the seed; `first`
            takes the first ones in order, so that a seed changes nothing (as published).
        epochs: Passes over the blocks, at most.
        batch_blocks: Blocks per optimizer step.
        measure_every: Steps between two measurements of the held-out KL.
        learning_rate: Of AdamW, at the start; without weight decay.
        schedule: `constant`; `cosine` to zero; or `plateau`, which lowers the rate where the
            held-out KL stops falling, then ends the training, and takes the best of what was
            measured.
        plateau: When that is: `improvement`, the share of all that was won so far which a
            measurement has to add; `cuts`, how often the rate is lowered before the training ends;
            and `factor`, what the rate is multiplied by.
        chunk_tokens: Tokens whose logits exist at one time.
        parametrisation: What is learned: `bias`, b itself; or `alpha`, a constant on the site's
            input, so that b = W alpha (as in the original paper).
        checkpointing: Whether layers compute their activations again in the backward pass instead
            of keeping them.
        compile: Whether layers are compiled first, which pays in long trainings.
    """

    blocks: int
    held_out_blocks: int
    order: str
    epochs: int
    batch_blocks: int
    measure_every: int
    learning_rate: float
    schedule: str
    plateau: Mapping
    chunk_tokens: int
    parametrisation: str
    checkpointing: bool
    compile: bool

    @property
    def steps(self) -> int:
        """Optimizer steps, at most."""
        return self.epochs * -(-self.blocks // self.batch_blocks)


class Average:
    """The exponential average of what is learned over its steps; with no memory, the last step.

    Early on it is the mean of all steps so far.
    """

    def __init__(self, learned: Mapping[str, Float[Tensor, "_"]], memory: float):
        self.memory, self.steps = memory, 0
        self.values = copy_values(learned)

    @torch.no_grad()
    def add(self, learned: Mapping[str, Float[Tensor, "_"]]) -> None:
        """Add a step."""
        self.steps += 1
        weight = max(1 - self.memory, 1 / self.steps)
        for site, value in self.values.items():
            value.lerp_(learned[site], weight)


class Best:
    """The average where the held-out KL was lowest, on a plateau; with a fixed length, the last.

    It may be where the training began, if no measurement is better.
    """

    def __init__(self, average: Average, schedule: str):
        self.average, self.by_measurement = average, schedule == PLATEAU
        self.lowest, self.kept = math.inf, copy_values(average.values)

    def see(self, held_out_kl: float | None) -> None:
        """Keep the average as it is now if its KL, where it was measured, is the lowest."""
        if held_out_kl is not None and held_out_kl < self.lowest:
            self.lowest, self.kept = held_out_kl, copy_values(self.average.values)

    @property
    def values(self) -> Mapping[str, Float[Tensor, "_"]]:
        """The values that the training gives."""
        return self.kept if self.by_measurement else self.average.values


def copy_values(values: Mapping[str, Float[Tensor, "_"]]) -> dict[str, Float[Tensor, "_"]]:
    """Return copies that learn nothing."""
    return {site: value.detach().clone() for site, value in values.items()}


class Rate:
    """The learning rate, and when the training has converged."""

    def __init__(self, optimizer: torch.optim.Optimizer, recipe: Recipe):
        self.optimizer, self.schedule = optimizer, recipe.schedule
        self.cuts_left = recipe.plateau["cuts"]
        self.scheduler = make_scheduler(optimizer, recipe)

    @property
    def current(self) -> float:
        """The rate of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    @property
    def facts(self) -> dict[str, object]:
        """All that changes from step to step, as plain data."""
        scheduler = self.scheduler.state_dict()
        return {"current": self.current, "cuts_left": self.cuts_left, "scheduler": scheduler}

    def restore(self, facts: Mapping) -> None:
        """Go on from `facts`."""
        self.optimizer.param_groups[0]["lr"] = facts["current"]
        self.cuts_left = facts["cuts_left"]
        self.scheduler.load_state_dict(dict(facts["scheduler"]))

    def begin(self, held_out_kl: float) -> None:
        """Take the held-out KL without biases, which all gains are measured from."""
        self.without_biases = held_out_kl
        if self.schedule == PLATEAU:
            self.scheduler.step(0.0)

    def advance(self, held_out_kl: float | None) -> str:
        """Go on after a step, with the KL if it was measured; return what happened.

        On a plateau the training has converged where the held-out KL has stopped falling once
        more after the last cut. A fixed length says nothing about convergence.
        """
        if self.schedule != PLATEAU:
            self.scheduler.step()
            return ""
        if held_out_kl is None:
            return ""
        before = self.current
        self.scheduler.step(self.without_biases - held_out_kl)
        if self.current == before:
            return ""
        self.cuts_left -= 1
        return CONVERGED if self.cuts_left < 0 else LOWERED


def make_scheduler(
    optimizer: torch.optim.Optimizer, recipe: Recipe
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the scheduler of the learning rate; that of a plateau is told how much was won."""
    assert recipe.schedule in ("constant", "cosine", PLATEAU), recipe.schedule
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=recipe.plateau["factor"],
        patience=0,
        threshold=recipe.plateau["improvement"],
    )
