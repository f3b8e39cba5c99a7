"""`spon export`: what it writes and says."""

import pytest
from export.small_run import make_model, make_run, write_study

from spon.command import main


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path, make_run(make_model(tmp_path / "model")))


def test_it_says_how_far_the_written_model_is_off(tmp_path, folder, capsys):
    assert main(["export", str(folder), str(tmp_path / "folded")]) == 0
    said = capsys.readouterr().out
    assert "logits differ from the run's by at most 0 with biases" in said
    assert "over 32 tokens" in said  # two blocks of sixteen of the study's own text
    card = (tmp_path / "folded/README.md").read_text()
    assert "evaluated by job 0123456789abcdef" in card
    assert "not known to the study" in card


def test_it_writes_what_belongs_beside_a_model(tmp_path, folder, capsys):
    arguments = ["--beside", "--license", "mit"]
    assert main(["export", str(folder), str(tmp_path / "beside"), *arguments]) == 0
    assert "spon.attach(model, '" in capsys.readouterr().out
    assert "license: mit" in (tmp_path / "beside/README.md").read_text()


def test_a_suffix_asks_for_a_gguf_file(tmp_path, folder, capsys):
    assert main(["export", str(folder), str(tmp_path / "model.gguf")]) == 0
    assert (tmp_path / "model.gguf").read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["results", "new"], "'"),
        (
            ["results/small/ALL/s0.5/seed0", "no/such/place"],
            "DIR is 'no/such/place', and 'no/such'",
        ),
        (["results/small/ALL/s0.5/seed0", "no/a.gguf"], "DIR is 'no/a.gguf', and 'no' is no fol"),
        (["results/small/ALL/s0.5/seed0", "model"], "DIR is 'model', which exists"),
        (["results/small/ALL/s0.5/seed0", "a.gguf", "--beside"], "--beside writes no model"),
        (["results/small/ALL/s0.5/seed0", "a", "--beside", "--dtype", "bfloat16"], "--beside wr"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, folder, capsys, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"spon export: {sentence}")
    assert error.count("\n") == 1
