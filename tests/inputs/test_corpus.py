import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from spon.inputs import corpus

SELECTION = corpus.Selection(
    packages=["networkx"],
    minimum_characters=200,
    shingle_words=8,
    duplicate_share=0.3,
    held_out_share=0.07,
)


@pytest.fixture(scope="module")
def documents() -> pd.DataFrame:
    return corpus.collect_docstrings(SELECTION, processes=1)


def test_a_text_is_new_until_most_of_its_word_sequences_have_been_seen():
    texts = ["a b c d", "A, b? c; d!", "a b c d e f g h", "x y z w", "c d e f"]
    # Pairs: the second repeats the first; of the third's 7 pairs 3 are old; all of the fifth's 3
    # are.
    assert corpus.mark_new(texts, shingle_words=2, duplicate_share=0.5) == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert corpus.mark_new(texts, shingle_words=2, duplicate_share=0.4) == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_no_file_is_in_two_splits(documents):
    assert (documents.groupby("file")["split"].nunique() == 1).all()
    assert set(documents["split"]) == set(corpus.SPLITS)


def test_held_out_docstrings_share_little_with_those_before_them(documents):
    marks = corpus.mark_new(documents["text"], SELECTION.shingle_words, SELECTION.duplicate_share)
    assert all(marks)
    assert documents["split"].map(corpus.SPLITS.index).is_monotonic_increasing
    assert documents["text"].str.len().min() >= 200


def test_the_digest_tells_one_corpus_from_another(documents):
    digest = corpus.describe_corpus(documents, ["networkx"])["digest"]
    again = corpus.collect_docstrings(SELECTION, processes=2)
    assert digest == corpus.describe_corpus(again, ["networkx"])["digest"]
    assert digest != corpus.describe_corpus(documents.iloc[1:], ["networkx"])["digest"]


def test_a_stop_does_not_wait_for_the_files_that_are_not_begun(monkeypatch):
    begun = []

    def read(path):
        begun.append(path)
        time.sleep(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "read_docstrings", read)
    monkeypatch.setattr(
        corpus, "ProcessPoolExecutor", lambda processes, mp_context: ThreadPoolExecutor(processes)
    )
    with pytest.raises(KeyboardInterrupt):
        corpus.collect_docstrings(SELECTION, processes=1)
    time.sleep(0.5)
    assert len(begun) < 10 < len(corpus.source_files("networkx"))


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(
        ModuleNotFoundError, match="names 'no_such_package', which is not an installed package"
    ):
        corpus.source_files("no_such_package")


def test_a_model_that_was_trained_on_another_corpus_is_noticed():
    here = {"digest": "a" * 64, "packages": {"numpy": "2.0"}}
    assert corpus.compare_corpora(here, here) is None
    assert corpus.compare_corpora(here, None) is None
    trained_on = {"digest": "b" * 64, "packages": {"numpy": "1.0"}}
    assert "other versions here: numpy 2.0" in corpus.compare_corpora(here, trained_on)
