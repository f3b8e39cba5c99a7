"""Write a run's model as a GGUF file, with its biases where llama.cpp reads them.

llama.cpp has places for the biases of Llama's attention and MLP. It sparsifies nothing: what is
needed for that stands in the file's metadata, for runtimes that do.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spon import sparsify
from spon.export.attach import load_dense, locate_model, with_samples
from spon.export.fold import OFFER, fold, is_bias
from spon.export.run import Run
from spon.export.write import LENGTH, choose_blocks, predict
from spon.inputs.folder import read_json

ARCHITECTURE = "llama"
DESCRIPTION = "spon.run"
# How llama.cpp calls a splitting of text, by the pre-tokenizers that do the same.
SPLITTINGS = {("ByteLevel",): "gpt-2", ("Digits", "ByteLevel"): "smollm"}
CAVEAT = "llama-cpp-python is not installed, so nothing was compared"


def export_gguf(run: Run, file: Path, dtype: str, text: Path | None, licence: str | None) -> str:
    """Write a run's model with its biases folded in as a GGUF file, and say what it is.

    Args:
        file: Where to; it must not exist.
        dtype: Of the matrices that are written.
        text: Blocks of tokens to compare on; else made-up ones.
        licence: Of the base model.

    Raises:
        ValueError: The model is no Llama in llama.cpp's sense, or its tokenizer has no name there;
            the file exists.
    """
    if file.exists():
        raise ValueError(f"DIR is '{file}', which exists: allowed is a new file")
    network = load_dense(run)
    run = with_samples(run, network)
    biases = {site: torch.from_numpy(bias) for site, bias in run.biases.items()}
    config, weights = fold(network, biases)
    check_config(config, run)
    facts = {**describe_tokenizer(locate_model(run)), **describe_run(run, licence)}
    part = file.with_name(f".{file.name}")
    try:
        write_file(part, config, weights, dtype, facts)
        said = compare(run, part, choose_blocks(network, text)[:1, :LENGTH])
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return said


def check_config(config: Any, run: Run) -> None:
    """Refuse a model that llama.cpp's Llama does not compute.

    Raises:
        ValueError: It is of another class, scales the angles of positions, or sparsifies around
            centres.
    """
    if config.model_type != ARCHITECTURE:
        raise ValueError(
            f"llama.cpp has no place for biases in a {config.model_type}: allowed are models "
            f"that fold into a Llama: {OFFER}"
        )
    kind = config.rope_parameters["rope_type"]
    if kind != "default":
        raise ValueError(f"positions are scaled ({kind}), which is not written: {OFFER}")
    if run.centres:
        raise ValueError(f"{run.names['allocation']} sparsifies around centres: {OFFER}")


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
    content = read_json(folder / "tokenizer.json")
    model, splitter = content["model"], content["pre_tokenizer"] or {}
    kinds = tuple(one["type"] for one in splitter.get("pretokenizers", [splitter]))
    if model["type"] != "BPE" or kinds not in SPLITTINGS or content["normalizer"]:
        raise ValueError(
            f"the tokenizer in '{folder}' is {model['type']} after {' and '.join(kinds)}: allowed "
            f"in a GGUF file are those that split as GPT-2, with every digit alone or not"
        )
    tokens = {number: token for token, number in model["vocab"].items()}
    special = {one["id"]: one["content"] for one in content["added_tokens"]}
    tokens |= special
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": SPLITTINGS[kinds],
        "tokenizer.ggml.tokens": [tokens[number] for number in range(len(tokens))],
        "tokenizer.ggml.token_type": [3 if n in special else 1 for n in range(len(tokens))],
        "tokenizer.ggml.merges": [
            merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]
        ],
        "tokenizer.ggml.add_bos_token": False,
    }


def write_file(
    file: Path, config: Any, weights: Mapping[str, Tensor], dtype: str, facts: Mapping[str, Any]
) -> None:
    """Write a GGUF file: metadata, and the tensors under llama.cpp's names."""
    import gguf

    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, ARCHITECTURE)
    write_sizes(writer, config)
    for name, value in facts.items():
        add = {str: writer.add_string, bool: writer.add_bool, list: writer.add_array}
        add[type(value)](name, value)
    kind = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
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


def compare(run: Run, file: Path, blocks: Int[Tensor, "1 length"]) -> str:
    """Load a GGUF file in llama.cpp, and say how far its logits are from the run's.

    Both have biases, and nothing is sparsified.
    """
    if find_spec("llama_cpp") is None:
        return CAVEAT
    import llama_cpp

    ids = blocks[0].tolist()
    exact = dict.fromkeys(("type_k", "type_v"), llama_cpp.GGML_TYPE_F32)  # else 16 bits
    sizes = dict.fromkeys(("n_ctx", "n_batch"), len(ids))
    llama = llama_cpp.Llama(str(file), logits_all=True, verbose=False, **sizes, **exact)
    llama.eval(ids)
    found = torch.from_numpy(np.array(llama.scores[: len(ids)]))
    biases = {site: torch.from_numpy(bias) for site, bias in run.biases.items()}
    network = load_dense(run)
    with sparsify.biased(network, biases):
        expected = predict(network, blocks)[0]
    difference = (found - expected).abs().max().item()
    return (
        f"loaded by llama.cpp, logits differ from those of the dense model with biases by at most "
        f"{difference:.2g}, over {len(ids)} tokens; llama.cpp itself sparsifies nothing"
    )
