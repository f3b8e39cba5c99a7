import math

import pytest
import torch
from torch.nn import functional

from spon import evaluate

# Two tokens, hidden states that are the logits: head = identity.
HEAD = torch.eye(2)
DENSE = torch.tensor([[[0.0, 0.0], [9.0, 9.0]]])
SPARSE = torch.tensor([[[math.log(3.0), 0.0], [5.0, -5.0]]])


def test_likelihood_and_kl_of_a_block_are_what_one_computes_by_hand():
    nll, kl = evaluate.score(DENSE, [SPARSE], torch.tensor([[0, 1]]), HEAD, chunk_tokens=10)[
        0, :, 0
    ].tolist()
    assert nll == pytest.approx(math.log(4))  # p(token 1) = 1/4
    assert kl == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))


def test_the_last_position_predicts_nothing():
    changed = SPARSE.clone()
    changed[0, 1] = 100.0
    first, second = (
        evaluate.score(DENSE, [x], torch.tensor([[0, 1]]), HEAD, 10) for x in (SPARSE, changed)
    )
    assert first.equal(second)


def test_the_dense_model_has_no_divergence_from_itself(network, tokens):
    blocks = evaluate.evaluate(network, tokens, {}, {}, batch_tokens=32, chunk_tokens=3)
    assert (blocks["kl_nats"] == 0).all()
    logits = network(input_ids=tokens.long()).logits[:, :-1]
    loss = functional.cross_entropy(
        logits.flatten(0, 1), tokens[:, 1:].long().flatten(), reduction="sum"
    )
    assert blocks["nll_nats"].sum() == pytest.approx(loss.item(), rel=1e-5)
    assert blocks["predictions"].tolist() == [7] * 6


def test_sums_over_blocks_do_not_depend_on_batches_and_chunks(network, tokens):
    masks = {"model.layers.0.mlp.down_proj": torch.zeros_like}
    large, small = (
        evaluate.evaluate(network, tokens, masks, {}, *sizes) for sizes in [(48, 1000), (8, 2)]
    )
    assert large["nll_nats"].tolist() == pytest.approx(small["nll_nats"].tolist(), rel=1e-5)
    assert large["kl_nats"].tolist() == pytest.approx(small["kl_nats"].tolist(), rel=1e-4)
    assert (large["kl_nats"] > 0).all()
    assert large["nll_nats"].dtype == "float64"


def test_several_sets_of_biases_are_evaluated_as_each_would_be_alone(network, tokens):
    site = "model.layers.0.mlp.down_proj"
    draws = [{}, {site: torch.ones(32)}]
    together = evaluate.evaluate_draws(network, tokens, {}, draws, batch_tokens=32, chunk_tokens=9)
    assert together["draw"].tolist() == [0] * 6 + [1] * 6
    for draw, biases in enumerate(draws):
        alone = evaluate.evaluate(network, tokens, {}, biases, batch_tokens=32, chunk_tokens=9)
        assert together[together["draw"] == draw]["kl_nats"].tolist() == alone["kl_nats"].tolist()
