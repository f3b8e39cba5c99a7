"""Frontiers of perplexity against its cost, with ties left as ties."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spon.tables.outcomes import DENSE, Outcomes

POINT = ["frontier", "scope", "sparsity", "allocation", "seed", "cost_name", "cost"]
PARETO = [*POINT, "perplexity", "low", "high", "on_frontier", "tied_with"]


def tabulate_pareto(outcomes: Outcomes) -> pd.DataFrame:
    """One frontier per scope and sparsity, and one over everything that was evaluated.

    Within a scope and sparsity, the fewer bias parameters the better (TEAL has none); over all
    scopes and sparsities, the sparser the model the better.

    Returns:
        `cost` in parameters, or the share of the decoder's linear weights that meet a zero.
        `tied_with` names the points of the same frontier whose perplexity cannot be told from
        this one's, joined by `;`.
    """
    points, order = outcomes.points, compare_points(outcomes)
    inside = points[points["allocation"] != DENSE]
    parameters, sparsities = (
        points[name].to_numpy(float) for name in ("bias_parameters", "model_sparsity")
    )
    rows = []
    for _, group in inside.groupby(["scope", "sparsity"], sort=False):
        frontier = find_frontier(group.index.tolist(), parameters, order)
        rows += describe_frontier(outcomes, group, frontier, order, ("scope", "bias_parameters"))
    frontier = find_frontier(points.index.tolist(), -sparsities, order)
    rows += describe_frontier(outcomes, points, frontier, order, ("model", "model_sparsity"))
    return outcomes.table(rows, PARETO)


def compare_points(outcomes: Outcomes) -> Int[np.ndarray, "points points"]:
    """-1 where a row's point has a lower perplexity than a column's, 1 a higher one, 0 a tie."""
    # ASSUME: each pair is judged by its own 95 % interval, unadjusted: a frontier is a picture,
    # tests are contrasts.
    count = len(outcomes.points)
    order = np.zeros((count, count), dtype=int)
    for first, second in combinations(range(count), 2):
        difference = outcomes.difference("nll", first, second)
        if not difference.holds_zero:
            order[first, second] = np.sign(difference.value)
            order[second, first] = -order[first, second]
    return order


def find_frontier(
    members: list[int], costs: Float[np.ndarray, "points"], order: Int[np.ndarray, "points points"]
) -> set[int]:
    """The points that are worth their cost.

    Args:
        members: The points that compete.
        costs: Lower is better.
        order: Of `compare_points`.

    Returns:
        From the cheapest point up, those with a lower perplexity than every cheaper one on the
        frontier and a higher one than none of equal cost. A tie never pays for a cost, and points
        of equal cost that are tied stay together.
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


def describe_frontier(
    outcomes: Outcomes,
    group: pd.DataFrame,
    frontier: set[int],
    order: Int[np.ndarray, "points points"],
    kind: tuple[str, str],
) -> list[dict]:
    """Rows of one frontier and what competes with it; `kind` is its name and that of its cost."""
    rows = []
    for point, row in group.iterrows():
        perplexity = outcomes.perplexity(point)
        others = group.index[group.index != point]
        ties = others[order[point, others] == 0]
        standing = {
            "frontier": kind[0],
            "cost_name": kind[1],
            "cost": float(row[kind[1]]),
            "perplexity": perplexity.value,
            "low": perplexity.low,
            "high": perplexity.high,
            "on_frontier": point in frontier,
            "tied_with": ";".join(outcomes.label(other) for other in ties),
        }
        rows.append({**row, **standing})
    return rows
