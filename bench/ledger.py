"""How often verdicts are wrong: whole ledgers of simulated studies whose truth is known.

    python -m bench.ledger [SAMPLES]      writes results/ledger.csv

Covered are the clauses that evaluations decide, by KL divergence and by log-likelihood; those on
hidden states and on biases have no blocks of text that could be simulated. The noise is that of
the default study, which `make study` or `make pull` brings.

Planted truths: `no effect`, where every clause's effect is exactly its null (for the gain of
biases, one of zero); `small`, half way from there to `as published`, where every clause holds with
the published proportions, at the gains and damages of the default study; and of the frontier, that
a rival of equal cost is better by just the margin that the clause allows. With one training, the
truth is planted for that training, as this is all that one training can be asked about; `no
effect, trainings differ` plants it for the mean over trainings instead, so a false verdict there
is what one training cannot know.

Rules: `after` is the code's own; `before` has every seed tested by itself, p-values of ratios and
perplexities no smaller than 10,000 bootstrap draws can make them, and Holm's adjustment over all
tests of the study together.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.noise import (
    ALLOCATIONS,
    SPARSITIES,
    STUDY,
    Noise,
    describe_study,
    measure_noise,
    simulate_series,
    simulate_trainings,
)
from bench.shapes import ROOT
from spon import stats
from spon.claims import families, ledger, outcome_effects, verdicts
from spon.claims.effects import Effect, Evidence
from spon.tables.outcomes import Outcomes

SEEDS = (1, 3, 5)
LEAST = 2 / 10_001
COLUMNS = ["rule", "seeds", "planted", "clause", "false_percent", "right_percent", "samples"]
# A tenth, the margin of the clauses on the frontier.
MARGIN = 0.1
HOLDS = {verdicts.SUPPORTED, verdicts.SMALLER}


@dataclass(frozen=True)
class World:
    """A planted truth.

    Attributes:
        planted: Its name in the table.
        published: How far from every null (0) to the published proportions (1).
        judged: The clauses whose verdict is counted there, by the name of their test; all but the
            gain if there are none.
        gains: Whether biases gain anything.
        rival: By which share of its gain BOTTOM-50 is better than TOP-50.
        differ: Whether a single training differs from the planted truth, too.
        seeds: The numbers of trainings that it is simulated with.
    """

    planted: str
    published: float
    judged: tuple[str, ...] = ()
    gains: bool = True
    rival: float = 0.0
    differ: bool = False
    seeds: tuple[int, ...] = SEEDS


WORLDS = (
    World("no effect", 0.0),
    World("no effect", 0.0, judged=("relative_gain",), gains=False),
    World("no effect, trainings differ", 0.0, differ=True, seeds=(1,)),
    World("no effect, a rival better by the margin", 0.0, judged=("on_frontier",), rival=MARGIN),
    World("small", 0.5),
    World("as published", 1.0),
)
# Shares of the gain of UNIF-ALL, by sparsity: in truth where every null holds, and as published.
# ASSUME: the published table contradicts the claim that layers add less and less, and ends at 60 %
# sparsity; here TOP-75 has what the claim wants, and 80 % goes on as 50 and 60 % begin.
EQUAL = {"UNIF-ALL": 1.0, "TOP-75": 0.75, "TOP-50": 0.5, "BOTTOM-50": 0.5}
CLAIMED = {
    0.5: {"UNIF-ALL": 1.0, "TOP-75": 0.95, "TOP-50": 0.85, "BOTTOM-50": 0.61},
    0.6: {"UNIF-ALL": 1.0, "TOP-75": 0.97, "TOP-50": 0.91, "BOTTOM-50": 0.59},
    0.8: {"UNIF-ALL": 1.0, "TOP-75": 0.98, "TOP-50": 0.94, "BOTTOM-50": 0.52},
}
# Damage at o_proj over that at down_proj, and recovery at o_proj over that at down_proj.
DAMAGE_AT_O = {0.5: 0.57, 0.6: 0.49, 0.8: 0.4}
RECOVERY_AT_O = 3.4


def plant_damage(noise: Noise, measure: str, sparsity: float, world: World) -> dict[str, float]:
    """Nats per token that TEAL truly loses at each scope."""
    down = noise.damage[measure, sparsity]
    share = 1 + world.published * (DAMAGE_AT_O[sparsity] - 1)
    return {"down_proj": down, "o_proj": share * down}


def plant_gains(noise: Noise, measure: str, sparsity: float, world: World) -> dict[str, float]:
    """Nats per token that each allocation truly gains over its TEAL."""
    if not world.gains:
        return dict.fromkeys(ALLOCATIONS, 0.0)
    damage = plant_damage(noise, measure, sparsity, world)
    whole = mix(equal_gain(noise, measure, sparsity), noise.gain[measure, sparsity], world)
    gains = {}
    for name, equal in EQUAL.items():
        gains[name] = whole * mix(equal, CLAIMED[sparsity][name], world)
    gains["BOTTOM-50"] *= 1 + world.rival
    recovery = mix(1.0, RECOVERY_AT_O, world) * whole / damage["down_proj"]
    return gains | {"ATTN-ONLY": recovery * damage["o_proj"]}


def equal_gain(noise: Noise, measure: str, sparsity: float) -> float:
    """The gain that is the same share of TEAL's perplexity, or KL, at every sparsity."""
    middle = noise.gain[measure, SPARSITIES[1]]
    if measure == "nll":
        return middle
    return middle * noise.damage[measure, sparsity] / noise.damage[measure, SPARSITIES[1]]


def mix(null: float, published: float, world: World) -> float:
    """The number that is as far from its null as the world is."""
    return null + world.published * (published - null)


