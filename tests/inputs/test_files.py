"""Which local files a text is read from, and what they hold."""

import os
from pathlib import Path

import pytest
from small_text import settings, write

from spon.inputs.files import digest_files, find_files, slice_rows

LINES = "one\ntwo\n"
JSON = '{"text": "a"}\n'
CSV = "text\na\n"


def test_patterns_lead_to_files_each_once_in_the_order_of_their_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/y.txt", "b/c/x.txt", "b/.hidden.txt", "a[1]/z.txt", "w.txt"):
        write(tmp_path, name, name)
    (tmp_path / "b/round").symlink_to(tmp_path / "b")
    (tmp_path / "b/link.txt").symlink_to(tmp_path / "w.txt")

    def find(*patterns):
        return find_files(settings("text", list(patterns)))

    assert find("b/**/*.txt") == ["b/c/x.txt", "b/link.txt", "b/y.txt"]
    assert find("a[1]/*.txt") == ["a[1]/z.txt"]
    assert find("./w.txt", "b/y.txt", "b/*.txt") == ["w.txt", "b/y.txt"]
    assert find(str(tmp_path / "w*")) == [str(tmp_path / "w.txt")]
    assert find("https://a.b/c.txt") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (settings("text", "no*.txt"), "data_files names 'no.*.txt', which is no file"),
        (settings("text", ["e.txt", "no.txt"]), "data_files names 'no.txt', which is no file"),
        (settings("text", "."), "data_files names '.', a folder: name its files, as ./*"),
        (settings("text"), "data_files is not there: path 'text' needs files"),
        (settings("text", []), "data_files is not there: path 'text' needs files"),
        (settings("text", ["e.txt", "https://a/b"]), "names URLs and local files"),
        (settings("pandas", "e.txt"), "path is 'pandas': allowed are text, json, csv, parquet"),
        (settings("e.txt"), "path is 'e.txt', which is no folder: allowed are text, json"),
        (settings("./corpus"), "path is './corpus', which is no folder"),
        (settings("/no/such/corpus"), "path is '/no/such/corpus', which is no folder"),
        (settings("pydoc", "e.txt"), "data_files names 'e.txt', but path is 'pydoc'"),
        (settings("python_reference", "e.txt"), "but path is 'python_reference': leave one out"),
    ],
)
def test_what_leads_to_no_file_is_refused(text, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "e.txt", LINES)
    with pytest.raises(ValueError, match=sentence):
        find_files(text)


def test_the_corpus_and_data_sets_on_the_hub_have_no_local_files():
    assert find_files(settings("pydoc")) == find_files(settings("python_reference")) == []
    hub = settings("owner/corpus", "data/*.parquet")
    assert find_files(hub | {"revision": "a" * 40}) == []
    with pytest.raises(ValueError, match="revision is left out: allowed is a full commit"):
        find_files(hub)
    with pytest.raises(ValueError, match="revision is main: allowed is a full commit"):
        find_files(hub | {"revision": "main"})
    with pytest.raises(ValueError, match="path is 'hf://owner/corpus': allowed are text, json"):
        find_files(settings("hf://owner/corpus"))


def test_a_folder_gives_the_files_of_its_split_and_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write(tmp_path, "corpus/train.jsonl", JSON)
    write(tmp_path, "corpus/test-2.jsonl", '{"text": "b"}\n')
    write(tmp_path, "corpus/test-1.jsonl", '{"text": "a"}\n')
    write(tmp_path, "corpus/README.md", "no data")
    assert find_files(settings("corpus")) == ["corpus/train.jsonl"]
    assert find_files(settings("corpus", split="test[1:]")) == [
        "corpus/test-1.jsonl",
        "corpus/test-2.jsonl",
    ]
    assert find_files(settings("corpus", "test-*.jsonl")) == [
        "corpus/test-1.jsonl",
        "corpus/test-2.jsonl",
    ]
    write(tmp_path, "eval/a.txt", LINES)  # also a format of datasets
    assert find_files(settings("eval")) == ["eval/a.txt"]
    with pytest.raises(ValueError, match="split is 'validation': allowed are train, test"):
        find_files(settings("corpus", split="validation"))
    write(tmp_path, "corpus/corpus.py", "raise SystemExit")
    with pytest.raises(ValueError, match="path is 'corpus', which holds no data set: .*scripts"):
        find_files(settings("corpus"))


def test_a_folder_that_holds_no_text_or_sets_options_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty', which holds no data set"):
        find_files(settings(str(tmp_path / "empty")))
    write(tmp_path, "pictures/a.png", b"\x89PNG")
    with pytest.raises(ValueError, match="a.png', which cannot be read as imagefolder"):
        find_files(settings(str(tmp_path / "pictures")))
    card = "---\nconfigs:\n- config_name: default\n  data_files: e.csv\n  quotechar: x\n---\n"
    write(tmp_path, "card/README.md", card)
    write(tmp_path, "card/e.csv", CSV)
    with pytest.raises(ValueError, match="whose README.md sets quotechar"):
        find_files(settings(str(tmp_path / "card")))


def test_a_digest_is_of_contents_whatever_their_dates(tmp_path):
    first, second = (write(tmp_path, f"{name}.txt", name) for name in "ab")
    before = digest_files([first, second])
    os.utime(first, (0, 0))
    assert digest_files([first, second]) == before
    older = write(tmp_path, "older.txt", "c")
    os.utime(older, (0, 0))
    Path(older).replace(first)
    assert digest_files([first, second]) != before
    assert digest_files([]) is None


def test_slices_are_those_of_datasets():
    assert slice_rows("train", "train", 7) == [range(7)]
    assert slice_rows("train[:50%]+train[-1:]", "train", 7) == [range(4), range(6, 7)]
    assert slice_rows("test[5:99]", "test", 7) == [range(5, 7)]
    with pytest.raises(ValueError, match="split is 'dev': allowed are train and slices of it"):
        slice_rows("dev", "train", 7)
