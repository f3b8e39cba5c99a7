"""The course of a training: what changes from step to step, its curve, and how it ends."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spon import resume, schedule

CURVE = [
    "step",
    "epoch",
    "learning_rate",
    "kl_nats_per_token",
    "gradient_norm",
    "held_out_kl",
    "event",
]
# Numbers of a row that have to be finite, in words.
MEASURED = {
    "kl_nats_per_token": "KL",
    "gradient_norm": "gradient norm",
    "held_out_kl": "held-out KL",
}


class Course:
    """A training between two steps: all that changes from one to the next.

    Attributes:
        learned: What is learned, by site.
        curve: The rows so far.
        rows_read: Those whose numbers are no tensors any more. Reading one waits for the GPU, so
            it is done where the KL is measured.
        is_whole: False amid a step.
    """

    def __init__(self, learned: Mapping[str, Float[Tensor, "_"]], recipe: schedule.Recipe):
        self.learned, self.recipe = learned, recipe
        memory = schedule.MEMORY if recipe.schedule == schedule.PLATEAU else 0.0
        self.average = schedule.Average(learned, memory)
        self.optimizer = torch.optim.AdamW(
            learned.values(), lr=recipe.learning_rate, weight_decay=0.0
        )
        self.rate = schedule.Rate(self.optimizer, recipe)
        self.best = schedule.Best(self.average, recipe.schedule)
        self.curve: list[dict] = []
        self.rows_read = 0
        self.is_whole = False

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return len(self.curve) - 1

    @property
    def has_converged(self) -> bool:
        """Whether the training has ended before its last step."""
        return schedule.CONVERGED in self.curve[-1]["event"]

    def count_blocks(self) -> int:
        """Return how many blocks the steps so far were on, counting each time."""
        per_epoch = -(-self.recipe.blocks // self.recipe.batch_blocks)
        epochs, steps = divmod(self.steps, per_epoch)
        return epochs * self.recipe.blocks + steps * self.recipe.batch_blocks

    def begin(self, snapshot: resume.Snapshot | None, measure: Callable[[], float]) -> None:
        """Go on from a snapshot; without one, measure the held-out KL without biases.

        Raises:
            ValueError: It is not finite.
        """
        if snapshot:
            self.restore(snapshot)
        else:
            held_out = measure()
            if not math.isfinite(held_out):
                raise ValueError(
                    f"the held-out KL of the sparse model without biases is {held_out}"
                )
            self.add_row(0, 0, held_out_kl=held_out)
            self.rate.begin(held_out)
            self.best.see(held_out)
        self.is_whole = True

    def advance(self, epoch: int, loss: Float[Tensor, ""], measure: Callable[[], float]) -> None:
        """Take a step by the gradients at hand, and measure if it is time.

        Raises:
            ValueError: A number since the last measurement is not finite.
        """
        self.is_whole = False
        # ASSUME: the norm is clipped at 1 over all biases together, as the published code does.
        norm = nn.utils.clip_grad_norm_(self.learned.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.add(self.learned)
        step = self.steps + 1
        regular = step % self.recipe.measure_every == 0
        held_out = measure() if regular or step == self.recipe.steps else None
        self.add_row(step, epoch + 1, self.rate.current, loss, norm, held_out)
        if held_out is not None:
            self.read_curve()
            self.best.see(held_out)
        # A last stretch that is shorter than the others says nothing about a plateau.
        self.curve[-1]["event"] = self.rate.advance(held_out if regular else None)
        self.is_whole = True

    def end(self) -> Mapping[str, Float[Tensor, "_"]]:
        """Return the values that the training gives; mark it if it ended worse than it began."""
        before, after = self.curve[0]["held_out_kl"], self.curve[-1]["held_out_kl"]
        given = self.best.lowest if self.best.by_measurement else after
        if after > before and given >= before:
            last = self.curve[-1]
            last["event"] = " and ".join(filter(None, [last["event"], schedule.WORSE]))
        return self.best.values

    def add_row(self, step, epoch, rate=None, loss=None, norm=None, held_out_kl=None) -> None:
        """Add a row to the curve, to which nothing has happened yet."""
        row = (step, epoch, rate, loss, norm, held_out_kl, "")
        self.curve.append(dict(zip(CURVE, row, strict=True)))

    def read_curve(self) -> None:
        """Turn the tensors of the curve into numbers, which have to be finite."""
        for row in self.curve[self.rows_read :]:
            for name, what in MEASURED.items():
                if row[name] is not None:
                    row[name] = float(row[name])
                    self.require_finite(row["step"], what, row[name])
        self.rows_read = len(self.curve)

    def require_finite(self, step: int, what: str, number: float) -> None:
        """Refuse a number of a training that has diverged."""
        if not math.isfinite(number):
            raise ValueError(
                f"the training has diverged: after step {step} its {what} is {number}; "
                f"lower train.learning_rate, which is {self.recipe.learning_rate:g}"
            )

    def list_values(self) -> dict[str, Tensor]:
        """Return what is learned, its average and the best of it, by name."""
        groups = {
            "learned": self.learned,
            "average": self.average.values,
            "best": self.best.kept,
        }
        return {
            f"{group}.{site}": value
            for group, values in groups.items()
            for site, value in values.items()
        }

    def take_snapshot(self) -> resume.Snapshot | None:
        """Return what `restore` needs; None amid a step."""
        if not self.is_whole:
            return None
        self.read_curve()
        tensors = self.list_values()
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        facts = {
            "curve": self.curve,
            "rate": self.rate.facts,
            "averaged": self.average.steps,
            "lowest": self.best.lowest,
        }
        return resume.Snapshot(f"step {self.steps} of {self.recipe.steps}", tensors, facts)

    @torch.no_grad()
    def restore(self, snapshot: resume.Snapshot) -> None:
        """Go on from a snapshot."""
        for name, value in self.list_values().items():
            value.copy_(snapshot.tensors[name])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in snapshot.tensors.items():
            if name.startswith("optimizer."):
                _, index, kind = name.split(".")
                moments.setdefault(int(index), {})[kind] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.curve = [dict(row) for row in snapshot.facts["curve"]]
        self.rows_read = len(self.curve)
        self.rate.begin(self.curve[0]["held_out_kl"])
        self.rate.restore(snapshot.facts["rate"])
        self.average.steps = snapshot.facts["averaged"]
        self.best.lowest = snapshot.facts["lowest"]


def warn(curve: Sequence[Mapping]) -> str | None:
    """Return a sentence about a training that ended worse than it began, None of any other."""
    if schedule.WORSE not in curve[-1]["event"]:
        return None
    before, after = curve[0]["held_out_kl"], curve[-1]["held_out_kl"]
    return (
        f"the training ended worse than it began: its held-out KL went from {before:.4g} to "
        f"{after:.4g} nats per token in {curve[-1]['step']} steps"
    )


def write_curve(curve: Sequence[Mapping], path: str | Path, names: Mapping) -> None:
    """Write a training's curve as CSV; every row begins with the names of its run."""
    with Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, [*names, *CURVE], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**names, **point} for point in curve)
