import pytest
import torch
from torch.nn import functional

from spon import evaluate, models, sparsify, train

SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]
RECIPE = train.Recipe(
    blocks=4, order="random", epochs=2, batch_blocks=2, learning_rate=1e-2, schedule="constant", chunk_tokens=5
)


def sparsifiers(network, method="threshold"):
    thresholds = dict.fromkeys(SITES, 0.1)
    return sparsify.make_sparsifiers(network, thresholds, method, sparsity=0.5, dense_share=0.0)


def naive_loss(network, batch, biases, masks):
    """Dense pass each time, all logits, autograd through everything."""
    with torch.no_grad():
        dense = network(input_ids=batch.long()).logits
    with sparsify.sparsified(network, masks), sparsify.biased(network, biases):
        sparse = network(input_ids=batch.long()).logits
    logs = [functional.log_softmax(logits.float().flatten(0, 1), dim=-1) for logits in (sparse, dense)]
    return functional.kl_div(*logs, reduction="batchmean", log_target=True)


@pytest.mark.parametrize("method", ["threshold", "topk"])
@pytest.mark.parametrize("chunk_tokens", [1, 5, 1000])
def test_the_chunked_loss_has_the_value_and_the_gradients_of_the_naive_one(network, tokens, chunk_tokens, method):
    masks = sparsifiers(network, method)
    generator = torch.Generator().manual_seed(1)
    biases = {site: 0.1 * torch.randn(32, generator=generator) for site in SITES}
    ours = {site: bias.clone().requires_grad_() for site, bias in biases.items()}
    theirs = {site: bias.clone().requires_grad_() for site, bias in biases.items()}
    dense = train.dense_states(network, tokens, batch_blocks=4)
    with sparsify.sparsified(network, masks), sparsify.biased(network, ours):
        sparse = models.final_states(network, tokens)
    loss = train.kl_to_dense(sparse, dense, models.head_weight(network), chunk_tokens)
    reference = naive_loss(network, tokens, theirs, masks)
    (3 * loss).backward()
    (3 * reference).backward()
    torch.testing.assert_close(loss, reference)
    for site in SITES:
        assert ours[site].grad.abs().max() > 1e-4
        torch.testing.assert_close(ours[site].grad, theirs[site].grad, rtol=1e-4, atol=1e-6)


def test_without_sparsity_there_is_nothing_to_learn(network, tokens):
    biases, curve = train.learn_biases(network, tokens, {}, SITES, RECIPE, seed=0)
    assert curve["kl_nats_per_token"].abs().max() == 0
    assert all(bias.eq(0).all() for bias in biases.values())


def test_training_lowers_the_kl_to_the_dense_model(network, tokens):
    recipe = train.Recipe(
        blocks=6, order="first", epochs=20, batch_blocks=6, learning_rate=1e-2, schedule="cosine", chunk_tokens=100
    )
    masks = sparsifiers(network)
    biases, curve = train.learn_biases(network, tokens, masks, SITES, recipe, seed=0)
    before, after = (evaluate.evaluate(network, tokens, masks, b, 6, 100)["kl_nats"].sum() for b in ({}, biases))
    assert after < before
    assert curve["learning_rate"].iloc[-1] < curve["learning_rate"].iloc[0]


def test_the_same_seed_gives_the_same_biases_and_another_seed_others(network, tokens):
    runs = [train.learn_biases(network, tokens, sparsifiers(network), SITES, RECIPE, seed)[0] for seed in (0, 0, 1)]
    assert all(runs[0][site].equal(runs[1][site]) for site in SITES)
    assert not any(runs[0][site].equal(runs[2][site]) for site in SITES)


def test_in_the_published_order_a_seed_changes_nothing(network, tokens):
    recipe = train.Recipe(**{**vars(RECIPE), "order": "first"})
    runs = [train.learn_biases(network, tokens, sparsifiers(network), SITES, recipe, seed)[0] for seed in (0, 42)]
    assert all(runs[0][site].equal(runs[1][site]) for site in SITES)


def test_only_the_sites_of_the_allocation_get_a_bias_and_the_model_is_left_as_it_was(network, tokens):
    before = network.state_dict()
    biases, curve = train.learn_biases(network, tokens, sparsifiers(network), SITES[1:], RECIPE, seed=0)
    assert list(biases) == SITES[1:]
    assert len(curve) == RECIPE.steps == 4
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)


def test_a_run_cannot_be_trained_on_more_blocks_than_there_are(network, tokens):
    recipe = train.Recipe(**{**vars(RECIPE), "blocks": 7})
    with pytest.raises(ValueError, match="train.blocks is 7: allowed is 1 to 6"):
        train.learn_biases(network, tokens, {}, SITES, recipe, seed=0)
