"""Cut text into blocks of tokens, by the evaluation protocol, and write and read such blocks."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from spon.inputs import check, source
from spon.inputs.folder import explained, gathered
from spon.inputs.shape import check_positions


@dataclass(frozen=True)
class Protocol:
    """The rules by which documents become blocks.

    With the text itself, they are all that the perplexity of a model depends on.

    Attributes:
        block_length: Tokens per block, a leading BOS included.
        bos: Whether every block starts with the tokenizer's BOS token.
        join: What stands between two documents; a special token's text is that token.
        strip: Whether documents lose the white space around them, and empty ones are left out.
        dense_share: Share of every block, from its start, whose inputs are not sparsified.
    """

    block_length: int
    bos: bool
    join: str
    strip: bool
    dense_share: float


def read_tokenizer(model: Mapping) -> Callable[..., Mapping]:
    """Read the tokenizer of the model that the content of a `model.json` describes.

    No code of its own is run.

    Raises:
        ValueError: transformers cannot read it.
    """
    # Imported here, since it takes two seconds, and earlier errors need not wait for it.
    from transformers import AutoTokenizer

    folder = source.locate(model["source"])
    with gathered(folder, model["files"]) as files, explained("tokenizer", folder):
        return AutoTokenizer.from_pretrained(files, trust_remote_code=False, local_files_only=True)


def check_tokens(tokens: Int[Tensor, "blocks length"], shape: Mapping) -> None:
    """Refuse tokens that a model does not know, and blocks longer than the positions it knows.

    Args:
        shape: A `model.json`'s shape.

    Raises:
        ValueError: There are such tokens, or blocks are longer.
    """
    check_positions(tokens.shape[1], shape)
    largest = int(tokens.max())
    if largest >= shape["vocabulary"]:
        raise ValueError(
            f"the tokenizer gives token {largest}, the model knows {shape['vocabulary']} tokens: "
            f"it is the tokenizer of another model, or vocab_size in config.json is wrong"
        )


def tokenize(
    documents: Sequence[str],
    tokenizer: Callable[..., Mapping],
    protocol: Protocol,
    blocks: int,
    order: str,
) -> Int[Tensor, "blocks length"]:
    """Cut documents into blocks of token ids, with a Hugging Face tokenizer.

    For the first blocks, only as much text is tokenised as they need: the number of documents is
    doubled until they give one block more than asked for. Where the text is cut off, tokens may
    differ from those of the whole text; the block in excess keeps them out of the others.
    """
    count = len(documents) if order == "even" else min(len(documents), blocks)
    while True:
        joined = join_documents(documents[:count], protocol)
        ids = tokenizer(joined, add_special_tokens=False, verbose=False)["input_ids"]
        if count == len(documents) or len(ids) >= (blocks + 1) * protocol.block_length:
            return cut_blocks(ids, protocol, blocks, order, tokenizer.bos_token_id)
        count = min(len(documents), 2 * count)


def describe_tokens(
    tokens: Int[Tensor, "blocks length"], text: Mapping, protocol: Mapping, read: Mapping
) -> dict:
    """Describe the tokens, the settings that made them, and what was read of the text.

    Numbers that were measured on tokens with another `protocol`, which is a digest of tokens and
    settings, are not comparable.
    """
    digest = hashlib.sha256(tokens.numpy().tobytes()).hexdigest()
    settings = {"text": dict(text), "protocol": dict(protocol), "tokens": digest}
    canonical = json.dumps(settings, sort_keys=True)
    return {"protocol": hashlib.sha256(canonical.encode()).hexdigest()[:12]} | {
        "blocks": len(tokens),
        "block_length": tokens.shape[1],
        "tokens_sha256": digest,
        "read": dict(read),
        "settings": {"text": dict(text), "protocol": dict(protocol)},
    }


def join_documents(documents: Iterable[str], protocol: Protocol) -> str:
    """Join all documents into one text, by the protocol's rule."""
    if protocol.strip:
        documents = (stripped for document in documents if (stripped := document.strip()))
    return protocol.join.join(documents)


def cut_blocks(
    ids: Sequence[int] | np.ndarray,
    protocol: Protocol,
    blocks: int,
    order: str,
    bos_id: int | None = None,
) -> Int[Tensor, "blocks length"]:
    """Cut a token stream into the blocks that the protocol asks for.

    Args:
        ids: The whole text's token ids, without special tokens of the tokenizer's own.
        blocks: How many blocks to take.
        order: `first` takes the first ones, `even` takes them at equal distances over the whole
            text; both keep the order of the text.
        bos_id: The BOS token; needed if the protocol wants one.

    Raises:
        ValueError: The text is shorter than the blocks asked for, or a BOS is wanted and there is
            none.
    """
    if protocol.bos and bos_id is None:
        raise ValueError(
            "protocol.bos is true, but this tokenizer has no BOS token: set it to false"
        )
    body = protocol.block_length - protocol.bos
    available = len(ids) // body
    if available < blocks:
        there = f"{available} blocks" if available else f"{len(ids)} tokens, no block"
        allowed = f"allowed is 1 to {available}" if available else "take a longer text"
        raise ValueError(
            f"the text holds {there} of {protocol.block_length} tokens, "
            f"blocks asks for {blocks}: {allowed}"
        )
    used = np.asarray(ids[: available * body], dtype=np.int32)
    bodies = torch.as_tensor(used).view(available, body)[pick_blocks(available, blocks, order)]
    if protocol.bos:
        bos = torch.full((blocks, 1), bos_id, dtype=torch.int32)
        return torch.cat([bos, bodies], dim=1).contiguous()
    return bodies.contiguous()


