"""A study's findings in a few sentences, each computed from its numbers."""

from collections.abc import Mapping, Sequence

import pandas as pd

from spon.claims.verdicts import CONTRADICTED, SUPPORTED
from spon.report.markdown import join_blocks, join_words, say_percent, say_range
from spon.report.sections.biases import conclude_agreement, conclude_norms, conclude_statistics
from spon.report.sections.claims import count_verdicts, list_statements
from spon.report.sections.controls import conclude_dense, conclude_mean_residual
from spon.report.sections.results import SAME_RUN, keep_trained


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
    """What was asked and what was found, with a model or with biases alone."""
    if perplexity is not None and damage_recovery is not None:
        found = [
            *summarise_recovery(perplexity, damage_recovery, settings or {}),
            summarise_controls(controls),
        ]
    else:
        found = [summarise_biases(bias_statistics, norm_ranking, cross_configuration)]
    return join_blocks(*found, "" if claims is None else summarise_verdicts(claims))


def summarise_recovery(
    perplexity: pd.DataFrame, recovery: pd.DataFrame, settings: Mapping
) -> list[str]:
    """The question, and for each scope the share of damage that its largest trained run wins back."""
    question = (
        "Setting small activations to zero (TEAL) saves work and costs accuracy. This study "
        "measures, on held-out text and with paired intervals, how much of that loss constants "
        "learned at the sparsified sites (SPON) win back."
    )
    runs = keep_trained(perplexity.dropna(subset=["seed"]), settings)
    largest = runs.sort_values(["bias_parameters", "seed"], ascending=[False, True], kind="stable")
    largest = largest.drop_duplicates(["scope", "sparsity"]).sort_index()
    shares = recovery.merge(largest[SAME_RUN], on=SAME_RUN)
    return [
        question,
        " ".join(
            say_recovered(scope, found) for scope, found in shares.groupby("scope", sort=False)
        ),
    ]


def say_recovered(scope: str, shares: pd.DataFrame) -> str:
    """What is won back at one scope, by KL and by log-likelihood."""
    names = join_words(dict.fromkeys(shares["allocation"]), last="or")
    by_kl, by_nll = (shares[shares["measure"] == measure] for measure in ("kl", "nll"))
    return (
        f"At {scope} ({names}), biases win back "
        f"{say_share(by_kl, 'KL divergence from the dense model')}. Of the lost log-likelihood "
        f"they win back {say_share(by_nll)}."
    )


def say_share(shares: pd.DataFrame, of: str = "") -> str:
    """The range of the shares that are surely above zero, with where; and where they are not, or are below."""
    gain, harm = shares[shares["low"] > 0], shares[shares["high"] < 0]
    open_ = shares.drop([*gain.index, *harm.index])
    words = f" of TEAL's {of}" if of else ""
    parts = (
        [f"{say_range(gain['recovery_percent'], 1, '%')}{words} ({at(gain)} sparsity)"]
        if len(gain)
        else []
    )
    if len(open_):
        parts.append(f"nothing that can be shown{words if not len(gain) else ''} {at(open_)}")
    if len(harm):
        parts.append(
            f"less than nothing{words if not len(gain) else ''} {at(harm)}, where they make it "
            "worse"
        )
    return ", but ".join(parts)


def at(rows: pd.DataFrame) -> str:
    """The sparsities of some rows."""
    return f"at {join_words(say_percent(sparsity) for sparsity in rows['sparsity'])}"


def summarise_controls(controls: pd.DataFrame | None) -> str:
    """Whether training earns its cost, and whether a part of the gain is adaptation."""
    if controls is None or controls.empty:
        return ""
    by_nll = controls[controls["measure"] == "nll"]
    mean, dense = (
        by_nll[by_nll["control"] == control] for control in ("mean_residual", "dense_model")
    )
    conclusions = [
        f"Beside a bias that needs no training: {lower(conclude_mean_residual(mean))}"
        if len(mean)
        else "",
        conclude_dense(dense) if len(dense) else "",
    ]
    return " ".join(filter(None, conclusions))


def lower(sentence: str) -> str:
    """A sentence as it goes on after a colon."""
    return sentence[:1].lower() + sentence[1:]


def summarise_biases(
    statistics: pd.DataFrame | None, ranking: pd.DataFrame | None, cosines: pd.DataFrame | None
) -> str:
    """What was found about biases alone."""
    conclusions = {
        "Norms": "" if ranking is None else conclude_norms(ranking),
        "Agreement between runs (cosine)": ""
        if cosines is None or cosines.empty
        else conclude_agreement(cosines),
        "Entries": "" if statistics is None else conclude_statistics(statistics),
    }
    found = "\n".join(f"- **{about}.** {told}" for about, told in conclusions.items() if told)
    return found and join_blocks(
        "SPON adds a learned constant, the bias, to each sparsified linear map. This study "
        "looks at such biases by themselves: no model was run, so it says what they look like "
        "and not what they do.",
        found,
    )


def summarise_verdicts(claims: Sequence[Mapping]) -> str:
    """The verdicts counted, and the clauses that hold or fail everywhere."""
    named = []
    for verdict in (SUPPORTED, CONTRADICTED):
        labels = list_statements(claims, verdict)
        if labels:
            named.append(f"{verdict.capitalize()}: {' '.join(labels)}")
    return join_blocks(count_verdicts(claims), "\n".join(f"- {line}" for line in named))
