"""Write a run's model as a GGUF file, with its biases where llama.cpp reads them.

llama.cpp has places for the biases of Llama's attention and MLP. It sparsifies nothing: what is
needed for that stands in the file's metadata, for runtimes that do.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spon import models
from spon.export.attach import locate_model
from spon.export.fold import OFFER, is_bias, list_weights
from spon.export.run import Run
from spon.export.write import check_centres, check_writable, choose_blocks, export_model, predict
from spon.inputs.folder import read_json

ARCHITECTURE = "llama"
DESCRIPTION, TOKENIZER = "spon.run", "tokenizer.json"
# How llama.cpp calls a splitting of text, by the pre-tokenizer that does the same.
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
SPLITTINGS = {"gpt-2": BYTES, "smollm": {"type": "Sequence", "pretokenizers": [DIGITS, BYTES]}}
NORMAL, CONTROL, UNUSED = 1, 3, 5  # kinds of token there
# Logits may differ there by so much of the largest: products are summed in another order, and
# rounded to the precision of the file.
TOLERANCE, ROUNDINGS = 1e-3, 16
CAVEAT = "llama-cpp-python is not installed, so it was not loaded there"


def check_file(run: Run, file: Path) -> None:
    """Refuse what can be seen to be impossible before the model is loaded.

    Raises:
        ValueError: The file exists, or inputs are sparsified around centres.
    """
    if file.exists():
        raise ValueError(f"DIR is '{file}', which exists: allowed is a new file")
    check_writable(file)
    check_centres(run)


def export_gguf(run: Run, file: Path, dtype: str, text: Path | None, licence: str | None) -> str:
    """Write a run's model with its biases folded in as a GGUF file, and say what it is.

    It is written as a folder for transformers first, in another place, where it is compared with
    the run.

    Args:
        file: Where to; it must not exist.
        dtype: Of the matrices that are written.
        text: Blocks of tokens to compare on; else made-up ones.
        licence: Of the base model.

    Raises:
        ValueError: The model is no Llama in llama.cpp's sense, its tokenizer has no name there, or
            llama.cpp computes something else; the file exists.
    """
    check_file(run, file)
    folder = locate_model(run)
    facts = {**describe_tokenizer(folder), **describe_run(run, licence)}
    with TemporaryDirectory(prefix=".new-", dir=file.parent) as place:
        folded, part = Path(place, "model"), Path(place, "model.gguf")
        compared = export_model(run, folded, dtype, text, licence)
        network = models.read_network(folded, getattr(torch, dtype))
        check_config(network.config)
        write_file(part, network.config, list_weights(network), facts)
        blocks = choose_blocks(network, text)[:1]
        said = compare(part, predict(network, blocks)[0], blocks[0], torch.finfo(network.dtype))
        part.rename(file)
    return f"{said}; the model that it was written from, {compared.describe()}"


def check_config(config: Any) -> None:
    """Refuse a model that llama.cpp's Llama does not compute.

    Raises:
        ValueError: It is of another class, or scales the angles of positions.
    """
    if config.model_type != ARCHITECTURE:
        raise ValueError(
            f"llama.cpp has no place for biases in a {config.model_type}: allowed are models "
            f"that fold into a Llama: {OFFER}"
        )
    kind = config.rope_parameters["rope_type"]
    if kind != "default":
        raise ValueError(f"positions are scaled ({kind}), which is not written: {OFFER}")


def describe_run(run: Run, licence: str | None) -> dict[str, Any]:
    """Return the metadata that say what the file is."""
    known = {"general.license": licence} if licence else {}
    return {
        "general.name": f"{run.names.get('study', 'a model')} with SPON biases",
        **known,
        DESCRIPTION: json.dumps(run.describe(), sort_keys=True),
    }


def describe_tokenizer(folder: Path) -> dict[str, Any]:
    """Return the metadata of a byte-level tokenizer.

    Raises:
        ValueError: It is none, or splits text in a way that has no name.
    """
    content = read_json(folder / TOKENIZER)
    model = content["model"]
    named = [name for name, one in SPLITTINGS.items() if one == content["pre_tokenizer"]]
    adds = (content.get("post_processor") or {}).get("special_tokens")
    if model["type"] != "BPE" or not named or content["normalizer"] or adds:
        raise ValueError(
            f"the tokenizer in '{folder}' is none that a GGUF file has a name for here: allowed "
            f"are byte-level BPE that split text as GPT-2 does, with every digit alone or not, "
            f"and add no token of their own: {OFFER}"
        )
    special = {one["id"]: one["content"] for one in content["added_tokens"]}
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": named[0],
        **list_tokens({number: token for token, number in model["vocab"].items()}, special),
        "tokenizer.ggml.merges": [
            merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]
        ],
        "tokenizer.ggml.add_bos_token": False,
    }


def list_tokens(ordinary: Mapping[int, str], special: Mapping[int, str]) -> dict[str, list]:
    """Return a vocabulary in the order of its numbers, with the kind of each token."""
    tokens = {**ordinary, **special}
    numbers = range(max(tokens) + 1)
    return {
        "tokenizer.ggml.tokens": [tokens.get(n, f"<unused_{n}>") for n in numbers],
        "tokenizer.ggml.token_type": [
            CONTROL if n in special else NORMAL if n in tokens else UNUSED for n in numbers
        ],
    }


def pad_tokens(facts: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return metadata with as many tokens as the embedding has rows; the last are unused."""
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    unused = range(len(tokens), size)
    return {
        **facts,
        "tokenizer.ggml.tokens": [*tokens, *(f"<unused_{n}>" for n in unused)],
        "tokenizer.ggml.token_type": [*kinds, *(UNUSED for _ in unused)],
    }


