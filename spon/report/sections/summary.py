"""Summarise a study in a few sentences, each computed from its numbers."""

from collections.abc import Mapping, Sequence

import pandas as pd

from spon.claims.verdicts import CONTRADICTED, SUPPORTED
from spon.report.markdown import join_blocks, join_words, say_range
from spon.report.sections.biases import conclude_agreement, conclude_norms, conclude_statistics
from spon.report.sections.claims import count_verdicts, list_statements
from spon.report.sections.controls import conclude_dense, conclude_mean_residual, say_sparsities
from spon.report.sections.results import RUN, keep_trained


def summarise(
    perplexity: pd.DataFrame | None = None,
    damage_recovery: pd.DataFrame | None = None,
    controls: pd.DataFrame | None = None,
    claims: Sequence[Mapping] | None = None,
    settings: Mapping | None = None,
    bias_statistics: pd.DataFrame | None = None,
    norm_ranking: pd.DataFrame | None = None,
    cross_configuration: pd.DataFrame | None = None,
) -> str:
    """Summarise a study with a model, or one of biases alone."""
    if perplexity is not None and damage_recovery is not None:
        blocks = [
            *summarise_recovery(perplexity, damage_recovery, settings or {}),
            summarise_controls(controls),
        ]
    else:
        blocks = [summarise_biases(bias_statistics, norm_ranking, cross_configuration)]
    if claims is not None:
        blocks.append(summarise_verdicts(claims))
    return join_blocks(*blocks)


def summarise_recovery(
    perplexity: pd.DataFrame, recovery: pd.DataFrame, settings: Mapping
) -> list[str]:
    """Write the question, and for each scope the damage that its largest trained run wins back."""
    question = (
        "Setting small activations to zero (TEAL) saves work and costs accuracy. This study "
        "measures, on held-out text and with paired intervals, how much of that loss constants "
        "learned at the sparsified sites (SPON) win back."
    )
    runs = keep_trained(perplexity.dropna(subset=["seed"]), settings)
    largest = runs.sort_values(["bias_parameters", "seed"], ascending=[False, True], kind="stable")
    largest = largest.drop_duplicates(["scope", "sparsity"]).sort_index()
    scopes = recovery.merge(largest[RUN], on=RUN).groupby("scope", sort=False)
    return [question, " ".join(conclude_recovery(scope, shares) for scope, shares in scopes)]


def conclude_recovery(scope: str, shares: pd.DataFrame) -> str:
    """Say what is won back at one scope, by KL divergence and by log-likelihood."""
    allocations = join_words(dict.fromkeys(shares["allocation"]), last="or")
    by_kl = shares[shares["measure"] == "kl"]
    by_nll = shares[shares["measure"] == "nll"]
    return (
        f"At {scope} ({allocations}), biases win back "
        f"{say_recovered(by_kl, 'KL divergence from the dense model')}. Of the lost "
        f"log-likelihood they win back {say_recovered(by_nll)}."
    )


def say_recovered(shares: pd.DataFrame, measure: str = "") -> str:
    """Say at which sparsities damage is won back, and how much of it.

    Args:
        shares: A row per sparsity. A share is won back if its interval lies above zero.
        measure: What the damage is measured by, to be named at the first share.
    """
    gains, harms = shares[shares["low"] > 0], shares[shares["high"] < 0]
    undecided = shares.drop([*gains.index, *harms.index])
    damage = f" of TEAL's {measure}" if measure else ""
    parts = []
    if len(gains):
        percent = say_range(gains["recovery_percent"], 1, "%")
        parts.append(f"{percent}{damage} ({say_sparsities(gains)} sparsity)")
        damage = ""
    if len(undecided):
        parts.append(f"nothing that can be shown{damage} {say_sparsities(undecided)}")
    if len(harms):
        parts.append(
            f"less than nothing{damage} {say_sparsities(harms)}, where they make it worse"
        )
    return ", but ".join(parts)


def summarise_controls(controls: pd.DataFrame | None) -> str:
    """Say whether training earns its cost, and whether a part of the gain is adaptation."""
    if controls is None or controls.empty:
        return ""
    by_nll = controls[controls["measure"] == "nll"]
    mean_residual = by_nll[by_nll["control"] == "mean_residual"]
    dense_model = by_nll[by_nll["control"] == "dense_model"]
    sentences = []
    if len(mean_residual):
        conclusion = lower(conclude_mean_residual(mean_residual))
        sentences.append(f"Beside a bias that needs no training: {conclusion}")
    if len(dense_model):
        sentences.append(conclude_dense(dense_model))
    return " ".join(filter(None, sentences))


def lower(sentence: str) -> str:
    """Write a sentence as it stands behind a colon, with a small first letter."""
    return sentence[:1].lower() + sentence[1:]


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


def summarise_verdicts(claims: Sequence[Mapping]) -> str:
    """Count the verdicts, and list the clauses that are supported or contradicted everywhere."""
    lines = []
    for verdict in (SUPPORTED, CONTRADICTED):
        statements = list_statements(claims, verdict)
        if statements:
            lines.append(f"- {verdict.capitalize()}: {' '.join(statements)}")
    return join_blocks(count_verdicts(claims), "\n".join(lines))
