"""Read what a GGUF file says before its weights: what it holds, and the shape of its model.

The package `gguf` takes eight seconds for that of 49,152 tokens, since it makes an array of each;
here strings of lists are passed over, so that the config can be checked at every start.
"""

import math
import os
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from spon.inputs.shape import derive_shape, list_maps

# Kinds of values by their number, as GGUF versions 2 and 3 have them.
NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
STRING, LIST = 8, 9
MAPS = {
    "attn_k": "self_attn.k_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q": "self_attn.q_proj",
    "attn_v": "self_attn.v_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
}
# Keys of a config.json, and what GGUF calls them below the name of the architecture.
FACTS = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "rope.dimension_count",
    "max_position_embeddings": "context_length",
}
# Tensors that scale positions, and are no weights.
OF_POSITIONS = ("rope_freqs.", "rope_factors_")
# What reading raises where bytes are not what they should be.
BROKEN = (struct.error, UnicodeDecodeError, LookupError, ArithmeticError, TypeError)
BROKEN += (MemoryError, OSError)


class Tensor(NamedTuple):
    """The sizes of a tensor, as in torch; the name of its quantisation; where it begins."""

    sizes: tuple[int, ...]
    quantisation: str
    offset: int


class Header(NamedTuple):
    """What a GGUF file says of itself; lists stand as their length; and its tensors by name."""

    facts: dict[str, Any]
    tensors: dict[str, Tensor]


def read_header(path: Path, name: str | None = None) -> Header:
    """Read the header of a GGUF file.

    Args:
        path: The file.
        name: The file as errors name it, if it has another name.

    Raises:
        ValueError: It cannot be read, is no GGUF file, is broken, is shorter than its header says,
            or has a quantisation that the package `gguf` does not know.
    """
    name = name or str(path)
    try:
        opened = path.open("rb")
    except OSError as error:
        raise ValueError(f"'{name}' cannot be read: {error.strerror}") from error
    with opened as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(4) != b"GGUF":
            raise ValueError(
                f"'{name}' is no GGUF file, which begins with GGUF: if it is a git-lfs pointer, "
                f"fetch it first"
            )
        try:
            header, begin = read_parts(file)
        except BROKEN as error:
            raise ValueError(f"'{name}' is a broken GGUF file: {error}") from error
        except ValueError as error:
            raise ValueError(f"'{name}' {error}") from error
    ends = [begin + tensor.offset + count_bytes(tensor) for tensor in header.tensors.values()]
    if size < max(ends, default=begin):
        raise ValueError(
            f"'{name}' is cut off: it has {size} bytes, and its header says {max(ends)}: fetch it "
            f"again"
        )
    return header


def read_parts(file: BinaryIO) -> tuple[Header, int]:
    """Read facts and tensors behind the first four bytes; return where the data begin, too."""
    from gguf.constants import GGMLQuantizationType  # here, since it takes half a second

    names = {kind.value: kind.name for kind in GGMLQuantizationType}
    version, tensors, facts = take(file, "IQQ")
    if version not in (2, 3):
        raise ValueError(f"is a GGUF file of version {version}: allowed are 2 and 3")
    header = Header({}, {})
    for _ in range(facts):
        name = take_string(file)
        header.facts[name] = take_value(file, *take(file, "I"))
    for _ in range(tensors):
        name = take_string(file)
        sizes = take(file, f"{take(file, 'I')[0]}Q")
        kind, offset = take(file, "IQ")
        if kind not in names:
            raise ValueError(f"has {name} in quantisation {kind}: it is not known")
        header.tensors[name] = Tensor(sizes[::-1], names[kind], offset)
    header.facts["general.architecture"]  # without it nothing can be made of the others
    alignment = header.facts.get("general.alignment", 32)
    return header, -(-file.tell() // alignment) * alignment


def take(file: BinaryIO, form: str) -> tuple:
    """Read numbers of a form that `struct` knows, little-endian."""
    size = struct.calcsize(f"<{form}")
    return struct.unpack(f"<{form}", file.read(size))


def take_string(file: BinaryIO) -> str:
    """Read a text behind its length."""
    (length,) = take(file, "Q")
    return take(file, f"{length}s")[0].decode()


def take_value(file: BinaryIO, kind: int) -> Any:
    """Read a number or a text; of a list, only its length."""
    if kind == STRING:
        return take_string(file)
    if kind != LIST:
        return take(file, NUMBERS[kind])[0]
    inner, count = take(file, "IQ")
    if inner != STRING:
        file.seek(count * struct.calcsize(f"<{NUMBERS[inner]}"), 1)
        return count
    for _ in range(count):
        file.seek(take(file, "Q")[0], 1)
    return count


def count_bytes(tensor: Tensor) -> int:
    """Return how many bytes the data of a tensor take."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[tensor.quantisation]]
    return math.prod(tensor.sizes) // block * size


def list_weights(header: Header) -> dict[str, Tensor]:
    """Return the tensors that are weights, by name."""
    return {
        name: tensor
        for name, tensor in header.tensors.items()
        if not Path(name).name.startswith(OF_POSITIONS)
    }


def describe_header(header: Header) -> dict[str, Any]:
    """Return the `architecture`, the number of tensors by `quantisation`, and of `parameters`."""
    weights = list_weights(header)
    kinds = Counter(tensor.quantisation for tensor in weights.values())
    return {
        "architecture": header.facts["general.architecture"],
        "quantisation": dict(sorted(kinds.items())),
        "parameters": sum(math.prod(tensor.sizes) for tensor in weights.values()),
    }


def foresee_shape(header: Header) -> dict | None:
    """Return the shape that `read_shape` will read of the model, once it is safetensors.

    Returns:
        None where layers are not made of the seven maps of Llama's, Mistral's and Qwen's. Whether
        the model will do is then found out by its first job.
    """
    facts = collect_facts(header)
    if not all(isinstance(value, int) and value > 0 for value in facts.values()):
        return None
    shape = derive_shape(facts | {"tie_word_embeddings": "output.weight" not in header.tensors})
    sizes = {name: (size["d_out"], size["d_in"]) for name, size in list_maps(facts).items()}
    expected = {
        f"blk.{layer}.{name}.weight": sizes[map_]
        for layer in range(shape["layers"])
        for name, map_ in MAPS.items()
    }
    found = {
        name: tensor.sizes
        for name, tensor in header.tensors.items()
        if name.startswith("blk.") and len(tensor.sizes) > 1
    }
    parameters = describe_header(header)["parameters"]
    return shape | {"parameters": parameters} if found == expected else None


def collect_facts(header: Header) -> Mapping[str, Any]:
    """Return what a model's config.json will say, under its names; None is not said."""
    architecture = header.facts["general.architecture"]
    facts = {key: header.facts.get(f"{architecture}.{name}") for key, name in FACTS.items()}
    facts["head_dim"] = header.facts.get(f"{architecture}.attention.key_length", facts["head_dim"])
    known = header.tensors.get("token_embd.weight")
    facts["vocab_size"] = known.sizes[0] if known else None
    return facts