def write_file(
    file: Path, config: Any, weights: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write a GGUF file: metadata, and the tensors under llama.cpp's names.

    Matrices keep their precision, and vectors have float32, which llama.cpp asks for.
    """
    import gguf

    writer = gguf.GGUFWriter(file, ARCHITECTURE, use_temp_file=True)
    write_sizes(writer, config)
    for name, value in pad_tokens(facts, config.vocab_size).items():
        add = {str: writer.add_string, bool: writer.add_bool, list: writer.add_array}
        add[type(value)](name, value)
    kind = {torch.float32: "F32", torch.bfloat16: "BF16"}[config.dtype]
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if kind == "F32" else f"MOSTLY_{kind}"])
    for name, array in name_tensors(config, weights):
        of_kind = gguf.GGMLQuantizationType[kind if array.ndim == 2 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(array, of_kind), raw_dtype=of_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_sizes(writer: Any, config: Any) -> None:
    """Write the sizes of a Llama."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    for name in ("bos", "eos"):
        token = getattr(config, f"{name}_token_id")
        if isinstance(token, int):
            getattr(writer, f"add_{name}_token_id")(token)


def name_tensors(
    config: Any, weights: Mapping[str, Tensor]
) -> Iterator[tuple[str, Float[np.ndarray, "..."]]]:
    """Yield every tensor with its name in llama.cpp; biases that are zero are left out."""
    import gguf

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in weights.items():
        if is_bias(name) and not tensor.any():
            continue
        array = tensor.float().numpy()
        if (map_ := name.split(".")[-2]) in heads:
            array = interleave(array, heads[map_])
        yield names.get_name(name, try_suffixes=(".weight", ".bias")), array


def interleave(rows: Float[np.ndarray, "d_out ..."], heads: int) -> Float[np.ndarray, "d_out ..."]:
    """Return the rows of a map to queries or keys in llama.cpp's order.

    Positions turn pairs of entries: transformers pairs entry i with i + d/2 of a head, llama.cpp
    with its neighbour.
    """
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def compare(
    file: Path,
    expected: Float[Tensor, "length vocabulary"],
    tokens: Int[Tensor, "length"],
    precision: torch.finfo,
) -> str:
    """Load a GGUF file in llama.cpp, and say how far its logits are from transformers'.

    Both have biases, and nothing is sparsified.

    Raises:
        ValueError: They differ by more than rounding.
    """
    if find_spec("llama_cpp") is None:
        return CAVEAT
    import llama_cpp

    exact = dict.fromkeys(("type_k", "type_v"), llama_cpp.GGML_TYPE_F32)  # else 16 bits
    sizes = dict.fromkeys(("n_ctx", "n_batch"), len(tokens))
    llama = llama_cpp.Llama(str(file), logits_all=True, verbose=False, **sizes, **exact)
    llama.eval(tokens.tolist())
    found = torch.from_numpy(np.array(llama.scores[: len(tokens)]))
    difference = (found - expected).abs().max().item()
    if not difference <= max(TOLERANCE, ROUNDINGS * precision.eps) * expected.abs().max().item():
        raise ValueError(
            f"llama.cpp computes something else than the model: logits differ by {difference:.2g}"
        )
    return (
        f"loaded by llama.cpp, which sparsifies nothing: logits differ from transformers' by at "
        f"most {difference:.2g}, over {len(tokens)} tokens"
    )
