"""One Newton step in the Fisher metric: biases that cancel the logits' error to first order.

Expanded at b = 0 to second order, the mean KL(dense || sparse) is least where

    (E J^T F J) b = E J^T (p_dense - p_sparse),

with the Jacobian J of the sparse model's logits by all biases together, and the Fisher matrix
F = diag(p) - p p^T of its predictions. Conjugate gradients solve this with products of the matrix
and a vector alone: a pass in forward-mode differentiation, F, and the way back.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from spon import cache, divergence, models, progress, sparsify
from spon.biases import check_finite
from spon.head import Head

# By site, a tensor as long as the site's bias.
Vector = Mapping[str, Float[Tensor, "d_out"]]

# ASSUME: the curvature is averaged over fewer blocks than the gradient, since it is multiplied
# many times. An error of the curvature changes the step by the same share; the gradient is a small
# mean of large terms, and needs the whole text.
CURVATURE_BLOCKS = 32
# ASSUME: this share of a site's mean curvature is added to its curvature in every direction. Where
# there is less than that, the step would be long, determined by few tokens, and beyond what the
# expansion describes. From 0 to 0.2, held-out KL hardly changes.
DAMPING = 0.1
TOLERANCE = 0.05  # of the residual, relative to the gradient
MOST_PRODUCTS = 8
SCALE_BLOCKS = 16  # over which a site's mean curvature is estimated, from one sampled token each


def newton_step(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    sites: Sequence[str],
    batch_tokens: int,
    chunk_tokens: int,
    seed: int = 0,
    damping: float = DAMPING,
    tolerance: float = TOLERANCE,
    most_products: int = MOST_PRODUCTS,
    keep: cache.Keep = cache.compute,
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return the minimum of the mean KL(dense || sparse) as its expansion at b = 0 has it.

    Sites differ in curvature by orders of magnitude. So every site has a scale, its mean
    curvature, which is the metric of the damping and makes conjugate gradients converge in a few
    products.

    Args:
        network: The dense model.
        tokens: Calibration blocks; the first of them give the curvature.
        sparsifiers: S by site, for all sites of the scope.
        sites: Those that get a bias.
        batch_tokens: Tokens per pass.
        chunk_tokens: Tokens whose logits exist at one time.
        seed: Of the tokens that are sampled for the scales.
        damping: Added to the curvature of every direction, in units of the site's scale.
        tolerance: Conjugate gradients stop where the residual is this share of the gradient.
        most_products: They stop after so many products at the latest.
        keep: Gives the dense model's final states, which other runs need too.

    Returns:
        b by site, float32.

    Raises:
        ValueError: A gradient or a curvature is not finite, or not above zero.
    """
    descent = descend(network, tokens, sparsifiers, sites, batch_tokens, chunk_tokens, keep)
    measured = tokens[:CURVATURE_BLOCKS]
    for site, slope in descent.items():
        check_finite(site, "gradient of the KL", slope.cpu().numpy())
    scales = measure_scales(network, measured[:SCALE_BLOCKS], sparsifiers, sites, seed)
    counter = progress.Progress(most_products * measured.numel())

    def curve(x: Vector) -> Vector:
        bend = multiply_curvature(
            network, measured, sparsifiers, rescale(x, scales), batch_tokens, chunk_tokens
        )
        counter.advance(measured.numel())
        return {site: row + damping * x[site] for site, row in rescale(bend, scales).items()}

    solution = solve(curve, rescale(descent, scales), tolerance, most_products)
    return {site: bias.cpu() for site, bias in rescale(solution, scales).items()}


def rescale(vector: Vector, scales: Mapping[str, float]) -> dict[str, Float[Tensor, "d_out"]]:
    """Divide every site's entries by the root of its scale, so that its mean curvature is 1."""
    return {site: entries / scales[site] ** 0.5 for site, entries in vector.items()}


