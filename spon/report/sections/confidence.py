"""Describe confidence beside repair: what of a gain in log-likelihood one temperature explains."""

from collections.abc import Mapping

import pandas as pd

from spon.report.markdown import (
    NOTHING,
    embed_figure,
    join_blocks,
    join_words,
    say_fixed,
    say_percent,
    say_range,
    write_table,
)
from spon.report.sections.controls import BEATEN, TEMPERATURE, say_rank, say_runs
from spon.report.sections.results import MILLI, keep_largest, keep_trained, say_scope
from spon.report.seeds import PLACE, average_seeds, keep_counting
from spon.sites import DENSE, TEAL

# The measure of log-likelihood where every model has its own best temperature.
OWN = "nll_at_temperature"
# What is more than this share of a gain is called most of it.
MOST = 50.0
SHARES = ["gain_low", "temperature_share", "is_beaten", "own_share", "repaired", "repaired_low"]
COLUMNS = {
    "KL": (["kl_nats_per_token"], MILLI, 1),
    "median, 99 %": (["kl_median", "kl_99"], MILLI, 1),
    "nll": (["nll_nats_per_token"], 1.0, 4),
    "temperature": (["temperature"], 1.0, 3),
    "nll at it": (["nll_at_temperature"], 1.0, 4),
    "entropy": (["entropy_nats"], 1.0, 3),
    "top-1 %": (["top1_percent"], 1.0, 1),
}


