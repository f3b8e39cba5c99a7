import pytest
import torch

from spon import calibrate, centre, models, sparsify

SITE = "model.layers.0.self_attn.o_proj"


def inputs(network, tokens):
    return models.record(network, tokens, [SITE])[SITE].input


def test_the_mode_is_where_most_of_a_channels_inputs_are_and_not_their_mean():
    # Nine of ten are near 2 in one channel and near -1 in the other; the tenth pulls the mean.
    near = 0.01 * torch.linspace(-1, 1, 900)[:, None]
    x = torch.cat([near + torch.tensor([2.0, -1.0]), torch.full((100, 2), 5.0)])
    mean, deviation = x.double().mean(dim=0), x.double().std(dim=0)
    peaks = centre.find_peaks(centre.count_channels(x, mean, deviation), mean, deviation)
    assert peaks.tolist() == pytest.approx([2.0, -1.0], abs=0.06)  # two bins


def test_a_channel_that_never_changes_has_its_value_as_mode():
    x = torch.full((10, 1), 3.0)
    mean, deviation = x[0].double(), torch.zeros(1, dtype=torch.float64)
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
def test_where_nothing_is_dropped_the_bias_makes_up_for_the_centre_exactly(
    network, tokens, dense_share
):
    modes = {SITE: torch.linspace(-1, 1, 32)}
    biases = centre.map_centres(network, modes)
    thresholds, dense = {SITE: 0.0}, models.final_states(network, tokens)
    keep = sparsify.make_sparsifiers(network, thresholds, "threshold", 0.5, dense_share, modes)
    with sparsify.sparsified(network, keep), sparsify.biased(network, biases):
        centred = models.final_states(network, tokens)
    torch.testing.assert_close(centred, dense, atol=1e-4, rtol=1e-4)


def test_centres_and_thresholds_are_read_as_they_were_written(tmp_path):
    centres = {SITE: torch.tensor([0.5, -1.0])}
    centre.write_centres(centres, tmp_path / "centres.safetensors", "{}")
    assert centre.read_centres(tmp_path / "centres.safetensors")[SITE].tolist() == [0.5, -1.0]
    assert centre.read_centres([]) == {}
    centre.write_thresholds({SITE: 1.0, "other": 2.0}, {SITE: 0.5}, tmp_path / "thresholds.csv")
    read = sparsify.read_thresholds(tmp_path / "thresholds.csv")
    assert read == {SITE: 0.5, "other": 2.0}
