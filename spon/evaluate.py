"""Held-out likelihood: negative log-likelihood and KL to the dense model, per block."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, models, progress, sparsify


def evaluate(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
    batch_tokens: int,
    chunk_tokens: int,
    keep: cache.Keep = cache.compute,
) -> pd.DataFrame:
    """Compare a sparsified and biased model with the dense one, block by block, on the same tokens.

    Args:
        network: The dense model.
        tokens: Held-out blocks.
        sparsifiers: S by site; none for the dense model.
        biases: b by site; none for TEAL.
        batch_tokens: Tokens per forward pass.
        chunk_tokens: Tokens whose logits exist at one time.
        keep: How the dense model's states are had, which other evaluations need too.

    Returns:
        `block, predictions, nll_nats, kl_nats`: sums over the block's next-token predictions,
        float64.
    """
    draws = evaluate_draws(
        network, tokens, sparsifiers, [biases], batch_tokens, chunk_tokens, keep
    )
    return draws.drop(columns="draw")


def evaluate_draws(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    draws: Sequence[Mapping[str, Float[Tensor, "d_out"]]],
    batch_tokens: int,
    chunk_tokens: int,
    keep: cache.Keep = cache.compute,
) -> pd.DataFrame:
    """`evaluate` for several sets of biases, which share one dense pass.

    Returns:
        The columns of `evaluate` behind `draw`, which counts the sets from 0.
    """
    head = models.head_weight(network)
    batches, parts = models.batches(tokens, batch_tokens), []
    known = models.keep_final_states(network, tokens, batch_tokens, keep).split(len(batches[0]))
    counter = progress.Progress(len(draws) * tokens.numel())
    with torch.inference_mode():
        for batch, dense in zip(batches, known, strict=True):
            dense, targets = dense.to(network.device), batch.to(network.device, torch.long)
            states = [run_sparse(network, batch, dense, sparsifiers, biases) for biases in draws]
            parts.append(score(dense, states, targets, head, chunk_tokens))
            counter.advance(len(draws) * batch.numel())
    nll, kl = torch.cat(parts, dim=2).cpu().unbind(dim=1)
    counts = {
        "draw": np.repeat(range(len(draws)), len(tokens)),
        "block": np.tile(range(len(tokens)), len(draws)),
    }
    sums = {"nll_nats": nll.flatten().numpy(), "kl_nats": kl.flatten().numpy()}
    return pd.DataFrame({**counts, "predictions": tokens.shape[1] - 1, **sums})


def run_sparse(
    network: nn.Module,
    batch: Int[Tensor, "blocks length"],
    dense: Float[Tensor, "blocks length d_model"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
) -> Float[Tensor, "blocks length d_model"]:
    """Final states of the sparsified and biased model; the dense ones themselves if it is neither."""
    if not sparsifiers and not biases:
        return dense
    with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, biases):
        return models.final_states(network, batch)


def score(
    dense: Float[Tensor, "blocks length d_model"],
    draws: Sequence[Float[Tensor, "blocks length d_model"]],
    tokens: Int[Tensor, "blocks length"],
    head: Float[Tensor, "vocabulary d_model"],
    chunk_tokens: int,
) -> Float[Tensor, "draws 2 blocks"]:
    """Per draw and block, the sums of -log p(next token) and of KL(dense || sparse), nats, float64.

    Every position but the last predicts the token after it. All draws share the dense model's
    logits, and one that is the dense model itself has no divergence. A token's sum over the
    vocabulary is in float32.
    """
    targets = tokens[:, 1:].flatten().split(chunk_tokens)
    known, *states = [
        states[:, :-1].flatten(0, 1).split(chunk_tokens) for states in (dense, *draws)
    ]
    parts = []
    for place, target in enumerate(targets):
        p = models.log_probabilities(known[place], head)
        weights, rows = p.exp(), []
        for sparse, chunks in zip(draws, states, strict=True):
            q = p if sparse is dense else models.log_probabilities(chunks[place], head)
            nll = -q.gather(1, target[:, None])[:, 0]
            kl = (
                torch.zeros_like(nll)
                if sparse is dense
                else q.neg_().add_(p).mul_(weights).sum(dim=-1)
            )
            rows.append(torch.stack([nll, kl]).double())
        parts.append(torch.stack(rows))
    return torch.cat(parts, dim=-1).unflatten(-1, (len(tokens), -1)).sum(dim=-1)
