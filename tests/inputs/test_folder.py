import shutil

import pytest

from spon.inputs.folder import gathered, name_weights
from tests.conftest import TINY


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ("[1]", "holds no JSON object"),
        ('{"weight_map": 3}', "is no index: it lacks a weight_map"),
        ('{"weight_map": {"a": "../a.safetensors"}}', "names '../a.safetensors': allowed are"),
        ('{"weight_map": {"a": "b.safetensors"}}', "delete the one that is not meant"),
        ("{", "is no JSON"),
    ],
)
def test_an_index_that_says_something_else_is_refused(tmp_path, index, sentence):
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=sentence):
        name_weights(tmp_path)


def test_a_reader_finds_the_files_that_are_listed_and_no_others(tmp_path):
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    (tmp_path / "own.py").write_text("raise SystemExit")
    with gathered(tmp_path, ["config.json"]) as folder:
        assert [path.name for path in folder.iterdir()] == ["config.json"]
        assert (folder / "config.json").read_bytes() == (TINY / "config.json").read_bytes()
    assert not folder.exists()
