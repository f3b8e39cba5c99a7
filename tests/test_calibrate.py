import numpy as np
import pandas as pd
import pytest
import torch

from spon import calibrate, sparsify

SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]


def test_streamed_quantiles_are_the_exact_ones_to_a_thousandth():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    halves = calibrate.count_magnitudes(x[:100_000]) + calibrate.count_magnitudes(x[100_000:])
    exact = np.quantile(x.abs().numpy(), calibrate.SHARES, method="inverted_cdf")
    np.testing.assert_allclose(calibrate.quantiles(halves), exact, rtol=1e-3)


def test_sign_and_scale_do_not_matter_to_the_histogram():
    x = torch.tensor([1e-20, -1e-20, 1.0, -1.0, 1e20, 0.0])
    counts = calibrate.count_magnitudes(x)
    assert counts.sum() == 6
    assert sorted(counts[counts > 0].tolist()) == [1, 1, 2, 2]


def test_a_site_whose_inputs_are_mostly_zero_gets_the_threshold_zero():
    x = torch.cat([torch.zeros(80), torch.ones(20)])
    median, upper = calibrate.quantiles(calibrate.count_magnitudes(x), np.array([0.5, 0.9]))
    assert median < 1e-30
    assert upper == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
def test_thresholds_drop_the_share_that_they_were_chosen_for(network, tokens, sparsity):
    tokens = torch.randint(0, 2048, (64, 32), generator=torch.Generator().manual_seed(1))
    quantiles = calibrate.read_quantiles(network, tokens, SITES, batch_tokens=256, dense_share=0.0)
    thresholds = calibrate.choose_thresholds(SITES, quantiles, sparsity)
    table = calibrate.measure_thresholds(
        network, tokens, thresholds, "threshold", sparsity, 0.0, batch_tokens=256
    )
    np.testing.assert_allclose(table["sparsity_dense_pass"], sparsity, atol=0.002)
    assert table["sparsity_sparse_pass"][0] == table["sparsity_dense_pass"][0], (
        "nothing before the first site changed"
    )
    assert table["sparsity_sparse_pass"][1] != table["sparsity_dense_pass"][1]


def test_a_rank_drops_its_share_exactly_in_either_pass(network, tokens):
    thresholds = calibrate.choose_thresholds(SITES, None, 0.5)
    table = calibrate.measure_thresholds(
        network, tokens, thresholds, "topk", 0.5, 0.0, batch_tokens=256
    )
    assert table["threshold"].isna().all()
    assert (table[["sparsity_dense_pass", "sparsity_sparse_pass"]] == 0.5).all(axis=None)


def test_the_dense_start_of_a_sequence_does_not_count(network, tokens):
    table = calibrate.read_quantiles(network, tokens[:, :4], SITES[:1], 8, dense_share=0.5)
    histogram = torch.zeros(calibrate.BINS, dtype=torch.int64)

    def see(_, x):
        histogram.add_(calibrate.count_magnitudes(x[:, 2:]))

    calibrate.watch_inputs(network, tokens[:, :4], SITES[:1], see, 8)
    np.testing.assert_array_equal(table["magnitude"], calibrate.quantiles(histogram))


def test_watching_leaves_no_hook_behind(network, tokens):
    calibrate.read_quantiles(network, tokens, SITES, 8, 0.0)
    assert not network.get_submodule(SITES[0])._forward_pre_hooks


def test_thresholds_survive_the_file(tmp_path):
    path = tmp_path / "thresholds.csv"
    pd.DataFrame({"site": SITES, "layer": [0, 1], "threshold": [0.1, 1 / 3]}).to_csv(
        path, index=False
    )
    assert sparsify.read_thresholds(path) == dict(zip(SITES, [0.1, 1 / 3], strict=True))
    pd.DataFrame({"site": SITES, "threshold": float("nan")}).to_csv(path, index=False)
    assert np.isnan(list(sparsify.read_thresholds(path).values())).all()


def test_the_largest_magnitude_is_kept_and_the_smallest_is_dropped():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    threshold = calibrate.quantiles(calibrate.count_magnitudes(x), np.array([0.5]))[0]
    assert (sparsify.keep_large(x, float(threshold)) != 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_inputs_that_are_not_finite_have_no_quantiles(number):
    histogram = calibrate.count_magnitudes(torch.tensor([1.0, 2.0, number]))
    with pytest.raises(ValueError, match=r"^1 of 3 inputs of SITE are not finite numbers$"):
        calibrate.quantiles(histogram, site="SITE")
    largest = torch.tensor([torch.finfo(torch.float32).max / 2])
    assert np.isfinite(calibrate.quantiles(calibrate.count_magnitudes(largest), np.array([0.5])))


@pytest.mark.parametrize("threshold", [-0.1, float("inf"), float("nan")])
def test_a_threshold_is_finite_and_zero_or_more(network, tokens, threshold):
    given = {SITES[0]: 0.1, SITES[1]: threshold}
    with pytest.raises(ValueError, match=rf"^the threshold of {SITES[1]} is {threshold}: allowed"):
        calibrate.measure_thresholds(network, tokens, given, "threshold", 0.5, 0.0, 8)
