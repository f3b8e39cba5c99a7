import json

import pytest

from spon.tasks import summaries

BODY = "The first line is left out, and what follows it is long enough to read. " * 3


def document(number):
    return f"Return the number {number}.\n\n{BODY}"


@pytest.mark.parametrize(
    ("docstring", "parts"),
    [
        ("Add two.\n\nThey may be negative.", ("Add two.", "They may be negative.")),
        ("Add two\nof any kind.", ("Add two", "")),
        ("Add two.", ("Add two.", "")),
        ("\n Add two.\n   \nMore.\n\nAnd more.\n", ("Add two.", "More.\n\nAnd more.")),
    ],
)
def test_a_summary_is_one_line_before_an_empty_one(docstring, parts):
    assert summaries.divide(docstring) == parts


def test_a_summary_is_a_sentence_that_its_long_body_does_not_repeat():
    assert summaries.is_fit("Return the number one.", BODY)
    assert not summaries.is_fit("Return the number one", BODY)
    assert not summaries.is_fit("Return it.", BODY)
    assert not summaries.is_fit("Return the number one.", "Short.")
    assert not summaries.is_fit("Return the number one.", BODY + "Return the number one.")


def test_a_long_body_is_cut_behind_a_whole_line_or_else_behind_a_word():
    assert summaries.shorten("short") == "short"
    assert summaries.shorten("x" * 590 + "\n" + "y" * 20) == "x" * 590
    assert summaries.shorten("word " * 200) == ("word " * 120).rstrip()


def test_every_document_has_its_own_summary_among_three_others_at_its_answer():
    docstrings = [document(number) for number in range(50)]
    documents = summaries.choose_documents([*docstrings, "No body."], seed=0)
    assert len(documents) == 50
    for number, one in enumerate(documents):
        assert one["choices"][one["answer"]] == f"Return the number {number}."
        assert len(set(one["choices"])) == 4
        assert one["context"] == BODY.strip()
    assert {one["answer"] for one in documents} == {0, 1, 2, 3}


def test_the_same_seed_makes_the_same_documents_and_no_more_than_asked_for():
    docstrings = [document(number) for number in range(9)]
    first = summaries.choose_documents(docstrings, seed=0, most=5)
    assert len(first) == 5
    assert first == summaries.choose_documents(docstrings, seed=0, most=5)
    assert first != summaries.choose_documents(docstrings, seed=1, most=5)


def test_three_docstrings_are_too_few_for_four_choices():
    with pytest.raises(ValueError, match=r"needs 4 held-out docstrings .* gives 3: name more"):
        summaries.choose_documents([document(number) for number in range(3)], seed=0)


def test_documents_are_written_one_a_line(tmp_path):
    documents = summaries.choose_documents([document(number) for number in range(4)], seed=0)
    summaries.write_documents(documents, tmp_path / "s.jsonl")
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == documents
