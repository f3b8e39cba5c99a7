"""SPON: learn the biases that pull the sparse model's predictions back to the dense model's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from spon import data, models, sparsify


@dataclass(frozen=True)
class Recipe:
    """How biases are learned.

    Attributes:
        blocks: Calibration blocks trained on.
        order: `random` draws the blocks, and their order in each epoch, by the seed; `first` takes the first ones
            in order, so that a seed changes nothing (as published).
        epochs: Passes over the blocks.
        batch_blocks: Blocks per optimizer step.
        learning_rate: Of AdamW; without weight decay.
        schedule: `constant`, or `cosine` to zero.
        chunk_tokens: Tokens whose logits exist at one time.
    """

    blocks: int
    order: str
    epochs: int
    batch_blocks: int
    learning_rate: float
    schedule: str
    chunk_tokens: int

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
) -> tuple[dict[str, Float[Tensor, "d_out"]], pd.DataFrame]:
    """Learn one constant per output of every site in `sites`, from zero, with all weights frozen.

    Args:
        network: The dense model; it is left as it was.
        tokens: Calibration blocks.
        sparsifiers: S by site, for all sites of the scope.
        sites: Those that get a bias.
        recipe: Length and learning rate.
        seed: Of the blocks drawn and their order.

    Returns:
        The biases, float32, and the curve: `step, epoch, learning_rate, kl_nats_per_token, gradient_norm`.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = data.draw_blocks(tokens, recipe.blocks, recipe.order, generator)
    dense = dense_states(network, blocks, recipe.batch_blocks)
    head = models.head_weight(network)
    biases = {site: start_bias(network.get_submodule(site)) for site in sites}
    optimizer = torch.optim.AdamW(biases.values(), lr=recipe.learning_rate, weight_decay=0.0)
    scheduler = make_scheduler(optimizer, recipe)
    curve = []
    progress = tqdm(total=recipe.steps, unit="step", mininterval=5)
    for epoch in range(recipe.epochs):
        for batch in order_blocks(recipe, generator).split(recipe.batch_blocks):
            rate = scheduler.get_last_lr()[0]
            with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, biases):
                sparse = models.final_states(network, blocks[batch])
            loss = kl_to_dense(sparse, dense[batch].to(sparse.device), head, recipe.chunk_tokens)
            loss.backward()
            # ASSUME: the norm is clipped at 1 over all biases together, as the published code does.
            norm = nn.utils.clip_grad_norm_(biases.values(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            curve.append((len(curve) + 1, epoch + 1, rate, loss.item(), norm.item()))
            progress.update()
            progress.set_postfix(kl=f"{loss.item():.4f}", refresh=False)
    progress.close()
    names = ["step", "epoch", "learning_rate", "kl_nats_per_token", "gradient_norm"]
    return {site: bias.detach() for site, bias in biases.items()}, pd.DataFrame(curve, columns=names)


def order_blocks(recipe: Recipe, generator: torch.Generator) -> Int[Tensor, "blocks"]:
    """The order in which an epoch sees the drawn blocks."""
    if recipe.order == "first":
        return torch.arange(recipe.blocks)
    return torch.randperm(recipe.blocks, generator=generator)


def dense_states(
    network: nn.Module, blocks: Int[Tensor, "blocks length"], batch_blocks: int
) -> Float[Tensor, "blocks length d_model"]:
    """The dense model's final hidden states, computed once per training and kept in main memory.

    They are vocabulary / d_model times smaller than the logits that they stand for.
    """
    with torch.inference_mode():
        parts = [models.final_states(network, batch).cpu() for batch in blocks.split(batch_blocks)]
    return torch.cat(parts).clone()


def start_bias(linear: nn.Linear) -> Float[Tensor, "d_out"]:
    """A zero bias that learns, float32 whatever the weights are: small steps vanish in bfloat16."""
    return torch.zeros(linear.out_features, device=linear.weight.device, requires_grad=True)


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of every step."""
    assert recipe.schedule in ("constant", "cosine"), recipe.schedule
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def kl_to_dense(
    sparse: Float[Tensor, "blocks length d_model"],
    dense: Float[Tensor, "blocks length d_model"],
    head: Float[Tensor, "vocabulary d_model"],
    chunk_tokens: int,
) -> Float[Tensor, ""]:
    """Forward KL(dense || sparse) of the next-token distributions, mean over all tokens, temperature 1, in nats."""
    # ASSUME: a block's last position counts, although the evaluation, which needs a next token, leaves it out.
    return ChunkedKL.apply(sparse.flatten(0, 1), dense.flatten(0, 1), head, chunk_tokens)


class ChunkedKL(torch.autograd.Function):
    """Mean KL between two heads' outputs, without the logits of more than one chunk of tokens at a time.

    The gradient of KL(p || q) by q's logits is q - p, so it is at hand while the chunk's logits still are, and only
    its product with the head, of the size of the hidden states, is kept for the way back.
    """

    @staticmethod
    def forward(ctx, sparse: Tensor, dense: Tensor, head: Tensor, chunk_tokens: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=sparse.device)
        gradient = torch.empty_like(sparse)
        for start in range(0, len(sparse), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            q = models.log_probabilities(sparse[chunk], head)
            p = models.log_probabilities(dense[chunk], head)
            weights = p.exp()
            total += (weights * p.sub_(q)).sum(dtype=torch.float64)
            gradient[chunk] = (q.exp_().sub_(weights) @ head) / len(sparse)
        ctx.save_for_backward(gradient)
        return (total / len(sparse)).float()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None, None
