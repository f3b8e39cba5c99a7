import torch

from spon import models, sparsify, untrained

SITE = "model.layers.0.mlp.down_proj"


def test_the_mean_residual_is_what_sparsification_takes_from_a_sites_output_on_average(
    network, tokens
):
    drop = lambda x: sparsify.keep_large(x, 0.02)  # noqa: E731
    bias = untrained.average_residual(network, tokens, {SITE: drop}, [SITE], batch_tokens=32)[SITE]
    x, dense = models.record(network, tokens, [SITE])[SITE]
    sparse = drop(x) @ network.get_submodule(SITE).weight.T
    torch.testing.assert_close(bias, (dense - sparse).mean(dim=(0, 1)), atol=1e-6, rtol=1e-4)
    assert bias.abs().max() > 0


def test_nothing_taken_away_leaves_nothing_to_repair(network, tokens):
    bias = untrained.average_residual(
        network, tokens, {SITE: lambda x: x}, [SITE], batch_tokens=16
    )[SITE]
    assert bias.equal(torch.zeros(32))


def test_random_directions_are_as_long_as_what_they_stand_for_and_point_elsewhere():
    biases = {"a": torch.tensor([3.0, 4.0]), "b": torch.zeros(3)}
    first, again, other_seed = (untrained.random_directions(biases, seed) for seed in (0, 0, 1))
    assert [round(x["a"].norm().item(), 5) for x in (first, again, other_seed)] == [5, 5, 5]
    assert first["a"].equal(again["a"])
    assert not first["a"].equal(other_seed["a"])
    assert first["b"].equal(torch.zeros(3))
