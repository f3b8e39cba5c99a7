"""Estimate the memory that a job needs from the shape of its model.

A training step that does not fit is split, and a model that does not fit is refused before it is
loaded. The memory that happens to be free decides nothing, so that a config does the same on every
machine.
"""

from collections.abc import Mapping

GIB = 2**30
SIZES = {"float32": 4, "bfloat16": 2}
# Float32 tensors of chunk x vocabulary that an evaluation holds at one time, and the loss behind a
# head that caps its logits; behind another head it holds one less.
LOGITS = 6


def estimate_weights(shape: Mapping, dtype: str, device: str) -> int:
    """Return the bytes of a loaded model.

    On a CPU, a bfloat16 model has its output head once more in float32.
    """
    weights = shape["parameters"] * SIZES[dtype]
    if dtype != "float32" and device == "cpu":
        weights += 4 * shape["vocabulary"] * shape["width"]
    return weights


def estimate_evaluation(
    shape: Mapping, dtype: str, tokens: int, chunk_tokens: int, device: str = "cpu"
) -> int:
    """Return the bytes of a pass without gradients: weights, one layer's activations and logits.

    Args:
        tokens: Tokens that pass through the model at one time.
    """
    widest = sum(size["d_out"] for size in shape["maps"].values()) + 8 * shape["width"]
    logits = LOGITS * 4 * chunk_tokens * shape["vocabulary"]
    return estimate_weights(shape, dtype, device) + tokens * widest * 4 + logits


def estimate_training(
    shape: Mapping,
    dtype: str,
    block_length: int,
    blocks: int,
    chunk_tokens: int,
    lowest_layer: int,
    checkpointing: bool,
    device: str = "cpu",
) -> int:
    """Return the bytes of a training step: an evaluation's, and what layers keep for gradients.

    Args:
        blocks: Blocks that pass through the model at one time.
        lowest_layer: The lowest layer with a bias; layers below it keep nothing.
    """
    layers, tokens = shape["layers"] - lowest_layer, blocks * block_length
    inside = keep_in_layer(shape, dtype)
    per_token = layers * inside
    if checkpointing:  # one layer at a time, and what enters each of them
        per_token = inside + layers * shape["width"] * SIZES[dtype]
    return estimate_evaluation(shape, dtype, tokens, chunk_tokens, device) + tokens * per_token


def keep_in_layer(shape: Mapping, dtype: str) -> int:
    """Return the bytes per token that a layer keeps for the backward pass.

    Weights are frozen and every map is sparsified. Both norms keep their input in float32, and
    their output is kept where it is sparsified; attention keeps its queries, keys, values and
    output; the MLP its gate before and behind the activation, the other branch and their product.
    Norms of queries and keys (Qwen3) are not counted.
    """
    width, attention = shape["width"], 2 * shape["heads_width"] + 2 * shape["keys_width"]
    return 2 * width * 4 + (2 * width + attention + 4 * shape["inner"]) * SIZES[dtype]


def split_batch(needed: Mapping[int, int], memory_gib: float | int) -> int:
    """Return the largest number of blocks whose training step fits into the memory.

    Args:
        needed: Bytes by number of blocks.

    Raises:
        ValueError: Not even the smallest number fits.
    """
    fitting = [blocks for blocks, size in needed.items() if size <= memory_gib * GIB]
    if not fitting:
        least = min(needed.values()) / GIB
        raise ValueError(
            f"memory_gib is {memory_gib:g}, a training step on {min(needed)} block needs about "
            f"{least:.1f}: allowed is that or more; train.checkpointing, a smaller "
            f"train.chunk_tokens or a smaller model need less"
        )
    return max(fitting)


def choose_split(
    shape: Mapping,
    dtype: str,
    block_length: int,
    lowest_layer: int,
    train: Mapping,
    memory_gib: float | int,
    device: str,
) -> int:
    """Choose how many blocks pass through the model at one time, so that a step fits into memory.

    It is the largest that fits of the step's `train.batch_blocks`, their half, the half of that,
    and so on, each rounded up, so that the same memory always gives the same sums.
    """
    sizes = {train["batch_blocks"]}
    while min(sizes) > 1:
        sizes.add(-(-min(sizes) // 2))
    step = {"chunk_tokens": train["chunk_tokens"], "lowest_layer": lowest_layer, "device": device}
    step["checkpointing"] = train["checkpointing"]
    needed = {
        blocks: estimate_training(shape, dtype, block_length, blocks, **step) for blocks in sizes
    }
    return split_batch(needed, memory_gib)


def check_weights(shape: Mapping, dtype: str, device: str, memory_gib: float | int) -> None:
    """Refuse a model whose weights alone do not fit into the memory.

    Raises:
        ValueError: They do not.
    """
    needed = estimate_weights(shape, dtype, device) / GIB
    if needed > memory_gib:
        raise ValueError(
            f"memory_gib is {memory_gib:g}, "
            f"the model's weights in {dtype} need {needed:.3g} on the {device}"
        )