def descend(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    sites: Sequence[str],
    batch_tokens: int,
    chunk_tokens: int,
    keep: cache.Keep = cache.compute,
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return E J^T (p_dense - p_sparse), the direction in which the KL falls fastest at b = 0."""
    head = Head(network)
    biases = zeros(network, sites)
    dense = models.keep_final_states(network, tokens, batch_tokens, keep)
    batches = models.batches(tokens, batch_tokens)
    parts = dense.split(len(batches[0]))
    for batch, states in zip(progress.follow(batches), parts, strict=True):
        sparse = sparsify.final_states(network, batch, sparsifiers, biases)
        loss = divergence.kl_to_dense(sparse, states.to(network.device), head, chunk_tokens)
        (loss * (len(batch) / len(tokens))).backward()
    return {site: -bias.grad for site, bias in biases.items()}


def multiply_curvature(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    direction: Vector,
    batch_tokens: int,
    chunk_tokens: int,
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return E J^T F J times a direction, exactly (a generalised Gauss-Newton product)."""
    head = Head(network)
    biases = zeros(network, direction)
    for batch in models.batches(tokens, batch_tokens):
        # Attention has forward-mode derivatives in its plain implementation alone.
        with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            duals = {
                site: forward_ad.make_dual(bias, direction[site].to(bias.device))
                for site, bias in biases.items()
            }
            moved = sparsify.final_states(network, batch, sparsifiers, duals)
            states, shifts = forward_ad.unpack_dual(moved)
        pulled = multiply_fisher(
            states.detach().flatten(0, 1), shifts.detach().flatten(0, 1), head, chunk_tokens
        )
        states.backward(pulled.view_as(states) / tokens.numel())
    return {site: bias.grad for site, bias in biases.items()}


def multiply_fisher(
    states: Float[Tensor, "tokens d_model"],
    shifts: Float[Tensor, "tokens d_model"],
    head: Head,
    chunk_tokens: int,
) -> Float[Tensor, "tokens d_model"]:
    """Return H^T F H times the shift of every token's final state, H the head's derivative."""
    parts = []
    for state, shift in zip(states.split(chunk_tokens), shifts.split(chunk_tokens), strict=True):
        logits, shifted, pull = head.push(state, shift)
        p = torch.softmax(logits, dim=-1)
        shifted -= torch.linalg.vecdot(p, shifted)[:, None]
        parts.append(pull(shifted.mul_(p)).to(states.dtype))
    return torch.cat(parts)


def measure_scales(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    sites: Sequence[str],
    seed: int,
) -> dict[str, float]:
    """Estimate every site's mean curvature: the mean of the diagonal of its part of E J^T F J.

    The Fisher matrix is the variance of the gradient of the log-likelihood under tokens that the
    model itself predicts. One token is sampled at every position, and the squared gradient of a
    block, in which those of different positions are uncorrelated, is averaged.
    """
    head = Head(network)
    generator = torch.Generator().manual_seed(seed)
    totals = dict.fromkeys(sites, 0.0)
    for block in tokens.split(1):
        biases = zeros(network, sites)
        states = sparsify.final_states(network, block, sparsifiers, biases)
        logits, pull = head.open(states.flatten(0, 1))
        p = torch.softmax(logits, dim=-1)
        sampled = torch.multinomial(p.cpu(), 1, generator=generator).to(p.device)
        errors = p.neg_().scatter_add_(1, sampled, torch.ones_like(p[:, :1]))
        states.backward(pull(errors).to(states.dtype).view_as(states))
        for site, bias in biases.items():
            totals[site] += bias.grad.square().mean().item() / tokens.numel()
    for site, total in totals.items():
        if not 0 < total < math.inf:
            raise ValueError(
                f"the mean curvature of the KL by the bias of {site} is {total}: a Newton step "
                f"needs a finite one above zero"
            )
    return totals


def zeros(network: nn.Module, sites: Sequence[str] | Vector) -> dict[str, Tensor]:
    """Return the zeros at which the KL is expanded, float32."""
    outputs = {site: network.get_submodule(site).out_features for site in sites}
    return {
        site: torch.zeros(size, device=network.device, requires_grad=True)
        for site, size in outputs.items()
    }


def solve(
    multiply: Callable[[Vector], Vector], target: Vector, tolerance: float, most_products: int
) -> dict[str, Float[Tensor, "d_out"]]:
    """Solve A x = target by conjugate gradients, from zero.

    Args:
        multiply: Returns A times a vector; A is symmetric and positive definite.
        target: The right-hand side.
        tolerance: Of the norm of the residual, relative to that of the target.
        most_products: The most products that are taken.

    Raises:
        ValueError: A curvature along the way is not finite, or not above zero.
    """
    x = {site: torch.zeros_like(entries) for site, entries in target.items()}
    residual, direction = dict(target), dict(target)
    first = square = dot(target, target)
    for _ in range(most_products):
        if square <= tolerance**2 * first:
            break
        product = multiply(direction)
        curvature = dot(direction, product)
        if not 0 < curvature < math.inf:
            raise ValueError(
                f"conjugate gradients met the curvature {curvature}: a Newton step needs finite "
                f"ones above zero"
            )
        length = square / curvature
        x = add(x, length, direction)
        residual = add(residual, -length, product)
        before, square = square, dot(residual, residual)
        direction = add(residual, square / before, direction)
    return x


def dot(a: Vector, b: Vector) -> float:
    """Return the scalar product of two vectors, summed in float64."""
    return sum(torch.dot(a[site].double(), b[site].double()).item() for site in a)


def add(a: Vector, factor: float, b: Vector) -> dict[str, Float[Tensor, "d_out"]]:
    """Return a + factor * b."""
    return {site: entries + factor * b[site] for site, entries in a.items()}
