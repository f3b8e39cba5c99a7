"""Controls of training: runs beside untrained biases, one temperature, and the dense model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spon import stats
from spon.allocate import RANDOM, TRAINED
from spon.tables.likelihoods import SUMS, read_draws, read_evaluations
from spon.tables.outcomes import (
    DENSE,
    DENSE_POINT,
    MEASURES,
    OWN_TEMPERATURE,
    TEAL,
    Outcomes,
    Trainings,
    adjust_per_measure,
)

COMPARED = ["control", "allocation", "reference", "scope", "sparsity"]
NAMES = [*COMPARED, "seed", "seeds", "measure", "blocks", "draws"]
GAINS = [
    "trained_gain_nats_per_token",
    "control_gain_nats_per_token",
    "control_low",
    "control_high",
]
DIFFERENCE = ["difference_nats_per_token", "low", "high", "p_value", "p_holm"]
# The blocks of a study without such evaluations.
COLUMN_TYPES = {
    "allocation": str,
    "norms_of": str,
    "sparsity": float,
    "seed": int,
    "draw": int,
    "block": int,
    "predictions": int,
}
NO_BLOCKS = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMN_TYPES.items()})
CONTROLS = [*NAMES, *GAINS, *DIFFERENCE, "share_of_trained_percent", "share_low", "share_high"]


@dataclass(frozen=True)
class Comparison:
    """All trainings of an allocation at a sparsity, and their control.

    Attributes:
        control: What it is.
        reference: The evaluation or allocation that it is of.
        measure: By which gains are measured, nats per token.
        trained: Points of the trained runs.
        gains: What the control gains, by seed, one column per draw of random directions, else
            one: over TEAL, or over the dense model.
        blocks: The blocks that it was evaluated on; None if on all of them.
    """

    control: str
    reference: str
    measure: str
    trained: Trainings
    gains: Mapping[int, Float[np.ndarray, "blocks draws"]]
    blocks: Int[np.ndarray, "blocks"] | None = None


def tabulate_controls(
    outcomes: Outcomes, on_dense: pd.DataFrame, draws: pd.DataFrame
) -> pd.DataFrame:
    """Gains of every trained run and its controls, and their difference.

    Untrained biases go by how they are learned: `mean_residual` is the constant that repairs each
    site on its own. `random` are directions with the run's norms. `temperature` is TEAL with all
    logits divided by one number. `dense_model` is the run's own biases where nothing is
    sparsified: what they gain there is no repair; `dense_temperature` is the dense model with one
    temperature instead. The measure `nll_at_temperature` compares models that each have their
    own.

    Args:
        outcomes: All evaluations, those of untrained biases among them.
        on_dense: Blocks of the biased dense model: `allocation, sparsity, seed, block,
            predictions`, and the columns of `SUMS`.
        draws: Blocks of random directions: the same names and `draw`, `nll_nats` and `kl_nats`;
            `allocation` is the control's, `norms_of` the trained one whose norms it has.

    Returns:
        `difference_nats_per_token` is the trained gain minus the control's. `control_low` and
        `control_high` are the interval of the control's gain, and for random directions the range
        of the draws. Where an allocation has several trainings, a row without a seed is about
        their mean. `p_holm` is adjusted over all comparisons of one measure, of which the row of
        most trainings counts.
    """
    comparisons = [
        *compare_with_untrained(outcomes),
        *compare_with_draws(outcomes, draws),
        *compare_with_temperature(outcomes),
        *compare_on_dense(outcomes, on_dense),
    ]
    rows = [
        describe_comparison(outcomes, comparison, runs, gains)
        for comparison in comparisons
        for runs, gains in match_seeds(outcomes, comparison)
    ]
    return adjust_per_measure(outcomes.table(rows, CONTROLS), COMPARED)


def read_on_dense(paths: Sequence[str | Path], runs: Sequence[Mapping]) -> pd.DataFrame:
    """The blocks of the dense model with the biases of some runs; there may be none."""
    return pd.concat([NO_BLOCKS, *read_evaluations(paths, runs)], ignore_index=True)


def read_random(paths: Sequence[str | Path], runs: Sequence[Mapping]) -> pd.DataFrame:
    """The blocks of random directions with the norms of some runs; there may be none."""
    return pd.concat([NO_BLOCKS, *read_draws(paths, runs)], ignore_index=True)


def compare_with_untrained(outcomes: Outcomes) -> Iterator[Comparison]:
    """Trained runs beside biases at the same sites and sparsity that were learned otherwise."""
    runs = outcomes.repeat(outcomes.runs())
    trained = [alike for alike in runs if outcomes.first(alike)["learn"] == TRAINED]
    for control in [alike for alike in runs if alike not in trained]:
        for alike in trained:
            same_baseline = outcomes.teal(alike) == outcomes.teal(control)
            if not same_baseline or outcomes.sites(alike) != outcomes.sites(control):
                continue
            for measure in MEASURES:
                series, teal = outcomes.series[measure], outcomes.teal(control)
                yield Comparison(
                    control=outcomes.first(control)["learn"],
                    reference=outcomes.allocation(control),
                    measure=measure,
                    trained=alike,
                    gains={
                        outcomes.seed(point): series[:, [teal]] - series[:, [point]]
                        for point in control
                    },
                )


def compare_with_draws(outcomes: Outcomes, draws: pd.DataFrame) -> Iterator[Comparison]:
    """Trained runs beside random directions, on the blocks on which these were evaluated."""
    for (allocation, norms_of, sparsity), of_seeds in draws.groupby(
        ["allocation", "norms_of", "sparsity"]
    ):
        trained = outcomes.trainings(norms_of, sparsity)
        blocks = np.sort(of_seeds["block"].unique())
        for measure in MEASURES:
            teal = outcomes.series[measure][blocks, outcomes.teal(trained)]
            yield Comparison(
                control=RANDOM,
                reference=allocation,
                measure=measure,
                trained=trained,
                gains={
                    seed: teal[:, None] - spread_draws(rows, measure)
                    for seed, rows in of_seeds.groupby("seed")
                },
                blocks=blocks,
            )


def spread_draws(rows: pd.DataFrame, measure: str) -> Float[np.ndarray, "blocks draws"]:
    """The nats per token of random directions, one column per draw."""
    nats = rows[SUMS[measure]] / rows["predictions"]
    return rows.assign(nats=nats).pivot(index="block", columns="draw", values="nats").to_numpy()


def compare_with_temperature(outcomes: Outcomes) -> Iterator[Comparison]:
    """Trained runs beside TEAL at its own temperature."""
    points = outcomes.points
    for trained in outcomes.repeat(points.index[points["learn"] == TRAINED].tolist()):
        for measure in MEASURES:
            yield Comparison(
                control="temperature",
                reference=TEAL,
                measure=measure,
                trained=trained,
                gains=gain_by_temperature(outcomes, measure, trained, outcomes.teal(trained)),
            )


def compare_on_dense(outcomes: Outcomes, on_dense: pd.DataFrame) -> Iterator[Comparison]:
    """Trained runs beside their own biases on the dense model, and beside its own temperature."""
    for (allocation, sparsity), of_seeds in on_dense.groupby(["allocation", "sparsity"]):
        trained = outcomes.trainings(allocation, sparsity)
        for measure in (*MEASURES, OWN_TEMPERATURE):
            dense = outcomes.series[measure][:, DENSE_POINT]
            gains = {}
            for seed, rows in of_seeds.groupby("seed"):
                in_order = rows.sort_values("block")
                biased = in_order[SUMS[measure]] / in_order["predictions"]
                gains[seed] = (dense - biased.to_numpy())[:, None]
            # A training's biases on the dense model say nothing of another training.
            same = tuple(run for run in trained if outcomes.seed(run) in gains)
            yield Comparison("dense_model", DENSE, measure, same, gains)
        for measure in MEASURES:
            gains = gain_by_temperature(outcomes, measure, trained, DENSE_POINT)
            yield Comparison("dense_temperature", DENSE, measure, trained, gains)


def gain_by_temperature(
    outcomes: Outcomes, measure: str, trained: Trainings, point: int
) -> dict[int, Float[np.ndarray, "blocks 1"]]:
    """What an evaluation's own temperature gains; the same beside every training."""
    series = outcomes.series
    gain = series[measure][:, [point]] - series[f"{measure}_at_temperature"][:, [point]]
    return {outcomes.seed(run): gain for run in trained}


