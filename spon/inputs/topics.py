"""The `python_reference` text: the reference of the language, as every interpreter ships it.

It is prose and grammar, where docstrings describe calls: another kind of technical English, which
needs no download either.
"""

import pandas as pd

from spon.inputs.corpus import mark_new


def collect_topics(shingle_words: int, duplicate_share: float) -> pd.DataFrame:
    """Read the topics that `help()` knows, without those that repeat parts of longer ones.

    Args:
        shingle_words: Length of the word sequences that are compared.
        duplicate_share: A topic is dropped if more than this share of its word sequences stand in
            longer topics that are kept; from 0 to 1.

    Returns:
        `topic, text`, sorted by topic.

    Raises:
        ModuleNotFoundError: This Python comes without them.
    """
    topics = pd.DataFrame(read_topics().items(), columns=["topic", "text"])
    # ASSUME: a chapter is kept, and not the sections of it that are topics too, so that no two
    # blocks hold the same words.
    order = topics.assign(length=-topics["text"].str.len()).sort_values(["length", "topic"])
    new = order[mark_new(order["text"], shingle_words, duplicate_share)]
    return new.sort_values("topic")[["topic", "text"]].reset_index(drop=True)


def read_topics() -> dict[str, str]:
    """Read the text of every topic.

    Raises:
        ModuleNotFoundError: This Python comes without them, as some distributions' do.
    """
    from pydoc_data.topics import topics  # here, since it may be missing

    return topics
