"""SPON: learn the biases that bring the sparse model's predictions back to the dense model's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, divergence, layers, models, progress, resume, sparsify
from spon.course import Course
from spon.head import Head
from spon.inputs.tokens import take_blocks
from spon.schedule import Recipe


def learn_biases(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    sites: Sequence[str],
    recipe: Recipe,
    seed: int,
    split_blocks: int | None = None,
    keep: cache.Keep = cache.compute,
    state: resume.Unsaved = resume.UNSAVED,
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
        state: Where the training goes on, and saves how far it is.

    Returns:
        The biases, float32, and the curve, a row per step: `step, epoch, learning_rate,
        kl_nats_per_token, gradient_norm, held_out_kl, event`. Step 0 is the sparse model without
        biases. `held_out_kl` is nats per token, None where it was not measured; `event` says that
        the rate was lowered or the training converged, and whether it ended worse than it began.

    Raises:
        ValueError: The training has diverged.
    """
    generator = torch.Generator().manual_seed(seed)
    wanted = recipe.blocks + recipe.held_out_blocks
    blocks = take_blocks(tokens, wanted, recipe.order, generator)
    split_blocks = split_blocks or recipe.batch_blocks
    dense = models.keep_final_states(network, blocks, split_blocks * blocks.shape[1], keep)
    head = Head(network)
    learned = {site: start(network.get_submodule(site), recipe.parametrisation) for site in sites}
    course = Course(learned, recipe)
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
            biases = express(network, course.average.values, recipe.parametrisation)
            parts = torch.arange(recipe.blocks, wanted).split(split_blocks)
            with sparsify.biased(network, biases):
                losses = [diverge(part).double() * len(part) for part in parts]
            return torch.stack(losses).sum().item() / recipe.held_out_blocks

        course.begin(state.load(), measure)
        # What was done is passed over, so that the generator draws what it would have drawn.
        batches = islice(order_batches(recipe, generator), course.steps, None)
        left = recipe.epochs * recipe.blocks - course.count_blocks()
        counter = progress.Progress(left * blocks.shape[1])
        with state.saved_when_stopped(course.take_snapshot):
            for epoch, batch in batches:
                if course.has_converged:
                    break
                biases = express(network, learned, recipe.parametrisation)
                losses = []
                # The way back is inside too, as checkpointed layers run once more on it.
                with sparsify.biased(network, biases):
                    for part in batch.split(split_blocks):
                        loss = diverge(part) * (len(part) / len(batch))
                        losses.append(loss.detach())
                        loss.backward()
                pull_back(network, biases, learned, recipe.parametrisation)
                loss = torch.stack(losses).sum()
                course.advance(epoch, loss, measure)
                state.offer(course.take_snapshot)
                counter.advance(
                    batch.numel() * blocks.shape[1],
                    lambda loss=loss: f", KL {loss.item():.4f} nats per token",
                )
    final = express(network, course.end(), recipe.parametrisation)
    biases = {site: bias.detach() for site, bias in final.items()}
    for site, bias in biases.items():
        course.require_finite(course.steps, f"largest bias at {site}", bias.abs().max().item())
    return biases, course.curve


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
    return torch.zeros(size, device=models.find_device(linear), requires_grad=True)


def express(
    network: nn.Module, learned: Mapping[str, Float[Tensor, "_"]], parametrisation: str
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return the biases: the learned tensors themselves, or W alpha of a learned alpha."""
    if parametrisation == "bias":
        return dict(learned)
    with torch.no_grad():
        products = {
            site: models.read_parameter(network.get_submodule(site)).float() @ alpha
            for site, alpha in learned.items()
        }
    return {site: product.requires_grad_() for site, product in products.items()}


def pull_back(network: nn.Module, biases: Mapping, learned: Mapping, parametrisation: str) -> None:
    """Give alpha its gradient, which is W^T times that of b; nothing if b itself is learned."""
    if parametrisation == "alpha":
        for site, alpha in learned.items():
            weight = models.read_parameter(network.get_submodule(site))
            alpha.grad = weight.float().T @ biases[site].grad
