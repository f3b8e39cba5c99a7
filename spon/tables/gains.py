"""Gains by position: of early against late layers, and of every further layer."""

from itertools import combinations

import numpy as np
import pandas as pd

from spon.tables.outcomes import MEASURES, Outcomes

GROUP = ["scope", "sparsity", "seed"]
GAINS = [
    "gain_early_nats_per_token",
    "gain_late_nats_per_token",
    "difference",
    "difference_low",
    "difference_high",
]
POSITION = [*GROUP, "early", "late", "measure", *GAINS, "ratio", "ratio_low", "ratio_high"]
GAIN = ["gain_nats_per_token", "low", "high", "gain_per_layer_nats_per_token"]
SHARE = ["share_of_full_percent", "share_low", "share_high"]
MARGINAL = [*GROUP, "smaller", "larger", "added_layers", "measure", *GAIN, *SHARE]


def tabulate_layer_position(outcomes: Outcomes) -> pd.DataFrame:
    """Compare gains over TEAL of two allocations of one size that share no layer.

    Returns:
        `early` is the allocation nearer the input. `difference` is the early gain minus the late
        one, in nats per token, and `ratio` the early gain over the late one, nan where the late
        gain may be zero.
    """
    rows = []
    for group, runs in outcomes.groups():
        for early, late in pair_by_position(outcomes, runs):
            names = {"early": name_of(outcomes, early), "late": name_of(outcomes, late)}
            for measure in MEASURES:
                rows.append(group | names | compare_gains(outcomes, measure, early, late))
    return outcomes.table(rows, POSITION)


def pair_by_position(outcomes: Outcomes, runs: list[int]) -> list[tuple[int, int]]:
    """Pairs of runs with equally many layers and sites and no layer in common, early and late.

    The mean layer of the early one is lower.
    """
    depth = {run: np.mean(sorted(layers_of(outcomes, run))) for run in runs}
    pairs = []
    for pair in combinations(runs, 2):
        early, late = sorted(pair, key=depth.__getitem__)
        apart = not layers_of(outcomes, early) & layers_of(outcomes, late)
        equal = size_of(outcomes, early) == size_of(outcomes, late)
        if apart and equal and depth[early] < depth[late]:
            pairs.append((early, late))
    return pairs


def compare_gains(outcomes: Outcomes, measure: str, early: int, late: int) -> dict:
    """Difference and ratio of two runs' gains over the TEAL that they share."""
    teal = outcomes.teal(early)
    difference = outcomes.difference(measure, late, early)
    ratio = (outcomes.gain(measure, early) / outcomes.gain(measure, late)).interval()
    return {
        "measure": measure,
        "gain_early_nats_per_token": outcomes.difference(measure, teal, early).value,
        "gain_late_nats_per_token": outcomes.difference(measure, teal, late).value,
        "difference": difference.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
    }


def tabulate_marginal_gain(outcomes: Outcomes) -> pd.DataFrame:
    """Gains of the sites that one allocation has beyond a smaller one.

    Returns:
        One row per step of the chains of nested allocations, which begin without a bias.
        `share_of_full_percent` is the gain of `larger` over TEAL, as a share of that of the
        allocation with most sites in the scope; nan where the latter may be zero.
        `gain_per_layer_nats_per_token` is nan where no layer is added.
    """
    rows = []
    for group, runs in outcomes.groups():
        full = max(runs, key=lambda run: len(outcomes.sites(run)))
        for smaller, larger in list_steps(outcomes, runs):
            added = len(layers_of(outcomes, larger)) - len(layers_of(outcomes, smaller))
            names = {
                "smaller": name_of(outcomes, smaller),
                "larger": name_of(outcomes, larger),
                "added_layers": added,
            }
            for measure in MEASURES:
                step = measure_step(outcomes, measure, (smaller, larger, full), added)
                rows.append(group | names | step)
    return outcomes.table(rows, MARGINAL)


def list_steps(outcomes: Outcomes, runs: list[int]) -> list[tuple[int, int]]:
    """Pairs of a smaller and a larger allocation with nested sites and no third between them.

    The smallest is TEAL, so every run is the larger one of some pair. Small allocations come
    first.
    """
    candidates = [outcomes.teal(runs[0]), *runs]
    steps = []
    for larger in sorted(runs, key=lambda run: len(outcomes.sites(run))):
        inside = [point for point in candidates if outcomes.sites(point) < outcomes.sites(larger)]
        for point in inside:
            if not any(outcomes.sites(point) < outcomes.sites(other) for other in inside):
                steps.append((point, larger))
    return steps


def measure_step(outcomes: Outcomes, measure: str, step: tuple[int, int, int], added: int) -> dict:
    """Gain of one step (smaller, larger, full), and the share of the full gain reached with it."""
    smaller, larger, full = step
    gain = outcomes.difference(measure, smaller, larger)
    share = (100 * outcomes.gain(measure, larger) / outcomes.gain(measure, full)).interval()
    return {
        "measure": measure,
        "gain_nats_per_token": gain.value,
        "low": gain.low,
        "high": gain.high,
        "gain_per_layer_nats_per_token": gain.value / added if added else np.nan,
        "share_of_full_percent": share.value,
        "share_low": share.low,
        "share_high": share.high,
    }


def size_of(outcomes: Outcomes, point: int) -> tuple[int, int]:
    """How many layers and sites have a bias."""
    return len(layers_of(outcomes, point)), len(outcomes.sites(point))


def layers_of(outcomes: Outcomes, point: int) -> set[int]:
    """Layers with a bias."""
    return {layer for layer, _ in outcomes.sites(point)}


def name_of(outcomes: Outcomes, point: int) -> str:
    """The allocation of a point."""
    return outcomes.points["allocation"].iloc[point]