def pick_blocks(available: int, blocks: int, order: str) -> Int[Tensor, "blocks"]:
    """Return the indices of `blocks` out of the `available` blocks, increasing and distinct."""
    assert order in ("first", "even"), order
    assert blocks <= available, f"{blocks} blocks out of {available} cannot be distinct"
    return torch.arange(blocks) if order == "first" else torch.arange(blocks) * available // blocks


def take_even(tokens: Int[Tensor, "blocks length"], count: int) -> Int[Tensor, "count length"]:
    """Take `count` blocks, evenly spaced over all of them."""
    return tokens[pick_blocks(len(tokens), count, "even")]


def take_blocks(
    tokens: Int[Tensor, "blocks length"], count: int, order: str, generator: torch.Generator
) -> Int[Tensor, "count length"]:
    """Take the blocks that biases are learned from: the first ones, or random ones.

    Random blocks come in random order.

    Raises:
        ValueError: There are fewer blocks.
    """
    assert order in ("first", "random"), order
    if count > len(tokens):
        raise ValueError(
            f"train.blocks and train.held_out_blocks are {count} together: "
            f"allowed are {len(tokens)}, the calibration blocks"
        )
    if order == "first":
        return tokens[:count]
    return tokens[torch.randperm(len(tokens), generator=generator)[:count]]


def tokenize_prompts(
    prompts: Mapping[str, Sequence[str]],
    tokenizer: Callable[..., Mapping],
    protocol: Protocol,
    positions: int | None = None,
) -> dict[str, Int[Tensor, "1 length"]]:
    """Turn prompts into blocks of token ids, one each, named `00.math` by number and category.

    Args:
        prompts: Texts by category.
        positions: Tokens after which a prompt is cut off; None for none.
    """
    start = [tokenizer.bos_token_id] if protocol.bos else []
    texts = [(category, text) for category, texts in prompts.items() for text in texts]
    blocks = {}
    # ASSUME: a prompt that is longer than the positions that a model knows is cut off there. What
    # is read are states, which hardly depend on how a prompt ends.
    for number, (category, text) in enumerate(texts):
        ids = start + tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        ids = ids[:positions]
        blocks[f"{number:02d}.{category}"] = torch.tensor([ids], dtype=torch.int32)
    return blocks


def save_prompts(
    prompts: Mapping[str, Int[Tensor, "1 length"]], path: str | Path, made_by: str
) -> None:
    """Write tokenised prompts."""
    save_file(dict(prompts), path, metadata={"made_by": made_by})


def read_prompts(path: str | Path, vocabulary: int) -> dict[str, Int[Tensor, "1 length"]]:
    """Read tokenised prompts, in the order in which they were written down.

    Args:
        path: Of the file.
        vocabulary: Tokens that the model knows.

    Raises:
        FileError: One is missing, or holds no tokens of the model.
    """
    with check.reading(path):
        prompts = dict(sorted(load_file(path).items()))
    if not prompts or [name[:2] for name in prompts] != [f"{n:02d}" for n in range(len(prompts))]:
        raise check.FileError(path, "lacks a prompt")
    for prompt in prompts.values():
        check_ids(prompt, path, vocabulary)
    return prompts


def save_tokens(tokens: Int[Tensor, "blocks length"], path: str | Path, made_by: str) -> None:
    """Write blocks of token ids."""
    save_file({"tokens": tokens.to(torch.int32).contiguous()}, path, metadata={"made_by": made_by})


def read_tokens(path: str | Path, vocabulary: int) -> Int[Tensor, "blocks length"]:
    """Read blocks of token ids, int32.

    Args:
        path: Of the file.
        vocabulary: Tokens that the model knows.

    Raises:
        FileError: It holds no blocks of tokens of the model.
    """
    with check.reading(path):
        tokens = load_file(path)["tokens"]
    check_ids(tokens, path, vocabulary)
    return tokens


def check_ids(tokens: Tensor, path: str | Path, vocabulary: int) -> None:
    """Refuse what are no blocks of token ids, int32, below `vocabulary`."""
    if tokens.dtype != torch.int32 or tokens.dim() != 2 or not tokens.numel():
        kind = f"{tokens.dtype} of shape {list(tokens.shape)}"
        raise check.FileError(path, f"has tokens as {kind}, allowed is int32 [blocks, length]")
    lowest, highest = int(tokens.min()), int(tokens.max())
    if lowest < 0 or highest >= vocabulary:
        wrong = lowest if lowest < 0 else highest
        raise check.FileError(path, f"has the token {wrong}, allowed are 0 to {vocabulary - 1}")
