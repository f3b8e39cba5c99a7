"""`spon demo`: what it refuses; what it shows is tested beside it."""

import pytest

from spon.command import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["x", "--tokens", "1"], "--tokens is 1: allowed is 2 or more"),
        (["x", "--threads", "0"], "--threads is 0: allowed is 1 or more"),
        (["x"], "is no folder: allowed are a run's folder"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("spon demo: ")
    assert sentence in error
    assert error.count("\n") == 1
