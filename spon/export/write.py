"""Hand a run on: as a model with its biases folded in, or beside its model.

Nothing is left where something is refused: a folder is written under another name, read again,
compared, and moved to its place.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import save_torch_state_dict
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, sparsify
from spon.agreement import choose_tokens
from spon.export.attach import attach_run, load_dense, locate_model, with_samples
from spon.export.bundle import BIASES, write_bundle
from spon.export.card import CARD, write_card
from spon.export.fold import KEY, OFFER, fold
from spon.export.run import Run
from spon.inputs.folder import CONFIG, INDEX, SMALL, WEIGHTS, digest_file
from spon.inputs.tokens import read_tokens

# Blocks of text that are compared, and, without text, the length of made-up ones.
BLOCKS, LENGTH = 2, 64
# Logits of the same model may differ by so many roundings of the largest.
ROUNDINGS = 100
# Of a folder with a model, what no tokenizer is read from, or is written anew.
NO_TOKENIZER = {CONFIG, INDEX, WEIGHTS, "gguf.json", "generation_config.json", "record.json"}


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
    """

    precision: str
    tokens: int
    dense: float
    sparse: float
    divergence: float

    def describe(self) -> str:
        """Say it in a sentence."""
        return (
            f"loaded by transformers alone, {self.precision}: logits differ from the run's by at "
            f"most {self.dense:.2g} with biases, and by {self.sparse:.2g} where both are "
            f"sparsified (KL {self.divergence:.2g} nats per token), over {self.tokens} tokens"
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
    if run.centres:
        raise ValueError(
            f"{run.names['allocation']} sparsifies inputs around centres, and no class of "
            f"transformers takes them off: {OFFER}"
        )
    with placed(folder) as place:
        network = load_dense(run)
        run = with_samples(run, network)
        blocks = choose_blocks(network, text)
        write_model(run, network.to(getattr(torch, dtype)), place)
        del network
        comparison = compare(run, place, dtype, blocks)
        write_card(run, place / CARD, licence, comparison.describe())
    return comparison


def write_model(run: Run, network: nn.Module, folder: Path) -> None:
    """Write a model with a run's biases folded in, its tokenizer, and what the run consists of.

    Raises:
        ValueError: No class of transformers has a place for the biases.
    """
    biases = {site: torch.from_numpy(bias) for site, bias in run.biases.items()}
    config, weights = fold(network, biases)
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


@contextmanager
def placed(folder: Path) -> Iterator[Path]:
    """Yield a new folder that is moved to its place if nothing is raised, and removed if it is.

    Raises:
        ValueError: There is something at its place already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"DIR is '{folder}', which exists: allowed is a new or an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
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
    """Copy the files of the model's tokenizer."""
    origin = locate_model(run)
    for name in run.model["files"]:
        if name not in NO_TOKENIZER and any(Path(name).match(pattern) for pattern in SMALL):
            shutil.copyfile(origin / name, folder / name)


def choose_blocks(network: nn.Module, text: Path | None) -> Int[Tensor, "blocks length"]:
    """Return blocks of held-out text, or, where there is none, of made-up tokens."""
    if text is None:
        return choose_tokens(network, LENGTH)
    return read_tokens(text, network.config.vocab_size)[:BLOCKS]


def compare(
    run: Run, folder: Path, dtype: str, blocks: Int[Tensor, "blocks length"]
) -> Comparison:
    """Compare a written model with the run, both with biases, sparsified and not.

    Raises:
        ValueError: It is another model, by more than rounding.
    """
    written = models.read_network(folder, getattr(torch, dtype))
    blocks = blocks[:, : written.config.max_position_embeddings]
    dense, sparse = logits_of(load_dense(run), run, blocks)
    found_dense, found_sparse = logits_of(written, run, blocks, is_folded=True)
    # The model itself in the precision that was written, whose roundings are the same.
    same = dense if dtype == run.dtype else logits_of(load_dense(run, dtype=dtype), run, blocks)[0]
    difference = (found_dense - same).abs().max().item()
    if not difference <= ROUNDINGS * torch.finfo(written.dtype).eps * same.abs().max().item():
        raise ValueError(
            f"{type(written).__name__} computes something else than the model: logits differ by "
            f"{difference:.2g}: {OFFER}"
        )
    return Comparison(
        precision=dtype,
        tokens=blocks.numel(),
        dense=(found_dense - dense).abs().max().item(),
        sparse=(found_sparse - sparse).abs().max().item(),
        divergence=mean_divergence(sparse, found_sparse),
    )


def logits_of(
    network: nn.Module, run: Run, blocks: Int[Tensor, "blocks length"], is_folded: bool = False
) -> Sequence[Float[Tensor, "blocks length vocabulary"]]:
    """Return a model's logits with biases, dense and sparsified; the model is used up."""
    if not is_folded:
        biases = {site: torch.from_numpy(bias) for site, bias in run.biases.items()}
        with sparsify.biased(network, biases):
            dense = predict(network, blocks)
    else:
        dense = predict(network, blocks)
    return dense, predict(attach_run(network, run, is_folded), blocks)


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
