import pytest
import torch

from spon import divergence, models, newton, sparsify
from spon.head import Head

SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.self_attn.o_proj"]
DROP = {site: lambda x: sparsify.keep_large(x, 0.05) for site in SITES}
SIZES = {"batch_tokens": 16, "chunk_tokens": 5}


def flatten(vector):
    return torch.cat([vector[site] for site in SITES]).double()


def final_states(network, tokens, flat, sparsifiers=DROP):
    biases = dict(zip(SITES, flat.float().split(32), strict=True))
    return sparsify.final_states(network, tokens, sparsifiers, biases).flatten(0, 1)


@pytest.fixture
def tokens(tokens):
    return tokens[:2]


@pytest.fixture
def equation(network, tokens):
    """The matrix E J^T F J and the right-hand side, by way of the whole Jacobian."""
    zero, head = torch.zeros(64), network.lm_head.weight.double()
    of_states = torch.autograd.functional.jacobian(
        lambda flat: final_states(network, tokens, flat), zero
    )
    jacobian = torch.einsum("vd,tdb->tvb", head, of_states.double())
    p, target = [
        (final_states(network, tokens, zero, sparsifiers).double() @ head.T).softmax(dim=-1)
        for sparsifiers in (DROP, {})
    ]
    centred = jacobian - torch.einsum("tv,tvb->tb", p, jacobian)[:, None]
    matrix = torch.einsum("tvb,tvc->bc", centred * p[..., None], centred) / len(p)
    return matrix, torch.einsum("tvb,tv->b", jacobian, target - p) / len(p)


def test_products_with_the_curvature_and_the_gradient_are_those_of_the_whole_matrix(
    network, tokens, equation
):
    matrix, slope = equation
    descent = newton.descend(network, tokens, DROP, SITES, **SIZES)
    torch.testing.assert_close(flatten(descent), slope, rtol=1e-3, atol=1e-7)
    product = newton.multiply_curvature(network, tokens, DROP, descent, **SIZES)
    torch.testing.assert_close(flatten(product), matrix @ slope, rtol=1e-3, atol=1e-8)


def test_the_step_solves_the_equation_damped_by_the_mean_curvature_of_each_site(
    network, tokens, equation
):
    matrix, slope = equation
    scales = newton.measure_scales(network, tokens, DROP, SITES, seed=0)
    metric = torch.cat([torch.full((32,), scales[site]) for site in SITES]).double().diag()
    step = newton.newton_step(
        network, tokens, DROP, SITES, **SIZES, damping=0.1, tolerance=1e-5, most_products=100
    )
    torch.testing.assert_close(
        flatten(step), torch.linalg.solve(matrix + 0.1 * metric, slope), rtol=1e-2, atol=1e-5
    )


def test_a_scale_is_the_mean_of_the_diagonal(network, tokens, equation):
    matrix, _ = equation
    many = tokens.repeat(100, 1)
    scales = newton.measure_scales(network, many, DROP, SITES, seed=0)
    diagonal = [part.mean().item() for part in matrix.diagonal().split(32)]
    assert list(scales.values()) == pytest.approx(diagonal, rel=0.1)


def test_conjugate_gradients_solve_as_many_unknowns_as_they_take_products():
    matrix, target = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), {"a": torch.tensor([1.0, 2.0])}
    solution = newton.solve(lambda x: {"a": matrix @ x["a"]}, target, 0.0, most_products=2)
    torch.testing.assert_close(solution["a"], torch.tensor([0.2, 0.6]))


def test_the_step_brings_predictions_on_other_text_nearer_to_the_dense_models(network):
    text = torch.randint(0, 2048, (24, 32), generator=torch.Generator().manual_seed(1))
    seen, unseen = text[:16], text[16:]
    # What is positive is taken away, so the error has a mean, which a constant can cancel.
    drop = dict.fromkeys(SITES, lambda x: x.clamp(max=0.0))
    step = newton.newton_step(network, seen, drop, SITES, batch_tokens=512, chunk_tokens=256)
    dense, head = models.final_states(network, unseen), Head(network)
    teal, spon = [
        divergence.kl_to_dense(
            sparsify.final_states(network, unseen, drop, b), dense, head, 256
        ).item()
        for b in ({}, step)
    ]
    assert spon < teal


@pytest.mark.parametrize("bend", [-1.0, 0.0, float("nan"), float("inf")])
def test_conjugate_gradients_stop_at_a_curvature_that_has_no_minimum(bend):
    with pytest.raises(ValueError, match=rf"^conjugate gradients met the curvature {bend}: a N"):
        newton.solve(lambda x: {"a": bend * x["a"]}, {"a": torch.ones(1)}, 0.0, most_products=2)


def test_a_site_whose_bias_changes_nothing_has_no_newton_step(network, tokens):
    network.lm_head.weight.data.zero_()
    with pytest.raises(ValueError, match=rf"by the bias of {SITES[0]} is 0.0: a Newton step"):
        newton.measure_scales(network, tokens, DROP, SITES, seed=0)


def test_a_gradient_that_is_not_finite_is_named_with_its_site(network, tokens):
    drop = {SITES[0]: lambda x: x * float("nan")}
    with pytest.raises(ValueError, match=rf"^the gradient of the KL of {SITES[0]} has 32 of 32"):
        newton.newton_step(network, tokens, drop, SITES[:1], **SIZES)
