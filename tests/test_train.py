import csv
import dataclasses
from contextlib import ExitStack

import pytest
import torch
from small_recipe import RECIPE
from torch.nn import functional

from spon import cache, course, divergence, evaluate, layers, models, schedule, sparsify, train
from spon.head import Head

SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]


def sparsifiers(network, method="threshold"):
    thresholds = dict.fromkeys(SITES, 0.1)
    return sparsify.make_sparsifiers(network, thresholds, method, sparsity=0.5, dense_share=0.0)


class Naive:
    """Training written in the simplest way: every step runs the dense model, then the sparse one.

    All is in float32. A site's product is computed with all of its inputs, and then again with
    those that are kept.
    """

    def __init__(self, network, method):
        self.network, self.method = network, method
        self.weights = {site: network.get_submodule(site).weight for site in SITES}

    def drop(self, x):
        middle = x.abs().sort(dim=-1).values[..., [47]]  # of 96 entries
        largest_dropped = 0.1 if self.method == "threshold" else middle
        return torch.where(x.abs() > largest_dropped, x, torch.zeros(()))

    def logits(self, batch, biases):
        with ExitStack() as stack:
            for site, bias in biases.items():
                stack.callback(
                    self.network.get_submodule(site)
                    .register_forward_hook(
                        lambda _, inputs, output, site=site, bias=bias: (
                            self.drop(inputs[0]) @ self.weights[site].T + bias
                        )
                    )
                    .remove
                )
            return self.network(input_ids=batch.long()).logits.flatten(0, 1)

    def loss(self, batch, biases):
        sparse = functional.log_softmax(self.logits(batch, biases), dim=-1)
        dense = functional.log_softmax(self.logits(batch, {}), dim=-1)
        return functional.kl_div(sparse, dense, reduction="batchmean", log_target=True)

    def express(self, learned, parametrisation):
        return (
            learned
            if parametrisation == "bias"
            else {s: self.weights[s] @ alpha for s, alpha in learned.items()}
        )

    def learn(self, tokens, recipe, seed):
        generator = torch.Generator().manual_seed(seed)
        blocks = tokens[torch.randperm(len(tokens), generator=generator)[: recipe.blocks]]
        size = {"bias": 32, "alpha": 96}[recipe.parametrisation]
        learned = {site: torch.zeros(size, requires_grad=True) for site in SITES}
        optimizer = torch.optim.AdamW(learned.values(), lr=recipe.learning_rate, weight_decay=0.0)
        losses = []
        for _ in range(recipe.epochs):
            order = torch.randperm(recipe.blocks, generator=generator)
            for batch in order.split(recipe.batch_blocks):
                optimizer.zero_grad()
                loss = self.loss(blocks[batch], self.express(learned, recipe.parametrisation))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(learned.values(), 1.0)
                optimizer.step()
                losses.append(loss.item())
        biases = self.express(learned, recipe.parametrisation)
        return {site: bias.detach() for site, bias in biases.items()}, losses


def assert_same(first, second, atol):
    """Check that two runs have the same biases up to `atol` and the same losses up to rounding."""
    assert first[0].keys() == second[0].keys()
    for site in first[0]:
        torch.testing.assert_close(first[0][site], second[0][site], rtol=0, atol=atol)
    losses = [[point["kl_nats_per_token"] for point in curve[1:]] for _, curve in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5, abs=1e-6)


def test_without_sparsity_there_is_nothing_to_learn(network, tokens):
    biases, curve = train.learn_biases(network, tokens, {}, SITES, RECIPE, seed=0)
    assert [point["kl_nats_per_token"] for point in curve[1:]] == [0.0] * RECIPE.steps
    assert all(bias.eq(0).all() for bias in biases.values())


