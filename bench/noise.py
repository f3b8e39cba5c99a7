"""The noise of a study's evaluations, measured, and drawn again for simulated studies."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.shapes import ROOT
from spon.allocate import TRAINED, allocate_biases, list_sites
from spon.sites import DENSE, TEAL, name_rows
from spon.study import name_baseline
from spon.tables import outcomes

STUDY = ROOT / "results/pydoc"
SPARSITIES = (0.5, 0.6, 0.8)
DOWN, OUT = "mlp.down_proj", "self_attn.o_proj"
SCOPES = {"down_proj": [DOWN], "o_proj": [OUT]}
SHAPE = {
    "layers": 8,
    "linear_weights": 8 * (384 + 128) * 128,
    "maps": {DOWN: {"d_in": 384, "d_out": 128}, OUT: {"d_in": 128, "d_out": 128}},
}
LAYERS = {
    "UNIF-ALL": "all",
    "TOP-75": {"first": 0.75},
    "TOP-50": {"first": 0.5},
    "BOTTOM-50": {"last": 0.5},
    "ATTN-ONLY": "all",
}
ALLOCATIONS = tuple(LAYERS)
MEASURES = ("nll", "kl")
# The allocations that the study trained twice at 50 %.
REPEATED = ("TOP-50", "UNIF-ALL")
# Neighbouring blocks that are drawn together.
STRETCH = 32


@dataclass(frozen=True)
class Noise:
    """What a study's evaluations say of the noise in them.

    Attributes:
        level: Negative log-likelihood of the dense model, nats per token.
        damage: What TEAL loses at down_proj, by measure and sparsity.
        gain: What UNIF-ALL gains, by measure and sparsity.
        series: By measure, every evaluation's blocks without their mean, by its keys.
        own: By measure, the blocks of what is a training's own at 50 % sparsity: what all
            allocations that are trained on the same text have in common, and what is left.
        spread: The standard deviations of their means, as shares of the gain of UNIF-ALL.
    """

    level: float
    damage: Mapping[tuple[str, float], float]
    gain: Mapping[tuple[str, float], float]
    series: Mapping[str, Mapping[tuple, Float[np.ndarray, "blocks"]]]
    own: Mapping[str, tuple[Float[np.ndarray, "blocks"], Float[np.ndarray, "blocks"]]]
    spread: Mapping[str, tuple[float, float]]


def measure_noise() -> Noise:
    """Measure the noise of the default study."""
    read = {}
    for measure in MEASURES:
        for key, path in list_evaluations().items():
            table = pd.read_parquet(STUDY / path / "nll.parquet")
            read[measure, key] = (table[f"{measure}_nats"] / table["predictions"].mean()).to_numpy(
                float
            )
    damage, gain, spread, own, series = {}, {}, {}, {}, {}
    for measure in MEASURES:
        for sparsity in SPARSITIES:
            teal = read[measure, (TEAL, "down_proj", sparsity, 0)]
            dense, run = read[measure, DENSE_KEY], read[measure, key_of("UNIF-ALL", sparsity)]
            damage[measure, sparsity] = float((teal - dense).mean())
            gain[measure, sparsity] = float((teal - run).mean())
        first, second = (
            read[measure, key_of(name, 0.5, 1)] - read[measure, key_of(name, 0.5)]
            for name in REPEATED
        )
        # Half of the variance of a difference is that of either side.
        parts = (first + second) / 2 / np.sqrt(2), (first - second) / 2
        spread[measure] = tuple(abs(part.mean()) / gain[measure, 0.5] for part in parts)
        own[measure] = tuple(part - part.mean() for part in parts)
        series[measure] = {
            key: values - values.mean() for (name, key), values in read.items() if name == measure
        }
    return Noise(float(read["nll", DENSE_KEY].mean()), damage, gain, series, own, spread)


DENSE_KEY = (DENSE, "", 0.0, 0)


def key_of(allocation: str, sparsity: float, seed: int = 0) -> tuple:
    """The keys of a run."""
    return allocation, scope_of(allocation), sparsity, seed


def scope_of(allocation: str) -> str:
    """The scope of an allocation."""
    return "o_proj" if allocation == "ATTN-ONLY" else "down_proj"


def list_evaluations() -> dict[tuple, str]:
    """The folders of the default study's evaluations, by their keys."""
    paths = {DENSE_KEY: "dense"}
    for sparsity in SPARSITIES:
        for scope in SCOPES:
            paths[TEAL, scope, sparsity, 0] = f"{scope}/s{sparsity}/teal"
        for name in ALLOCATIONS:
            paths[key_of(name, sparsity)] = f"{name}/s{sparsity}/seed0"
    for name in REPEATED:
        paths[key_of(name, 0.5, 1)] = f"{name}/s0.5/seed1"
    return paths


