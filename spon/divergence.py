"""KL divergence between two heads' outputs, with its gradient, without the logits of more than a chunk of tokens."""

import torch
from jaxtyping import Float
from torch import Tensor

from spon import models


def kl_to_dense(
    sparse: Float[Tensor, "blocks length d_model"],
    dense: Float[Tensor, "blocks length d_model"],
    head: Float[Tensor, "vocabulary d_model"],
    chunk_tokens: int,
) -> Float[Tensor, ""]:
    """Forward KL(dense || sparse) of the next-token distributions, mean over all tokens, temperature 1, in nats."""
    # ASSUME: a block's last position counts, although the evaluation, which needs a next token,
    # leaves it out.
    return ChunkedKL.apply(sparse.flatten(0, 1), dense.flatten(0, 1), head, chunk_tokens)


class ChunkedKL(torch.autograd.Function):
    """Mean KL(p || q) of two heads' outputs and, in the same pass, its gradient by the states behind q.

    The gradient by q's logits is q - p, so it is at hand while the chunk's logits still are, and
    only its product with the head, of the size of the hidden states, is kept for the way back.
    What a chunk needs is five tensors of chunk x vocabulary in float32. A token's sum over the
    vocabulary is in float32, the one over tokens in float64.
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
            total += p.sub_(q).mul_(weights).sum(dim=-1).sum(dtype=torch.float64)
            gradient[chunk] = models.project_back(q.exp_().sub_(weights), head) / len(sparse)
        ctx.save_for_backward(gradient)
        return (total / len(sparse)).float()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None, None