def test_training_lowers_the_kl_to_the_dense_model(network, tokens):
    more = {
        "blocks": 5,
        "order": "first",
        "epochs": 20,
        "batch_blocks": 5,
        "schedule": "cosine",
        "chunk_tokens": 100,
    }
    recipe = dataclasses.replace(RECIPE, **more)
    masks = sparsifiers(network)
    biases, curve = train.learn_biases(network, tokens, masks, SITES, recipe, seed=0)
    before, after = (
        evaluate.evaluate(network, tokens, masks, b, 48, 100)["kl_nats"].sum()
        for b in ({}, biases)
    )
    assert after < before
    assert curve[-1]["learning_rate"] < curve[1]["learning_rate"]


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_biases(network, tokens):
    runs = [
        train.learn_biases(network, tokens, sparsifiers(network), SITES, RECIPE, seed)
        for seed in (0, 0, 1)
    ]
    (biases, curve), (again, curve_again), (others, _) = runs
    assert all(biases[site].equal(again[site]) for site in SITES)
    assert curve == curve_again
    assert not any(biases[site].equal(others[site]) for site in SITES)


def test_in_the_published_order_a_seed_changes_nothing(network, tokens):
    recipe = dataclasses.replace(RECIPE, order="first")
    runs = [
        train.learn_biases(network, tokens, sparsifiers(network), SITES, recipe, seed)[0]
        for seed in (0, 42)
    ]
    assert all(runs[0][site].equal(runs[1][site]) for site in SITES)


def test_only_the_sites_of_the_allocation_get_a_bias_and_the_model_is_left_as_it_was(
    network, tokens
):
    before = network.state_dict()
    biases, curve = train.learn_biases(
        network, tokens, sparsifiers(network), SITES[1:], RECIPE, seed=0
    )
    assert list(biases) == SITES[1:]
    assert len(curve) == 1 + RECIPE.steps == 5
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)


def test_a_run_cannot_be_trained_on_more_blocks_than_there_are(network, tokens):
    recipe = dataclasses.replace(RECIPE, blocks=6)
    with pytest.raises(ValueError, match="are 7 together: allowed are 6"):
        train.learn_biases(network, tokens, {}, SITES, recipe, seed=0)


@pytest.fixture
def sure(network):
    """The tiny model, made so sure of its predictions that its gradients are clipped."""
    network.get_decoder().norm.weight.data *= 16
    return network


# A step of AdamW is about the learning rate, 0.01, however small the gradient. Biases that end
# within 2e-6 of one another have taken the same steps to a part in thousands; measured are 6e-7.
@pytest.mark.parametrize("parametrisation", ["bias", "alpha"])
@pytest.mark.parametrize("method", ["threshold", "topk"])
def test_a_whole_training_learns_what_the_naive_one_does(sure, tokens, method, parametrisation):
    recipe = dataclasses.replace(RECIPE, blocks=5, epochs=4, parametrisation=parametrisation)
    biases, curve = train.learn_biases(
        sure, tokens, sparsifiers(sure, method), SITES, recipe, seed=3
    )
    naive, losses = Naive(sure, method).learn(tokens, recipe, seed=3)
    assert_same(
        (biases, curve),
        (naive, [{}, *({"kl_nats_per_token": loss} for loss in losses)]),
        atol=2e-6,
    )
    assert len(curve) == 1 + recipe.steps == 13
    assert all(bias.abs().max() > 1e-2 for bias in biases.values())
    norms = [point["gradient_norm"] for point in curve[1:]]
    assert max(norms) > 1


@pytest.mark.parametrize("split_blocks", [1, 2, 3])
def test_a_step_in_parts_is_the_step_of_the_whole(sure, tokens, split_blocks):
    recipe = dataclasses.replace(RECIPE, blocks=5, batch_blocks=4, epochs=3)
    parts, whole = (
        train.learn_biases(
            sure, tokens, sparsifiers(sure), SITES, recipe, seed=0, split_blocks=split
        )
        for split in (split_blocks, None)
    )
    assert_same(parts, whole, atol=2e-6)
    for name in ("gradient_norm", "held_out_kl"):
        numbers = [
            [point[name] for point in curve if point[name] is not None]
            for _, curve in (parts, whole)
        ]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)
    assert [point["step"] for point in parts[1]] == [0, 1, 2, 3, 4, 5, 6]


def count_calls(network, stack):
    """How often the MLP of each layer runs, from now on."""
    calls = [0, 0]

    def count(number):
        calls[number] += 1

    for number, layer in enumerate(network.get_decoder().layers):
        stack.callback(
            layer.mlp.register_forward_pre_hook(lambda *_, number=number: count(number)).remove
        )
    return calls