def match_seeds(
    outcomes: Outcomes, comparison: Comparison
) -> Iterator[tuple[Trainings, list[Float[np.ndarray, "blocks draws"]]]]:
    """Trainings and the control's gains of the same seed, one by one; then all of them together.

    A control with one seed stands beside all trainings together.
    """
    gains = comparison.gains
    matched = tuple(run for run in comparison.trained if outcomes.seed(run) in gains)
    for run in matched:
        yield (run,), [gains[outcomes.seed(run)]]
    if len(matched) > 1:
        yield matched, [gains[outcomes.seed(run)] for run in matched]
    elif len(comparison.trained) > 1:
        yield comparison.trained, list(gains.values())[:1]


def describe_comparison(
    outcomes: Outcomes,
    comparison: Comparison,
    runs: Trainings,
    gains: list[Float[np.ndarray, "blocks draws"]],
) -> dict:
    """One row: both gains, their difference and the control's share of what training gains."""
    control = stats.average([stats.mean_quantity(gain.mean(axis=1)) for gain in gains])
    trained = average_gains(outcomes, comparison, runs)
    by_draw = np.mean([gain.mean(axis=0) for gain in gains], axis=0)
    gain, difference = control.interval(), (trained - control).interval()
    spread = (gain.low, gain.high) if len(by_draw) == 1 else (by_draw.min(), by_draw.max())
    share = (100 * control / trained).interval()
    return {
        "control": comparison.control,
        "allocation": outcomes.allocation(runs),
        "reference": comparison.reference,
        **outcomes.describe_trainings(runs),
        "measure": comparison.measure,
        "blocks": len(control.influence),
        "draws": len(by_draw),
        "trained_gain_nats_per_token": trained.value,
        "control_gain_nats_per_token": gain.value,
        "control_low": spread[0],
        "control_high": spread[1],
        "difference_nats_per_token": difference.value,
        "low": difference.low,
        "high": difference.high,
        "p_value": difference.p_value,
        "share_of_trained_percent": share.value,
        "share_low": share.low,
        "share_high": share.high,
    }


def average_gains(outcomes: Outcomes, comparison: Comparison, runs: Trainings) -> stats.Quantity:
    """What trained runs gain over TEAL on the blocks of their control."""
    series = outcomes.series[comparison.measure]
    if comparison.blocks is not None:
        series = series[comparison.blocks]
    teal = series[:, outcomes.teal(runs)]
    return stats.average([stats.mean_quantity(teal - series[:, run]) for run in runs])
