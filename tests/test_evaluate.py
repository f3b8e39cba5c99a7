import math

import pandas as pd
import pytest
import torch
from given_head import make_head
from torch.nn import functional

from spon import evaluate, resume, sparsify
from spon.sites import name_rows
from spon.study import name_baseline

# Two tokens, hidden states that are the logits: head = identity.
HEAD = make_head(torch.eye(2))
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


def test_confidence_of_a_prediction_is_what_one_computes_by_hand():
    # The model says 3/4 and 1/4; at temperature 2 its odds are the root of 3.
    measured = evaluate.compare(DENSE, SPARSE, torch.tensor([[0, 1]]), HEAD, 10, temperature=2.0)
    numbers = {name: values.item() for name, values in measured.items()}
    likely = math.sqrt(3) / (1 + math.sqrt(3))
    assert numbers == pytest.approx(
        {
            "nll_nats": math.log(4),
            "kl_nats": 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25),
            "entropy_nats": math.log(4) - 0.75 * math.log(3),
            "top1": 1.0,
            "nll_at_temperature_nats": -math.log(1 - likely),
            "kl_at_temperature_nats": -0.5 * math.log(4 * likely * (1 - likely)),
        }
    )


def test_models_agree_on_a_token_where_both_find_it_likeliest():
    dense = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]])
    sparse = torch.tensor([[[2.0, 0.0], [3.0, 1.0], [0.0, 9.0], [0.0, 0.0]]])
    top1 = evaluate.compare(dense, sparse, torch.zeros(1, 4).long(), HEAD, 2, 1.0)["top1"]
    assert top1.tolist() == [[1.0, 0.0, 1.0]]


def test_at_temperature_one_nothing_changes_and_the_dense_model_agrees_with_itself(
    network, tokens
):
    masks = {"model.layers.0.mlp.down_proj": torch.zeros_like}
    sparse, dense = (evaluate.evaluate(network, tokens, m, {}, 32, 9) for m in (masks, {}))
    for name in ("nll", "kl"):
        assert sparse[f"{name}_at_temperature_nats"].tolist() == pytest.approx(
            sparse[f"{name}_nats"].tolist(), rel=1e-4
        )
    assert dense["top1"].tolist() == [7] * 6
    assert (sparse["top1"] <= 7).all()
    assert (dense["entropy_nats"] < 7 * math.log(network.config.vocab_size)).all()


def test_percentiles_are_of_single_predictions_over_all_of_the_text(network, tokens):
    masks = {"model.layers.0.mlp.down_proj": torch.zeros_like}
    blocks = evaluate.evaluate(network, tokens, masks, {}, 16, 9)
    with torch.no_grad():
        p = network(input_ids=tokens.long()).logits[:, :-1].log_softmax(-1)
        with sparsify.sparsified(network, masks):
            q = network(input_ids=tokens.long()).logits[:, :-1].log_softmax(-1)
    kl = (p.exp() * (p - q)).sum(-1).flatten()
    for name, share in (("kl_median", 0.5), ("kl_95", 0.95), ("kl_99", 0.99)):
        assert blocks[name].nunique() == 1
        assert blocks[name][0] == pytest.approx(kl.quantile(share).item(), rel=1e-3)


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


def test_draws_whose_evaluation_is_stopped_go_on_with_the_batch_that_it_was_stopped_in(
    network, tokens, tmp_path, monkeypatch
):
    draws = [{}, {"model.layers.0.mlp.down_proj": torch.ones(32)}]
    arguments = (network, tokens, {}, draws, 16, 9)  # three batches
    whole, said, run_sparse = evaluate.evaluate_draws(*arguments), [], evaluate.run_sparse
    for seconds, error in ((60.0, KeyboardInterrupt), (0.0, RuntimeError)):
        state = resume.State(tmp_path / "state", {}, said.append)
        state.due -= 60.0 - seconds
        monkeypatch.setattr(resume, "SECONDS", seconds)
        runs = []

        def stop(*given, runs=runs, error=error):
            runs.append(1)
            if len(runs) == 4:  # of the second batch, the second draw
                raise error
            return run_sparse(*given)

        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr(evaluate, "run_sparse", stop)
            evaluate.evaluate_draws(*arguments, state=state)
        assert evaluate.evaluate_draws(*arguments, state=state).equals(whole)
        state.remove()
    assert said == ["goes on from batch 1 of 3, where it was stopped"] * 2


RUN = {"allocation": "TOP-50", "scope": "down_proj", "sparsity": 0.5, "seed": 0}


def table(**changed):
    """Two blocks of two predictions among four tokens, each a guess, as written into a file."""
    sums = {"nll_nats": 2 * math.log(4), "kl_nats": 0.0, "entropy_nats": 0.0, "top1": 2}
    blocks = pd.DataFrame({"block": [0, 1], "predictions": 2, **sums})
    for name, value in changed.items():
        blocks.loc[1, name] = value
    return name_rows(blocks, RUN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nll_nats", math.nan),
        ("nll_nats", math.inf),
        ("nll_nats", -0.1),
        ("kl_nats", -0.1),
        ("entropy_nats", math.inf),
    ],
)
def test_a_number_that_no_evaluation_gives_is_refused_with_its_run_and_block(name, value):
    with pytest.raises(ValueError) as refused:
        evaluate.check_blocks(table(**{name: value}))
    assert str(refused.value) == (
        f"TOP-50 down_proj 0.5 0 has {name} {value} in block 1 on held-out text: allowed are "
        f"finite numbers, zero or more"
    )


def test_sound_blocks_are_returned_those_a_rounding_below_zero_too():
    sound = table(kl_nats=-1e-4)
    assert evaluate.check_blocks(sound) is sound


def test_a_model_that_predicts_worse_than_a_guess_is_refused_where_that_is_not_allowed():
    guess, worse = table(), table(nll_nats=2 * math.log(4) + 0.1)
    evaluate.check_guessing(guess, 5, "refuse")
    evaluate.check_guessing(worse, 4, "allow")
    with pytest.raises(ValueError, match=r"perplexity 4.10126 on held-out text, worse than a gu"):
        evaluate.check_guessing(worse, 4, "refuse")


def test_a_baseline_is_named_by_what_it_has():
    dense = name_rows(pd.DataFrame({"block": [0]}), name_baseline("DENSE"))
    assert evaluate.name_evaluation(dense.iloc[0]) == "DENSE"
