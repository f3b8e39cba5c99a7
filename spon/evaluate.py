"""Held-out likelihood: negative log-likelihood and KL to the dense model, per block."""

from collections.abc import Mapping

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
    head = models.head_weight(network)
    parts = []
    with torch.inference_mode():
        for batch in tqdm(tokens.split(batch_blocks), unit="batch", mininterval=5):
            dense = models.final_states(network, batch)
            sparse = dense
            if sparsifiers or biases:
                with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, biases):
                    sparse = models.final_states(network, batch)
            parts.append(score(dense, sparse, batch.to(dense.device, torch.long), head, chunk_tokens))
    nll, kl = torch.cat(parts, dim=1).cpu()
    predictions = tokens.shape[1] - 1
    return pd.DataFrame(
        {"block": range(len(tokens)), "predictions": predictions, "nll_nats": nll.numpy(), "kl_nats": kl.numpy()}
    )


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
