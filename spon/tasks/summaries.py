"""A task of our own: which of four summaries belongs to the body of a docstring."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CHOICES = 4
# Chosen documents of the task, at most.
MOST = 400
# Words of a summary, and characters of a body, so that there is enough to tell and to read.
WORDS = range(4, 21)
LEAST_CHARACTERS, MOST_CHARACTERS = 150, 600


def choose_documents(docstrings: Sequence[str], seed: int, most: int = MOST) -> list[dict]:
    """Make the documents of the task of held-out docstrings.

    Each has the body of a docstring as `context`, its own summary and those of three others, in
    an order by chance, as `choices`, and the place of its own among them as `answer`.

    Args:
        docstrings: In the order of the corpus.
        seed: Of what is chosen by chance.
        most: Documents, if there are as many.

    Raises:
        ValueError: Fewer docstrings than there are choices have a summary and a body.
    """
    parts = {}
    for docstring in docstrings:
        summary, body = divide(docstring)
        if is_fit(summary, body):
            parts.setdefault(summary, shorten(body))
    if len(parts) < CHOICES:
        raise ValueError(
            f"the task 'summaries' needs {CHOICES} held-out docstrings with a summary and a body, "
            f"and pydoc.packages gives {len(parts)}: name more packages"
        )
    generator, summaries = np.random.default_rng(seed), list(parts)
    own = np.sort(generator.permutation(len(summaries))[:most])
    documents = []
    for number in own:
        # One fewer to choose from, and those behind the own one are moved up.
        others = generator.choice(len(summaries) - 1, CHOICES - 1, replace=False)
        choices = [summaries[other + (other >= number)] for other in others]
        answer = int(generator.integers(CHOICES))
        choices.insert(answer, summaries[number])
        documents.append(
            {"context": parts[summaries[number]], "choices": choices, "answer": answer}
        )
    return documents


def divide(docstring: str) -> tuple[str, str]:
    """Divide a docstring into its first line and what follows an empty line, if one does.

    >>> divide("Add two numbers.\\n\\nThey may be negative.\\n")
    ('Add two numbers.', 'They may be negative.')
    >>> divide("Add two numbers\\nof any kind.")
    ('Add two numbers', '')
    """
    summary, _, rest = docstring.strip().partition("\n")
    return summary.strip(), rest.strip() if not rest.partition("\n")[0].strip() else ""


def is_fit(summary: str, body: str) -> bool:
    """Whether a summary is a sentence of middle length, and the body long without repeating it."""
    is_sentence = summary.endswith(".") and len(summary.split()) in WORDS
    return is_sentence and len(body) >= LEAST_CHARACTERS and summary not in body


def shorten(body: str) -> str:
    """Cut a body behind the last whole line that fits; a longer line is cut behind a word."""
    if len(body) <= MOST_CHARACTERS:
        return body
    start = body[: MOST_CHARACTERS + 1]
    return start[: max(start.rfind("\n"), 0) or start.rfind(" ")].rstrip()


def write_documents(documents: Sequence[dict], path: str | Path) -> None:
    """Write documents as JSON, one a line."""
    lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents]
    Path(path).write_text("".join(lines), encoding="utf-8", newline="\n")
