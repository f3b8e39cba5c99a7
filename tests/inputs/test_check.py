"""What is wrong with a file is said in one sentence; tests/test_damage.py damages many."""

import pandas as pd
import pytest

from spon.inputs import check

TABLE = pd.DataFrame({"allocation": ["TOP-50", "TOP-50"], "seed": [0, 0], "nll": [2.0, 3.0]})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


def test_a_table_is_read_as_it_was_written(path):
    TABLE.to_csv(path, index=False)
    pd.testing.assert_frame_equal(check.read_table(path, ["seed"]), TABLE)


def test_a_table_may_have_no_rows_where_there_may_be_none(path):
    TABLE.iloc[:0].to_csv(path, index=False)
    assert list(check.read_table(path, is_filled=False).columns) == list(TABLE.columns)
    with pytest.raises(ValueError, match=f"^{path} has no rows: mend it if .* else delete it"):
        check.read_table(path)


def test_a_line_that_is_cut_off_is_noticed_though_it_can_be_read(path):
    path.write_text("site,threshold\na,0.25\nb,0.125")
    with pytest.raises(ValueError, match="ends within a line"):
        check.read_table(path)


def test_whatever_a_library_says_is_one_sentence_that_names_the_file(path):
    sentence = rf"^{path} cannot be read \(KeyError: 'a'\): mend it if "
    with pytest.raises(ValueError, match=sentence), check.reading(path):
        raise KeyError("a")
    with pytest.raises(FileNotFoundError), check.reading(path):
        path.read_text()


def test_a_number_out_of_range_is_named_with_its_row(path):
    check.check_numbers(TABLE, path, ["nll"], 2, 3)
    with pytest.raises(ValueError, match="has 3.0 as nll in row 2, allowed is .* from 0 to 2.5"):
        check.check_numbers(TABLE, path, ["nll"], 0, 2.5)


def test_another_runs_table_is_named(path):
    check.check_names(TABLE, path, {"allocation": "TOP-50", "seed": "0", "scope": "down_proj"})
    with pytest.raises(ValueError, match="is of seed 0, and not of seed 1"):
        check.check_names(TABLE, path, {"seed": 1})
    with pytest.raises(ValueError, match="two rows of allocation TOP-50, seed 0"):
        check.check_rows(TABLE, path, ["allocation", "seed"])


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        (0.5, "0.5", True),
        ("0.50", 0.5, True),
        (0.5, 0.6, False),
        (pd.NA, None, True),
        ("", None, True),
        (0, None, False),
        ("TOP-50", "TOP-50", True),
    ],
)
def test_names_are_the_same_as_text_or_as_numbers(value, expected, same):
    assert check.is_same(value, expected) is same


def test_what_json_has_under_nested_keys_is_read_or_the_key_is_named(path):
    path.write_text('{"shape": {"layers": 2}}')
    assert check.read_json(path, "shape", "layers") == 2
    with pytest.raises(ValueError, match="lacks the key 'width'"):
        check.read_json(path, "shape", "width")
