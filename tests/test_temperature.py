import math

import pytest
import torch

from spon import temperature

# Hidden states that are the logits of two tokens.
HEAD = torch.eye(2)


def predict(odds, right, wrong):
    """States that all give token 0 the same odds, and tokens of which `right` are 0."""
    tokens = torch.tensor([[1] + [0] * right + [1] * wrong])
    states = torch.tensor([math.log(odds), 0.0]).expand(1, tokens.shape[1], 2)
    return states, tokens


@pytest.mark.parametrize("chunk_tokens", [3, 100])
def test_the_best_temperature_gives_the_odds_that_the_text_has(chunk_tokens):
    # It says 9 to 1, and is right 3 times of 4: the root of 9 are the right odds.
    states, tokens = predict(9, right=30, wrong=10)
    found = temperature.find_temperature(states, tokens, HEAD, chunk_tokens)
    assert found == pytest.approx(2, rel=1e-5)


def test_logits_that_are_doubled_have_twice_the_temperature():
    states, tokens = predict(2, right=30, wrong=10)
    once, twice = (
        temperature.find_temperature(scale * states, tokens, HEAD, 100) for scale in (1, 2)
    )
    assert once == pytest.approx(math.log(2) / math.log(3), rel=1e-5)
    assert twice == pytest.approx(2 * once, rel=1e-5)


def test_a_model_that_is_always_right_has_no_best_temperature():
    with pytest.raises(ValueError, match="no temperature suits"):
        temperature.find_temperature(*predict(2, right=10, wrong=0), HEAD, 100)


def test_a_sparse_model_is_fitted_as_it_runs(network, tokens):
    masks = {"model.layers.0.mlp.down_proj": torch.zeros_like}
    dense, sparse = (
        temperature.fit_temperature(network, tokens, masks, {}, 32, 9) for masks in ({}, masks)
    )
    assert dense > 0
    assert sparse != dense
