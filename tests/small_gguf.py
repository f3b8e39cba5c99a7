"""The tiny model as a GGUF file of three quantisations, and as a wheel that holds such a file."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants
from safetensors.torch import load_file

TINY = Path(__file__).parents[1] / "resources/models/tiny"
Q8_0, Q4_1, F16, F32 = (GGMLQuantizationType[name] for name in ("Q8_0", "Q4_1", "F16", "F32"))
# What GGUF calls a layer's weights, and in which quantisation they are written here.
NAMES = {
    "input_layernorm": ("attn_norm", F32),
    "post_attention_layernorm": ("ffn_norm", F32),
    "mlp.down_proj": ("ffn_down", Q4_1),
    "mlp.gate_proj": ("ffn_gate", Q4_1),
    "mlp.up_proj": ("ffn_up", Q4_1),
    "self_attn.q_proj": ("attn_q", Q8_0),
    "self_attn.k_proj": ("attn_k", Q8_0),
    "self_attn.v_proj": ("attn_v", Q8_0),
    "self_attn.o_proj": ("attn_output", Q8_0),
}
HEADS = {"self_attn.q_proj": 2, "self_attn.k_proj": 1}
PACKAGE, FILE = "tiny-gguf==1.0", "tiny_gguf/tiny.gguf"


def interleave(rows, heads):
    """The rows as llama.cpp wants them: of each head, the halves that turn together in turns."""
    of_heads = rows.reshape(heads, 2, -1, rows.shape[-1])
    return of_heads.swapaxes(1, 2).reshape(rows.shape)


def list_tensors():
    """The bytes and the quantisation of every tensor, by the name that safetensors has for it."""
    stored = {}
    for name, weight in load_file(TINY / "model.safetensors").items():
        rows = weight.float().numpy()
        inside = name.removesuffix(".weight").split(".", 3)[-1]
        kind = F32 if name == "model.norm.weight" else F16
        if inside in NAMES:
            kind = NAMES[inside][1]
            rows = interleave(rows, HEADS[inside]) if inside in HEADS else rows
        stored[name] = quants.quantize(np.ascontiguousarray(rows), kind), kind
    return stored


def translate(name):
    """What GGUF calls a weight."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, inside = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{NAMES[inside][0]}.weight"


def write_gguf(path, architecture="llama", splitting="gpt-2", more=None, left_out=()):
    """Write the file; `more` are further tensors, and `left_out` names ones that it lacks."""
    config = json.loads((TINY / "config.json").read_text())
    tokenizer = json.loads((TINY / "tokenizer.json").read_text())
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(96)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    vocabulary = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    tokens = sorted(vocabulary, key=vocabulary.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitting)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_eos_token_id(0)
    for name, (data, kind) in list_tensors().items():
        if name not in left_out:
            writer.add_tensor(translate(name), data, raw_dtype=kind)
    for name, data in (more or {}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheel(folder, file):
    """Write a wheel that holds a GGUF file, and code that ends whatever runs it."""
    folder.mkdir(exist_ok=True)
    name, release = PACKAGE.replace("-", "_").split("==")
    info = f"{name}-{release}.dist-info"
    path = folder / f"{name}-{release}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(file, FILE)
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('code of the wheel was run')")
        about = f"Metadata-Version: 2.1\nName: tiny-gguf\nVersion: {release}\n"
        archive.writestr(f"{info}/METADATA", about + "Requires-Dist: not-there-at-all\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def name_in_wheel(path):
    """A model as a config names it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"package": PACKAGE, "file": FILE, "sha256": digest}
