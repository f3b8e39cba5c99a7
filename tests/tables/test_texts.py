import pandas as pd
import pytest

from spon.inputs.check import FileError
from spon.tables.texts import compare_texts


def write(path, seed, recovery):
    row = {"allocation": "TOP-50", "seed": seed, "seeds": 1, "recovery_percent": recovery}
    pd.DataFrame([row, row | {"seed": pd.NA, "seeds": 2}]).to_csv(path, index=False)
    return path


def test_the_rows_of_every_text_stand_behind_its_name(tmp_path):
    paths = [write(tmp_path / "a.csv", 0, 12.5), write(tmp_path / "b.csv", 0, 7.5)]
    table = compare_texts(paths, ["evaluation", "reference"])
    assert list(table.columns)[:2] == ["text", "allocation"]
    assert table["text"].tolist() == ["evaluation"] * 2 + ["reference"] * 2
    assert table["recovery_percent"].tolist() == [12.5, 12.5, 7.5, 7.5]
    table.to_csv(tmp_path / "texts.csv", index=False)
    assert ",0,1," in (tmp_path / "texts.csv").read_text()  # a seed is a whole number


def test_a_table_that_was_cut_off_is_named(tmp_path):
    path = write(tmp_path / "a.csv", 0, 12.5)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(FileError, match=r"a\.csv ends within a line"):
        compare_texts([path], ["evaluation"])
