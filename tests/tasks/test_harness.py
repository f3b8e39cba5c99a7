"""The harness measures the sparse model, and not the dense one that it was made from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spon import models, sparsify
from spon.head import Head
from spon.inputs.tokens import read_tokenizer
from spon.tasks import harness, local

pytest.importorskip("lm_eval")

ROOT = Path(__file__).parents[2]
SETTINGS = {"shots": 0, "limit": None, "batch_requests": 4, "seed": 0, "dense_share": 0.0}
SITES = [f"model.layers.{layer}.mlp.down_proj" for layer in range(2)]
SPARSIFIERS = {site: sparsify.make_sparsifier("threshold", 0.5, 0.05, 96) for site in SITES}
BIASES = {site: torch.linspace(-0.3, 0.3, 32) for site in SITES}
# One token each, so that a temperature cannot change which is likeliest.
MARKS = [".", ",", ":", ";"]
ENDINGS = [" the array", " a list of names", " none", " of its axes in order"]


@pytest.fixture(scope="module")
def network():
    folder = ROOT / "resources/models/tiny"
    return models.read_network(folder, torch.float32)


@pytest.fixture(scope="module")
def tokenizer():
    folder = ROOT / "resources/models/tiny"
    files = {path.name: "" for path in folder.iterdir()}
    return read_tokenizer({"source": {"path": str(folder)}, "files": files})


def make_task(folder, choices, **changes):
    words = ["Return", "the", "value", "of", "array", "index", "name", "list"]
    documents = [
        {"context": " ".join(words[:number]), "choices": choices, "answer": number % 4}
        for number in range(1, 9)
    ]
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    shipped = local.read_task(ROOT / "resources/tasks/summaries.yaml", path)
    return shipped | {"doc_to_text": "{{context}}", "target_delimiter": ""} | changes


def measure(network, tokenizer, task, sparse=False, biased=False, temperature=1.0):
    table = harness.measure_tasks(
        network,
        tokenizer,
        [task],
        [],
        SPARSIFIERS if sparse else {},
        BIASES if biased else {},
        temperature,
        SETTINGS,
    )
    return table.pivot(index="document", columns="metric", values="value"), table


def test_dense_sparse_and_biased_models_give_different_answers(network, tokenizer, tmp_path):
    task = make_task(tmp_path, ENDINGS)
    dense, table = measure(network, tokenizer, task)
    sparse, other = measure(network, tokenizer, task, sparse=True)
    biased, _ = measure(network, tokenizer, task, sparse=True, biased=True)
    again, _ = measure(network, tokenizer, task)
    assert (abs(dense["nll_nats"] - sparse["nll_nats"]) > 1e-3).all()
    assert (abs(sparse["nll_nats"] - biased["nll_nats"]) > 1e-3).all()
    assert (dense == again).all(axis=None)  # nothing of the sparse model is left
    assert table["protocol"].equals(other["protocol"])  # both were asked the same
    assert set(table.loc[table["metric"] == "acc", "chance"]) == {0.25}


def test_a_value_is_what_our_own_pass_of_the_sparse_model_gives(network, tokenizer, tmp_path):
    measured, _ = measure(network, tokenizer, make_task(tmp_path, ENDINGS), sparse=True)
    context, ending = "Return the value", ENDINGS[3]
    ids = tokenizer(context + ending, add_special_tokens=False)["input_ids"]
    start = len(tokenizer(context, add_special_tokens=False)["input_ids"])
    states = sparsify.final_states(network, torch.tensor([ids]), SPARSIFIERS, {})
    logs = Head(network).log_probabilities(states[0])
    expected = -sum(logs[place - 1, ids[place]].item() for place in range(start, len(ids)))
    assert measured.loc[2, "nll_nats"] == pytest.approx(expected, rel=1e-5)


def test_a_temperature_changes_likelihoods_and_not_which_token_is_likeliest(
    network, tokenizer, tmp_path
):
    task = make_task(tmp_path, MARKS)
    cold, _ = measure(network, tokenizer, task, sparse=True)
    warm, table = measure(network, tokenizer, task, sparse=True, temperature=2.0)
    assert cold["acc"].equals(warm["acc"])
    assert (abs(cold["nll_nats"] - warm["nll_nats"]) > 1e-3).all()
    assert set(table["temperature"]) == {2.0}


def test_a_temperature_divides_every_logit(network):
    ids = torch.tensor([[5, 9, 2]])
    plain = network(ids).logits
    with harness.hooked(network, {}, {}, temperature=4.0):
        torch.testing.assert_close(network(ids).logits, plain / 4)
    torch.testing.assert_close(network(ids).logits, plain)


def test_sites_that_were_not_sparsified_are_an_error(network):
    with (
        pytest.raises(AssertionError, match=r"not sparsified: .*layers.0.mlp.down_proj"),
        harness.hooked(network, SPARSIFIERS, {}, temperature=1.0),
    ):
        pass


def test_a_template_cannot_run_code(network, tokenizer, tmp_path):
    task = make_task(
        tmp_path, ENDINGS, doc_to_text="{{ ''.__class__.__mro__[1].__subclasses__() }}"
    )
    with pytest.raises(Exception, match="unsafe"):
        measure(network, tokenizer, task)


def test_a_metric_that_would_be_fetched_with_its_code_is_refused(network, tokenizer, tmp_path):
    task = make_task(tmp_path, ENDINGS, metric_list=[{"metric": "some/metric"}])
    with pytest.raises(
        ValueError, match="'summaries' has the metric 'some/metric' in metric_list"
    ):
        measure(network, tokenizer, task)


def test_a_start_that_stays_dense_is_that_of_each_text_and_not_of_a_padded_batch(
    network, tokenizer, tmp_path
):
    task, tables = make_task(tmp_path, ENDINGS), []
    for batch in (1, 4):
        sites = {site: sparsify.leave_start_dense(s, 0.5) for site, s in SPARSIFIERS.items()}
        settings = SETTINGS | {"batch_requests": batch, "dense_share": 0.5}
        tables.append(
            harness.measure_tasks(network, tokenizer, [task], [], sites, {}, 1.0, settings)
        )
    assert tables[0]["value"].equals(tables[1]["value"])


SAMPLE = {
    "doc_id": 3,
    "filter": "none",
    "target": 1,
    "filtered_resps": [(-4.0, False), (-3.0, True)],
}


def read(sample):
    found = harness.read_values(SAMPLE | sample, {"acc": True})
    return [(metric, *numbers) for _, metric, _, *numbers, _ in found]


def test_choices_have_what_guessing_gives_and_the_likelihood_of_the_right_one():
    first, second = read({"metrics": ["acc"], "acc": 1.0})
    assert first == ("acc", 1.0, 1, 0.5)
    assert second[:3] == ("nll_nats", 3.0, 1)


def test_a_likelihood_over_units_keeps_both():
    sample = {"metrics": ["byte_perplexity"], "byte_perplexity": (-12.0, 6)}
    ((metric, value, weight, chance),) = read(
        sample | {"filtered_resps": [-12.0], "target": "text"}
    )
    assert (metric, value, weight) == ("nll_nats_per_byte", 12.0, 6)
    assert np.isnan(chance)


def test_a_task_without_a_metric_per_document_is_refused():
    sample = SAMPLE | {"metrics": ["f1"], "f1": (1, 0), "filtered_resps": ["a"]}
    with pytest.raises(ValueError, match="the task 'odd' has no metric that is a mean over"):
        harness.read_samples("odd", [sample], {"f1": True}, {"f1,none": 1.0})


def read_task(values, metric, reported, directions):
    samples = [
        {"doc_id": number, "filter": "none", "target": "a", "filtered_resps": ["a"]}
        | {"metrics": ["kept", metric], "kept": 1.0, metric: value}
        for number, value in enumerate(values)
    ]
    directions = {"kept": True} | directions
    reported = {"kept,none": 1.0, f"{metric},none": reported}
    table = harness.read_samples("mine", samples, directions, reported)
    return table[table["metric"] != "kept"]


def test_a_metric_is_kept_if_the_mean_of_its_documents_is_what_the_harness_says():
    means = read_task([0.0, 1.0, 5.0], "points", 2.0, {"points": False})
    assert means["value"].tolist() == [0.0, 1.0, 5.0]
    assert not means["higher_is_better"].any()
    assert read_task([0.0, 1.0, 5.0], "points", 1.0, {"points": False}).empty, "a median"
    assert read_task([0.0, 1.0, 5.0], "points", "N/A", {"points": False}).empty


def test_a_likelihood_is_kept_if_its_ratio_is_what_the_harness_says():
    # 6 nats in 4 bytes: 1.5 per byte.
    values = [(-2.0, 1), (-4.0, 3)]
    for metric, reported in (("byte_perplexity", np.exp(1.5)), ("bits_per_byte", 1.5 / np.log(2))):
        table = read_task(values, metric, reported, {})
        assert table["metric"].tolist() == ["nll_nats_per_byte"] * 2
        assert table["weight"].tolist() == [1.0, 3.0]
        assert read_task(values, metric, 1.5, {}).empty


def test_a_metric_whose_better_side_is_not_known_is_left_out():
    assert read_task([0.0, 1.0], "points", 0.5, {}).empty
    assert read_task([0.0, 1.0], "points", 0.5, {"points": None}).empty
    assert len(read_task([0.0, 1.0], "points", 0.5, {"points": True})) == 2


def test_a_model_without_a_fitted_temperature_is_measured_as_it_is():
    assert harness.choose_temperature(None, {}) == 1.0
