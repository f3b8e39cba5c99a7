import pytest
import torch

from spon import calibrate, centre, models, sparsify

SITE, LATER = "model.layers.0.self_attn.o_proj", "model.layers.1.mlp.down_proj"


def inputs(network, tokens):
    return models.record(network, tokens, [SITE])[SITE].input


def test_the_mode_is_where_most_of_a_channels_inputs_are_and_not_their_mean():
    # Nine of ten are near 2 in one channel and near -1 in the other; the tenth pulls the mean.
    near = 0.01 * torch.linspace(-1, 1, 900, dtype=torch.float64)[:, None]
    x = torch.cat([near + torch.tensor([2.0, -1.0]), torch.full((100, 2), 5.0).double()])
    mean, deviation = x.mean(dim=0), x.std(dim=0)
    peaks = centre.find_peaks(centre.count_channels(x, mean, deviation), mean, deviation)
    assert peaks.tolist() == pytest.approx([2.0, -1.0], abs=0.06)  # two bins


def test_a_channel_that_never_changes_has_its_value_as_mode():
    x = torch.full((10, 1), 3.0, dtype=torch.float64)
    mean, deviation = x.mean(dim=0), torch.zeros(1, dtype=torch.float64)
    counts = centre.count_channels(x, mean, deviation)
    assert centre.find_peaks(counts, mean, deviation).tolist() == [3.0]


def test_around_a_mode_of_zero_thresholds_are_those_of_teal(network, tokens):
    quantiles = calibrate.read_quantiles(network, tokens, [SITE], 32, dense_share=0.0)
    teal = calibrate.choose_thresholds([SITE], quantiles, 0.5)
    zero = {SITE: torch.zeros(32)}
    centred = centre.choose_thresholds(network, tokens, zero, 0.5, batch_tokens=32)
    assert centred[SITE] == pytest.approx(teal[SITE], rel=1e-6)
    around_zero, plain = (
        sparsify.make_sparsifiers(network, teal, "threshold", 0.5, 0.0, centres)[SITE]
        for centres in (zero, {})
    )
    x = inputs(network, tokens)
    assert around_zero(x).equal(plain(x))


def test_thresholds_around_modes_drop_the_share_that_is_asked_for(network, tokens):
    modes = centre.find_modes(network, tokens, [SITE], batch_tokens=32)
    thresholds = centre.choose_thresholds(network, tokens, modes, 0.6, batch_tokens=32)
    drop = sparsify.make_sparsifiers(network, thresholds, "threshold", 0.6, 0.0, modes)[SITE]
    zeros = (drop(inputs(network, tokens)) == 0).double().mean()
    assert zeros.item() == pytest.approx(0.6, abs=0.005)


@pytest.mark.parametrize("dense_share", [0.0, 0.5])
def test_what_thresholds_around_modes_set_to_zero_is_measured_in_either_pass(
    network, tokens, dense_share
):
    sizes = {"batch_tokens": 32, "dense_share": dense_share}
    modes = {SITE: torch.full((32,), 0.1)}
    biases = centre.map_centres(lambda site: network.get_submodule(site).weight, modes)
    thresholds = centre.choose_thresholds(network, tokens, modes, 0.6, **sizes) | {LATER: 0.05}
    table = calibrate.measure_thresholds(
        network, tokens, thresholds, "threshold", 0.6, centres=modes, biases=biases, **sizes
    ).set_index("site")
    passes = ["sparsity_dense_pass", "sparsity_sparse_pass"]
    # Nothing before the first site changed; the second one has other inputs in the sparse pass.
    assert table.loc[SITE, passes].tolist() == pytest.approx([0.6, 0.6], abs=0.005)
    small = table.loc[LATER, passes]
    assert small.iloc[0] != small.iloc[1]
    applied = sparsify.make_sparsifiers(network, thresholds, "threshold", 0.6, dense_share, modes)
    with sparsify.sparsified(network, applied), sparsify.biased(network, biases):
        x = models.record(network, tokens, [LATER])[LATER].input[:, int(8 * dense_share) :]
    assert small.iloc[1] == (x == 0).double().mean().item()


@pytest.mark.parametrize("dense_share", [0.0, 0.5])
def test_where_nothing_is_dropped_the_bias_makes_up_for_the_centre_exactly(
    network, tokens, dense_share
):
    modes = {SITE: torch.linspace(-1, 1, 32)}
    biases = centre.map_centres(lambda site: network.get_submodule(site).weight, modes)
    thresholds, dense = {SITE: 0.0}, models.final_states(network, tokens)
    keep = sparsify.make_sparsifiers(network, thresholds, "threshold", 0.5, dense_share, modes)
    with sparsify.sparsified(network, keep), sparsify.biased(network, biases):
        centred = models.final_states(network, tokens)
    torch.testing.assert_close(centred, dense, atol=1e-4, rtol=1e-4)


def test_centres_are_read_as_they_were_written(tmp_path, network):
    centres = {SITE: torch.arange(network.get_submodule(SITE).in_features).float()}
    centre.write_centres(centres, tmp_path / "centres.safetensors", "{}")
    read = centre.read_centres(tmp_path / "centres.safetensors", network, [SITE])
    assert read[SITE].equal(centres[SITE])
    assert centre.read_centres([], network, [SITE]) == {}


def test_a_centre_that_is_not_finite_is_not_written(tmp_path):
    path = tmp_path / "centres.safetensors"
    with pytest.raises(ValueError, match=rf"^the centre of {SITE} has 1 of 2 entries that are"):
        centre.write_centres({SITE: torch.tensor([0.0, torch.nan])}, path, "{}")
    assert not path.exists()