def test_what_no_bias_can_change_runs_once(network, tokens, monkeypatch):
    runs, passes = [], []
    for allowed in (True, False):
        if not allowed:
            monkeypatch.setattr(layers, "lowest_layer", lambda sites: 0)
        with ExitStack() as stack:
            passes.append(count_calls(network, stack))
            runs.append(
                train.learn_biases(
                    network, tokens, sparsifiers(network), SITES[1:], RECIPE, seed=0
                )
            )
    # Five blocks, two at a time: three dense passes, then four steps and three measurements; the
    # first layer three times more, sparse, or in each.
    assert passes == [[3 + 3, 3 + 7], [3 + 7, 3 + 7]]
    assert_same(*runs, atol=1e-6)
    assert runs[0][0][SITES[1]].abs().max() > 1e-2


# A bias on down_proj comes behind all that a layer would keep for it.
@pytest.mark.parametrize(
    ("sites", "again"),
    [
        (SITES, [0, 4]),
        (["model.layers.0.self_attn.o_proj"], [4, 4]),
        (["model.layers.1.self_attn.o_proj"], [0, 4]),
    ],
)
def test_checkpointing_runs_layers_above_a_bias_once_more_in_every_step_and_changes_none(
    network, tokens, sites, again
):
    runs, passes = [], []
    for checkpointing in (False, True):
        recipe = dataclasses.replace(RECIPE, checkpointing=checkpointing)
        with ExitStack() as stack:
            passes.append(count_calls(network, stack))
            runs.append(
                train.learn_biases(network, tokens, sparsifiers(network), sites, recipe, seed=0)
            )
    assert [twice - once for once, twice in zip(*passes, strict=True)] == again
    assert_same(*runs, atol=1e-6)
    assert not any(module.training for module in network.modules())


def test_alpha_has_as_its_gradient_the_transposed_weight_times_that_of_the_bias(network, tokens):
    weights = {site: network.get_submodule(site).weight for site in SITES}
    ours, theirs = (
        {site: torch.linspace(-0.1, 0.1, 96, requires_grad=True) for site in SITES}
        for _ in range(2)
    )
    biases = train.express(network, ours, "alpha")
    through = {site: weights[site] @ alpha for site, alpha in theirs.items()}
    dense = models.keep_final_states(network, tokens, batch_tokens=48)
    for added in (biases, through):
        with sparsify.sparsified(network, sparsifiers(network)), sparsify.biased(network, added):
            sparse = models.final_states(network, tokens)
        divergence.kl_to_dense(sparse, dense, Head(network), chunk_tokens=100).backward()
    train.pull_back(network, biases, ours, "alpha")
    for site in SITES:
        assert theirs[site].grad.abs().max() > 1e-4
        torch.testing.assert_close(ours[site].grad, weights[site].T @ biases[site].grad)
        torch.testing.assert_close(ours[site].grad, theirs[site].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("parametrisation", "size"), [("bias", 32), ("alpha", 96)])
def test_training_begins_at_the_sparse_model_without_biases(
    network, tokens, parametrisation, size
):
    assert train.start(network.get_submodule(SITES[0]), parametrisation).equal(torch.zeros(size))
    recipe = dataclasses.replace(
        RECIPE, blocks=5, batch_blocks=5, epochs=1, order="first", parametrisation=parametrisation
    )
    start, point = train.learn_biases(
        network, tokens, sparsifiers(network), SITES, recipe, seed=0
    )[1]
    with torch.no_grad():
        naive, zeros = Naive(network, "threshold"), dict.fromkeys(SITES, torch.zeros(32))
        loss, held_out = naive.loss(tokens[:5], zeros), naive.loss(tokens[5:], zeros)
    # To the rounding of differences of float32 sums.
    assert point["kl_nats_per_token"] == pytest.approx(loss.item(), rel=1e-4)
    assert start["held_out_kl"] == pytest.approx(held_out.item(), rel=1e-4)
    assert loss > 1e-3


