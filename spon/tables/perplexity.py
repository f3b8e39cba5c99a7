"""Tables of perplexity, contrasts and recovery; their summary; and how tables are written."""

from collections.abc import Iterator
from itertools import combinations
from json import dumps
from pathlib import Path

import numpy as np
import pandas as pd

from spon.tables.outcomes import (
    DENSE,
    DENSE_POINT,
    KEYS,
    MEASURES,
    TEAL,
    Outcomes,
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
CHANGE = [
    "gain_percent",
    "over_dense_percent",
    "recovery_percent",
    "recovery_nll_percent",
    "recovery_kl_percent",
]
PERPLEXITY = [*KEYS, *COST, *LEVEL, *CHANGE]
PAIR = [
    "contrast",
    "allocation",
    "seed",
    "reference",
    "reference_seed",
    "scope",
    "sparsity",
    "measure",
    "blocks",
]
CONTRASTS = [*PAIR, "difference_nats_per_token", "low", "high", "p_value", "p_holm"]
RECOVERY = [*KEYS, "measure", "dense", "teal", "spon", "recovery_percent", "low", "high"]


def tabulate_perplexity(outcomes: Outcomes) -> pd.DataFrame:
    """Every evaluation: what it costs, its perplexity with an interval, and what it gains.

    Returns:
        One row per point. Gain and recovery are percent of TEAL's perplexity and of its damage;
        recovery is nan for the baselines and where the damage may be zero.
    """
    means, points = outcomes.means, outcomes.points
    intervals = [outcomes.perplexity(point) for point in points.index]
    teal, dense = means["perplexity"][points["teal"]], means["perplexity"][DENSE_POINT]
    frame = points.assign(
        site_sparsity=points["sparsity"],
        perplexity=means["perplexity"],
        perplexity_low=[interval.low for interval in intervals],
        perplexity_high=[interval.high for interval in intervals],
        nll_nats_per_token=means["nll"],
        kl_nats_per_token=means["kl"],
        gain_percent=np.where(
            points["allocation"] == DENSE, np.nan, 100 * (teal - means["perplexity"]) / teal
        ),
        over_dense_percent=100 * (means["perplexity"] - dense) / dense,
    )
    recovery_columns = {"perplexity": "recovery_percent"}
    recovery_columns |= {measure: f"recovery_{measure}_percent" for measure in MEASURES}
    for measure, column in recovery_columns.items():
        recovered = {run: outcomes.recovery(measure, run).value for run in outcomes.runs()}
        frame[column] = [recovered.get(point, np.nan) for point in frame.index]
    return frame[PERPLEXITY].assign(protocol=outcomes.protocol)


def tabulate_contrasts(outcomes: Outcomes) -> pd.DataFrame:
    """Paired differences between evaluations.

    TEAL is compared with dense, every run with its TEAL, and runs with one another.

    Returns:
        `difference_nats_per_token` is `allocation` minus `reference`, below zero where
        `allocation` is better. `p_holm` is adjusted over all rows of one measure.
    """
    rows = []
    for contrast, point, reference in list_contrasts(outcomes):
        first, second = outcomes.points.iloc[point], outcomes.points.iloc[reference]
        names = {
            "contrast": contrast,
            "reference": second["allocation"],
            "reference_seed": second["seed"],
        }
        for measure in MEASURES:
            difference = outcomes.difference(measure, point, reference)
            row = {
                "measure": measure,
                "blocks": outcomes.blocks,
                "difference_nats_per_token": difference.value,
                "low": difference.low,
                "high": difference.high,
                "p_value": difference.p_value,
            }
            rows.append({**first[KEYS], **names, **row})
    return adjust_per_measure(outcomes.table(rows, CONTRASTS))


def list_contrasts(outcomes: Outcomes) -> Iterator[tuple[str, int, int]]:
    """Kind, point and reference of every difference of the study."""
    for point in np.flatnonzero(outcomes.points["allocation"] == TEAL).tolist():
        yield "teal_dense", point, DENSE_POINT
    for point in outcomes.runs():
        yield "run_teal", point, outcomes.teal(point)
    for _, runs in outcomes.groups():
        for point, reference in combinations(runs, 2):
            yield "run_run", point, reference


def tabulate_damage_recovery(outcomes: Outcomes) -> pd.DataFrame:
    """The share of TEAL's damage that every run recovers, by perplexity, nll and KL from dense.

    Returns:
        `dense, teal, spon` in the unit of the measure (nats per token for nll and kl); the share
        and its interval are nan where the damage may be zero.
    """
    rows = []
    for run in outcomes.runs():
        for measure in ("perplexity", *MEASURES):
            means, recovery = outcomes.means[measure], outcomes.recovery(measure, run).interval()
            row = {
                "measure": measure,
                "dense": means[DENSE_POINT],
                "teal": means[outcomes.teal(run)],
                "spon": means[run],
                "recovery_percent": recovery.value,
                "low": recovery.low,
                "high": recovery.high,
            }
            rows.append({**outcomes.points[KEYS].iloc[run], **row})
    return outcomes.table(rows, RECOVERY)


def summarise(outcomes: Outcomes) -> dict:
    """The study's numbers, nested: `scopes`, then scope, `s0.5`, then `teal` and `runs`.

    Returns:
        Plain numbers; None where one is not applicable, so that keys do not come and go.
    """
    perplexity = tabulate_perplexity(outcomes)
    summary = {"protocol": outcomes.protocol, "blocks": outcomes.blocks, "dense": {}, "scopes": {}}
    for row in to_records(perplexity):
        level = pick(
            row, "perplexity", "nll_nats_per_token", "kl_nats_per_token", "over_dense_percent"
        )
        if row["allocation"] == DENSE:
            summary["dense"] = pick(row, "perplexity", "nll_nats_per_token")
        elif row["allocation"] == TEAL:
            levels = summary["scopes"].setdefault(row["scope"], {})
            levels[f"s{row['sparsity']}"] = {"teal": level, "runs": {}}
        else:
            gained = pick(
                row,
                "gain_percent",
                "recovery_percent",
                "recovery_nll_percent",
                "recovery_kl_percent",
            )
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
    """Write a table as CSV and JSON of full precision, and as LaTeX with four significant digits.

    The same table gives the same bytes.
    """
    frame.to_csv(csv, index=False, lineterminator="\n")
    Path(json).write_text(dumps(to_records(frame), indent=1, allow_nan=False) + "\n")
    frame.to_latex(tex, index=False, escape=True, na_rep="--", float_format=format_significant)


def format_significant(value: float) -> str:
    """Four significant digits; what fewer say exactly, such as a sparsity, is not padded."""
    exact = float(f"{value:.4g}") == value
    return f"{value:.4g}" if exact else f"{value:#.4g}".removesuffix(".")
