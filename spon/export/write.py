"""Hand a run on: as a model with its biases folded in, or beside its model.

Nothing is left where something is refused: a folder is written under another name, read again,
compared, and moved to its place.
"""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import save_torch_state_dict
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models
from spon.agreement import choose_tokens
from spon.export.attach import add_biases_to, attach_run, load_dense, locate_model, with_samples
from spon.export.bundle import BIASES, write_bundle
from spon.export.card import CARD, write_card
from spon.export.fold import KEY, OFFER, fold
from spon.export.run import Run
from spon.inputs.folder import CONFIG, INDEX, SMALL, WEIGHTS, digest_file, read_json
from spon.inputs.tokens import read_tokens

# What is compared: blocks of text, and tokens of each.
BLOCKS, LENGTH = 2, 64
# Logits of the same weights may differ by so much of the largest, in float32.
TOLERANCE = 1e-4
POSITIONS = "max_position_embeddings"
# Of a folder with a model, what is written anew, or nothing is read from.
WRITTEN = {CONFIG, INDEX, WEIGHTS, "gguf.json", "record.json"}


@dataclass(frozen=True)
class Comparison:
    """How far a written model is from the run.

    Attributes:
        precision: Of the weights that were written.
        tokens: Tokens that were compared.
        dense: Largest difference of logits, both models with biases and nothing sparsified.
        sparse: The same, both sparsified.
        divergence: KL of the sparsified written model from the sparsified run, mean over the
            tokens, in nats.
        positions: Of the written model, if they are fewer than the model's own.
    """

    precision: str
    tokens: int
    dense: float
    sparse: float
    divergence: float
    positions: int | None = None

    def describe(self) -> str:
        """Say it in a sentence."""
        cut = ""
        if self.positions is not None:
            cut = f"; it knows {self.positions} positions, where the model's sliding window ends"
        return (
            f"loaded by transformers alone, {self.precision}: logits differ from the run's by at "
            f"most {self.dense:.2g} with biases, and by {self.sparse:.2g} where both are "
            f"sparsified (KL {self.divergence:.2g} nats per token), over {self.tokens} tokens{cut}"
        )


def export_model(
    run: Run, folder: Path, dtype: str, text: Path | None, licence: str | None
) -> Comparison:
    """Write a run's model with its biases folded in, as transformers loads it.

    Args:
        folder: Where to; it must not exist.
        dtype: Of the weights that are written.
        text: Blocks of tokens to compare on; else made-up ones.
        licence: Of the base model, for the card.

    Raises:
        ValueError: The model's class has no place for the biases, or another one would compute
            something else; the folder exists; the model cannot be had.
    """
    check_centres(run)
    with placed(folder) as place:
        network = load_dense(run, dtype=dtype)
        run = with_samples(run, network)
        known = getattr(network.config, POSITIONS, None)
        blocks = choose_blocks(network, text)
        write_model(run, network, place)
        del network
        positions = read_json(place / CONFIG).get(POSITIONS)
        check_same(run, place, dtype, blocks[:, :positions])
        comparison = replace(
            compare(run, place, dtype, blocks[:, :positions]),
            positions=positions if positions != known else None,
        )
        write_card(run, place / CARD, licence, comparison.describe())
    return comparison


def check_centres(run: Run) -> None:
    """Refuse a run whose inputs are sparsified around centres.

    Raises:
        ValueError: They are.
    """
    if run.centres:
        raise ValueError(
            f"{run.names['allocation']} sparsifies inputs around centres, and no class of "
            f"transformers takes them off: {OFFER}"
        )


def write_model(run: Run, network: nn.Module, folder: Path) -> None:
    """Write a model with a run's biases folded in, its tokenizer, and what the run consists of.

    Raises:
        ValueError: No class of transformers has a place for the biases.
    """
    config, weights = fold(network, run.vectors)
    write_bundle(run, folder)
    config.dtype = network.dtype
    setattr(config, KEY, {"biases_sha256": digest_file(folder / BIASES)})
    config.architectures = [name_class(config)]
    config.save_pretrained(folder)
    save_torch_state_dict(weights, folder, metadata={"format": "pt"})
    copy_tokenizer(run, folder)


def name_class(config: object) -> str:
    """Return the name of the class that transformers makes of a config."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].__name__


def export_beside(run: Run, folder: Path, licence: str | None) -> None:
    """Write a run's biases, thresholds and card without the model.

    Raises:
        ValueError: The folder exists, or the model cannot be had.
    """
    with placed(folder) as place:
        run = with_samples(run, load_dense(run))
        write_bundle(run, place)
        write_card(run, place / CARD, licence)


def check_new(folder: Path) -> None:
    """Refuse a folder that has something in it.

    Raises:
        ValueError: There is something at its place.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"DIR is '{folder}', which exists: allowed is a new or an empty folder")
    check_writable(folder)