def test_biases_of_alpha_lie_in_the_span_of_the_columns_of_w(network, tokens):
    site = "model.layers.0.self_attn.k_proj"  # 16 outputs of 32 inputs; of rank 3 from here on
    weight = network.get_submodule(site).weight
    u, s, v = torch.linalg.svd(weight)
    weight.data = (u[:, :3] * s[:3]) @ v[:3]
    outside = {}
    for parametrisation in ("bias", "alpha"):
        recipe = dataclasses.replace(RECIPE, parametrisation=parametrisation)
        masks = sparsifiers(network)
        biases, _ = train.learn_biases(network, tokens, masks, [site], recipe, seed=0)
        bias = biases[site]
        outside[parametrisation] = ((u[:, 3:].T @ bias).norm() / bias.norm()).item()
    assert outside["alpha"] < 1e-5
    assert outside["bias"] > 0.1


def test_the_dense_states_are_asked_for_once_by_one_key_for_all_allocations_of_the_same_blocks(
    network, tokens
):
    keys = []

    def keep(key, make):
        keys.append(cache.digest(key))
        return make()

    for sites, seed in ((SITES, 0), (SITES[1:], 0), (SITES, 1)):
        train.learn_biases(network, tokens, sparsifiers(network), sites, RECIPE, seed, keep=keep)
    first, changed = dataclasses.replace(RECIPE, order="first"), tokens.clone()
    changed[4, 7] = 0  # the last token of five blocks
    for text in (tokens, changed):
        train.learn_biases(network, text, {}, SITES, first, 0, keep=keep)
    train.learn_biases(network, tokens, {}, SITES, first, 0, split_blocks=1, keep=keep)
    assert len(keys) == 6
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5


def test_states_that_were_kept_give_the_same_bits_as_those_just_computed(
    network, tokens, tmp_path
):
    read_or_make = cache.Cache(tmp_path, {}).keep
    runs = [
        train.learn_biases(network, tokens, sparsifiers(network), SITES, RECIPE, seed=0, keep=keep)
        for keep in (cache.compute, read_or_make, read_or_make)
    ]
    for biases, curve in runs[1:]:
        assert all(biases[site].equal(runs[0][0][site]) for site in SITES)
        assert curve == runs[0][1]


NAMES = {"allocation": "UNIF-ALL", "scope": "down_proj", "sparsity": 0.5, "seed": 0}


def test_a_curve_is_written_as_a_row_per_step_that_names_its_run(network, tokens, tmp_path):
    curve = train.learn_biases(network, tokens, sparsifiers(network), SITES, RECIPE, seed=0)[1]
    course.write_curve(curve, tmp_path / "curve.csv", NAMES)
    with (tmp_path / "curve.csv").open() as file:
        start, *rows = csv.DictReader(file)
    assert [(row["step"], row["epoch"]) for row in (start, *rows)] == [
        ("0", "0"),
        ("1", "1"),
        ("2", "1"),
        ("3", "2"),
        ("4", "2"),
    ]
    assert {(row["allocation"], row["sparsity"]) for row in rows} == {("UNIF-ALL", "0.5")}
    assert {row["learning_rate"] for row in rows} == {"0.01"}
    for name in ("kl_nats_per_token", "gradient_norm"):
        assert [float(row[name]) for row in rows] == [point[name] for point in curve[1:]]
        assert all(point[name] > 0 for point in curve[1:])
    # Every third step, and the last one.
    measured = [row["step"] for row in (start, *rows) if row["held_out_kl"]]
    assert measured == ["0", "3", "4"]


def test_a_training_on_a_plateau_ends_when_it_has_converged(network, tokens):
    recipe = dataclasses.replace(
        RECIPE,
        order="first",
        epochs=400,
        measure_every=10,
        schedule="plateau",
        plateau={"improvement": 0.2, "cuts": 1, "factor": 0.3},
    )
    masks, again = sparsifiers(network), tokens[[0, 1, 2, 3, 0]]
    curve = train.learn_biases(network, again, masks, SITES, recipe, seed=0)[1]
    assert [point["event"] for point in curve if point["event"]] == [
        schedule.LOWERED,
        schedule.CONVERGED,
    ]
    assert curve[-1]["event"] == schedule.CONVERGED
    assert len(curve) < 1 + recipe.steps
    assert curve[-1]["learning_rate"] == pytest.approx(0.3 * curve[1]["learning_rate"])
