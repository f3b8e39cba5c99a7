import math

import pytest
import torch
from given_head import make_head
from torch.nn import functional

from spon import divergence, models, sparsify
from spon.head import Head

LN3 = math.log(3.0)
# Two tokens, hidden states that are the logits: head = identity. p is (1/2, 1/2) and (3/4, 1/4), q
# the other way round.
HEAD = make_head(torch.eye(2))
DENSE = torch.tensor([[[0.0, 0.0], [LN3, 0.0]]])
SPARSE = torch.tensor([[[LN3, 0.0], [0.0, 0.0]]])
SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]


def make_states(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk_tokens", [1, 2, 3])
def test_two_tokens_have_the_divergence_and_the_gradient_that_one_computes_by_hand(chunk_tokens):
    sparse = SPARSE.clone().requires_grad_()
    loss = divergence.kl_to_dense(sparse, DENSE, HEAD, chunk_tokens)
    first = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    second = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert loss.item() == pytest.approx((first + second) / 2)
    (10 * loss).backward()
    q_less_p = torch.tensor([[[0.25, -0.25], [-0.25, 0.25]]])
    torch.testing.assert_close(sparse.grad, 10 * q_less_p / 2)


def test_the_dense_model_has_no_divergence_from_itself_and_nowhere_to_go():
    sparse = DENSE.clone().requires_grad_()
    loss = divergence.kl_to_dense(sparse, DENSE, HEAD, 10)
    loss.backward()
    assert loss.item() == 0
    assert sparse.grad.eq(0).all()


def test_where_no_gradient_is_wanted_none_is_computed_and_the_loss_is_the_same(monkeypatch):
    loss = divergence.kl_to_dense(SPARSE.clone().requires_grad_(), DENSE, HEAD, 1)
    monkeypatch.setattr(HEAD, "open", None)
    assert divergence.kl_to_dense(SPARSE, DENSE, HEAD, 1).item() == loss.item()


@pytest.mark.parametrize("chunk_tokens", [7, 1000])
def test_the_loss_is_that_of_float64_to_a_millionth(chunk_tokens):
    states = [make_states(3, 20, 16, seed=seed) for seed in (0, 1)]
    head = make_states(500, 16, seed=2) / 4
    sparse = states[0].clone().requires_grad_()
    exact = states[0].double().requires_grad_()
    logs = [
        functional.log_softmax((x @ head.double().T).flatten(0, 1), -1)
        for x in (exact, states[1].double())
    ]
    reference = functional.kl_div(*logs, reduction="batchmean", log_target=True)
    reference.backward()
    loss = divergence.kl_to_dense(sparse, states[1], make_head(head), chunk_tokens)
    loss.backward()
    assert loss.item() == pytest.approx(reference.item(), rel=1e-6)
    assert reference.item() > 0.5
    torch.testing.assert_close(sparse.grad.double(), exact.grad, rtol=1e-4, atol=1e-7)


def test_states_in_bfloat16_are_compared_in_float32_and_only_their_gradient_is_rounded():
    states = [make_states(2, 5, 16, seed=seed).bfloat16() for seed in (0, 1)]
    head = make_head(make_states(50, 16, seed=2) / 4)
    rounded, exact = states[0].clone().requires_grad_(), states[0].float().requires_grad_()
    losses = [
        divergence.kl_to_dense(rounded, states[1], head, 4),
        divergence.kl_to_dense(exact, states[1].float(), head, 4),
    ]
    for loss in losses:
        loss.backward()
    assert losses[0].dtype == torch.float32
    assert losses[0].equal(losses[1])
    assert rounded.grad.equal(exact.grad.bfloat16())
    assert exact.grad.abs().max() > 1e-3


def naive_loss(network, batch, biases, masks):
    """Dense pass each time, all logits, autograd through everything."""
    with torch.no_grad():
        dense = network(input_ids=batch.long()).logits
    with sparsify.sparsified(network, masks), sparsify.biased(network, biases):
        sparse = network(input_ids=batch.long()).logits
    logs = [
        functional.log_softmax(logits.float().flatten(0, 1), dim=-1) for logits in (sparse, dense)
    ]
    return functional.kl_div(*logs, reduction="batchmean", log_target=True)


@pytest.mark.parametrize("method", ["threshold", "topk"])
@pytest.mark.parametrize("chunk_tokens", [1, 5, 1000])
def test_the_chunked_loss_has_the_value_and_the_gradients_of_the_naive_one(
    network, tokens, chunk_tokens, method
):
    thresholds = dict.fromkeys(SITES, 0.1)
    masks = sparsify.make_sparsifiers(network, thresholds, method, sparsity=0.5, dense_share=0.0)
    biases = {site: 0.1 * make_states(32, seed=seed) for seed, site in enumerate(SITES)}
    ours = {site: bias.clone().requires_grad_() for site, bias in biases.items()}
    theirs = {site: bias.clone().requires_grad_() for site, bias in biases.items()}
    dense = models.keep_final_states(network, tokens, batch_tokens=32)
    with sparsify.sparsified(network, masks), sparsify.biased(network, ours):
        sparse = models.final_states(network, tokens)
    loss = divergence.kl_to_dense(sparse, dense, Head(network), chunk_tokens)
    reference = naive_loss(network, tokens, theirs, masks)
    (3 * loss).backward()
    (3 * reference).backward()
    torch.testing.assert_close(loss, reference)
    for site in SITES:
        assert ours[site].grad.abs().max() > 1e-4
        torch.testing.assert_close(ours[site].grad, theirs[site].grad, rtol=1e-4, atol=1e-6)
