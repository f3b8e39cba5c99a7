"""Estimate the memory that a job needs from the shape of its model, and spread its layers.

A training step that does not fit is split, and a model that does not fit is refused before it is
loaded. The memory that happens to be free decides nothing, so that a config does the same on every
machine.

The memory of a job, `memory_gib`, is that of one device, in GiB, or of several by name (`cuda:0`,
`cuda:1`, …, `cpu`, `disk`). Of several, the first GPU, or `cpu` where there is none, is the main
device: it holds all but the layers, and runs those that are kept where nothing is computed.
"""

from collections.abc import Mapping

GIB = 2**30
SIZES = {"float32": 4, "bfloat16": 2}
# Float32 tensors of chunk x vocabulary that an evaluation holds at one time, and the loss behind a
# head that caps its logits; behind another head it holds one less.
LOGITS = 6
Limit = float | int | Mapping[str, float | int]
# ASSUME: of a device that computes, a quarter is left for what passes through it: activations,
# logits, and a layer at a time that is fetched from main memory or a disk.
RESIDENT = 0.75


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


def split_batch(needed: Mapping[int, int], memory_gib: Limit) -> int:
    """Return the largest number of blocks whose training step fits into the memory.

    Args:
        needed: Bytes by number of blocks.

    Raises:
        ValueError: Not even the smallest number fits.
    """
    fitting = [blocks for blocks, size in needed.items() if size <= main_memory(memory_gib) * GIB]
    if not fitting:
        least = min(needed.values()) / GIB
        place = f" on {main_device(memory_gib, '')}" if isinstance(memory_gib, Mapping) else ""
        raise ValueError(
            f"memory_gib is {name_limit(memory_gib)}, a training step on {min(needed)} block "
            f"needs about {least:.2g}{place}: allowed is that or more; train.checkpointing, a "
            f"smaller train.chunk_tokens or a smaller model need less"
        )
    return max(fitting)


