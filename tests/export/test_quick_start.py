"""The quick start of the README runs as it stands, on a small run and on the published one."""

import re
from pathlib import Path

import pytest
import torch
from export.small_run import make_model, make_run, write_study

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().split("\n## Use a run elsewhere\n")[1].split("\n## ")[0]
(QUICK_START,) = re.findall(r"```python\n(.*?)```", SECTION, re.S)
RUN, MODEL = re.findall(r'"((?:results|resources)/\S+)"', QUICK_START)


def execute(code):
    """Run the quick start, and return its names, with what both models predict behind them."""
    names = {}
    exec(code, names)
    with torch.inference_mode():
        logits = [names[model](**names["prompt"]).logits for model in ("sparse", "dense")]
    return names, logits


def test_it_is_ten_lines():
    assert sum(bool(line) for line in QUICK_START.splitlines()) == 10


def test_it_runs_on_a_small_run(tmp_path, capsys):
    model = make_model(tmp_path / "model")
    run = write_study(tmp_path, make_run(model))
    code = QUICK_START.replace(RUN, str(run)).replace(MODEL, str(model))
    names, (sparse, dense) = execute(code)
    assert names["dense"].sparsified_by == names["sparse"].sparsified_by
    torch.testing.assert_close(dense, sparse)
    written = capsys.readouterr().out.split(
        names["tokenizer"].decode(names["prompt"].input_ids[0])
    )
    assert written[0] == "" and len(written) == 4
    assert written[3] == written[1]


@pytest.mark.skipif(
    not (ROOT / RUN).is_dir(), reason="the default study is not here: `make pull` fetches it"
)
def test_it_runs_on_the_published_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    _, (sparse, dense) = execute(QUICK_START)
    torch.testing.assert_close(dense, sparse)
