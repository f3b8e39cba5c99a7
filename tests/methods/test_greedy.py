import numpy as np
import pytest
import torch

from spon import calibrate
from spon.allocate import name_scope
from spon.inputs import check
from spon.methods import greedy
from spon.sites import layer_of

MAPS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"]


@pytest.fixture
def steps_of_a_quarter(monkeypatch):
    monkeypatch.setattr(greedy, "STEP", 0.25)


def test_each_step_takes_as_many_weights_from_the_map_where_that_adds_least_error(
    steps_of_a_quarter,
):
    # A step of one of four weights: all inputs of the map with one, a third of the other's.
    raised = greedy.raise_sparsities(
        {"small": 1, "large": 3}, 0.5, lambda s: 0.5 * s["small"] + 9 * s["large"] ** 2
    )
    # First 0.5 against 9 / 9 = 1; then the small map has no room left.
    assert raised == {"small": 1.0, "large": pytest.approx(1 / 3)}
    cheaper = greedy.raise_sparsities(
        {"small": 1, "large": 3}, 0.5, lambda s: 2 * s["small"] + 3 * s["large"]
    )
    # 2 against 1, and then 3 against 2.
    assert cheaper == {"small": 0.0, "large": pytest.approx(2 / 3)}


@pytest.mark.parametrize("target", [0.5, 0.6, 0.333, 0.8, 0.07])
def test_a_single_map_has_the_sparsity_that_is_asked_for_to_the_last_digit(target):
    assert greedy.raise_sparsities({"only": 7}, target, lambda _: 0.0) == {"only": target}


def test_what_no_map_has_room_for_is_refused(steps_of_a_quarter):
    with pytest.raises(ValueError, match="sparsity 0.9 leaves no map of a block room"):
        greedy.raise_sparsities({"a": 1, "b": 1, "c": 1}, 0.9, lambda _: 0.0)


def test_nothing_is_dropped_where_nothing_is_asked_for():
    curves = {"a": (np.array([0.1, 0.5]), np.array([1.0, 2.0]))}
    assert greedy.choose_thresholds(curves, {"a": 0.0}) == {"a": 0.0}
    assert greedy.choose_thresholds(curves, {"a": 0.3}) == {"a": pytest.approx(1.5)}


def test_a_layer_runs_again_as_it_ran_in_the_model(network, tokens):
    calls = greedy.record_calls(network, tokens, batch_tokens=16)
    assert [len(of_layer) for of_layer in calls] == [3, 3]
    assert greedy.measure_error(network, calls[1], 1, {}, dense_share=0.0) == 0
    assert not network.get_decoder().layers[0]._forward_hooks


@pytest.fixture
def allocated(network, model_json):
    """Thresholds of five maps at 50 %, and the share of each that they set to zero."""
    tokens = torch.randint(0, 2048, (32, 32), generator=torch.Generator().manual_seed(1))
    sites = name_scope(check.read_json(model_json, "shape"), MAPS)
    quantiles = calibrate.read_quantiles(network, tokens, sites, 256, 0.0)
    thresholds = greedy.allocate_thresholds(network, tokens, quantiles, 0.5, 256, 0.0)
    measured = calibrate.measure_thresholds(
        network, tokens, thresholds, "threshold", 0.5, 0.0, 256
    )
    uniform = calibrate.choose_thresholds(sites, quantiles, 0.5)
    return thresholds, uniform, measured, greedy.record_calls(network, tokens, 256)


def test_every_block_has_the_sparsity_asked_for_and_its_maps_differ(network, allocated):
    thresholds, uniform, measured, _ = allocated
    assert list(thresholds) == list(uniform)
    weights = measured["site"].map(lambda site: network.get_submodule(site).weight.numel())
    zeros = (weights * measured["sparsity_dense_pass"]).groupby(measured["layer"]).sum()
    np.testing.assert_allclose(zeros / weights.groupby(measured["layer"]).sum(), 0.5, atol=0.003)
    assert np.ptp(measured["sparsity_dense_pass"]) > 0.1


def test_a_block_s_error_is_less_than_with_one_sparsity_for_all(network, allocated):
    thresholds, uniform, _, calls = allocated
    for layer in (0, 1):
        errors = [
            greedy.measure_error(
                network,
                calls[layer],
                layer,
                {site: value for site, value in chosen.items() if layer_of(site) == layer},
                dense_share=0.0,
            )
            for chosen in (thresholds, uniform)
        ]
        assert errors[0] < errors[1]


def test_a_map_that_fits_exactly_takes_its_last_step():
    """Of seven of a hundred weights: 0.5 * (7 / 50) * (100 / 7) is more than 1 by a bit."""
    raised = greedy.raise_sparsities({"fits": 7, "rest": 93}, 0.5, lambda s: -s["fits"])
    assert raised == {"fits": 1.0, "rest": pytest.approx(43 / 93)}
