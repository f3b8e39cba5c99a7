"""Tables of perplexity, contrasts and recovery; their summary; and how tables are written."""

from collections.abc import Iterator
from itertools import combinations
from json import dumps
from pathlib import Path

import numpy as np
import pandas as pd

from spon.tables.likelihoods import CONSTANTS
from spon.tables.outcomes import (
    DENSE,
    DENSE_POINT,
    KEYS,
    MEASURES,
    OWN_TEMPERATURE,
    TEAL,
    Outcomes,
    Trainings,
    adjust_per_measure,
)

COST = ["layers", "sites", "bias_parameters", "site_sparsity", "model_sparsity"]
LEVEL = [
    "perplexity",
    "perplexity_low",
    "perplexity_high",
    "nll_nats_per_token",
    "kl_nats_per_token",
]
CONFIDENCE = ["entropy_nats", "top1_percent", *CONSTANTS[1:], CONSTANTS[0], OWN_TEMPERATURE]
RECOVERIES = {
    "perplexity": "recovery_percent",
    "nll": "recovery_nll_percent",
    "kl": "recovery_kl_percent",
    OWN_TEMPERATURE: "recovery_own_temperature_percent",
}
CHANGE = ["gain_percent", "over_dense_percent", *RECOVERIES.values()]
TRAINING = ["steps", "converged"]
PERPLEXITY = [*KEYS, *COST, *LEVEL, *CONFIDENCE, *CHANGE, *TRAINING]
NO_TRAININGS = pd.DataFrame(columns=[*KEYS, *TRAINING])
PAIR = ["contrast", "allocation", "reference", "scope", "sparsity"]
CONTRASTS = [
    "contrast",
    "allocation",
    "seed",
    "reference",
    "reference_seed",
    "scope",
    "sparsity",
    "seeds",
    "measure",
    "blocks",
    "difference_nats_per_token",
    "low",
    "high",
    "p_value",
    "p_holm",
]
RECOVERY = [*KEYS, "seeds", "measure", "dense", "teal", "spon", "recovery_percent", "low", "high"]


def tabulate_perplexity(
    outcomes: Outcomes, trainings: pd.DataFrame = NO_TRAININGS
) -> pd.DataFrame:
    """Every evaluation: what it costs, its perplexity with an interval, and what it gains.

    Args:
        outcomes: All evaluations.
        trainings: Of `trainings.tabulate_trainings`, for its `steps` and `converged`.

    Returns:
        One row per point. `sparsity` is the one asked for, `site_sparsity` and `model_sparsity`
        are the shares of weights that are multiplied by zero on held-out text. Gain and
        recovery are percent of TEAL's perplexity and of its damage; recovery is nan for the
        baselines and where the damage may be zero.
        `nll_at_temperature` is in nats per token with every logit divided by the evaluation's own
        `temperature`; recovery at the own temperature compares TEAL, dense and the run each at
        its own. `top1_percent` of the predictions have the dense model's most likely token.
    """
    means, points = outcomes.means, outcomes.points
    intervals = [outcomes.perplexity(point) for point in points.index]
    teal, dense = means["perplexity"][points["teal"]], means["perplexity"][DENSE_POINT]
    frame = points.assign(
        perplexity=means["perplexity"],
        perplexity_low=[interval.low for interval in intervals],
        perplexity_high=[interval.high for interval in intervals],
        nll_nats_per_token=means["nll"],
        kl_nats_per_token=means["kl"],
        entropy_nats=means["entropy"],
        top1_percent=100 * means["top1"],
        nll_at_temperature=means[OWN_TEMPERATURE],
        gain_percent=np.where(
            points["allocation"] == DENSE, np.nan, 100 * (teal - means["perplexity"]) / teal
        ),
        over_dense_percent=100 * (means["perplexity"] - dense) / dense,
    )
    for measure, column in RECOVERIES.items():
        recovered = {run: outcomes.recovery(measure, run).value for run in outcomes.runs()}
        frame[column] = [recovered.get(point, np.nan) for point in frame.index]
    by_run = trainings.set_index(KEYS)[TRAINING]
    named = frame.set_index(KEYS).index
    frame["steps"] = by_run["steps"].reindex(named).astype("Int64").array
    frame["converged"] = by_run["converged"].reindex(named).astype("boolean").array
    return frame[PERPLEXITY].assign(protocol=outcomes.protocol)


def tabulate_contrasts(outcomes: Outcomes) -> pd.DataFrame:
    """Paired differences between evaluations.

    TEAL is compared with dense, every run with its TEAL, and runs with one another: each training
    by itself, and where two allocations share several seeds their means, in a row without seeds.

    Returns:
        `difference_nats_per_token` is `allocation` minus `reference`, below zero where
        `allocation` is better. `seeds` counts the trainings, 0 without any. `p_holm` is adjusted
        over all comparisons of one measure, of which the row of most trainings counts.
    """
    rows = []
    for contrast, runs, references in list_contrasts(outcomes):
        names = {
            "contrast": contrast,
            "allocation": outcomes.allocation(runs),
            "reference": outcomes.allocation(references),
            "reference_seed": outcomes.describe_trainings(references)["seed"],
            "blocks": outcomes.blocks,
        }
        for measure in MEASURES:
            difference = outcomes.difference(measure, runs, references)
            row = {
                "measure": measure,
                "difference_nats_per_token": difference.value,
                "low": difference.low,
                "high": difference.high,
                "p_value": difference.p_value,
            }
            rows.append({**outcomes.describe_trainings(runs), **names, **row})
    return adjust_per_measure(outcomes.table(rows, CONTRASTS), PAIR)


