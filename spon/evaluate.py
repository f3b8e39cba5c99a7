"""Held-out likelihood, divergence from the dense model, and confidence, per block."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, models, progress, resume, sparsify
from spon.head import Head
from spon.inputs import check
from spon.sites import EVALUATION

# Of single predictions, by column of the evaluation.
PERCENTILES = {"kl_median": 50, "kl_95": 95, "kl_99": 99}
# Sums that are zero or more; those that are differences fall below it by rounding.
LIKELIHOODS = ("nll_nats", "nll_at_temperature_nats", "top1")
DIFFERENCES = ("kl_nats", "entropy_nats", "kl_at_temperature_nats")


def evaluate(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
    batch_tokens: int,
    chunk_tokens: int,
    temperature: float = 1.0,
    keep: cache.Keep = cache.compute,
) -> pd.DataFrame:
    """Compare a sparsified and biased model with the dense one on the same tokens, block by block.

    Args:
        network: The dense model.
        tokens: Held-out blocks.
        sparsifiers: S by site; none for the dense model.
        biases: b by site; none for TEAL.
        batch_tokens: Tokens per forward pass.
        chunk_tokens: Tokens whose logits exist at one time.
        temperature: What the model's logits are divided by for the columns that say so.
        keep: Gives the dense model's final states, which other evaluations need too.

    Returns:
        `block, predictions`, and sums over the block's next-token predictions, float64:
        `nll_nats`, `kl_nats` (dense || sparse), `entropy_nats` of the sparse model, `top1` (how
        often both models find the same token likeliest), and `nll_at_temperature_nats` and
        `kl_at_temperature_nats` of the sparse model at its temperature. The same in every row are
        `temperature` and `kl_median, kl_95, kl_99`, percentiles of single predictions, in nats.
    """
    head = Head(network)
    batches, parts = models.batches(tokens, batch_tokens), []
    dense_states = models.keep_final_states(network, tokens, batch_tokens, keep)
    with torch.inference_mode():
        for batch, states in zip(
            progress.follow(batches), dense_states.split(len(batches[0])), strict=True
        ):
            dense, targets = states.to(network.device), batch.to(network.device, torch.long)
            sparse = run_sparse(network, batch, dense, sparsifiers, biases)
            parts.append(compare(dense, sparse, targets, head, chunk_tokens, temperature))
    measured = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    sums = {name: values.double().sum(dim=1).numpy() for name, values in measured.items()}
    blocks = pd.DataFrame(
        {"block": np.arange(len(tokens)), "predictions": tokens.shape[1] - 1, **sums}
    )
    kl = measured["kl_nats"].numpy()
    percentiles = {name: float(np.percentile(kl, q)) for name, q in PERCENTILES.items()}
    return blocks.astype({"top1": int}).assign(temperature=temperature, **percentiles)


def evaluate_draws(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    draws: Sequence[Mapping[str, Float[Tensor, "d_out"]]],
    batch_tokens: int,
    chunk_tokens: int,
    keep: cache.Keep = cache.compute,
    state: resume.Unsaved = resume.UNSAVED,
) -> pd.DataFrame:
    """Evaluate several sets of biases as `evaluate` does one; they share one dense pass.

    Args:
        draws: Sets of b by site.
        state: Where the evaluation goes on, and saves how far it is, batch by batch.

    Returns:
        `draw`, which numbers the sets from 0, then `block, predictions, nll_nats, kl_nats` as
        `evaluate` has them.
    """
    head = Head(network)
    batches = models.batches(tokens, batch_tokens)
    dense_states = models.keep_final_states(network, tokens, batch_tokens, keep)
    parts = [*zip(batches, dense_states.split(len(batches[0])), strict=True)]
    snapshot = state.load()
    scores = [scored for _, scored in sorted(snapshot.tensors.items())] if snapshot else []

    def take_snapshot() -> resume.Snapshot:
        """Return the batches scored so far."""
        tensors = {f"{number:09d}": scored for number, scored in enumerate(scores)}
        return resume.Snapshot(f"batch {len(scores)} of {len(parts)}", tensors, {})

    left = sum(batch.numel() for batch in batches[len(scores) :])
    counter = progress.Progress(len(draws) * left)
    with torch.inference_mode(), state.saved_when_stopped(take_snapshot):
        for batch, states in parts[len(scores) :]:
            dense, targets = states.to(network.device), batch.to(network.device, torch.long)
            sparse = [run_sparse(network, batch, dense, sparsifiers, biases) for biases in draws]
            scores.append(score(dense, sparse, targets, head, chunk_tokens).cpu())
            state.offer(take_snapshot)
            counter.advance(len(draws) * batch.numel())
    nll, kl = torch.cat(scores, dim=2).unbind(dim=1)
    numbers = {
        "draw": np.repeat(range(len(draws)), len(tokens)),
        "block": np.tile(range(len(tokens)), len(draws)),
    }
    sums = {"nll_nats": nll.flatten().numpy(), "kl_nats": kl.flatten().numpy()}
    return pd.DataFrame({**numbers, "predictions": tokens.shape[1] - 1, **sums})


def run_sparse(
    network: nn.Module,
    batch: Int[Tensor, "blocks length"],
    dense: Float[Tensor, "blocks length d_model"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
) -> Float[Tensor, "blocks length d_model"]:
    """Return the final states of the sparsified and biased model.

    They are `dense` itself if nothing is sparsified and there is no bias.
    """
    if not sparsifiers and not biases:
        return dense
    return sparsify.final_states(network, batch, sparsifiers, biases)


def score(
    dense: Float[Tensor, "blocks length d_model"],
    draws: Sequence[Float[Tensor, "blocks length d_model"]],
    tokens: Int[Tensor, "blocks length"],
    head: Head,
    chunk_tokens: int,
) -> Float[Tensor, "draws 2 blocks"]:
    """Return the sums of -log p(next token) and KL(dense || sparse) per draw and block, in nats.

    Args:
        dense: Final states of the dense model.
        draws: Final states for each set of biases; `dense` itself has no divergence.
        tokens: Every position but the last predicts the token after it.
        head: The output head.
        chunk_tokens: Tokens whose logits exist at one time.

    Returns:
        Sums in float64; a token's sum over the vocabulary is in float32.
    """
    targets = tokens[:, 1:].flatten().split(chunk_tokens)
    dense_chunks, *draws_chunks = [
        states[:, :-1].flatten(0, 1).split(chunk_tokens) for states in (dense, *draws)
    ]
    chunks = []
    for index, target in enumerate(targets):
        p = head.log_probabilities(dense_chunks[index])
        weights, rows = p.exp(), []
        for sparse, sparse_chunks in zip(draws, draws_chunks, strict=True):
            is_dense = sparse is dense
            q = p if is_dense else head.log_probabilities(sparse_chunks[index])
            nll = -q.gather(1, target[:, None])[:, 0]
            # In place, which saves a tensor of chunk x vocabulary.
            kl = torch.zeros_like(nll) if is_dense else q.neg_().add_(p).mul_(weights).sum(dim=-1)
            rows.append(torch.stack([nll, kl]).double())
        chunks.append(torch.stack(rows))
    return torch.cat(chunks, dim=-1).unflatten(-1, (len(tokens), -1)).sum(dim=-1)


def compare(
    dense: Float[Tensor, "blocks length d_model"],
    sparse: Float[Tensor, "blocks length d_model"],
    tokens: Int[Tensor, "blocks length"],
    head: Head,
    chunk_tokens: int,
    temperature: float,
) -> dict[str, Float[Tensor, "blocks predictions"]]:
    """Return what `evaluate` sums over a block, for each of its predictions.

    Args:
        dense: Final states of the dense model.
        sparse: Those of the sparse one; `dense` itself has no divergence.
        tokens: Every position but the last predicts the token after it.
        head: The output head.
        chunk_tokens: Tokens whose logits exist at one time.
        temperature: Of the sparse model.
    """
    chunks = []
    for d, s, target in zip(
        dense[:, :-1].flatten(0, 1).split(chunk_tokens),
        sparse[:, :-1].flatten(0, 1).split(chunk_tokens),
        tokens[:, 1:].flatten().split(chunk_tokens),
        strict=True,
    ):
        p = head.log_probabilities(d)
        q = p if sparse is dense else head.log_probabilities(s)
        tempered = torch.log_softmax(q / temperature, dim=-1)
        weights, index = p.exp(), target[:, None]
        chunk = {
            "nll_nats": -q.gather(1, index)[:, 0],
            "kl_nats": (p - q).mul_(weights).sum(dim=-1),
            "entropy_nats": -q.exp().mul_(q).sum(dim=-1),
            "top1": (p.argmax(dim=-1) == q.argmax(dim=-1)).float(),
            "nll_at_temperature_nats": -tempered.gather(1, index)[:, 0],
            "kl_at_temperature_nats": (p - tempered).mul_(weights).sum(dim=-1),
        }
        chunks.append(chunk)
    shape = (len(tokens), tokens.shape[1] - 1)
    return {name: torch.cat([one[name] for one in chunks]).view(shape) for name in chunks[0]}


def check_blocks(blocks: pd.DataFrame) -> pd.DataFrame:
    """Return the blocks of an evaluation, or refuse them if a number is not finite or below zero.

    Args:
        blocks: As `evaluate` or `evaluate_draws` has them, with the names of the evaluation.

    Raises:
        ValueError: It names the evaluation and its first such block.
    """
    for name in blocks.columns.intersection([*LIKELIHOODS, *DIFFERENCES]):
        lowest = -check.ROUNDING * blocks["predictions"] if name in DIFFERENCES else 0.0
        broken = blocks[~(np.isfinite(blocks[name]) & (blocks[name] >= lowest))]
        if len(broken):
            row = broken.iloc[0]
            raise ValueError(
                f"{name_evaluation(row)} has {name} {row[name]} in block {row['block']} on "
                f"held-out text: allowed are finite numbers, zero or more"
            )
    return blocks


def name_evaluation(row: pd.Series) -> str:
    """Return the names of an evaluation in a row, those that it has."""
    values = [row[name] for name in EVALUATION]
    return " ".join(str(value) for value in values if not pd.isna(value) and value != "")


def check_guessing(blocks: pd.DataFrame, vocabulary: int, worse_than_guessing: str) -> None:
    """Refuse a model that predicts worse than one that finds all tokens equally likely.

    Args:
        blocks: Those of an evaluation, with its names.
        vocabulary: Tokens that the model knows.
        worse_than_guessing: `refuse` or `allow`.

    Raises:
        ValueError: Its perplexity is above the vocabulary, and that is not allowed.
    """
    # ASSUME: the dense model alone is asked. That a sparse one predicts worse than a guess is what
    # a study finds out at high sparsity, and a table without it would look better than it is.
    nats = blocks["nll_nats"].sum() / blocks["predictions"].sum()
    if worse_than_guessing == "refuse" and nats > np.log(vocabulary):
        raise ValueError(
            f"{name_evaluation(blocks.iloc[0])} has perplexity {np.exp(nats):.6g} on held-out "
            f"text, worse than a guess among the {vocabulary} tokens of its vocabulary: its "
            f"weights, its tokenizer or the text are not what they should be; "
            f"evaluate.worse_than_guessing: allow lets a model without training pass"
        )
