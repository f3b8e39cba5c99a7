import dataclasses

import pytest
import torch
from transformers import LlamaConfig

from spon import resume
from spon.inputs import pretrain

SCHEDULE = pretrain.Schedule(
    tokens=320,
    sequence_length=8,
    batch_sequences=4,
    learning_rate=1e-2,
    warmup_steps=2,
    weight_decay=0.1,
    evaluate_every=4,
)
STREAM = torch.arange(400) % 10  # what follows is certain
HELD_OUT = STREAM[:64].view(8, 8)


def config():
    return LlamaConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )


def train(state=resume.UNSAVED):
    return pretrain.pretrain(
        config(), STREAM, HELD_OUT, SCHEDULE, seed=0, state=state, device="cpu"
    )


def test_the_learning_rate_warms_up_linearly_and_falls_to_a_tenth():
    rates = [SCHEDULE.rate(step) for step in range(SCHEDULE.steps)]
    assert SCHEDULE.steps == 10
    assert rates[:2] == [pytest.approx(5e-3), pytest.approx(1e-2)]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert SCHEDULE.rate(SCHEDULE.steps) == pytest.approx(1e-3)


def test_training_learns_what_can_be_learned():
    _, curve = train()
    assert curve["held_out_nats_per_token"].iloc[-1] < curve["held_out_nats_per_token"].iloc[0]
    assert curve["step"].tolist() == [4, 8, 10]


def test_a_training_that_diverges_ends_where_its_loss_is_measured_and_one_weight_is_enough():
    model, _ = train()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    sentence = r"has diverged: its loss on held-out text is nan .*lower pretrain.*learning_rate"
    with pytest.raises(ValueError, match=sentence):
        pretrain.measure_loss(model, HELD_OUT)
    with pytest.raises(ValueError, match=sentence):
        pretrain.describe_training(model, HELD_OUT, SCHEDULE, seed=0)
    rate = dataclasses.replace(SCHEDULE, learning_rate=float("inf"))
    with pytest.raises(ValueError, match=sentence):
        pretrain.pretrain(config(), STREAM, HELD_OUT, rate, 0, resume.UNSAVED, "cpu")


@pytest.mark.parametrize("steps", [0, 3, 5, 9])
def test_a_training_that_is_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch, steps):
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    whole, whole_curve = train()
    take_step, taken = pretrain.take_step, []

    def take_some(*arguments):
        taken.append(1)
        if len(taken) > steps:
            raise KeyboardInterrupt
        return take_step(*arguments)

    state = resume.State(tmp_path / "state", {}, print)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain, "take_step", take_some)
        train(state)
    counted = []
    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "take_step", lambda *a: counted.append(1) or take_step(*a))
        resumed, curve = train(state)
    assert len(counted) == SCHEDULE.steps - steps
    for weight, resumed_weight in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert weight.equal(resumed_weight)
    assert curve.equals(whole_curve)


def test_an_epoch_sees_every_piece_of_the_text_once():
    stream = torch.arange(8 * 9)  # nine pieces, eight of which fit behind any offset
    batches = [pretrain.take_batch(stream, SCHEDULE, seed=0, step=step) for step in (0, 1)]
    starts = torch.cat(batches)[:, 0]
    assert len(starts.unique()) == 8
    assert (starts % 8).unique().numel() == 1
    assert not pretrain.take_batch(stream, SCHEDULE, 0, 2).equal(batches[0]), (
        "the next epoch has another order"
    )


def test_a_tokenizer_gives_back_the_text_and_ends_documents_with_one_token():
    tokenizer = pretrain.train_tokenizer(["aaab aaab", "aaab"] * 10, vocabulary=260)
    ids = tokenizer("aaab" + pretrain.END + "x\n")["input_ids"]
    assert tokenizer.decode(ids) == "aaab" + pretrain.END + "x\n"
    assert ids.count(tokenizer.eos_token_id) == 1
    assert len(tokenizer) == 260