def describe_confidence(
    perplexity: pd.DataFrame,
    damage_recovery: pd.DataFrame,
    settings: Mapping,
    controls: pd.DataFrame | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """Describe every kind of model by what it predicts, and divide the gains of biases."""
    introduction = (
        "*Temperature* is the number to divide a model's logits by that is best on calibration "
        "text; above 1, the model is too confident. KL from the dense model, with percentiles "
        "over tokens, is in thousandths of a nat; negative log-likelihood (nll) and entropy in "
        "nats per token. *Top-1*: tokens whose likeliest successor is the dense model's."
    )
    table = tabulate_confidence(perplexity, settings)
    shares = weigh_confidence(perplexity, damage_recovery, settings, controls)
    return join_blocks(
        introduction,
        table,
        conclude_repair(shares),
        conclude_confidence(shares),
        conclude_on_dense(controls),
        embed_figure(
            figures or {},
            "fig8_confidence",
            "Log-likelihood that one temperature and biases win back",
            "What one temperature wins back of the lost log-likelihood, and what biases do.",
        ),
    )


def tabulate_confidence(perplexity: pd.DataFrame, settings: Mapping) -> str:
    """Write a table of dense, and of TEAL, trained biases and controls at each place."""
    means = average_seeds(perplexity)
    largest = keep_largest(perplexity, settings)
    trained = set(keep_trained(means, settings)["allocation"]) - {DENSE, TEAL}
    rows = [describe_model(model) for _, model in means[means["allocation"] == DENSE].iterrows()]
    for (scope, sparsity), models in means.groupby(["scope", "sparsity"], sort=False):
        shown = set(largest.loc[largest["scope"] == scope, "allocation"])
        for _, model in models[models["allocation"] != DENSE].iterrows():
            if model["allocation"] in shown or model["allocation"] not in trained:
                rows.append(describe_model(model, f"{say_scope(scope)} {say_percent(sparsity)}"))
    return write_table(["model", "sparsified", *COLUMNS], rows, words=2)


def describe_model(model: pd.Series, place: str = "") -> list[str]:
    """Return the cells of one model."""
    name = {DENSE: "dense", TEAL: "TEAL"}.get(model["allocation"], model["allocation"])
    cells = [
        ", ".join(say_fixed(scale * model[name], decimals) for name in names)
        for names, scale, decimals in COLUMNS.values()
    ]
    return [name, place, *cells]


def weigh_confidence(
    perplexity: pd.DataFrame,
    damage_recovery: pd.DataFrame,
    settings: Mapping,
    controls: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Divide the gain of the largest trained allocation of every scope and sparsity.

    Returns:
        `allocation, scope, sparsity`; `gain_low`, the lower end of the interval of the recovered
        share of log-likelihood; in percent of the gain in log-likelihood over TEAL,
        `temperature_share`, which TEAL gains by its own temperature alone, and `own_share`, which
        is left if both models have their own; and `repaired`, the recovered share of KL, with the
        lower end of its interval, `repaired_low`. `is_beaten` says whether that temperature gains
        more than the biases by the adjusted test of `controls`.
    """
    means = average_seeds(perplexity).set_index(["allocation", "scope", "sparsity"])
    recovered = keep_counting(damage_recovery, [*PLACE, "measure"])
    recovered = recovered.set_index([*PLACE, "measure"])
    beaten, rows = find_beaten(controls), []
    for run in keep_largest(perplexity, settings).itertuples():
        teal = means.loc[(TEAL, run.scope, run.sparsity)]
        place = (run.allocation, run.scope, run.sparsity)
        gain = teal["nll_nats_per_token"] - run.nll_nats_per_token
        by_temperature = teal["nll_nats_per_token"] - teal["nll_at_temperature"]
        left = teal["nll_at_temperature"] - run.nll_at_temperature
        rows.append(
            {
                **dict(zip(PLACE, place, strict=True)),
                "gain_low": recovered.loc[(*place, "nll"), "low"],
                "temperature_share": 100 * by_temperature / gain,
                "is_beaten": place in beaten,
                "own_share": 100 * left / gain,
                "repaired": recovered.loc[(*place, "kl"), "recovery_percent"],
                "repaired_low": recovered.loc[(*place, "kl"), "low"],
            }
        )
    return pd.DataFrame(rows, columns=[*PLACE, *SHARES])


def find_beaten(controls: pd.DataFrame | None) -> set[tuple]:
    """Find the places where one temperature gains more log-likelihood than trained biases do."""
    if controls is None or controls.empty:
        return set()
    rows = controls[(controls["control"] == TEMPERATURE) & (controls["measure"] == "nll")]
    rows = keep_counting(rows, PLACE) if len(rows) else rows
    rows = rows[[say_rank(row) == BEATEN for _, row in rows.iterrows()]]
    return set(rows[PLACE].itertuples(index=False, name=None))


def conclude_repair(shares: pd.DataFrame) -> str:
    """Say how much nearer to the dense model the biases bring the sparse one."""
    nearer = shares[shares["repaired_low"] > 0]
    if nearer.empty:
        return "**Repair.** No fall in KL divergence from the dense model can be shown."
    where = "at every place" if len(nearer) == len(shares) else say_runs(nearer)
    return (
        f"**Repair.** The biases take {say_range(nearer['repaired'], 1, '%')} off the KL "
        f"divergence from the dense model {where}, which is what they were trained for."
    )


def conclude_confidence(shares: pd.DataFrame) -> str:
    """Say what of the gains in log-likelihood one temperature reaches, and what is left."""
    # A share of a gain that may be zero says nothing.
    gaining = shares[shares["gain_low"] > 0]
    if gaining.empty:
        return "No gain in log-likelihood can be shown, so there is none to divide."
    return f"**Confidence.** {conclude_temperature(gaining)} {conclude_rest(gaining)}"


def conclude_temperature(gaining: pd.DataFrame) -> str:
    """Say how much of the biases' gain in log-likelihood one temperature on TEAL reaches."""
    reached = say_range(gaining["temperature_share"], 0, "%")
    sentence = (
        f"TEAL with one temperature, a single number, gains {reached} of what the trained biases "
        "gain in log-likelihood"
    )
    more = gaining[gaining["is_beaten"]]
    if more.empty:
        return f"{sentence}."
    where = "everywhere" if len(more) == len(gaining) else say_runs(more)
    return f"{sentence}: more than they do {where}."


def conclude_rest(gaining: pd.DataFrame) -> str:
    """Say what is left of the gain where every model has its own temperature."""
    left = say_range(gaining["own_share"], 0, "%")
    sentence = f"With every model at its own temperature, {left} of the gain is left"
    mostly = gaining[gaining["own_share"] < MOST]
    if mostly.empty:
        return f"{sentence}, so most of it is not confidence."
    where = "" if len(mostly) == len(gaining) else f" {say_runs(mostly)}"
    return f"{sentence}, so most of it is confidence{where}."


def conclude_on_dense(controls: pd.DataFrame | None) -> str:
    """Say what the trained biases do to the dense model, where there is nothing to repair."""
    if controls is None:
        return ""
    rows = controls[controls["control"] == "dense_model"]
    rows = keep_counting(rows, [*PLACE, "measure"]) if len(rows) else rows
    as_it_is, own = (rows[rows["measure"] == measure] for measure in ("nll", OWN))
    if as_it_is.empty:
        return ""
    sentences = [
        "**On the dense model** there is nothing to repair.",
        f"As it is, the same biases {say_effect(as_it_is)}.",
        f"With both at their own temperature, they {say_effect(own)}.",
        "Training never sees the next token, so a gain there is no knowledge that the dense model "
        "lacks.",
    ]
    return " ".join(sentences)


def say_effect(rows: pd.DataFrame) -> str:
    """Say where the log-likelihood rises, falls, or does neither.

    Args:
        rows: A row per run, with the interval of its gain on the dense model.
    """
    rises, falls = rows[rows["control_low"] > 0], rows[rows["control_high"] < 0]
    undecided = rows.drop([*rises.index, *falls.index])
    parts = []
    if len(rises):
        share = say_range(rises["share_of_trained_percent"], 0, "%")
        share = "" if share == NOTHING else f" by {share} of their gain on the sparse model"
        parts.append(f"raise log-likelihood {say_runs(rises)}{share}")
    if len(falls):
        parts.append(f"lower it {say_runs(falls)}")
    if len(undecided):
        parts.append(f"change nothing that can be shown {say_runs(undecided)}")
    return join_words(parts)
