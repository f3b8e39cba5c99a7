"""Frontiers of perplexity against what it costs, with ties left as ties."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spon.tables.outcomes import DENSE, Outcomes

PLACE = ["frontier", "scope", "sparsity", "allocation", "seed", "cost_name", "cost"]
PARETO = [*PLACE, "perplexity", "low", "high", "on_frontier", "tied_with"]


def tabulate_pareto(outcomes: Outcomes) -> pd.DataFrame:
    """One frontier per scope and sparsity, and one over everything that was evaluated.

    Within a scope and sparsity, the fewer bias parameters the better (TEAL has none); over all scopes and sparsities,
    the sparser the model the better.

    Returns:
        `cost` in parameters, or the share of the decoder's linear weights that meet a zero. `tied_with` names the
        points of the same frontier whose perplexity cannot be told from this one's, joined by `;`.
    """
    points, order = outcomes.points, compare_points(outcomes)
    inside = points[points["allocation"] != DENSE]
    rows = []
    for _, group in inside.groupby(["scope", "sparsity"], sort=False):
        chosen = find_frontier(
            group.index.tolist(), points["bias_parameters"].to_numpy(float), order
        )
        rows += describe_frontier(outcomes, group, chosen, order, ("scope", "bias_parameters"))
    chosen = find_frontier(points.index.tolist(), -points["model_sparsity"].to_numpy(), order)
    rows += describe_frontier(outcomes, points, chosen, order, ("model", "model_sparsity"))
    return outcomes.table(rows, PARETO)


def compare_points(outcomes: Outcomes) -> Int[np.ndarray, "points points"]:
    """-1 where a row's point has a lower perplexity than a column's, 1 where a higher one, 0 where they are tied."""
    # ASSUME: each pair is judged by its own 95 % interval, unadjusted: a frontier is a picture, tests are contrasts.
    count = len(outcomes.points)
    order = np.zeros((count, count), dtype=int)
    for first, second in combinations(range(count), 2):
        found = outcomes.difference("nll", first, second)
        if not found.holds_zero:
            order[first, second] = np.sign(found.value)
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
        From the cheapest point up, those with a lower perplexity than every cheaper one on the frontier and a higher
        one than none of equal cost. A tie never pays for a cost, and points of equal cost that are tied stay together.
    """
    # ASSUME: only points on the frontier make others superfluous. Ties do not chain: a point that is better than all
    # of the frontier stays on it, even if it is tied with one in between that is itself tied with a cheaper one.
    frontier: set[int] = set()
    for cost in np.unique(costs[members]):
        level = [point for point in members if costs[point] == cost]
        frontier |= {
            point
            for point in level
            if all(order[point, cheaper] < 0 for cheaper in frontier)
            and not any(order[point, other] > 0 for other in level)
        }
    return frontier


def describe_frontier(
    outcomes: Outcomes,
    group: pd.DataFrame,
    chosen: set[int],
    order: Int[np.ndarray, "points points"],
    kind: tuple[str, str],
) -> list[dict]:
    """Rows of one frontier; `kind` is its name and that of its cost."""
    rows = []
    for point, row in group.iterrows():
        found = outcomes.perplexity(point)
        ties = [
            outcomes.label(other)
            for other in group.index
            if other != point and order[point, other] == 0
        ]
        cost = {"frontier": kind[0], "cost_name": kind[1], "cost": float(row[kind[1]])}
        measured = {"perplexity": found.value, "low": found.low, "high": found.high}
        rows.append(
            {
                **row,
                **cost,
                **measured,
                "on_frontier": point in chosen,
                "tied_with": ";".join(ties),
            }
        )
    return rows
