"""How much memory a job needs, from the shape of its model: what does not fit is split, or refused before it is loaded.

Nothing is decided by the memory that happens to be free: the same config does the same everywhere.
"""

from collections.abc import Mapping

GIB = 2**30
SIZES = {"float32": 4, "bfloat16": 2}
# Tensors of chunk x vocabulary in float32 that the loss and the evaluation have at one time.
LOGITS = 5


def estimate_weights(shape: Mapping, dtype: str, device: str) -> int:
    """Bytes of a loaded model, with the float32 copy of the output head that a CPU needs for bfloat16."""
    copied = dtype != "float32" and device == "cpu"
    return shape["parameters"] * SIZES[dtype] + copied * 4 * shape["vocabulary"] * shape["width"]


def estimate_evaluation(
    shape: Mapping, dtype: str, tokens: int, chunk_tokens: int, device: str = "cpu"
) -> int:
    """Bytes of a pass without gradients over `tokens` at a time: weights, one layer's activations, logits."""
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
    """Bytes of a training step on `blocks` at a time: as an evaluation, and what the layers keep for the way back.

    Args:
        lowest_layer: The first layer with a bias; what lies below keeps nothing.
    """
    layers, tokens = shape["layers"] - lowest_layer, blocks * block_length
    inside = keep_in_layer(shape, dtype)
    kept = inside + layers * shape["width"] * SIZES[dtype] if checkpointing else layers * inside
    return estimate_evaluation(shape, dtype, tokens, chunk_tokens, device) + tokens * kept


def keep_in_layer(shape: Mapping, dtype: str) -> int:
    """Bytes per token that a layer keeps for the way back, weights frozen and every map sparsified.

    Both norms keep their input in float32, and their output is kept where it is sparsified;
    attention keeps its queries, keys, values and output; the MLP its gate before and behind the
    activation, the other branch and their product. Norms of queries and keys (Qwen3) are not
    counted.
    """
    maps, width = shape["maps"], shape["width"]
    attention = 2 * maps["self_attn.o_proj"]["d_in"] + 2 * maps["self_attn.k_proj"]["d_out"]
    mlp = 4 * maps["mlp.down_proj"]["d_in"]
    return 2 * width * 4 + (2 * width + attention + mlp) * SIZES[dtype]


def split_batch(needed: Mapping[int, int], memory_gib: float | int) -> int:
    """The most blocks at one time whose step fits.

    Args:
        needed: Bytes by number of blocks.

    Raises:
        ValueError: Not even the smallest number fits.
    """
    fitting = [blocks for blocks, size in needed.items() if size <= memory_gib * GIB]
    if not fitting:
        least = min(needed.values()) / GIB
        raise ValueError(
            f"memory_gib is {memory_gib:g}, a training step on {min(needed)} block needs about {least:.1f}: allowed is "
            f"that or more; train.checkpointing, a smaller train.chunk_tokens or a smaller model need less"
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
    """Blocks that pass through the model at one time, so that a step of `train.batch_blocks` fits into the memory.

    Halves of halves of the step's blocks, so that the same memory always gives the same sums.
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
    """Refuse a model whose weights alone do not fit.

    Raises:
        ValueError: They do not.
    """
    needed = estimate_weights(shape, dtype, device) / GIB
    if needed > memory_gib:
        raise ValueError(
            f"memory_gib is {memory_gib:g}, the model's weights in {dtype} need {needed:.1f} on the {device}"
        )
