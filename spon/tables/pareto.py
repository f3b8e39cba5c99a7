"""Frontiers of perplexity, and of KL divergence, against their cost, with ties left as ties."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spon.tables.outcomes import DENSE, MEASURES, Outcomes, Trainings

POINT = ["frontier", "scope", "sparsity", "allocation", "seed", "seeds", "cost_name", "cost"]
LEVEL = ["perplexity", "low", "high", "measure", "level", "level_low", "level_high"]
PARETO = [*POINT, *LEVEL, "on_frontier", "tied_with"]


def tabulate_pareto(outcomes: Outcomes) -> pd.DataFrame:
    """One frontier per scope and sparsity, and one over everything that was evaluated.

    Within a scope and sparsity, the fewer bias parameters the better (TEAL has none); over all
    scopes and sparsities, the sparser the model the better. Trainings with several seeds compete
    with their mean.

    Returns:
        One row per frontier, measure, scope, sparsity and allocation, without a seed if it has
        several. `cost` in parameters, or the share of the decoder's linear weights that meet a
        zero. `measure` says what is judged, `level` is its value with its own interval:
        perplexity for `nll`, nats per token for `kl`. `tied_with` names the points of the same
        frontier that cannot be told from this one by that measure, joined by `;`.
    """
    points = outcomes.repeat(outcomes.points.index.tolist())
    firsts = outcomes.points.iloc[[runs[0] for runs in points]].reset_index(drop=True)
    inside = firsts[firsts["allocation"] != DENSE]
    parameters, sparsities = (
        firsts[name].to_numpy(float) for name in ("bias_parameters", "model_sparsity")
    )
    rows = []
    for measure in MEASURES:
        order = compare_points(outcomes, points, measure)
        levels = describe_levels(outcomes, points, measure)
        for _, group in inside.groupby(["scope", "sparsity"], sort=False):
            frontier = find_frontier(group.index.tolist(), parameters, order)
            named = name_costs(levels.loc[group.index], "scope", "bias_parameters", parameters)
            rows += judge_points(named, frontier, order)
        # ASSUME: model sparsities are equal costs to a tenth of a percent, as the report shows
        # them; what is measured beyond that is this text's chance.
        frontier = find_frontier(firsts.index.tolist(), -sparsities.round(3), order)
        rows += judge_points(
            name_costs(levels, "model", "model_sparsity", sparsities), frontier, order
        )
    return outcomes.table(rows, PARETO)


def compare_points(
    outcomes: Outcomes, points: list[Trainings], measure: str
) -> Int[np.ndarray, "points points"]:
    """-1 where a row's point is better than a column's, 1 where it is worse, 0 at a tie."""
    # ASSUME: each pair is judged by its own 95 % interval, unadjusted: a frontier is a picture,
    # tests are contrasts.
    order = np.zeros((len(points), len(points)), dtype=int)
    for first, second in combinations(range(len(points)), 2):
        pair = pair_trainings(outcomes, points[first], points[second])
        difference = outcomes.difference(measure, *pair)
        if not difference.holds_zero:
            order[first, second] = np.sign(difference.value)
            order[second, first] = -order[first, second]
    return order


def pair_trainings(outcomes: Outcomes, *points: Trainings) -> Sequence[Trainings]:
    """The trainings of two points by which they are compared: those whose seed both have.

    A point with one training is compared with the mean of all trainings of the other one. Points
    with several of which fewer than two have a seed in common are compared by their first.
    """
    if min(map(len, points)) == 1:
        return points
    return outcomes.share_seeds(*points) or [runs[:1] for runs in points]


def describe_levels(outcomes: Outcomes, points: list[Trainings], measure: str) -> pd.DataFrame:
    """What every point is and how good; the measure's level and the perplexity with intervals."""
    rows = []
    for runs in points:
        perplexity = outcomes.perplexity(runs)
        level = perplexity if measure == "nll" else outcomes.quantity(measure, runs).interval()
        row = {
            "allocation": outcomes.allocation(runs),
            "label": outcomes.label(runs),
            "perplexity": perplexity.value,
            "low": perplexity.low,
            "high": perplexity.high,
            "measure": measure,
            "level": level.value,
            "level_low": level.low,
            "level_high": level.high,
        }
        rows.append(row | outcomes.describe_trainings(runs))
    return pd.DataFrame(rows)


def name_costs(
    levels: pd.DataFrame, frontier: str, cost_name: str, costs: Float[np.ndarray, "points"]
) -> pd.DataFrame:
    """Add the name of a frontier, that of its cost, and the cost of each of its points."""
    return levels.assign(frontier=frontier, cost_name=cost_name, cost=costs[levels.index])


def find_frontier(
    members: list[int], costs: Float[np.ndarray, "points"], order: Int[np.ndarray, "points points"]
) -> set[int]:
    """The points that are worth their cost.

    Args:
        members: The points that compete.
        costs: Lower is better.
        order: Of `compare_points`.

    Returns:
        From the cheapest point up, those that are better than every cheaper one on the frontier
        and worse than none of equal cost. A tie never pays for a cost, and points of equal cost
        that are tied stay together.
    """
    # ASSUME: only points on the frontier make others superfluous. Ties do not chain: a point that
    # is better than all of the frontier stays on it, even if it is tied with one in between that
    # is itself tied with a cheaper one.
    frontier: list[int] = []
    for cost in np.unique(costs[members]):
        equally_dear = [point for point in members if costs[point] == cost]
        worth_it = []
        for point in equally_dear:
            beats_cheaper = (order[point, frontier] < 0).all()
            if beats_cheaper and not (order[point, equally_dear] > 0).any():
                worth_it.append(point)
        frontier += worth_it
    return set(frontier)


def judge_points(
    group: pd.DataFrame, frontier: set[int], order: Int[np.ndarray, "points points"]
) -> list[dict]:
    """Rows of one frontier and of what competes with it, with their ties."""
    rows = []
    for point, row in group.iterrows():
        others = group.index[group.index != point]
        ties = group.loc[others[order[point, others] == 0], "label"]
        rows.append({**row, "on_frontier": point in frontier, "tied_with": ";".join(ties)})
    return rows
