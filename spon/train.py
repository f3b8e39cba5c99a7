"""SPON: learn the biases that bring the sparse model's predictions back to the dense model's."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, divergence, layers, models, progress, sparsify
from spon.inputs.tokens import take_blocks

CURVE = ["step", "epoch", "learning_rate", "kl_nats_per_token", "gradient_norm"]


@dataclass(frozen=True)
class Recipe:
    """The settings by which biases are learned.

    Attributes:
        blocks: Calibration blocks trained on.
        order: `random` takes random blocks, in another order in each epoch, by the seed; `first`
            takes the first ones in order, so that a seed changes nothing (as published).
        epochs: Passes over the blocks.
        batch_blocks: Blocks per optimizer step.
        learning_rate: Of AdamW; without weight decay.
        schedule: `constant`, or `cosine` to zero.
        chunk_tokens: Tokens whose logits exist at one time.
        parametrisation: What is learned: `bias`, b itself; or `alpha`, a constant on the site's
            input, so that b = W alpha (as in the original paper).
        checkpointing: Whether layers compute their activations again in the backward pass instead
            of keeping them.
        compile: Whether layers are compiled first, which pays in long trainings.
    """

    blocks: int
    order: str
    epochs: int
    batch_blocks: int
    learning_rate: float
    schedule: str
    chunk_tokens: int
    parametrisation: str
    checkpointing: bool
    compile: bool

    @property
    def steps(self) -> int:
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
        kl_nats_per_token, gradient_norm`.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = take_blocks(tokens, recipe.blocks, recipe.order, generator)
    assert len(blocks) == recipe.blocks, f"{len(blocks)} blocks were taken for {recipe.blocks}"
    split_blocks = split_blocks or recipe.batch_blocks
    dense = models.keep_final_states(network, blocks, split_blocks * blocks.shape[1], keep)
    head = models.head_weight(network)
    learned = {site: start(network.get_submodule(site), recipe.parametrisation) for site in sites}
    optimizer = torch.optim.AdamW(learned.values(), lr=recipe.learning_rate, weight_decay=0.0)
    scheduler = make_scheduler(optimizer, recipe)
    curve = []
    counter = progress.Progress(recipe.epochs * blocks.numel())
    with (
        sparsified(network, sparsifiers, recipe),
        begin_above(network, blocks, sites, split_blocks, recipe.compile) as run,
    ):
        for epoch, batch in order_batches(recipe, generator):
            rate = scheduler.get_last_lr()[0]
            biases = express(network, learned, recipe.parametrisation)
            losses = []
            for part in batch.split(split_blocks):
                with sparsify.biased(network, biases):
                    loss = divergence.kl_to_dense(
                        run(part), dense[part].to(network.device), head, recipe.chunk_tokens
                    )
                    losses.append(loss.detach() * (len(part) / len(batch)))
                    (loss * (len(part) / len(batch))).backward()
            pull_back(network, biases, learned, recipe.parametrisation)
            # ASSUME: the norm is clipped at 1 over all biases together, as the published code
            # does.
            norm = nn.utils.clip_grad_norm_(learned.values(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            loss = torch.stack(losses).sum()
            curve.append((len(curve) + 1, epoch + 1, rate, loss, norm))
            counter.advance(
                batch.numel() * blocks.shape[1],
                lambda loss=loss: f", KL {loss.item():.4f} nats per token",
            )
    final = express(network, learned, recipe.parametrisation)
    biases = {site: bias.detach() for site, bias in final.items()}
    return biases, [read_point(point) for point in curve]


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
    if lowest == 0 or not layers.can_begin_inside(network, blocks.shape[1]):
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
        yield lambda part: layers.run_from(network, below[part], lowest)


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
    """Return the scheduler of the learning rate."""
    assert recipe.schedule in ("constant", "cosine"), recipe.schedule
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def write_curve(curve: Sequence[Mapping], path: str | Path) -> None:
    """Write a training's curve as CSV."""
    with Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, CURVE, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)


def read_point(point: tuple) -> dict:
    """Return a point of the curve as numbers by name.

    Reading a tensor waits for the GPU, so all points are read after the training.
    """
    numbers = [float(value) if isinstance(value, Tensor) else value for value in point]
    return dict(zip(CURVE, numbers, strict=True))
