import sys

import pytest

from spon.inputs import topics

WORDS = [f"w{number}" for number in range(40)]
CHAPTER, SECTION, OTHER = (" ".join(words) for words in (WORDS[:30], WORDS[5:25], WORDS[25:]))


def test_a_section_of_a_longer_topic_is_left_out_and_the_others_are_sorted_by_name(monkeypatch):
    shipped = {"z-chapter": CHAPTER, "section": SECTION, "other": OTHER}
    monkeypatch.setattr(topics, "read_topics", lambda: shipped)
    kept = topics.collect_topics(shingle_words=8, duplicate_share=0.3)
    assert kept.to_dict("list") == {"topic": ["other", "z-chapter"], "text": [OTHER, CHAPTER]}


def test_the_reference_of_this_python_is_text_on_its_statements():
    kept = topics.collect_topics(shingle_words=8, duplicate_share=0.3)
    assert 'The "for" statement' in kept.set_index("topic").loc["compound", "text"]
    assert "for" not in set(kept["topic"])  # a section of that chapter
    assert kept["text"].str.len().sum() > 200_000


def test_a_python_that_comes_without_its_reference_is_noticed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ModuleNotFoundError):
        topics.read_topics()
