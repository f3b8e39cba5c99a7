import math

import pandas as pd
import pytest
import torch
from given_head import make_head

from spon import temperature
from spon.inputs import check

# Hidden states that are the logits of two tokens.
HEAD = make_head(torch.eye(2))


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


@pytest.mark.parametrize(("right", "wrong", "bound"), [(10, 0, 0.1), (0, 10, 10), (1, 3, 10)])
def test_a_model_that_is_always_right_or_worse_than_none_has_the_temperature_of_the_bound(
    right, wrong, bound
):
    # It says 2 to 1. Right 1 time of 4, no positive temperature gives the odds 1 to 3.
    found = temperature.find_temperature(*predict(2, right, wrong), HEAD, 100)
    assert found == bound


def test_a_model_that_tells_nothing_apart_is_left_as_it_is():
    assert temperature.find_temperature(*predict(1, right=10, wrong=5), HEAD, 100) == 1


def test_odds_that_are_far_from_right_are_found_from_where_the_softmax_is_one_tokens_alone():
    # e^30 to 1 where 3 to 1 is right: 30 / ln 3 lies beyond the bound of 10; e^9 does not.
    for logit, best in ((30, 10), (9, 9 / math.log(3))):
        found = temperature.find_temperature(*predict(math.exp(logit), 30, 10), HEAD, 100)
        assert found == pytest.approx(best, rel=1e-5)


def test_a_temperature_that_was_fitted_before_is_taken_and_nothing_is_fitted(tmp_path):
    path = tmp_path / "nll.parquet"
    pd.DataFrame({"block": [0, 1], "temperature": 1.25}).to_parquet(path)
    assert temperature.choose_temperature(torch.nn.Identity(), path, None, None, {}) == 1.25


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.25, 1.5], "has 2 temperatures, allowed is one"),
        ([math.nan, 1.5], "has nan as temperature in row 1"),
        ([11.0], "has 11.0 as temperature in row 1, allowed is a finite number from 0.1 to 10.0"),
        ([], "has no rows"),
    ],
)
def test_a_file_without_one_temperature_within_bounds_is_named(values, sentence, tmp_path):
    path = tmp_path / "nll.parquet"
    pd.DataFrame({"temperature": pd.Series(values, dtype=float)}).to_parquet(path)
    with pytest.raises(check.FileError, match=sentence):
        temperature.read_temperature(path, {})


def test_the_temperature_of_another_evaluation_is_not_taken(tmp_path):
    path = tmp_path / "nll.parquet"
    pd.DataFrame({"allocation": ["TOP-50"], "temperature": 1.25}).to_parquet(path)
    assert temperature.read_temperature(path, {"allocation": "TOP-50"}) == 1.25
    with pytest.raises(check.FileError, match="is of allocation TOP-50, and not of"):
        temperature.read_temperature(path, {"allocation": "UNIF-ALL"})


def test_a_sparse_model_is_fitted_as_it_runs(network, tokens):
    masks = {"model.layers.0.mlp.down_proj": torch.zeros_like}
    dense, sparse = (
        temperature.fit_temperature(network, tokens, masks, {}, 32, 9) for masks in ({}, masks)
    )
    assert dense > 0
    assert sparse != dense
