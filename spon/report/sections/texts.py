"""Describe what runs win back on another text than the one whose kind they learned from."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import (
    NOTHING,
    embed_figure,
    join_blocks,
    join_words,
    say_change,
    say_fixed,
    say_percent,
    write_table,
)
from spon.report.sections.results import (
    MEASURES,
    MILLI,
    keep_trained,
    say_recovery,
    say_scope,
)
from spon.report.sections.setup import name_places, name_source
from spon.report.seeds import PLACE, keep_counting

KEY = [*PLACE, "measure"]
FIRST = "evaluation"
# What becomes of a gain on another text.
STAYS, VANISHES, HARMS, OPEN = "stays", "vanishes", "harms", "open"
# How it is said of one gain, and of several.
FATES = {
    VANISHES: ("vanishes", "vanish"),
    HARMS: ("turns into a loss", "turn into losses"),
    OPEN: ("is left open by a wide interval", "are left open by wide intervals"),
}


def describe_other_text(
    texts: pd.DataFrame, settings: Mapping, figures: Mapping[str, str] | None = None
) -> str:
    """Describe damage and recovery on every text, and which gains stay."""
    if texts["text"].nunique() < 2:
        return ""
    kept = keep_rows(texts, settings)
    first, *further = texts["text"].unique()
    introduction = (
        "The same biases, thresholds and temperatures, measured on text of another kind than the "
        "calibration text. What stays there is repair; what vanishes was learned of one kind of "
        f"text. {name_texts(settings['study']['text'], first, further)} Numbers of two texts are "
        "not paired, and are compared by their intervals alone."
    )
    return join_blocks(
        introduction,
        tabulate_damage(kept),
        tabulate_texts(kept),
        *(conclude_text(kept, first, name) for name in further),
        embed_figure(
            figures or {},
            "fig9_other_text",
            "Share of TEAL's damage that is won back on each text",
            "Share of TEAL's damage that is won back: first text filled, others hollow.",
        ),
    )


def keep_rows(texts: pd.DataFrame, settings: Mapping) -> pd.DataFrame:
    """Keep of every trained allocation the row over most trainings, in the order of the table."""
    places = texts[PLACE].drop_duplicates()
    kept = keep_trained(keep_counting(texts, ["text", *KEY]), settings)
    return places.merge(kept, on=PLACE)


def name_texts(texts: Mapping, first: str, further: list[str]) -> str:
    """Say what each text is: the first, and each further one.

    Args:
        texts: The study's texts by part.
        first: What the first one is called.
        further: What the others are called, which are their parts.
    """
    parts = {first: FIRST} | {name: name for name in further}
    phrases = []
    for name, part in parts.items():
        text = texts[part]
        subset = f", {text['name']}" if "name" in text else ""
        phrases.append(
            f"*{name}*: `{name_source(text)}`{subset}, split `{text['split']}`, "
            f"{text['blocks']:,} blocks"
        )
    return f"{'; '.join(phrases)}."


def tabulate_damage(texts: pd.DataFrame) -> str:
    """Write a table of what TEAL costs at every place, on each text."""
    header, rows = ["sites sparsified", "sparsity"], []
    names = list(texts["text"].unique())
    for name in names:
        header += [f"over dense, {name}", f"KL, {name}"]
    for (scope, sparsity), here in texts.groupby(["scope", "sparsity"], sort=False):
        cells = [say_scope(scope), say_percent(sparsity)]
        for name in names:
            levels = here[here["text"] == name].drop_duplicates("measure").set_index("measure")
            cells += say_damage(levels)
        rows.append(cells)
    note = "TEAL's damage; KL from the dense model is in thousandths of a nat per token."
    return join_blocks(note, write_table(header, rows))


def say_damage(levels: pd.DataFrame) -> list[str]:
    """Write TEAL's perplexity over the dense model's, and its KL; `levels` are by measure."""
    dense, teal = levels.loc["perplexity", ["dense", "teal"]]
    return [say_change(100 * (teal / dense - 1)), say_fixed(MILLI * levels.loc["kl", "teal"], 1)]


def tabulate_texts(texts: pd.DataFrame) -> str:
    """Write a table with a row per allocation and place: what is won back on each text."""
    names = list(texts["text"].unique())
    header = ["sites sparsified", "sparsity", "allocation"]
    for measure in ("KL", "log-likelihood"):
        header += [f"{measure}, {name} [95 %]" for name in names]
    rows = []
    for (allocation, scope, sparsity), here in texts.groupby(PLACE, sort=False):
        shares = here.set_index(["measure", "text"])
        cells = [say_scope(scope), say_percent(sparsity), allocation]
        for measure in MEASURES:
            cells += [say_recovery(shares.loc[(measure, name)]) for name in names]
        rows.append(cells)
    return join_blocks("Recovered share of the damage.", write_table(header, rows, words=3))


def judge_gains(texts: pd.DataFrame, first: str, name: str) -> pd.DataFrame:
    """Judge from two intervals what becomes of every gain that is shown on the first text.

    Returns:
        `PLACE` and `measure`, and `fate`: `STAYS` where the interval on the other text is above
        zero, `HARMS` where it is below, `VANISHES` where it holds zero and is below that on the
        first text, so that it is shown to be smaller; `OPEN` for any other; and whether the gain
        is `smaller`, or `larger`, on the other text, as two intervals apart from one another show.
    """
    ends = [*KEY, "low", "high"]
    here, there = (texts.loc[texts["text"] == one, ends] for one in (first, name))
    both = here[here["low"] > 0].merge(there, on=KEY, suffixes=("_first", ""))
    fates = pd.Series(OPEN, index=both.index)
    smaller, larger = both["high"] < both["low_first"], both["low"] > both["high_first"]
    fates[(both["low"] <= 0) & (both["high"] >= 0) & smaller] = VANISHES
    fates[both["low"] > 0] = STAYS
    fates[both["high"] < 0] = HARMS
    return both[KEY].assign(fate=fates, smaller=smaller, larger=larger)


def conclude_text(texts: pd.DataFrame, first: str, name: str) -> str:
    """Say in a sentence per measure which gains stay on a further text, and which do not."""
    judged = judge_gains(texts, first, name)
    sentences = []
    for measure, words in MEASURES.items():
        of_measure = judged[judged["measure"] == measure]
        sentences.append(conclude_measure(of_measure, words))
    return f"**On {name}.** {' '.join(sentences)}"


def conclude_measure(judged: pd.DataFrame, words: str) -> str:
    """Say what becomes of the gains by one measure."""
    if judged.empty:
        return f"By {words} no gain is shown on the first text."
    stays = judged[judged["fate"] == STAYS]
    parts = [f"{len(stays)} of {len(judged)} gains stay{say_sizes(stays)}"]
    for fate, (one, several) in FATES.items():
        others = judged[judged["fate"] == fate]
        if len(others):
            runs = name_places(zip(others["allocation"], others["sparsity"], strict=True))
            parts.append(f"{len(others)} {one if len(others) == 1 else several} ({runs})")
    return f"By {words}, {'; '.join(parts)}."


def say_sizes(stays: pd.DataFrame) -> str:
    """Say how many of the gains that stay are smaller or larger, where intervals are apart."""
    sizes = [size for size in ("smaller", "larger") if stays[size].any()]
    counts = [f"{stays[size].sum()} of them {size}" for size in sizes]
    return f" ({join_words(counts)})" if counts else ""


def summarise_texts(texts: pd.DataFrame | None, settings: Mapping) -> str:
    """Say in one line of the first page how many gains stay on each further text."""
    if texts is None or texts["text"].nunique() < 2:
        return ""
    kept = keep_rows(texts, settings)
    first, *further = texts["text"].unique()
    phrases = []
    for name in further:
        judged = judge_gains(kept, first, name)
        counts = [
            f"{(rows['fate'] == STAYS).sum()} of {len(rows)} by {words}"
            for measure, words in MEASURES.items()
            if len(rows := judged[judged["measure"] == measure])
        ]
        phrases.append(f"on {name}, {join_words(counts) or NOTHING}")
    return f"**On another text.** Gains of trained biases that stay: {'; '.join(phrases)}."
