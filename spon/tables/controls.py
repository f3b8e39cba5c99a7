"""Controls of training: runs beside untrained biases, and beside themselves on the dense model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from spon import stats
from spon.allocate import MEAN_RESIDUAL, RANDOM, TRAINED
from spon.tables.outcomes import (
    DENSE,
    DENSE_POINT,
    KEYS,
    MEASURES,
    Outcomes,
    adjust_per_measure,
)

NAMES = [
    "control",
    "allocation",
    "reference",
    "scope",
    "sparsity",
    "seed",
    "measure",
    "blocks",
    "draws",
]
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
    """Gains of a trained run and of its control on the same blocks, nats per token.

    Attributes:
        names: `control, reference, measure`, and the point of the trained run.
        trained: TEAL minus the run.
        control: TEAL minus the control, or dense minus the dense model with the run's biases; one
            column per draw of random directions, else one.
    """

    names: Mapping
    trained: Float[np.ndarray, "blocks"]
    control: Float[np.ndarray, "blocks draws"]


def tabulate_controls(
    outcomes: Outcomes,
    on_dense: pd.DataFrame,
    draws: pd.DataFrame,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Gains of every trained run and its controls, and their difference.

    `mean_residual` is the constant that repairs each site on its own; `random` are directions with
    the run's norms; `dense_model` is the run's own biases where nothing is sparsified: what they
    gain there is adaptation to the text, and no repair.

    Args:
        outcomes: All evaluations, those of the mean residual among them.
        on_dense: Blocks of the biased dense model: `allocation, sparsity, seed, block, nll_nats,
            kl_nats, predictions`.
        draws: Blocks of random directions: the same and `draw`; `allocation` is the control's,
            `norms_of` the trained one whose norms it has.
        resamples: Bootstrap draws for shares.
        seed: Of the resampling.

    Returns:
        `difference_nats_per_token` is the trained gain minus the control's. `control_low` and
        `control_high` are the interval of the control's gain, and for random directions the range
        of the draws. `p_holm` is adjusted over one measure.
    """
    comparisons = [
        *compare_with_residual(outcomes),
        *compare_with_draws(outcomes, draws),
        *compare_on_dense(outcomes, on_dense),
    ]
    rows = [
        describe_comparison(outcomes, comparison, resamples, seed) for comparison in comparisons
    ]
    return adjust_per_measure(outcomes.table(rows, CONTROLS))


def read_blocks(paths: Sequence[str | Path]) -> pd.DataFrame:
    """The blocks of some evaluations, whose rows name what they are of; there may be none."""
    return pd.concat([NO_BLOCKS, *map(pd.read_parquet, paths)], ignore_index=True)


def compare_with_residual(outcomes: Outcomes) -> Iterator[Comparison]:
    """Trained runs beside the mean residual at the same sites, sparsity and seed."""
    points = outcomes.points
    trained = points["learn"] == TRAINED
    for control in points.index[points["learn"] == MEAN_RESIDUAL]:
        alike = (points[KEYS[1:]] == points.loc[control, KEYS[1:]]).all(axis=1)
        for point in points.index[alike & trained]:
            if outcomes.sites(point) != outcomes.sites(control):
                continue
            names = {
                "control": MEAN_RESIDUAL,
                "reference": points["allocation"][control],
                "point": point,
            }
            for measure in MEASURES:
                series, teal = outcomes.series[measure], outcomes.teal(point)
                gains = series[:, [teal]] - series[:, [point, control]]
                yield Comparison(names | {"measure": measure}, gains[:, 0], gains[:, 1:])


def compare_with_draws(outcomes: Outcomes, draws: pd.DataFrame) -> Iterator[Comparison]:
    """Trained runs beside random directions, on the blocks on which these were evaluated."""
    for (allocation, norms_of, sparsity, seed), blocks in draws.groupby(
        ["allocation", "norms_of", "sparsity", "seed"]
    ):
        point = find_point(outcomes, norms_of, sparsity, seed)
        names = {"control": RANDOM, "reference": allocation, "point": point}
        for measure in MEASURES:
            nats = blocks[f"{measure}_nats"] / blocks["predictions"]
            wide = blocks.assign(nats=nats).pivot(index="block", columns="draw", values="nats")
            series = outcomes.series[measure][wide.index]
            teal = series[:, outcomes.teal(point)]
            yield Comparison(
                names | {"measure": measure},
                teal - series[:, point],
                teal[:, None] - wide.to_numpy(),
            )


def compare_on_dense(outcomes: Outcomes, on_dense: pd.DataFrame) -> Iterator[Comparison]:
    """Trained runs beside their own biases on the dense model."""
    for (allocation, sparsity, seed), blocks in on_dense.groupby(KEYS[:1] + KEYS[2:]):
        point = find_point(outcomes, allocation, sparsity, seed)
        names = {"control": "dense_model", "reference": DENSE, "point": point}
        for measure in MEASURES:
            series = outcomes.series[measure]
            biased = (blocks[f"{measure}_nats"] / blocks["predictions"]).to_numpy()
            control = series[:, DENSE_POINT] - biased
            trained = series[:, outcomes.teal(point)] - series[:, point]
            yield Comparison(names | {"measure": measure}, trained, control[:, None])


def find_point(outcomes: Outcomes, allocation: str, sparsity: float, seed: int) -> int:
    """The point of a run."""
    points = outcomes.points
    same = (
        (points["allocation"] == allocation)
        & (points["sparsity"] == sparsity)
        & (points["seed"] == seed)
    )
    return int(points.index[same.fillna(False)].item())


def describe_comparison(
    outcomes: Outcomes, comparison: Comparison, resamples: int, seed: int
) -> dict:
    """One row: both gains, their difference and the control's share of what training gains."""
    names = comparison.names
    run = outcomes.points.loc[names["point"], KEYS]
    control = comparison.control.mean(axis=1)
    gain = stats.mean_interval(control)
    difference = stats.mean_interval(comparison.trained - control)
    by_draw = comparison.control.mean(axis=0)
    spread = (gain.low, gain.high) if len(by_draw) == 1 else (by_draw.min(), by_draw.max())
    both = np.column_stack([control, comparison.trained])
    control_gain, trained_gain = stats.draw_quantities(both, resamples, seed)
    share = (100 * control_gain / trained_gain).interval()
    return {
        **{name: names[name] for name in ("control", "reference", "measure")},
        **run,
        "blocks": len(control),
        "draws": len(by_draw),
        "trained_gain_nats_per_token": comparison.trained.mean(),
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
