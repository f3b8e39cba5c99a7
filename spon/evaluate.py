"""Held-out likelihood: negative log-likelihood and KL to the dense model, per block."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from spon import models, sparsify


def evaluate(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
    batch_blocks: int,
    chunk_tokens: int,
) -> pd.DataFrame:
    """Compare a sparsified and biased model with the dense one, block by block, on the same tokens.

    Args:
        network: The dense model.
        tokens: Held-out blocks.
        sparsifiers: S by site; none for the dense model.
        biases: b by site; none for TEAL.
        batch_blocks: Blocks per forward pass.
        chunk_tokens: Tokens whose logits exist at one time.

    Returns:
        `block, predictions, nll_nats, kl_nats`: sums over the block's next-token predictions, float64.
    """
    return evaluate_draws(network, tokens, sparsifiers, [biases], batch_blocks, chunk_tokens).drop(columns="draw")


def evaluate_draws(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    draws: Sequence[Mapping[str, Float[Tensor, "d_out"]]],
    batch_blocks: int,
    chunk_tokens: int,
) -> pd.DataFrame:
    """`evaluate` for several sets of biases, which share one dense pass.

    Returns:
        The columns of `evaluate` behind `draw`, which counts the sets from 0.
    """
    head = models.head_weight(network)
    parts = []
    with torch.inference_mode():
        for batch in tqdm(tokens.split(batch_blocks), unit="batch", mininterval=5):
            dense, targets = models.final_states(network, batch), batch.to(network.device, torch.long)
            states = (run_sparse(network, batch, dense, sparsifiers, biases) for biases in draws)
            parts.append(torch.stack([score(dense, sparse, targets, head, chunk_tokens) for sparse in states]))
    nll, kl = torch.cat(parts, dim=2).cpu().unbind(dim=1)
    counts = {"draw": np.repeat(range(len(draws)), len(tokens)), "block": np.tile(range(len(tokens)), len(draws))}
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
    sparse: Float[Tensor, "blocks length d_model"],
    tokens: Int[Tensor, "blocks length"],
    head: Float[Tensor, "vocabulary d_model"],
    chunk_tokens: int,
) -> Float[Tensor, "2 blocks"]:
    """Per block, the sums of -log p(next token) and of KL(dense || sparse), nats, float64.

    Every position but the last predicts the token after it.
    """
    targets = tokens[:, 1:].flatten()
    states = [states[:, :-1].flatten(0, 1).split(chunk_tokens) for states in (dense, sparse)]
    parts = []
    for p, q, target in zip(*states, targets.split(chunk_tokens), strict=True):
        sparse_logs = models.log_probabilities(q, head)
        dense_logs = sparse_logs if dense is sparse else models.log_probabilities(p, head)
        nll = -sparse_logs.gather(1, target[:, None])[:, 0]
        kl = (dense_logs.exp() * (dense_logs - sparse_logs)).sum(dim=-1, dtype=torch.float64)
        parts.append(torch.stack([nll.double(), kl]))
    return torch.cat(parts, dim=1).view(2, len(tokens), -1).sum(dim=-1)
