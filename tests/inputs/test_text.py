"""Text files as people have them: each is read rightly, or refused in one sentence."""

import bz2
import gzip
import hashlib
import json
import lzma
import os

import datasets
import pyarrow
import pytest
from pyarrow import ipc, parquet
from small_text import settings, write

from spon.inputs.files import find_files
from spon.inputs.text import look, read_documents

LINES = ["one", "", " zwei ä", "drei"]
PLAIN = "one\n\n zwei ä\ndrei\n"
ROWS = [{"id": number, "text": line} for number, line in enumerate(LINES)]
JSON = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = 'id,text\n0,one\n1,\n2," zwei ä"\n3,drei\n'


def parquet_bytes(values, type_=None):
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"text": pyarrow.array(values, type_)}), sink)
    return sink.getvalue().to_pybytes()


def arrow_bytes(values, new=ipc.new_stream, type_=None):
    sink = pyarrow.BufferOutputStream()
    table = pyarrow.table({"id": range(len(values)), "text": pyarrow.array(values, type_)})
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


# A data set on disk has an Arrow type of strings whose bytes nobody has checked.
NOT_UTF8 = pyarrow.array([b"one", b"\xff"]).cast(pyarrow.string(), safe=False)
DICTIONARY = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())

READ = {
    "lines": ("text", "e.txt", PLAIN),
    "no line end at the end": ("text", "e.txt", PLAIN.rstrip()),
    "lines of Windows": ("text", "e.txt", PLAIN.replace("\n", "\r\n")),
    "lines of old Macs": ("text", "e.txt", PLAIN.replace("\n", "\r")),
    "text with a byte order mark": ("text", "e.txt", PLAIN.encode("utf-8-sig")),
    "text, gzip": ("text", "e.txt.gz", gzip.compress(PLAIN.encode())),
    "text, bzip2": ("text", "e.txt.bz2", bz2.compress(PLAIN.encode())),
    "text, xz": ("text", "e.txt.xz", lzma.compress(PLAIN.encode())),
    "name with brackets": ("text", "e[1].txt", PLAIN),
    "name with a space, an umlaut and braces": ("text", "mein Täxt {a}.txt", PLAIN),
    "JSON lines": ("json", "e.jsonl", JSON),
    "JSON with a byte order mark": ("json", "e.jsonl", JSON.encode("utf-8-sig")),
    "JSON with blank lines": ("json", "e.jsonl", "\n" + JSON.replace("\n", "\r\n \r\n")),
    "JSON, not escaped": ("json", "e", json.dumps(ROWS[0]) + "\n" + JSON.split("\n", 1)[1]),
    "JSON, an array": ("json", "e.json", json.dumps(ROWS)),
    "JSON, an indented array": ("json", "e.json", "\n" + json.dumps(ROWS, indent=1) + "\n"),
    "JSON, an array of one line per item": (
        "json",
        "e.json",
        "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    ),
    "JSON, gzip": ("json", "e.jsonl.gz", gzip.compress(JSON.encode())),
    "CSV": ("csv", "e.csv", CSV),
    "CSV with a byte order mark": ("csv", "e.csv", CSV.encode("utf-8-sig")),
    "CSV, gzip, lines of Windows": (
        "csv",
        "e.csv.gz",
        gzip.compress(CSV.replace("\n", "\r\n").encode()),
    ),
    "TSV": ("csv", "e.tsv", CSV.replace(",", "\t")),
    "parquet": ("parquet", "e.parquet", parquet_bytes(LINES)),
    "parquet, a dictionary": ("parquet", "e.parquet", parquet_bytes(LINES, DICTIONARY)),
    "parquet, large strings": (
        "parquet",
        "e.parquet",
        parquet_bytes(LINES, pyarrow.large_string()),
    ),
    "Arrow, a stream": ("arrow", "e.arrow", arrow_bytes(LINES)),
    "Arrow, a file": ("arrow", "e.arrow", arrow_bytes(LINES, ipc.new_file)),
}
# The rows as they are, where these are not LINES.
OTHER_ROWS = {
    "blank lines alone": ("text", "e.txt", "\n \n", ["", " "]),
    "a line separator of Unicode": ("text", "e.txt", "a\u2028b\x0cc\nd", ["a\u2028b\x0cc", "d"]),
    "CSV that looks like numbers and null": (
        "csv",
        "e.csv",
        'text\n007\nNA\nnull\n""\n1e5\n',
        ["007", "NA", "null", "", "1e5"],
    ),
    "CSV with lines in a value": ("csv", "e.csv", 'text\n"a\n""b"",c"\n', ['a\n"b",c']),
    "CSV with a long value": ("csv", "e.csv", f"text\n{'a' * 200_000}\n", ["a" * 200_000]),
    "JSON that looks like dates": ("json", "e.jsonl", '{"text": "2024-01-01"}', ["2024-01-01"]),
    "JSON with a pair of surrogates": ("json", "e.jsonl", r'{"text": "\ud83d\ude00"}', ["😀"]),
}
LATE = JSON * 10
REFUSED = {
    "latin-1": (
        "text",
        "e.txt",
        PLAIN.encode("latin-1"),
        r"row 3: is not UTF-8 \(byte 12 is 0xe4",
    ),
    "latin-1, late": (
        "text",
        "e.txt",
        (PLAIN * 9999).encode() + b"\xe9",
        "row 39997: is not UTF-8",
    ),
    "UTF-16": ("text", "e.txt", PLAIN.encode("utf-16"), "e.txt is UTF-16: save it as UTF-8"),
    "UTF-16 without a mark": (
        "text",
        "e.txt",
        "one\n".encode("utf-16-le"),
        "row 1: holds a NUL character, as UTF-16",
    ),
    "gzip without its suffix": (
        "text",
        "e.txt",
        gzip.compress(b"a"),
        "e.txt is compressed: give it the suffix .gz",
    ),
    "zip": ("text", "e.txt", b"PK\x03\x04\xff\xff\xff\xff\xff", "e.txt is a zip file: unpack it"),
    "parquet as text": ("text", "e.txt", parquet_bytes(LINES), "e.txt"),
    "empty": ("text", "e.txt", "", "e.txt holds no row"),
    "a byte order mark alone": ("text", "e.txt", b"\xef\xbb\xbf", "e.txt holds no row"),
    "truncated gzip": (
        "text",
        "e.txt.gz",
        gzip.compress(os.urandom(9999).hex().encode())[:-500],
        "e.txt.gz cannot be read to its end",
    ),
    "no gzip": ("text", "e.txt.gz", PLAIN, "e.txt.gz cannot be read to its end, .*[Nn]ot a gzip"),
    "truncated xz": (
        "text",
        "e.xz",
        lzma.compress(PLAIN.encode())[:-20],
        "e.xz cannot be read to",
    ),
    "text with another field": ("text", "e.txt", PLAIN, "'line' is not there: allowed are text"),
    "JSON, empty": ("json", "e.jsonl", "\n\n", "e.jsonl holds no row"),
    "JSON, an empty array": ("json", "e.json", "[ ]\n", "e.json holds no row"),
    "JSON, null": (
        "json",
        "e.jsonl",
        JSON + '{"text": null}\n' * 3,
        "row 5: the field 'text' is null, as in 3 of 7 rows read: 'missing: leave_out'",
    ),
    "JSON, no field in a row": (
        "json",
        "e.jsonl",
        JSON + '{"id": 4}\n',
        "row 5: lacks the field 'text', as 1 of 5 rows read: its fields are id;",
    ),
    "JSON, another field": (
        "json",
        "e.jsonl",
        '{"id": 4, "content": "a"}\n',
        "row 1: lacks the field 'text', as every row read: allowed are id, content",
    ),
    "JSON, a nested field": (
        "json",
        "e.jsonl",
        '{"data": {"text": "a"}}',
        "every row read: allowed are data",
    ),
    "JSON, numbers": ("json", "e.jsonl", '{"text": 7}', "row 1: the field 'text' is a number, 7"),
    "JSON, a number late": ("json", "e.jsonl", LATE + '{"text": 7.5}', "row 41: .* a number, 7.5"),
    "JSON, a truth value": ("json", "e.jsonl", '{"text": true}', "is a truth value, true"),
    "JSON, messages": (
        "json",
        "e.jsonl",
        '{"text": [{"role": "user"}]}',
        'row 1: the field .text. is a list, .*"role": "user"',
    ),
    "JSON, an object": ("json", "e.jsonl", '{"text": {"a": 1}}', "row 1: .* is an object"),
    "JSON, no object": ("json", "e.jsonl", '"one"\n', "row 1: is no object"),
    "JSON, broken": (
        "json",
        "e.jsonl",
        '{"text": "a"}\n{"text": "b"\n{"text": 3}\n',
        r"row 2: is no JSON \(Expecting ',' delimiter\)",
    ),
    "JSON, too deep": ("json", "e.jsonl", '{"text": ' + "[" * 99_999, "row 1: is no JSON"),
    "JSON, an array cut off": ("json", "e.json", json.dumps(ROWS)[:-9], "row 4: is no JSON"),
    "JSON, an array that goes on": ("json", "e.json", json.dumps(ROWS) + "]", "row 5: is no JSON"),
    "JSON, an indented object": ("json", "e.json", json.dumps(ROWS[0], indent=1), "row 1: is no"),
    "JSON, latin-1": ("json", "e.jsonl", b'{"text": "\xe4"}', "row 1: is not UTF-8"),
    "JSON, a lone surrogate": (
        "json",
        "e.jsonl",
        '{"text": "a"}\n{"text": "b\\ud800"}',
        r"row 2: .* the lone surrogate U\+D800",
    ),
    "CSV, empty": ("csv", "e.csv", "", "allowed are none, the file is empty"),
    "CSV, a header alone": ("csv", "e.csv", "text\n", "e.csv holds no row"),
    "CSV, another field": ("csv", "e.csv", "id,content\n1,a\n", "allowed are id, content"),
    "CSV, a field twice": ("csv", "e.csv", "text,text\n1,a\n", "'text' is twice there"),
    "CSV, too few values": ("csv", "e.csv", CSV + "4\n", "row 5: has 1 values: allowed are 2"),
    "CSV, an open quote": ("csv", "e.csv", CSV + '4,"a\n', "row 5: is no CSV"),
    "parquet, null": (
        "parquet",
        "e.parquet",
        parquet_bytes([*LINES, None]),
        "row 5: the field 'text' is null, as in 1 of 5",
    ),
    "parquet, numbers": ("parquet", "e.parquet", parquet_bytes([1, 2]), "is of type int64: allow"),
    "parquet, bytes": (
        "parquet",
        "e.parquet",
        parquet_bytes([b"a"]),
        "is of type binary: allowed",
    ),
    "parquet, lists": ("parquet", "e.parquet", parquet_bytes([["a"]]), "is of type list<"),
    "parquet, no row": (
        "parquet",
        "e.parquet",
        parquet_bytes([], pyarrow.string()),
        "e.parquet holds no row",
    ),
    "parquet, cut off": (
        "parquet",
        "e.parquet",
        parquet_bytes(LINES)[:-9],
        "e.parquet cannot be read to its end, it is broken",
    ),
    "no parquet": ("parquet", "e.parquet", PLAIN, "e.parquet cannot be read to its end"),
    "Arrow, not UTF-8": (
        "arrow",
        "e.arrow",
        arrow_bytes(NOT_UTF8),
        "e.arrow, row 2: is not UTF-8",
    ),
    "Arrow, cut off": ("arrow", "e.arrow", arrow_bytes(LINES)[:-150], "e.arrow cannot be read to"),
}


def read(text):
    return read_documents(text, find_files(text)).texts


@pytest.mark.parametrize(
    ("form", "name", "content", "documents"),
    [(*case, LINES) for case in READ.values()] + list(OTHER_ROWS.values()),
    ids=[*READ, *OTHER_ROWS],
)
def test_rows_are_read_as_they_are(form, name, content, documents, tmp_path):
    text = settings(form, write(tmp_path, name, content))
    look(text)
    assert read(text) == documents


@pytest.mark.parametrize(
    ("form", "name", "content", "sentence"), REFUSED.values(), ids=list(REFUSED)
)
def test_what_is_no_text_is_refused_with_file_row_and_cause(
    form, name, content, sentence, tmp_path
):
    file = write(tmp_path, name, content)
    text = settings(form, file) | ({"field": "line"} if "'line'" in sentence else {})
    with pytest.raises(ValueError, match=sentence) as mistake:
        read(text)
    assert file in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_a_mistake_of_the_first_rows_is_found_before_any_work_and_a_late_one_is_not(tmp_path):
    early, late = '{"text": 7}\n', '{"text": "a"}\n' * 20 + '{"text": 7}\n'
    with pytest.raises(ValueError, match="row 1: .* is a number"):
        look(settings("json", write(tmp_path, "early.jsonl", early)))
    look(settings("json", write(tmp_path, "late.jsonl", late)))


def test_rows_that_a_slice_leaves_out_may_be_anything(tmp_path):
    file = write(tmp_path, "e.jsonl", '{"text": 7}\n{"text": "a"}\n')
    text = settings("json", file, split="train[1:]")
    look(text)
    assert read(text) == ["a"]


def test_rows_without_text_are_left_out_and_counted_if_the_text_says_so(tmp_path):
    rows = '{"text": "a"}\n{"text": null}\n{"id": 1}\n{"text": "bä"}\n'
    text = settings("json", write(tmp_path, "e.jsonl", rows), missing="leave_out")
    documents = read_documents(text, find_files(text))
    assert documents.texts == ["a", "bä"]
    assert documents.describe() == {
        "rows": 4,
        "left_out": 2,
        "documents_sha256": hashlib.sha256("1:a3:bä".encode()).hexdigest(),
    }
    with pytest.raises(ValueError, match="none of 4 rows of split 'train' has any in field 'txt'"):
        read(text | {"field": "txt"})


def test_a_broken_value_is_refused_whatever_is_left_out(tmp_path):
    text = settings("json", write(tmp_path, "e.jsonl", '{"text": 7}'), missing="leave_out")
    with pytest.raises(ValueError, match="row 1: .* is a number, 7"):
        read(text)


def test_a_row_is_counted_in_its_own_file(tmp_path):
    files = [write(tmp_path, f"{name}.jsonl", JSON) for name in "ab"]
    files.append(write(tmp_path, "c.jsonl", JSON + '{"text": 7}\n'))
    with pytest.raises(ValueError, match=r"c.jsonl, row 5: .* is a number"):
        read(settings("json", files))


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train[:30%]", ["0", "1", "2"]),
        ("train[8:]", ["8", "9"]),
        ("train[-1:]+train[:1]", ["9", "0"]),
    ],
)
def test_slices_of_the_split_are_of_all_files_together(split, rows, tmp_path):
    write(tmp_path, "a.txt", "0\n1\n2\n3")
    write(tmp_path, "b.txt", "4\n5\n6\n7\n8\n9")
    assert read(settings("text", str(tmp_path / "*.txt"), split=split)) == rows


