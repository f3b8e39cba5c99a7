"""KL divergence of next-token distributions, with its gradient, chunk by chunk.

At no time are there logits of more tokens than one chunk.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from spon.head import Head


def kl_to_dense(
    sparse: Float[Tensor, "blocks length d_model"],
    dense: Float[Tensor, "blocks length d_model"],
    head: Head,
    chunk_tokens: int,
) -> Float[Tensor, ""]:
    """Return the mean KL(dense || sparse) of the next-token distributions, in nats per token.

    Args:
        sparse: Final states of the sparsified and biased model.
        dense: Those of the dense model.
        head: The output head of both; temperature 1.
        chunk_tokens: Tokens whose logits exist at one time.
    """
    assert sparse.shape == dense.shape, f"states have shapes {sparse.shape} and {dense.shape}"
    # ASSUME: a block's last position counts, although the evaluation, which needs a next token,
    # leaves it out.
    return ChunkedKL.apply(sparse.flatten(0, 1), dense.flatten(0, 1), head, chunk_tokens)


class ChunkedKL(torch.autograd.Function):
    """Mean KL(p || q), p dense and q sparse; the forward pass also computes a gradient if wanted.

    The gradient with respect to q's logits is q - p, which is computed while the logits of the
    chunk exist. For the backward pass only its product with the head is kept, which is as large as
    the hidden states. A chunk needs five tensors of chunk x vocabulary in float32, six if the head
    caps logits. A token's sum over the vocabulary is in float32, the sum over tokens in float64.
    """

    @staticmethod
    def forward(ctx, sparse: Tensor, dense: Tensor, head: Head, chunk_tokens: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=sparse.device)
        gradient = torch.empty_like(sparse) if ctx.needs_input_grad[0] else None
        for start in range(0, len(sparse), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            if gradient is None:
                q = head.log_probabilities(sparse[chunk])
            else:
                logits, pull = head.open(sparse[chunk])
                q = torch.log_softmax(logits, dim=-1)
                del logits
            p = head.log_probabilities(dense[chunk])
            weights = p.exp()
            total += p.sub_(q).mul_(weights).sum(dim=-1).sum(dtype=torch.float64)
            if gradient is not None:
                gradient[chunk] = pull(q.exp_().sub_(weights)) / len(sparse)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return (total / len(sparse)).float()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None, None
