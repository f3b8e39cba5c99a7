"""Rows of files, one by one."""

import gzip
import json

import pyarrow
import pytest
from pyarrow import parquet

from spon.inputs.rows import Lacking, name_format, read_rows


def test_the_suffix_before_that_of_a_compression_names_the_format():
    names = ["a.txt", "a.b.jsonl.gz", "d.x/a.tsv.xz", "a.parquet", "a.gz", "a.pkl", "txt"]
    forms = ["text", "json", "csv", "parquet", None, None, None]
    assert list(map(name_format, names)) == forms


def test_no_more_of_a_file_is_read_than_its_first_rows_need(tmp_path):
    lines, objects = tmp_path / "e.txt.gz", tmp_path / "e.jsonl"
    whole = gzip.compress(b"".join(b"%d\n" % number for number in range(200_000)))
    lines.write_bytes(whole[: len(whole) // 2])  # broken, but not at its start
    rows = read_rows(str(lines), "text", "text")
    assert [next(rows), next(rows)] == ["0", "1"]
    with pytest.raises(ValueError, match="e.txt.gz cannot be read to its end, it is broken"):
        list(rows)
    objects.write_text('{"text": 1}\n{')
    assert next(read_rows(str(objects), "json", "text")) == 1


def test_values_of_json_are_as_they_are_and_a_row_without_the_field_names_its_fields(tmp_path):
    rows = [{"text": None}, {"text": ["a"]}, {"a": 1, "b": 2}, {}]
    file = tmp_path / "e.json"
    file.write_text(json.dumps(rows))
    read = list(read_rows(str(file), "json", "text"))
    assert read == [None, ["a"], Lacking(("a", "b")), Lacking(())]


def test_rows_of_parquet_come_in_order_over_row_groups_and_batches(tmp_path):
    texts = [None if number % 7 == 0 else str(number) for number in range(5000)]
    table = pyarrow.table({"other": range(5000), "a.b": texts})
    parquet.write_table(table, tmp_path / "e.parquet", row_group_size=1500)
    assert list(read_rows(str(tmp_path / "e.parquet"), "parquet", "a.b")) == texts
