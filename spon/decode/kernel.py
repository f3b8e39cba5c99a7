"""The sparse product for CUDA: threshold, mask and product in one Triton kernel.

Triton comes with the CUDA build of torch; nothing else in the library imports this module. The
kernel is tested in Triton's interpreter, on a CPU, and has not been run on a GPU.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

INPUTS, OUTPUTS = 32, 128  # of a tile
SPLITS = 8  # programs that share the inputs of a tile of outputs


@triton.jit
def add_kept_rows(
    x_at,
    weights_at,
    sums_at,
    threshold,
    d_in,
    d_out,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """Add up the rows of kept inputs of one tile of outputs, for one share of the inputs.

    A row of an input that is not kept is masked, and so no memory of it is asked for.
    """
    outputs = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    sums = tl.zeros((OUTPUTS,), dtype=tl.float32)
    for start in range(tl.program_id(1) * INPUTS, d_in, INPUTS * SPLITS):
        inputs = start + tl.arange(0, INPUTS)
        x = tl.load(x_at + inputs, mask=inputs < d_in, other=0.0).to(tl.float32)
        # Written so that a NaN is kept, as it is on a CPU.
        is_kept = (inputs < d_in) & ~(tl.abs(x) <= threshold)
        mask = is_kept[:, None] & (outputs < d_out)[None, :]
        places = weights_at + inputs[:, None].to(tl.int64) * d_out + outputs[None, :]
        weights = tl.load(places, mask=mask, other=0.0).to(tl.float32)
        sums += tl.sum(tl.where(mask, x[:, None] * weights, 0.0), axis=0)
    tl.atomic_add(sums_at + outputs, sums, mask=outputs < d_out)


def multiply_large(
    x: Float[Tensor, "d_in"],
    transposed: Float[Tensor, "d_in d_out"],
    threshold: float,
    bias: Float[Tensor, "d_out"] | None = None,
) -> Float[Tensor, "d_out"]:
    """Return `transposed.T @ keep_large(x, threshold) + bias`, summed in float32.

    Programs add to the same sums in any order, so last digits differ from call to call.

    Args:
        x: Inputs of one token.
        transposed: A linear map's weight, transposed, so that an input's weights lie side by side.
        threshold: Largest magnitude dropped; zero or more.
        bias: None adds nothing.

    Returns:
        A vector of the dtype of `x`.
    """
    assert transposed.is_contiguous(), "transposed is a view, whose rows do not lie side by side"
    d_in, d_out = transposed.shape
    start = torch.zeros(d_out, device=x.device) if bias is None else bias.float()
    sums = start.clone()
    grid = triton.cdiv(d_out, OUTPUTS), SPLITS
    add_kept_rows[grid](
        x.contiguous(), transposed, sums, threshold, d_in, d_out, INPUTS, OUTPUTS, SPLITS
    )
    return sums.to(x.dtype)
