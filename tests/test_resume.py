import pickle
from pathlib import Path

import pytest
import torch

from spon import job, resume

SNAPSHOT = resume.Snapshot(
    "step 3 of 9",
    {"learned.site": torch.tensor([0.1, -1e-30]), "steps": torch.tensor(3.0)},
    {"curve": [{"step": 0, "held_out_kl": 0.1 + 0.2, "event": ""}], "lowest": float("inf")},
)
IDENTITY = {"code": "ab", "seed": 0}


@pytest.fixture
def said():
    return []


@pytest.fixture
def state(tmp_path, said):
    return resume.State(tmp_path / "study/run.safetensors", IDENTITY, said.append)


def assert_same(loaded, snapshot=SNAPSHOT):
    assert (loaded.place, loaded.facts) == (snapshot.place, snapshot.facts)
    assert loaded.tensors.keys() == snapshot.tensors.keys()
    assert all(value.equal(loaded.tensors[name]) for name, value in snapshot.tensors.items())


def test_a_snapshot_is_loaded_as_it_was_saved(state, said):
    assert state.load() is None
    state.save(SNAPSHOT)
    assert_same(state.load())
    assert said == ["goes on from step 3 of 9, where it was stopped"]
    state.remove()
    assert state.load() is None


@pytest.mark.parametrize(
    ("identity", "named"),
    [({"code": "ac", "seed": 0}, "code"), ({"code": "ab"}, "seed"), ({}, "code, seed")],
)
def test_a_snapshot_of_another_computation_is_discarded_with_what_differs(
    state, said, identity, named
):
    state.save(SNAPSHOT)
    other = resume.State(state.path, identity, said.append)
    assert other.load() is None
    assert said == [
        f"begins anew: '{state.path}' is of another computation (it differs in {named})"
    ]
    assert not state.path.exists()


def test_a_damaged_file_is_discarded_wherever_it_is_cut_or_changed(state, said):
    state.save(SNAPSHOT)
    whole = state.path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 7)]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    damaged += [bytes(len(whole)), bytes(40_000), whole + b"\0"]
    for content in damaged:
        state.path.write_bytes(content)
        said.clear()
        loaded = state.load()
        if loaded:  # a change of what means nothing
            assert_same(loaded)
        else:
            (sentence,) = said
            assert sentence.startswith(f"begins anew: '{state.path}' is damaged (")
            assert not state.path.exists()
    assert len(damaged) > 400


class Harmful:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_a_pickle_is_not_opened(state, said):
    state.path.parent.mkdir()
    state.path.write_bytes(pickle.dumps(Harmful()))
    assert state.load() is None
    assert "is damaged" in said[0]


def test_what_a_killed_save_leaves_is_not_loaded_and_the_last_snapshot_stays(state, monkeypatch):
    state.save(SNAPSHOT)
    later = SNAPSHOT._replace(place="step 4 of 9")

    def die(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(resume.os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        state.save(later)
    assert state.path.with_suffix(".partial").exists()
    assert_same(state.load())
    state.remove()
    assert not list(state.path.parent.iterdir())


def test_a_snapshot_is_taken_only_when_it_is_time(state, monkeypatch):
    now = [state.due - 1]
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    taken = []

    def take():
        taken.append(now[0])
        return SNAPSHOT

    for seconds in (0, 2, 30, 28.5, 2):  # due after 1; then 60 after that
        now[0] += seconds
        state.offer(take)
    assert len(taken) == 2
    assert taken[1] - taken[0] == 60.5


def test_a_computation_that_is_asked_to_stop_saves_and_ends_at_its_next_offer(state):
    state.offer(pytest.fail)
    state.stop()
    with pytest.raises(InterruptedError, match="stopped, and saved how far it is"):
        state.offer(lambda: SNAPSHOT)
    assert_same(state.load())


def test_a_computation_that_is_told_to_stop_is_saved_and_one_that_fails_is_not(state):
    for error, snapshot, saved in (
        (KeyboardInterrupt, SNAPSHOT, True),
        (SystemExit, SNAPSHOT, True),
        (KeyboardInterrupt, None, False),  # amid a step
        (ValueError, SNAPSHOT, False),
    ):
        with (
            pytest.raises(error),
            state.saved_when_stopped(lambda snapshot=snapshot: snapshot),
        ):
            raise error
        assert state.path.exists() is saved
        state.remove()


def test_a_disk_that_takes_nothing_ends_no_computation_and_is_said_once(tmp_path, said):
    (tmp_path / "file").touch()
    state = resume.State(tmp_path / "file/run.safetensors", IDENTITY, said.append)
    for _ in range(2):
        state.save(SNAPSHOT)
    (sentence,) = said
    assert sentence.startswith("how far it is cannot be saved, so a stop would lose it: ")
    assert str(tmp_path / "file") in sentence


def test_without_a_state_nothing_is_saved_or_loaded():
    assert resume.UNSAVED.load() is None
    resume.UNSAVED.offer(pytest.fail)
    with pytest.raises(KeyboardInterrupt), resume.UNSAVED.saved_when_stopped(pytest.fail):
        raise KeyboardInterrupt


def test_a_job_has_a_state_of_its_own_beside_the_files_of_snakemake():
    run = {"allocation": "TOP-50", "sparsity": "0.5", "seed": "0"}
    made_by = {"study": "tiny", "rule": "train_spon", "job": "ab12"} | run
    folder = Path(".snakemake/unfinished")
    name = "train_spon TOP-50 0.5 0.safetensors"
    assert job.name_state(made_by, Path()) == folder / "tiny" / name
    assert job.name_state(made_by, Path("sub/b")) == folder / f"tiny/sub b {name}"
    assert job.name_state({"rule": "pretrain_model", "job": "ab12"}, Path()) == (
        folder / "pretrain_model.safetensors"
    )
