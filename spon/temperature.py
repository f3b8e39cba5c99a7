"""The temperature at which a model's predictions are neither over- nor underconfident."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, models, progress, sparsify
from spon.head import Head
from spon.inputs import check
from spon.inputs.tokens import pick_blocks, read_tokens

# A step of Newton's method, relative, below which the next one would be far smaller still.
SMALL = 1e-3
MOST_STEPS = 50
# ASSUME: a temperature is sought between these, far beyond what language models need. Without
# bounds, a model that is worse than a uniform guess, or always right, has no best one.
LOWEST, HIGHEST = 0.1, 10.0


def choose_temperature(
    network: nn.Module,
    fitted: str | Path | None,
    calibration: str | Path | None,
    blocks: int | None,
    names: Mapping[str, object],
    **model: Any,
) -> float:
    """Return the temperature of a model: the one that was fitted before, or else fit it.

    Args:
        network: The dense model.
        fitted: The model's likelihoods on another text, whose temperature it keeps on every text;
            None if it is to be fitted.
        calibration: Tokens to fit it to; not read if it was fitted before.
        blocks: How many blocks of them.
        names: Those of the evaluation, which the likelihoods must have.
        model: As `fit_temperature` takes it.

    Raises:
        FileError: A file is damaged, of another evaluation, or has not one temperature within
            bounds.
    """
    if fitted:
        return read_temperature(fitted, names)
    # ASSUME: blocks from the whole calibration text, whether biases were learned on them or not:
    # one number is fitted to thousands of predictions.
    tokens = read_tokens(calibration, network.config.vocab_size)
    taken = pick_blocks(len(tokens), blocks, "even")
    return fit_temperature(network, tokens[taken], **model)


def read_temperature(path: str | Path, names: Mapping[str, object]) -> float:
    """Read the temperature of an evaluation of these names.

    Raises:
        FileError: The file is damaged, of another evaluation, or has not one temperature within
            bounds.
    """
    table = check.read_table(path, [*names, "temperature"])
    check.check_names(table, path, names)
    check.check_numbers(table, path, ["temperature"], LOWEST, HIGHEST)
    values = table["temperature"].unique().tolist()
    if len(values) > 1:
        raise check.FileError(path, f"has {len(values)} temperatures, allowed is one")
    return values[0]


def fit_temperature(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    biases: Mapping[str, Float[Tensor, "d_out"]],
    batch_tokens: int,
    chunk_tokens: int,
    keep: cache.Keep = cache.compute,
) -> float:
    """Return the temperature within bounds that gives some text the highest likelihood.

    The model's logits are divided by it. Above 1, the model was too sure of its predictions.

    Args:
        network: The dense model.
        tokens: Calibration blocks.
        sparsifiers: S by site; none for the dense model.
        biases: b by site; none for TEAL.
        batch_tokens: Tokens per forward pass.
        chunk_tokens: Tokens whose logits exist at one time.
        keep: Gives the final states, if they are the dense model's.
    """
    if not sparsifiers and not biases:
        states = models.keep_final_states(network, tokens, batch_tokens, keep)
    else:
        batches = progress.follow(models.batches(tokens, batch_tokens))
        with torch.inference_mode():
            parts = [
                sparsify.final_states(network, batch, sparsifiers, biases).cpu()
                for batch in batches
            ]
        states = torch.cat(parts)
    head = Head(network)
    return find_temperature(states.to(network.device), tokens, head, chunk_tokens)


@torch.inference_mode()
def find_temperature(
    states: Float[Tensor, "blocks length d_model"],
    tokens: Int[Tensor, "blocks length"],
    head: Head,
    chunk_tokens: int,
) -> float:
    """Return the temperature within bounds that suits final states best, by Newton's method.

    In b = 1 / temperature the negative log-likelihood is convex: with logits z and q the softmax
    of b z, its derivatives are the means of E_q[z] - z(next token) and of Var_q[z].
    So where the best one lies beyond a bound, the bound is the best within.

    Raises:
        ValueError: The likelihood is not finite.
    """
    inverse = 1.0
    chunks = list(
        zip(
            states[:, :-1].flatten(0, 1).split(chunk_tokens),
            tokens[:, 1:].flatten().to(states.device, torch.long).split(chunk_tokens),
            strict=True,
        )
    )
    for _ in range(MOST_STEPS):
        slope = curvature = 0.0
        for chunk, target in chunks:
            logits = head.logits(chunk)
            # Centred, so that the variance is no difference of large numbers.
            logits -= logits.mean(dim=-1, keepdim=True)
            weights = torch.softmax(inverse * logits, dim=-1)
            mean = weights.mul(logits).sum(dim=-1)
            square = weights.mul_(logits).mul_(logits).sum(dim=-1)
            slope += (mean - logits.gather(1, target[:, None])[:, 0]).double().sum().item()
            curvature += (square - mean**2).double().sum().item()
        if not (math.isfinite(slope) and math.isfinite(curvature)):
            raise ValueError(
                "the model's predictions on the calibration text are not finite, so no "
                "temperature suits them"
            )
        # Where the softmax is one token's alone or nothing is left to change, curvature vanishes.
        step = slope / max(curvature, sys.float_info.min)
        # ASSUME: at most halved or doubled in one step, so that it stays above zero and near.
        lowest, highest = max(inverse / 2, 1 / HIGHEST), min(inverse * 2, 1 / LOWEST)
        before, inverse = inverse, min(max(inverse - step, lowest), highest)
        if abs(inverse - before) < SMALL * inverse:
            return 1 / inverse
    raise ValueError(f"no temperature was found for the calibration text in {MOST_STEPS} steps")
