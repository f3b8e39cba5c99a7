import numpy as np
import pytest
import torch

from spon import models
from spon.analyses import hidden_state_shift

SITE = "model.layers.0.mlp.down_proj"


def measure(network, tokens, sparsifier, bias):
    prompts = {f"{i:02d}.math": block[None] for i, block in enumerate(tokens)}
    table = hidden_state_shift.measure_shifts(
        network, tokens, prompts, {SITE: sparsifier}, {SITE: bias}, 4
    )
    return table.set_index(["place", "positions", "site"]).sort_index()


def test_a_bias_that_is_the_error_itself_takes_the_whole_shift_away(network, tokens):
    blocks = (
        tokens[:, :1].expand(-1, 8) * 0 + 5
    )  # the same token everywhere: at every position the same error
    # Everything is set to zero, so what is missing is all of the output.
    error = models.record(network, blocks, [SITE])[SITE].output[0, 1]
    rows = measure(network, blocks, torch.zeros_like, error)
    row = rows.loc["site_same_input", "rest", SITE]
    assert row["teal_shift"] == pytest.approx(error.norm().item(), rel=1e-4)
    assert row["spon_shift"] == pytest.approx(0, abs=1e-3)
    assert row["recovery_percent"] == pytest.approx(100, abs=0.5)
    assert row["cosine_bias_mean_error"] == pytest.approx(1, abs=1e-4)


def test_where_the_input_is_the_dense_one_the_shift_is_predicted_exactly(network, tokens):
    bias = torch.linspace(-1, 1, 32) * 0.02
    rows = measure(network, tokens, lambda x: x * (x.abs() > 0.02), bias)
    row = rows.loc["site_same_input", "rest", SITE]
    assert row["spon_shift"] == pytest.approx(row["predicted_spon_shift"], rel=1e-5)
    without = np.sqrt(row["teal_shift"] ** 2 + bias.square().sum().item())
    assert row["predicted_without_cross_term"] == pytest.approx(without, rel=1e-6)


def test_a_bias_against_the_mean_error_moves_states_further_away(network, tokens):
    drop = lambda x: x * (x.abs() > 0.02)  # noqa: E731
    x, _ = models.record(network, tokens, [SITE])[SITE]
    error = ((x - drop(x)) @ network.get_submodule(SITE).weight.T)[:, 1:].mean(dim=(0, 1))
    toward, away = (measure(network, tokens, drop, sign * error) for sign in (1, -1))
    key = ("site_same_input", "rest", SITE)
    assert toward.loc[key, "recovery_percent"] > 0 > away.loc[key, "recovery_percent"]
    assert away.loc[key, "cosine_bias_mean_error"] == pytest.approx(-1, abs=1e-4)


def test_a_model_that_is_not_sparsified_and_has_a_zero_bias_moves_nothing(network, tokens):
    rows = measure(network, tokens, lambda x: x, torch.zeros(32))
    assert (rows["spon_shift"] == 0).all()
    assert rows["recovery_percent"].isna().all()  # of nothing, no share


def test_the_first_token_counts_apart_and_every_layer_has_a_residual_stream(network, tokens):
    rows = measure(network, tokens, torch.zeros_like, torch.ones(32)).reset_index()
    held_out = rows[rows["definition"] == "sound"]
    assert held_out.groupby("positions")["samples"].unique().map(list).to_dict() == {
        "first": [6],
        "rest": [42],
    }
    assert held_out[held_out["place"] == "residual"].groupby("positions")["layer"].apply(list)[
        "rest"
    ] == [0, 1]
    published = rows[rows["definition"] == "as_published"]
    assert set(published["site"]) == {SITE, "all"}
    assert published["samples"].tolist() == [6, 6]
