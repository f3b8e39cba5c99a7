import errno
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from spon import failures


def explain(error: Exception, inputs=(), outputs=("results/a.csv",)) -> str:
    return failures.explain(error, "logs/a.log", inputs, outputs)


def test_a_mistake_is_its_own_sentence_and_another_error_names_the_log():
    assert explain(ValueError("blocks is 0:\n 1 or more")) == "blocks is 0: 1 or more"
    assert explain(KeyError("x")) == "KeyError: 'x' (traceback in logs/a.log)"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("IoError(Os { code: 28, kind: StorageFull })"),
    ],
)
def test_a_full_disk_is_called_so_with_what_should_be_written_there(error, monkeypatch):
    assert explain(error).startswith("no space is left on the disk of 'results/a.csv' (")
    free = {"results": 5, "logs": 3}
    monkeypatch.setattr(
        failures, "disk_usage", lambda place: SimpleNamespace(free=free.get(place.name, 9))
    )
    monkeypatch.setattr(failures, "find_place", lambda path: path.parent)
    assert explain(error).startswith("no space is left on the disk of 'logs/a.log' (")


def test_the_error_of_a_truncated_file_names_the_file(tmp_path):
    whole, biases, table = (
        str(tmp_path / name) for name in ("whole.safetensors", "cut.safetensors", "cut.parquet")
    )
    save_file({"a": np.zeros(100)}, whole)
    save_file({"a": np.zeros(100)}, biases)
    pd.DataFrame({"a": np.zeros(100)}).to_parquet(table)
    for path, read in ((biases, load_file), (table, pd.read_parquet)):
        Path(path).write_bytes(Path(path).read_bytes()[:-20])
        with pytest.raises(Exception) as caught:
            read(path)
        sentence = explain(caught.value, [whole, "results/a.csv", path])
        assert sentence.startswith(f"'{path}' cannot be read, it is damaged: ")


def test_where_nothing_can_be_written_is_named_before_anything_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures.check_writable(["results/a/b.csv"])
    Path("results").touch()
    with pytest.raises(ValueError, match="^'results' is a file"):
        failures.check_writable(["logs/a.log", "results/a/b.csv"])
    Path("results").unlink()
    Path("results").symlink_to("nowhere")
    with pytest.raises(ValueError, match="^'results' is a link to nothing"):
        failures.check_writable(["results/a/b.csv"])


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    # Not by chmod: root may write anywhere.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "os.access", lambda folder, _: folder != tmp_path
    )  # root may write anywhere
    with pytest.raises(ValueError, match="^'.' is read-only"):
        failures.check_writable(["results/a/b.csv"])