def simulate_outcomes(
    frame: Outcomes, noise: Noise, world: World, rng: np.random.Generator
) -> Outcomes:
    """Simulate all evaluations of a study in a world."""
    points, seeds = frame.points, len(frame.trainings("UNIF-ALL", SPARSITIES[0]))
    series = {}
    for measure, errors in simulate_series(noise, points, seeds, rng).items():
        truth = np.full(len(points), noise.level if measure == "nll" else 0.0)
        for point in points[1:].itertuples():
            lost = plant_damage(noise, measure, point.sparsity, world)[point.scope]
            gains = plant_gains(noise, measure, point.sparsity, world)
            truth[point.Index] += lost - gains.get(point.allocation, 0.0)
        if seeds > 1 or world.differ:
            truth -= simulate_trainings(noise, points, measure, rng)
        series[measure] = truth + errors
    means = {measure: values.mean(axis=0) for measure, values in series.items()}
    return replace(frame, series=series, means=means | {"perplexity": np.exp(means["nll"])})


def decide_before(clauses: Sequence[ledger.Clause], measured: Mapping) -> dict[str, list[str]]:
    """Verdicts as they were: single trainings, floors, one family for the whole study."""
    singles = []
    for clause in clauses:
        for effect in measured[clause.id]:
            singles += [(clause, single) for single in (effect.by_seed or {0: effect}).values()]
    p_values = np.array([floor_p_value(*single) for single in singles])
    decided: dict[str, list[str]] = {}
    for (clause, effect), p_holm in zip(singles, stats.adjust_holm(p_values), strict=True):
        verdict = verdicts.judge(effect, clause.direction, float(p_holm))
        decided.setdefault(clause.id, []).append(verdict)
    return decided


def floor_p_value(clause: ledger.Clause, effect: Effect) -> float:
    """The p-value that bootstrap draws would have given, but for their chance."""
    of_means = {"damage_difference", "on_frontier", "marginal_gain_change"}
    return effect.p_value if clause.test in of_means else max(effect.p_value, LEAST)


def decide_after(clauses: Sequence[ledger.Clause], measured: Mapping) -> dict[str, list[str]]:
    """Verdicts as `verdicts.decide_claims` reaches them."""
    return {
        clause.id: [
            verdicts.record_verdict(clause, *place)["verdict"]
            for place in families.adjust_places(measured[clause.id])
        ]
        for clause in clauses
    }


RULES = {"before": decide_before, "after": decide_after}


def find_right(clause: ledger.Clause, world: World) -> set[str]:
    """The verdicts that are right in a world."""
    if clause.test == "on_frontier":
        return {verdicts.CONTRADICTED} if world.rival else HOLDS
    if world.published or (clause.test == "relative_gain" and world.gains):
        return HOLDS
    return {verdicts.INDISTINGUISHABLE}


def is_false(verdict: str, right: set[str]) -> bool:
    """Whether a verdict says what is not so; to say nothing never is."""
    open_ones = {verdicts.INDISTINGUISHABLE, verdicts.NOT_APPLICABLE}
    return verdict not in right | open_ones


def count_verdicts(
    world: World, seeds: int, samples: int, noise: Noise, clauses: Sequence[ledger.Clause]
) -> list[dict]:
    """Count the samples with a false verdict on a clause, and the places with the right one."""
    judged = [clause for clause in clauses if is_judged(clause, world)]
    frame, rng = describe_study(seeds), np.random.default_rng(seeds)
    counts = {(rule, clause.id): [0, 0, 0] for rule in RULES for clause in judged}
    for _ in range(samples):
        evidence = Evidence(simulate_outcomes(frame, noise, world, rng), {})
        measured = {clause.id: clause.measure(evidence) for clause in judged}
        for rule, decide in RULES.items():
            decided = decide(judged, measured)
            for clause in judged:
                right = find_right(clause, world)
                count, found = counts[rule, clause.id], decided[clause.id]
                count[0] += any(is_false(verdict, right) for verdict in found)
                count[1] += sum(verdict in right for verdict in found)
                count[2] += len(found)
    return [
        dict(
            zip(
                COLUMNS,
                [rule, seeds, world.planted, name, 100 * false / samples, 100 * right / places],
                strict=False,
            )
        )
        | {"samples": samples}
        for (rule, name), (false, right, places) in counts.items()
    ]


def is_judged(clause: ledger.Clause, world: World) -> bool:
    """Whether the verdicts on a clause are counted in a world."""
    if world.judged:
        return clause.test in world.judged
    return world.published > 0 or clause.test != "relative_gain"


def read_clauses() -> list[ledger.Clause]:
    """Read the clauses that evaluations decide."""
    clauses = ledger.read_claims((ROOT / "resources/claims.yaml").read_text(encoding="utf-8"))
    return [clause for clause in clauses if hasattr(outcome_effects, clause.test)]


def main() -> None:
    """Simulate all worlds, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", nargs="?", type=int, default=200)
    samples = parser.parse_args().samples
    if not (STUDY / "dense/nll.parquet").exists():
        sys.exit(f"{STUDY.relative_to(ROOT)} holds no study: call `make study` or `make pull`")
    noise, clauses, rows = measure_noise(), read_clauses(), []
    for world in WORLDS:
        for seeds in world.seeds:
            rows += count_verdicts(world, seeds, samples, noise, clauses)
            print(f"{world.planted}, {seeds} seeds: done", file=sys.stderr)  # noqa: T201
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values(
        ["rule", "planted", "seeds", "clause"], ignore_index=True
    )
    table.to_csv(ROOT / "bench/results/ledger.csv", index=False, float_format="%.1f")


if __name__ == "__main__":
    main()