def simulate_series(
    noise: Noise, points: pd.DataFrame, seeds: int, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "blocks points"]]:
    """Draw the noise of all evaluations, by measure: stretches of neighbouring blocks.

    The same stretches for all evaluations, so that what they share cancels as in the study; and
    for what a training has of its own, others. With several trainings, each has its own on top of
    what the study's first training has, so the noise is rather too large than too small.
    """
    blocks = len(noise.series["nll"][DENSE_KEY])
    stretches = draw_stretches(blocks, rng)
    simulated = {}
    for measure in MEASURES:
        columns = np.empty((blocks, len(points)))
        shared = {}
        for point in points.itertuples():
            key = point.allocation, point.scope, point.sparsity
            columns[:, point.Index] = noise.series[measure][*key, 0][stretches]
            if seeds > 1 and point.allocation in ALLOCATIONS:
                common, single = noise.own[measure]
                text = point.scope, point.sparsity, point.seed
                if text not in shared:
                    shared[text] = common[draw_stretches(blocks, rng)]
                own = shared[text] + single[draw_stretches(blocks, rng)]
                share = noise.gain[measure, point.sparsity] / noise.gain[measure, 0.5]
                columns[:, point.Index] += share * own
        simulated[measure] = columns
    return simulated


def simulate_trainings(
    noise: Noise, points: pd.DataFrame, measure: str, rng: np.random.Generator
) -> Float[np.ndarray, "points"]:
    """How far each training's gain is from the mean over trainings, nats per token."""
    # ASSUME: the same share of the gain of UNIF-ALL for all allocations and sparsities, as one
    # repeat of two allocations at one sparsity tells no more.
    shared, apart = {}, np.zeros(len(points))
    for point in points.itertuples():
        if point.allocation in ALLOCATIONS:
            common, single = noise.spread[measure]
            text = point.scope, point.sparsity, point.seed
            shared.setdefault(text, common * rng.standard_normal())
            share = shared[text] + single * rng.standard_normal()
            apart[point.Index] = share * noise.gain[measure, point.sparsity]
    return apart


def draw_stretches(blocks: int, rng: np.random.Generator) -> np.ndarray:
    """Blocks of a simulated text: stretches of the study's, the first block following the last."""
    starts = rng.integers(blocks, size=-(-blocks // STRETCH))
    return ((starts[:, None] + np.arange(STRETCH)) % blocks).ravel()[:blocks]


def describe_study(seeds: int) -> outcomes.Outcomes:
    """The evaluations of a study with so many seeds, without numbers."""
    rows = [name_baseline(DENSE)]
    for sparsity in SPARSITIES:
        rows += [name_baseline(TEAL, scope, sparsity) for scope in SCOPES]
        for name in ALLOCATIONS:
            names = {"allocation": name, "scope": scope_of(name), "sparsity": sparsity}
            rows += [names | {"seed": seed} for seed in range(seeds)]
    blank = {"predictions": 1} | dict.fromkeys(outcomes.SUMS.values(), 0.0)
    blank |= dict.fromkeys(outcomes.CONSTANTS, 1.0)
    blocks = pd.DataFrame([row | blank | {"block": block} for row in rows for block in range(2)])
    sites = []
    for name, layers in LAYERS.items():
        maps = SCOPES[scope_of(name)]
        sites.append(
            name_rows(
                allocate_biases(SHAPE, maps, maps, layers), {"allocation": name, "learn": TRAINED}
            )
        )
    thresholds = []
    for scope, maps in SCOPES.items():
        for sparsity in SPARSITIES:
            names = {"scope": scope, "sparsity": sparsity}
            table = list_sites(SHAPE, maps, range(SHAPE["layers"]))[["site"]]
            thresholds.append(name_rows(table, names).assign(sparsity_sparse_pass=sparsity))
    return outcomes.gather_outcomes(
        blocks, pd.concat(sites), pd.concat(thresholds), SHAPE, list(SCOPES), "simulated"
    )