def list_contrasts(outcomes: Outcomes) -> Iterator[tuple[str, Trainings, Trainings]]:
    """Kind, trainings and reference of every difference of the study."""
    for point in np.flatnonzero(outcomes.points["allocation"] == TEAL).tolist():
        yield "teal_dense", (point,), (DENSE_POINT,)
    for runs in list_trainings(outcomes):
        yield "run_teal", runs, (outcomes.teal(runs),)
    for group in outcomes.groups():
        for pair in combinations(group, 2):
            if shared := outcomes.share_seeds(*pair):
                yield "run_run", *shared


def list_trainings(outcomes: Outcomes) -> list[Trainings]:
    """Every run by itself, and then the trainings of all that have several seeds together."""
    runs = outcomes.runs()
    repeated = [together for together in outcomes.repeat(runs) if len(together) > 1]
    return [(run,) for run in runs] + repeated


def tabulate_damage_recovery(outcomes: Outcomes) -> pd.DataFrame:
    """The share of TEAL's damage that every run recovers, by perplexity, nll and KL from dense.

    The measure `nll_at_temperature` compares the three at their own temperatures.

    Returns:
        `dense, teal, spon` in the unit of the measure (nats per token, or perplexity); the share
        and its interval are nan where the damage may be zero. A row without a seed is about the
        mean of several trainings, which `seeds` counts.
    """
    rows = []
    for runs in list_trainings(outcomes):
        for measure in RECOVERIES:
            means, recovery = outcomes.means[measure], outcomes.recovery(measure, runs).interval()
            row = {
                "allocation": outcomes.allocation(runs),
                "measure": measure,
                "dense": means[DENSE_POINT],
                "teal": means[outcomes.teal(runs)],
                "spon": outcomes.quantity(measure, runs).value,
                "recovery_percent": recovery.value,
                "low": recovery.low,
                "high": recovery.high,
            }
            rows.append({**outcomes.describe_trainings(runs), **row})
    return outcomes.table(rows, RECOVERY)


def summarise(outcomes: Outcomes) -> dict:
    """The study's numbers, nested: `scopes`, then scope, `s0.5`, then `teal` and `runs`.

    Returns:
        Plain numbers; None where one is not applicable, so that keys do not come and go.
    """
    perplexity = tabulate_perplexity(outcomes)
    summary = {"protocol": outcomes.protocol, "blocks": outcomes.blocks, "dense": {}, "scopes": {}}
    for row in to_records(perplexity):
        names = ("perplexity", "nll_nats_per_token", "kl_nats_per_token")
        level = pick(row, *names, *CONFIDENCE, "over_dense_percent")
        if row["allocation"] == DENSE:
            summary["dense"] = pick(row, *names[:2], *CONFIDENCE)
        elif row["allocation"] == TEAL:
            levels = summary["scopes"].setdefault(row["scope"], {})
            levels[f"s{row['sparsity']}"] = {"teal": level, "runs": {}}
        else:
            gained = pick(row, "gain_percent", *RECOVERIES.values())
            runs = summary["scopes"][row["scope"]][f"s{row['sparsity']}"]["runs"]
            runs[f"{row['allocation']}/seed{row['seed']}"] = level | gained
    return summary


def pick(row: dict, *names: str) -> dict:
    """Take some entries of a record."""
    return {name: row[name] for name in names}


def to_records(frame: pd.DataFrame) -> list[dict]:
    """A table's rows as plain Python values; None where a value is missing."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def write_table(frame: pd.DataFrame, csv: str | Path, json: str | Path, tex: str | Path) -> None:
    """Write a table as CSV and JSON, and as LaTeX with four significant digits.

    The same table gives the same bytes. Numbers have twelve significant digits, since what is
    behind them may differ with the order in which a processor adds up.
    """
    frame = frame.map(round_significant)
    frame.to_csv(csv, index=False, lineterminator="\n")
    Path(json).write_text(dumps(to_records(frame), indent=1, allow_nan=False) + "\n")
    frame.to_latex(tex, index=False, escape=True, na_rep="--", float_format=format_significant)


def round_significant(value: object, digits: int = 12) -> object:
    """Round a float to some significant digits; return anything else as it is.

    >>> round_significant(0.1 + 0.2)
    0.3
    """
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def format_significant(value: float) -> str:
    """Four significant digits; what fewer say exactly, such as a sparsity, is not padded."""
    exact = float(f"{value:.4g}") == value
    return f"{value:.4g}" if exact else f"{value:#.4g}".removesuffix(".")
