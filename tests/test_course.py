import dataclasses
import random

import pytest
import small_recipe
import torch

from spon import course, divergence, resume, schedule, sparsify, train
from spon.biases import write_biases

SITES = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]
PLATEAU = {"improvement": 0.01, "cuts": 2, "factor": 0.5}
RECIPE = dataclasses.replace(small_recipe.RECIPE, epochs=4, plateau=PLATEAU)
# What a training calls, and may be stopped in.
CALLED = [
    (divergence, "kl_to_dense"),
    (torch.optim.AdamW, "step"),
    (schedule.Average, "add"),
    (schedule.Best, "see"),
    (schedule.Rate, "advance"),
    (resume, "write"),
    (resume.os, "fsync"),
]


class Killed(Exception):
    """What leaves a training without a save, as a kill does."""


def learn(network, tokens, recipe, folder, state=resume.UNSAVED):
    """The bytes of what a training gives."""
    masks = sparsify.make_sparsifiers(
        network, dict.fromkeys(SITES, 0.1), "threshold", sparsity=0.5, dense_share=0.0
    )
    biases, curve = train.learn_biases(network, tokens, masks, SITES, recipe, 0, state=state)
    write_biases(biases, folder / "biases.safetensors", "{}")
    course.write_curve(curve, folder / "curve.csv", {})
    return [(folder / name).read_bytes() for name in ("biases.safetensors", "curve.csv")]


def stop_in(patch, where, name, calls, error):
    """Raise an error in one of the next calls of a function."""
    called, made = getattr(where, name), []

    def run(*arguments, **options):
        made.append(1)
        if len(made) == calls:
            raise error
        return called(*arguments, **options)

    patch.setattr(where, name, run)


@pytest.mark.parametrize(
    ("name", "parametrisation", "order"),
    [
        ("plateau", "bias", "random"),
        ("plateau", "alpha", "first"),
        ("cosine", "bias", "first"),
        ("cosine", "alpha", "random"),
        ("constant", "bias", "random"),
        ("constant", "alpha", "random"),
    ],
)
def test_a_training_that_is_stopped_anywhere_and_goes_on_gives_the_same_bytes(
    network, tokens, tmp_path, monkeypatch, name, parametrisation, order
):
    monkeypatch.setattr(resume, "SECONDS", 0.0)  # a snapshot after every step
    chance, stops = random.Random(f"{name} {parametrisation}"), 0
    recipe = dataclasses.replace(
        RECIPE, schedule=name, parametrisation=parametrisation, order=order
    )
    whole = learn(network, tokens, recipe, tmp_path)
    for where, function in CALLED:
        state = resume.State(tmp_path / "state", {}, print)
        error = chance.choice([Killed, KeyboardInterrupt])
        with monkeypatch.context() as patch:
            stop_in(patch, where, function, chance.randint(1, 5), error)
            try:
                learn(network, tokens, recipe, tmp_path, state)
            except error:
                stops += 1
        assert learn(network, tokens, recipe, tmp_path, state) == whole
        state.remove()
    assert stops >= 6


def test_a_training_goes_on_after_the_last_step_that_was_saved(
    network, tokens, tmp_path, monkeypatch
):
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    said = []
    state = resume.State(tmp_path / "state", {}, said.append)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_in(patch, torch.optim.AdamW, "step", 6, Killed)
        learn(network, tokens, RECIPE, tmp_path, state)
    steps = []
    monkeypatch.setattr(schedule.Average, "add", lambda self, learned: steps.append(1))
    learn(network, tokens, RECIPE, tmp_path, state)
    assert said == ["goes on from step 5 of 8, where it was stopped"]
    assert len(steps) == 8 - 5


def test_between_two_measurements_a_training_that_is_told_to_stop_saves_its_last_whole_step(
    network, tokens, tmp_path, monkeypatch
):
    said = []
    state = resume.State(tmp_path / "state", {}, said.append)  # a snapshot after a minute
    # The fourth KL is that of the third step, behind one of no biases.
    for where, function, saved in (
        (divergence, "kl_to_dense", True),
        (torch.optim.AdamW, "step", False),
    ):
        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            stop_in(patch, where, function, 4, SystemExit)
            learn(network, tokens, RECIPE, tmp_path, state)
        assert state.path.exists() is saved
        if saved:
            state.load()
            assert said == ["goes on from step 2 of 8, where it was stopped"]
        state.remove()


def break_in(patch, call, factor):
    """Multiply the KL of one call."""
    diverge, made = divergence.kl_to_dense, []

    def run(*arguments):
        made.append(1)
        return diverge(*arguments) * (factor if len(made) == call else 1)

    patch.setattr(divergence, "kl_to_dense", run)


# The first KL is without biases, the fifth that which is measured after the third step.
@pytest.mark.parametrize(
    ("call", "factor", "what"),
    [
        (3, float("nan"), "after step 2 its KL is nan"),
        (3, float("inf"), "after step 2 its KL is inf"),
        (4, 1e38, "after step 3 its gradient norm is inf"),
        (5, float("nan"), "after step 3 its held-out KL is nan"),
    ],
)
def test_a_training_that_diverges_names_the_step_and_the_rate(
    network, tokens, tmp_path, monkeypatch, call, factor, what
):
    break_in(monkeypatch, call, factor)
    sentence = f"the training has diverged: {what}; lower train.learning_rate, which is 0.01"
    with pytest.raises(ValueError, match=sentence):
        learn(network, tokens, RECIPE, tmp_path)


def test_a_sparse_model_whose_kl_is_not_finite_is_not_trained(
    network, tokens, tmp_path, monkeypatch
):
    break_in(monkeypatch, 1, float("nan"))
    with pytest.raises(ValueError, match="KL of the sparse model without biases is nan"):
        learn(network, tokens, RECIPE, tmp_path)


@pytest.mark.parametrize("name", ["plateau", "constant"])
def test_a_training_that_ends_worse_than_it_began_is_marked(network, tokens, tmp_path, name):
    """On a plateau it would give the zeros that it began with."""
    recipe = dataclasses.replace(RECIPE, schedule=name, learning_rate=1e3)
    learn(network, tokens, recipe, tmp_path)
    assert (tmp_path / "curve.csv").read_text().endswith(",worse\n")


def test_a_warning_is_about_a_training_that_ended_worse_than_it_began():
    row = dict.fromkeys(course.CURVE)
    curve = [row | {"held_out_kl": 0.005}, row | {"step": 12, "held_out_kl": 0.68, "event": ""}]
    assert course.warn(curve) is None
    curve[-1]["event"] = schedule.WORSE
    assert course.warn(curve) == (
        "the training ended worse than it began: its held-out KL went from 0.005 to 0.68 nats per "
        "token in 12 steps"
    )


def test_blocks_of_a_training_are_counted_once_for_each_time_that_a_step_is_on_them():
    recipe = dataclasses.replace(RECIPE, blocks=5, batch_blocks=2)  # steps on 2, 2 and 1 blocks
    one = course.Course({"site": torch.zeros(1, requires_grad=True)}, recipe)
    counts = []
    for step in range(5):
        one.add_row(step, 0)
        counts.append(one.count_blocks())
    assert counts == [0, 2, 4, 5, 7]


def test_a_training_that_converged_and_ended_worse_than_it_began_is_marked_as_both(
    network, tokens, tmp_path
):
    recipe = dataclasses.replace(RECIPE, schedule="plateau", learning_rate=1e3, measure_every=2)
    learn(network, tokens, recipe, tmp_path)
    assert (tmp_path / "curve.csv").read_text().endswith(",converged and worse\n")