@pytest.mark.parametrize(
    "split", ["test", "test[:10%]", "train[:x]", "train+test", "train[:200%]"]
)
def test_another_split_than_train_is_refused_before_any_work(split, tmp_path):
    text = settings("text", write(tmp_path, "e.txt", PLAIN), split=split)
    with pytest.raises(ValueError, match="split is '.*': allowed are train and slices of it"):
        look(text)


def test_the_corpus_is_read_whole_from_its_split(tmp_path):
    file = write(tmp_path, "calibration.parquet", parquet_bytes(LINES))
    assert read_documents(settings("pydoc", split="calibration"), [file]).texts == LINES


@pytest.mark.parametrize(
    ("files", "pattern"),
    [
        (["disk/state.json"], "disk/data-"),
        (["disk/dataset_dict.json", "disk/train/state.json"], "disk/train/data-"),
    ],
)
def test_a_data_set_that_was_saved_to_disk_is_refused_with_what_to_write(
    files, pattern, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for file in files:
        write(tmp_path, file, "{}")
    write(tmp_path, f"{pattern}00000-of-00001.arrow", arrow_bytes(LINES))
    with pytest.raises(ValueError, match=f"say path: arrow, data_files: {pattern}\\*.arrow"):
        look(settings("disk"))
    assert read(settings("arrow", f"{pattern}*.arrow")) == LINES


def test_a_folder_is_read_by_the_suffixes_of_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write(tmp_path, "corpus/train.jsonl", JSON)
    write(tmp_path, "corpus/test-1.jsonl", '{"text": "a"}\n{"text": "b"}\n')
    write(tmp_path, "corpus/test-2.jsonl", '{"text": "c"}\n')
    assert read(settings("corpus")) == LINES
    assert read(settings("corpus", split="test[1:]")) == ["b", "c"]


def test_rows_of_a_data_set_on_the_hub_are_checked_too(monkeypatch):
    asked = []

    def load_dataset(**arguments):
        asked.append(arguments)
        return datasets.Dataset.from_dict({"text": ["a", None, "b"], "number": [1, 2, 3]})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    text = settings(
        "owner/corpus", revision="c0ffee" + "0" * 34, split="test[:3]", blocks=4, order="even"
    )
    with pytest.raises(ValueError, match="owner/corpus, row 2: .* is null, as in 1 of 3 rows"):
        read(text)
    assert asked == [
        {"path": "owner/corpus", "revision": "c0ffee" + "0" * 34, "split": "test[:3]"}
    ]
    assert read(text | {"missing": "leave_out"}) == ["a", "b"]
    with pytest.raises(ValueError, match="owner/corpus, row 1: .* is a number, 1"):
        read(text | {"field": "number"})
    with pytest.raises(ValueError, match="text.field is 'txt': allowed are text, number"):
        read(text | {"field": "txt"})