def choose_split(
    shape: Mapping,
    dtype: str,
    block_length: int,
    lowest_layer: int,
    train: Mapping,
    memory_gib: Limit,
    device: str,
) -> int:
    """Choose how many blocks pass through the model at one time, so that a step fits into memory.

    It is the largest that fits of the step's `train.batch_blocks`, their half, the half of that,
    and so on, each rounded up, so that the same memory always gives the same sums. On several
    devices it has to fit into the main one, as if all that is kept for gradients lay there.

    Raises:
        ValueError: Not even one block fits, or layers would have to be kept for gradients that are
            fetched anew in every pass.
    """
    if find_fetched(shape, dtype, memory_gib, device) and not train["checkpointing"]:
        raise ValueError(
            f"memory_gib is {name_limit(memory_gib)}, of which some layers are fetched anew in "
            f"every pass, and what is learned keeps them: allowed are train.checkpointing: true "
            f"(not for learn: fisher) and GPUs that hold all layers"
        )
    sizes = {train["batch_blocks"]}
    while min(sizes) > 1:
        sizes.add(-(-min(sizes) // 2))
    step = {"chunk_tokens": train["chunk_tokens"], "lowest_layer": lowest_layer, "device": device}
    step["checkpointing"] = train["checkpointing"]
    needed = {
        blocks: estimate_training(shape, dtype, block_length, blocks, **step) for blocks in sizes
    }
    elsewhere = count_elsewhere(shape, dtype, memory_gib, device)
    needed = {blocks: size - elsewhere for blocks, size in needed.items()}
    return split_batch(needed, memory_gib)


def check_weights(shape: Mapping, dtype: str, device: str, memory_gib: Limit) -> None:
    """Refuse a model whose weights alone do not fit into the memory.

    Raises:
        ValueError: They do not.
    """
    if isinstance(memory_gib, Mapping):
        place_layers(shape, dtype, memory_gib, device)
        return
    needed = estimate_weights(shape, dtype, device) / GIB
    if needed > memory_gib:
        raise ValueError(
            f"memory_gib is {memory_gib:g}, "
            f"the model's weights in {dtype} need {needed:.3g} on the {device}"
        )


def order_devices(memory_gib: Mapping) -> list[str]:
    """Return the names of devices in the order in which layers fill them; the first is the main.

    >>> order_devices({"disk": 900, "cpu": 200, "cuda:10": 70, "cuda:9": 70})
    ['cuda:9', 'cuda:10', 'cpu', 'disk']
    """
    gpus = [name for name in memory_gib if name.startswith("cuda:")]
    gpus.sort(key=lambda name: int(name.removeprefix("cuda:")))
    return gpus + [name for name in ("cpu", "disk") if name in memory_gib]


def main_device(memory_gib: Limit, device: str) -> str:
    """Return the device that tokens enter: of several the first, else the one of the job."""
    return order_devices(memory_gib)[0] if isinstance(memory_gib, Mapping) else device


def main_memory(memory_gib: Limit) -> float | int:
    """Return the GiB of the device that tokens enter."""
    if not isinstance(memory_gib, Mapping):
        return memory_gib
    return memory_gib[order_devices(memory_gib)[0]]


def cpu_memory(memory_gib: Limit) -> float | int:
    """Return the GiB of main memory that a job on the CPU may use; 0 if no device is `cpu`."""
    return memory_gib.get("cpu", 0) if isinstance(memory_gib, Mapping) else memory_gib


def count_gpus(memory_gib: Limit) -> int:
    """Return on how many GPUs a model runs that runs on any.

    >>> [count_gpus(limit) for limit in (72, {"cuda:0": 76, "cuda:1": 76, "cpu": 240})]
    [1, 2]
    """
    if not isinstance(memory_gib, Mapping):
        return 1
    return sum(name.startswith("cuda:") for name in memory_gib)


def name_limit(memory_gib: Limit) -> str:
    """Return a job's memory as a config has it.

    >>> name_limit({"cuda:0": 76, "cpu": 240.0})
    '{cuda:0: 76, cpu: 240}'
    """
    if not isinstance(memory_gib, Mapping):
        return f"{memory_gib:g}"
    return "{" + ", ".join(f"{name}: {gib:g}" for name, gib in memory_gib.items()) + "}"


def weigh_layer(shape: Mapping, dtype: str) -> int:
    """Return the bytes of a layer: the mean of all, which are alike but for what is no map."""
    return -(-shape["linear_weights"] // shape["layers"]) * SIZES[dtype]


def place_layers(shape: Mapping, dtype: str, memory_gib: Mapping, device: str) -> list[str]:
    """Return the device that holds each layer: the devices in their order, each as far as it goes.

    Raises:
        ValueError: There are more layers than fit.
    """
    names, layer = order_devices(memory_gib), weigh_layer(shape, dtype)
    computing = {name for name in names if name.startswith("cuda:")} or {"cpu"}
    free = {
        name: memory_gib[name] * GIB * (RESIDENT if name in computing else 1) for name in names
    }
    free[names[0]] -= estimate_weights(shape, dtype, device) - shape["layers"] * layer
    places: list[str] = []
    for name in names:
        fitting = max(0, int(free[name] // layer)) if free[names[0]] >= 0 else 0
        places += [name] * min(fitting, shape["layers"] - len(places))
    if len(places) < shape["layers"]:
        needed = estimate_weights(shape, dtype, device) / GIB
        raise ValueError(
            f"memory_gib is {name_limit(memory_gib)}, which holds {len(places)} of the model's "
            f"{shape['layers']} layers in {dtype}: allowed is room for all its weights, "
            f"{needed:.3g}, where a device that computes keeps a quarter for activations, and "
            f"{names[0]} holds the embedding and the head"
        )
    return places


def find_fetched(shape: Mapping, dtype: str, memory_gib: Limit, device: str) -> list[int]:
    """Return the layers that are kept where nothing is computed, and fetched in every pass."""
    if not isinstance(memory_gib, Mapping):
        return []
    computing = {main_device(memory_gib, device)} | {
        name for name in memory_gib if name.startswith("cuda:")
    }
    places = place_layers(shape, dtype, memory_gib, device)
    return [layer for layer, name in enumerate(places) if name not in computing]


def count_elsewhere(shape: Mapping, dtype: str, memory_gib: Limit, device: str) -> int:
    """Return the bytes of weights that the main device holds at no time.

    Of layers that are fetched, it holds one at a time.
    """
    if not isinstance(memory_gib, Mapping):
        return 0
    places = place_layers(shape, dtype, memory_gib, device)
    away = len(places) - places.count(order_devices(memory_gib)[0])
    fetched = find_fetched(shape, dtype, memory_gib, device)
    return (away - bool(fetched)) * weigh_layer(shape, dtype)
