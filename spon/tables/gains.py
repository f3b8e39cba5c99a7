"""Gains by position: of early against late layers, and of every further layer."""

from itertools import combinations

import numpy as np
import pandas as pd

from spon.tables.outcomes import MEASURES, Outcomes, Trainings

GROUP = ["scope", "sparsity", "seed", "seeds"]
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
        gain may be zero. A row without a seed is about the means of the seeds that both have.
    """
    rows = []
    for group in outcomes.groups():
        for pair in pair_by_position(outcomes, group):
            if not (shared := outcomes.share_seeds(*pair)):
                continue
            early, late = shared
            names = {"early": outcomes.allocation(early), "late": outcomes.allocation(late)}
            names |= outcomes.describe_trainings(early)
            rows += [names | compare_gains(outcomes, measure, early, late) for measure in MEASURES]
    return outcomes.table(rows, POSITION)


def pair_by_position(
    outcomes: Outcomes, group: list[Trainings]
) -> list[tuple[Trainings, Trainings]]:
    """Pairs of runs with equally many layers and sites and no layer in common, early and late.

    The mean layer of the early one is lower.
    """
    depth = {runs: np.mean(sorted(layers_of(outcomes, runs))) for runs in group}
    pairs = []
    for pair in combinations(group, 2):
        early, late = sorted(pair, key=depth.__getitem__)
        apart = not layers_of(outcomes, early) & layers_of(outcomes, late)
        equal = size_of(outcomes, early) == size_of(outcomes, late)
        if apart and equal and depth[early] < depth[late]:
            pairs.append((early, late))
    return pairs


def compare_gains(outcomes: Outcomes, measure: str, early: Trainings, late: Trainings) -> dict:
    """Difference and ratio of two runs' gains over the TEAL that they share."""
    early_gain, late_gain = (outcomes.gain(measure, runs) for runs in (early, late))
    difference, ratio = (early_gain - late_gain).interval(), (early_gain / late_gain).interval()
    return {
        "measure": measure,
        "gain_early_nats_per_token": early_gain.value,
        "gain_late_nats_per_token": late_gain.value,
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
        `gain_per_layer_nats_per_token` is nan where no layer is added. A row without a seed is
        about means over several seeds, in chains of the allocations that have several.
    """
    rows = []
    for group in outcomes.groups():
        full = max(group, key=lambda runs: len(outcomes.sites(runs)))
        for pair in list_steps(outcomes, group):
            if not (step := outcomes.share_seeds(*pair, full)):
                continue
            smaller, larger, _ = step
            added = len(layers_of(outcomes, larger)) - len(layers_of(outcomes, smaller))
            names = {
                "smaller": outcomes.allocation(smaller),
                "larger": outcomes.allocation(larger),
                "added_layers": added,
            }
            names |= outcomes.describe_trainings(larger)
            rows += [names | measure_step(outcomes, measure, step, added) for measure in MEASURES]
    return outcomes.table(rows, MARGINAL)


def list_steps(outcomes: Outcomes, group: list[Trainings]) -> list[tuple[Trainings, Trainings]]:
    """Pairs of a smaller and a larger allocation with nested sites and no third between them.

    The smallest is TEAL, so every allocation is the larger one of some pair. Small allocations
    come first.
    """
    candidates = [(outcomes.teal(group[0]),), *group]
    steps = []
    for larger in sorted(group, key=lambda runs: len(outcomes.sites(runs))):
        inside = [runs for runs in candidates if outcomes.sites(runs) < outcomes.sites(larger)]
        for runs in inside:
            if not any(outcomes.sites(runs) < outcomes.sites(other) for other in inside):
                steps.append((runs, larger))
    return steps


def measure_step(outcomes: Outcomes, measure: str, step: list[Trainings], added: int) -> dict:
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


def size_of(outcomes: Outcomes, runs: Trainings) -> tuple[int, int]:
    """How many layers and sites have a bias."""
    return len(layers_of(outcomes, runs)), len(outcomes.sites(runs))


def layers_of(outcomes: Outcomes, runs: Trainings) -> set[int]:
    """Layers with a bias."""
    return {layer for layer, _ in outcomes.sites(runs)}
