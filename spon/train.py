"""SPON: learn the biases that bring the sparse model's predictions back to the dense model's."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, divergence, layers, models, progress, sparsify
from spon.head import Head
from spon.inputs.tokens import take_blocks

CURVE = [
    "step",
    "epoch",
    "learning_rate",
    "kl_nats_per_token",
    "gradient_norm",
    "held_out_kl",
    "event",
]
# The schedule that lowers the rate, and ends the training, by the held-out KL.
PLATEAU = "plateau"
# What happened to a training after a step.
LOWERED, CONVERGED = "rate lowered", "converged"
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


def learn_biases(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    sites: Sequence[str],
    recipe: Recipe,
    seed: int,
    split_blocks: int | None = None,
    keep: cache.Keep = cache.compute,
) -> tuple[dict[str, Float[Tensor, "d_out"]], list[dict]]:
    """Learn one constant per output of every site in `sites`, from zero, with all weights frozen.

    Args:
        network: The dense model; it is left as it was.
        tokens: Calibration blocks.
        sparsifiers: S by site, for all sites of the scope.
        sites: Those that get a bias.
        recipe: Length and learning rate.
        seed: Of random blocks and their order.
        split_blocks: Blocks that pass through the model at one time, a step's if left out; no
            number depends on it, but for rounding.
        keep: Gives the dense model's final states, which other runs need too.

    Returns:
        The biases, float32, and the curve, a row per step: `step, epoch, learning_rate,
        kl_nats_per_token, gradient_norm, held_out_kl, event`. Step 0 is the sparse model without
        biases. `held_out_kl` is nats per token, None where it was not measured; `event` says that
        the rate was lowered or that the training converged.
    """
    generator = torch.Generator().manual_seed(seed)
    wanted = recipe.blocks + recipe.held_out_blocks
    blocks = take_blocks(tokens, wanted, recipe.order, generator)
    split_blocks = split_blocks or recipe.batch_blocks
    dense = models.keep_final_states(network, blocks, split_blocks * blocks.shape[1], keep)
    head = Head(network)
    learned = {site: start(network.get_submodule(site), recipe.parametrisation) for site in sites}
    average = Average(learned, MEMORY if recipe.schedule == PLATEAU else 0.0)
    optimizer = torch.optim.AdamW(learned.values(), lr=recipe.learning_rate, weight_decay=0.0)
    rate = Rate(optimizer, recipe)
    counter = progress.Progress(recipe.epochs * recipe.blocks * blocks.shape[1])
    with (
        sparsified(network, sparsifiers, recipe),
        begin_above(network, blocks, sites, split_blocks, recipe.compile) as run,
    ):

        def diverge(part: Int[Tensor, "part"]) -> Float[Tensor, ""]:
            """Return the KL of some blocks, nats per token."""
            states = dense[part].to(network.device)
            return divergence.kl_to_dense(run(part), states, head, recipe.chunk_tokens)

        @torch.no_grad()
        def measure() -> float:
            """Return the held-out KL, nats per token."""
            biases = express(network, average.values, recipe.parametrisation)
            parts = torch.arange(recipe.blocks, wanted).split(split_blocks)
            with sparsify.biased(network, biases):
                losses = [diverge(part).double() * len(part) for part in parts]
            return torch.stack(losses).sum().item() / recipe.held_out_blocks

        without_biases = measure()
        rate.begin(without_biases)
        best = Best(average, without_biases, recipe.schedule)
        curve = [(0, 0, None, None, None, without_biases, "")]
        for epoch, batch in order_batches(recipe, generator):
            biases = express(network, learned, recipe.parametrisation)
            losses = []
            # The way back is inside too, as checkpointed layers run once more on it.
            with sparsify.biased(network, biases):
                for part in batch.split(split_blocks):
                    loss = diverge(part) * (len(part) / len(batch))
                    losses.append(loss.detach())
                    loss.backward()
            pull_back(network, biases, learned, recipe.parametrisation)
            # ASSUME: the norm is clipped at 1 over all biases together, as the published code
            # does.
            norm = nn.utils.clip_grad_norm_(learned.values(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            average.add(learned)
            loss, step = torch.stack(losses).sum(), len(curve)
            regular = step % recipe.measure_every == 0
            held_out = measure() if regular or step == recipe.steps else None
            best.see(held_out)
            # A last stretch that is shorter than the others says nothing about a plateau.
            used, event = rate.current, rate.advance(held_out if regular else None)
            curve.append((step, epoch + 1, used, loss, norm, held_out, event))
            counter.advance(
                batch.numel() * blocks.shape[1],
                lambda loss=loss: f", KL {loss.item():.4f} nats per token",
            )
            if event == CONVERGED:
                break
    final = express(network, best.values, recipe.parametrisation)
    biases = {site: bias.detach() for site, bias in final.items()}
    return biases, [read_point(point) for point in curve]


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

    def __init__(self, average: Average, held_out_kl: float, schedule: str):
        self.average, self.lowest, self.by_measurement = average, held_out_kl, schedule == PLATEAU
        self.kept = copy_values(average.values)

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

    def begin(self, held_out_kl: float) -> None:
        """Take the held-out KL without biases, which all gains are measured from."""
        self.without_biases = held_out_kl
        if self.schedule == PLATEAU:
            self.scheduler.step(0.0)

    def advance(self, held_out_kl: float | None) -> str:
        """Go on after a step, with the KL if it was measured; return what happened.

        On a plateau the training has converged where the held-out KL has stopped falling once
        more after the last cut. A fixed length says nothing about convergence.

        Raises:
            ValueError: The KL is not finite.
        """
        if held_out_kl is not None and not math.isfinite(held_out_kl):
            raise ValueError(
                f"the training has diverged: its held-out KL is {held_out_kl}; "
                f"lower train.learning_rate"
            )
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


def order_batches(
    recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[int, Int[Tensor, "batch"]]]:
    """Yield the epoch and the indices of the blocks of every step."""
    for epoch in range(recipe.epochs):
        if recipe.order == "random":
            order = torch.randperm(recipe.blocks, generator=generator)
        else:
            order = torch.arange(recipe.blocks)
        for batch in order.split(recipe.batch_blocks):
            yield epoch, batch


@contextmanager
def sparsified(
    network: nn.Module, sparsifiers: Mapping[str, sparsify.Sparsifier], recipe: Recipe
) -> Iterator[None]:
    """Sparsify the model, and let layers keep their activations or not, as the recipe says."""
    with (
        sparsify.sparsified(network, sparsifiers),
        layers.checkpointed(network, recipe.checkpointing),
    ):
        yield


@contextmanager
def begin_above(
    network: nn.Module,
    blocks: Int[Tensor, "blocks length"],
    sites: Sequence[str],
    split_blocks: int,
    compile: bool,
):
    """Yield a function from indices of blocks to their final states in the sparse model.

    The layers below the lowest bias compute the same in every step. So they run once, here, and
    the function begins with the residual stream behind them, which is kept in main memory.
    """
    lowest = layers.lowest_layer(sites)
    if lowest == 0:
        with layers.compiled(network, 0, compile):
            yield lambda part: models.final_states(network, blocks[part])
        return
    with torch.no_grad():
        below = torch.cat(
            [
                layers.states_before(network, part, lowest).cpu()
                for part in blocks.split(split_blocks)
            ]
        )
    with layers.compiled(network, lowest, compile):
        yield lambda part: layers.run_from(network, blocks[part], below[part], lowest)


def start(linear: nn.Linear, parametrisation: str) -> Float[Tensor, "_"]:
    """Return the zeros that learning starts from: one per output of the site, or input for alpha.

    They are float32 whatever the weights are, since small steps vanish in bfloat16.
    """
    assert parametrisation in ("bias", "alpha"), parametrisation
    size = linear.out_features if parametrisation == "bias" else linear.in_features
    return torch.zeros(size, device=linear.weight.device, requires_grad=True)


def express(
    network: nn.Module, learned: Mapping[str, Float[Tensor, "_"]], parametrisation: str
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return the biases: the learned tensors themselves, or W alpha of a learned alpha."""
    if parametrisation == "bias":
        return dict(learned)
    with torch.no_grad():
        products = {
            site: network.get_submodule(site).weight.float() @ alpha
            for site, alpha in learned.items()
        }
    return {site: product.requires_grad_() for site, product in products.items()}


def pull_back(network: nn.Module, biases: Mapping, learned: Mapping, parametrisation: str) -> None:
    """Give alpha its gradient, which is W^T times that of b; nothing if b itself is learned."""
    if parametrisation == "alpha":
        for site, alpha in learned.items():
            alpha.grad = network.get_submodule(site).weight.float().T @ biases[site].grad


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


def write_curve(curve: Sequence[Mapping], path: str | Path, names: Mapping) -> None:
    """Write a training's curve as CSV; every row begins with the names of its run."""
    with Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, [*names, *CURVE], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**names, **point} for point in curve)


def read_point(point: tuple) -> dict:
    """Return a point of the curve as numbers by name.

    Reading a tensor waits for the GPU, so all points are read after the training.
    """
    numbers = [float(value) if isinstance(value, Tensor) else value for value in point]
    return dict(zip(CURVE, numbers, strict=True))
