"""Write the first page: what was measured, what came out, and where it ends."""

from collections.abc import Mapping, Sequence

import pandas as pd

from spon.claims.verdicts import CONTRADICTED, SUPPORTED
from spon.report.markdown import (
    NOTHING,
    embed_figure,
    join_blocks,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.biases import conclude_agreement, conclude_norms, conclude_statistics
from spon.report.sections.claims import count_verdicts, list_labels
from spon.report.sections.confidence import OWN, conclude_confidence, weigh_confidence
from spon.report.sections.controls import summarise_shares
from spon.report.sections.results import keep_largest, say_recovery, say_scope
from spon.report.sections.setup import say_kinds, say_size
from spon.report.sections.texts import summarise_texts
from spon.report.sections.trainings import count_converged
from spon.report.seeds import PLACE, keep_counting, say_trainings

SOURCES = (
    "Sources: method, Xu, Gao, Weng, Ma, *Resting Neurons, Active Insights*, arXiv:2512.12744; "
    "claims, H. Waghela, *SPON Extensions: Experimental Findings*, February 2026; TEAL, Liu et "
    "al., 2024, arXiv:2408.14690."
)


def summarise(
    perplexity: pd.DataFrame | None = None,
    damage_recovery: pd.DataFrame | None = None,
    controls: pd.DataFrame | None = None,
    texts: pd.DataFrame | None = None,
    claims: Sequence[Mapping] | None = None,
    settings: Mapping | None = None,
    trainings: pd.DataFrame | None = None,
    model: Mapping | None = None,
    protocol: Mapping | None = None,
    tasks: pd.DataFrame | None = None,
    bias_statistics: pd.DataFrame | None = None,
    norm_ranking: pd.DataFrame | None = None,
    cross_configuration: pd.DataFrame | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """Summarise a study with a model, or one of biases alone."""
    if perplexity is not None and damage_recovery is not None:
        largest = keep_largest(perplexity, settings or {})
        shares = find_shares(largest, damage_recovery)
        blocks = [
            say_question(largest, protocol),
            tabulate_recovery(largest, shares),
            show_damage(figures or {}),
            summarise_recovery(shares),
            conclude_confidence(
                weigh_confidence(perplexity, damage_recovery, settings or {}, controls)
            ),
            summarise_texts(texts, settings or {}),
            summarise_controls(controls),
        ]
    else:
        blocks = [summarise_biases(bias_statistics, norm_ranking, cross_configuration)]
    if claims is not None:
        blocks.append(summarise_verdicts(claims))
    if trainings is not None and len(trainings):
        blocks.append(f"**Trainings.** {count_converged(trainings)}")
    if perplexity is not None:
        blocks.append(say_limits(model, texts, tasks))
    if not any(blocks):
        return ""
    return join_blocks(*blocks, SOURCES)


def say_question(largest: pd.DataFrame, protocol: Mapping | None) -> str:
    """Say what is measured, and on how much text."""
    text = ""
    if protocol is not None:
        length = protocol["settings"]["protocol"]["block_length"]
        text = f" ({protocol['blocks']:,} blocks of {length} tokens)"
    return (
        "Setting small activations to zero (TEAL) saves work and costs accuracy. SPON adds a "
        "learned constant, the bias, to sparsified linear maps. How much of the damage do biases "
        f"win back? Measured on held-out text{text}, {say_trainings(largest['seeds'])} per row, "
        "95 % intervals in brackets, each by itself."
    )


def find_shares(largest: pd.DataFrame, recovery: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Find the shares that the allocations with most biases win back, by measure."""
    counting = keep_counting(recovery, [*PLACE, "measure"])
    return {
        measure: largest[PLACE].merge(counting[counting["measure"] == measure], on=PLACE)
        for measure in ("kl", "nll", OWN)
    }


def summarise_recovery(shares: Mapping[str, pd.DataFrame]) -> str:
    """Write a sentence on what biases win back by each measure."""
    return (
        f"**By KL divergence** from the dense model, which training lowers, they win back "
        f"{say_recovered(shares['kl'])}. **By log-likelihood** they win back "
        f"{say_recovered(shares['nll'])}; with every model at its own best temperature, "
        f"{say_recovered(shares[OWN])}."
    )


def say_recovered(shares: pd.DataFrame) -> str:
    """Write the range of the recovered shares, and in how many rows a gain is shown."""
    known = shares.dropna(subset=["low"])
    if known.empty:
        return NOTHING
    gains, harms = int((known["low"] > 0).sum()), int((known["high"] < 0).sum())
    rows = "every row" if gains == len(shares) else f"{gains} of {len(shares)} rows"
    worse = f", below zero in {harms}" if harms else ""
    percent = say_range(known["recovery_percent"], 1, "%")
    return f"{percent} (intervals above zero in {rows}{worse})"


def tabulate_recovery(largest: pd.DataFrame, shares: Mapping[str, pd.DataFrame]) -> str:
    """Write a table with a row per scope and sparsity: its allocation with the most biases."""
    header = ["sites sparsified (biases)", "sparsity", "KL recovered"]
    header += ["log-likelihood recovered", "at own temperature"]
    by_place = {measure: rows.set_index(PLACE) for measure, rows in shares.items()}
    rows = []
    for run in largest.itertuples():
        place = (run.allocation, run.scope, run.sparsity)
        rows.append(
            [
                f"{say_scope(run.scope)} ({run.allocation})",
                say_percent(run.sparsity),
                say_recovery(by_place["kl"].loc[place]),
                say_recovery(by_place["nll"].loc[place]),
                say_recovery(by_place[OWN].loc[place]),
            ]
        )
    return write_table(header, rows)


def summarise_controls(controls: pd.DataFrame | None) -> str:
    """List what biases reach that nobody trained."""
    shares = "" if controls is None or controls.empty else summarise_shares(controls)
    if not shares:
        return ""
    introduction = (
        "**What training adds.** Share of the trained gain that controls reach, by KL / by "
        "log-likelihood:"
    )
    return join_blocks(introduction, shares)


def summarise_verdicts(claims: Sequence[Mapping]) -> str:
    """Count the verdicts, and name the clauses that are supported or contradicted."""
    sentences = [f"**Claims.** {count_verdicts(claims)}"]
    for verdict in (SUPPORTED, CONTRADICTED):
        labels = list_labels(claims, verdict)
        if labels:
            sentences.append(f"{verdict.capitalize()}: {labels}.")
    return " ".join(sentences)


def say_limits(
    model: Mapping | None, texts: pd.DataFrame | None = None, tasks: pd.DataFrame | None = None
) -> str:
    """Say in two sentences where the results end."""
    size = ""
    if model is not None:
        size = f" of {say_size(model)} parameters"
    measured = "Only likelihood and KL divergence are measured: no task, no speed."
    if tasks is not None:
        measured = "Likelihood, KL divergence and tasks are measured: no speed."
    return (
        f"**Limits.** This is one model{size} and {say_kinds(texts)} of text; the published "
        f"values are of Llama-3.2-1B. {measured}"
    )


def show_damage(figures: Mapping[str, str]) -> str:
    """Show the figure of the first screen, if the study has it."""
    return embed_figure(
        figures,
        "fig1_perplexity",
        "Perplexity above the dense model",
        "What sparsity costs, and what biases win back: further left is better, the dashed line "
        "is TEAL. Grey points are controls.",
    )


def summarise_biases(
    statistics: pd.DataFrame | None, ranking: pd.DataFrame | None, cosines: pd.DataFrame | None
) -> str:
    """Summarise what a study of biases alone has measured; nothing if it has no table."""
    lines = []
    if ranking is not None:
        lines.append(f"- **Norms.** {conclude_norms(ranking)}")
    if cosines is not None and not cosines.empty:
        lines.append(f"- **Agreement between runs (cosine).** {conclude_agreement(cosines)}")
    if statistics is not None:
        lines.append(f"- **Entries.** {conclude_statistics(statistics)}")
    if not lines:
        return ""
    return join_blocks(
        "SPON adds a learned constant, the bias, to each sparsified linear map. This study "
        "looks at such biases by themselves: no model was run, so it says what they look like "
        "and not what they do.",
        "\n".join(lines),
    )
