import pytest
import torch
from transformers import LlamaConfig

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


def train(state, schedule=SCHEDULE):
    return pretrain.pretrain(
        config(), STREAM, HELD_OUT, schedule, seed=0, state=state, device="cpu"
    )


def test_the_learning_rate_warms_up_linearly_and_falls_to_a_tenth():
    rates = [SCHEDULE.rate(step) for step in range(SCHEDULE.steps)]
    assert SCHEDULE.steps == 10
    assert rates[:2] == [pytest.approx(5e-3), pytest.approx(1e-2)]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert SCHEDULE.rate(SCHEDULE.steps) == pytest.approx(1e-3)


def test_training_learns_what_can_be_learned(tmp_path):
    _, curve = train(tmp_path / "state")
    assert curve["held_out_nats_per_token"].iloc[-1] < curve["held_out_nats_per_token"].iloc[0]
    assert curve["step"].tolist() == [4, 8, 10]


def test_a_stopped_training_goes_on_as_if_it_had_not_been_stopped(tmp_path, monkeypatch):
    whole, whole_curve = train(tmp_path / "whole")
    take_step = pretrain.take_step
    taken = []

    def take_five(*arguments):
        taken.append(1)
        if len(taken) > 5:
            raise KeyboardInterrupt
        return take_step(*arguments)

    monkeypatch.setattr(pretrain, "take_step", take_five)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "part")
    monkeypatch.setattr(pretrain, "take_step", take_step)
    resumed, curve = train(tmp_path / "part")
    for weight, resumed_weight in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(weight, resumed_weight)
    assert curve["step"].tolist() == whole_curve["step"].tolist()


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


def test_a_training_does_not_go_on_from_the_state_of_another(tmp_path):
    first, _ = train(tmp_path / "state")
    faster = pretrain.Schedule(**{**vars(SCHEDULE), "learning_rate": 2e-2})
    second, curve = train(tmp_path / "state", faster)
    assert curve["step"].tolist() == [4, 8, 10]
    assert not next(first.parameters()).equal(next(second.parameters()))