def check_writable(path: Path) -> None:
    """Refuse a place whose folder is missing or read-only.

    Raises:
        ValueError: It is.
    """
    if not path.absolute().parent.is_dir():
        raise ValueError(f"DIR is '{path}', and '{path.parent}' is no folder")
    if not os.access(path.absolute().parent, os.W_OK):
        raise ValueError(f"DIR is '{path}', and nothing can be written in '{path.parent}'")


@contextmanager
def placed(folder: Path) -> Iterator[Path]:
    """Yield a new folder that is moved to its place if nothing is raised, and removed if it is.

    Raises:
        ValueError: There is something at its place already.
    """
    check_new(folder)
    with TemporaryDirectory(prefix=".new-", dir=folder.parent) as parent:
        place = Path(parent, "made")
        place.mkdir()
        yield place
        for file in place.iterdir():
            file.chmod(0o644)  # which safetensors keeps from others
        if folder.is_dir():
            folder.rmdir()
        place.rename(folder)


def copy_tokenizer(run: Run, folder: Path) -> None:
    """Copy the files of the model's tokenizer, and how it generates."""
    origin = locate_model(run)
    for name in run.model["files"]:
        if name not in WRITTEN and any(Path(name).match(pattern) for pattern in SMALL):
            shutil.copyfile(origin / name, folder / name)


def choose_blocks(network: nn.Module, text: Path | None) -> Int[Tensor, "blocks length"]:
    """Return blocks of held-out text, or, where there is none, of made-up tokens."""
    if text is None:
        return choose_tokens(network, LENGTH)
    return read_tokens(text, network.config.vocab_size)[:BLOCKS, :LENGTH]


def check_same(run: Run, folder: Path, dtype: str, blocks: Int[Tensor, "blocks length"]) -> None:
    """Refuse a written model that computes something else than its weights do in their own class.

    Both have the rounded weights that were written, and compute in float32.

    Raises:
        ValueError: Logits differ by more than float32 rounds.
    """
    network = load_dense(run, dtype=dtype)
    add_biases_to(network, run)
    expected = predict(network.float(), blocks)
    del network
    written = models.read_network(folder, torch.float32)
    difference = (predict(written, blocks) - expected).abs().max().item()
    if not difference <= TOLERANCE * expected.abs().max().item():
        raise ValueError(
            f"{type(written).__name__} computes something else than the model: logits differ by "
            f"{difference:.2g}: {OFFER}"
        )


def compare(
    run: Run, folder: Path, dtype: str, blocks: Int[Tensor, "blocks length"]
) -> Comparison:
    """Compare a written model with the run, both with biases, sparsified and not."""
    network = load_dense(run)
    add_biases_to(network, run)
    dense, sparse = predict_both(network, run, blocks)
    del network
    written = models.read_network(folder, getattr(torch, dtype))
    found_dense, found_sparse = predict_both(written, run, blocks)
    return Comparison(
        precision=dtype,
        tokens=blocks.numel(),
        dense=(found_dense - dense).abs().max().item(),
        sparse=(found_sparse - sparse).abs().max().item(),
        divergence=mean_divergence(sparse, found_sparse),
    )


def predict_both(
    network: nn.Module, run: Run, blocks: Int[Tensor, "blocks length"]
) -> tuple[Float[Tensor, "blocks length vocabulary"], Float[Tensor, "blocks length vocabulary"]]:
    """Return the logits of a model that has the biases, dense and then sparsified for good."""
    return predict(network, blocks), predict(attach_run(network, run, is_folded=True), blocks)


def predict(
    network: nn.Module, blocks: Int[Tensor, "blocks length"]
) -> Float[Tensor, "blocks length vocabulary"]:
    """Return a model's logits, float32."""
    with torch.inference_mode():
        return network(input_ids=blocks.long(), use_cache=False).logits.float()


def mean_divergence(
    first: Float[Tensor, "blocks length vocabulary"],
    second: Float[Tensor, "blocks length vocabulary"],
) -> float:
    """Return the KL divergence of a second model from a first, mean over tokens, in nats."""
    expected, found = (torch.log_softmax(logits, dim=-1) for logits in (first, second))
    divergence = (expected.exp() * (expected - found)).sum(dim=-1, dtype=torch.float64).mean()
    return max(0.0, divergence.item()) if math.isfinite(divergence) else math.inf
