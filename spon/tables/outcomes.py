"""A study's evaluations side by side: series over the same blocks of text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from spon import stats
from spon.allocate import TRAINED
from spon.inputs import check
from spon.sites import DENSE, EVALUATION, TEAL, read_sites
from spon.tables.likelihoods import CONSTANTS, SUMS, read_evaluations
from spon.tables.realised import NO_SEED, fill_names, read_thresholds, realise_sparsity

DENSE_POINT = 0
KEYS = EVALUATION
# What is tested; perplexity is a function of the mean nll.
MEASURES = ("nll", "kl")
OWN_TEMPERATURE = "nll_at_temperature"
Sites = frozenset[tuple[int, str]]
# The points of one allocation, scope and sparsity, one for each seed, in their order; of a
# baseline, its only point.
Trainings = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Every evaluation of a study; a point is one of them, named by its row in `points`.

    Where a point is asked for, several trainings of one allocation may stand for it: then the
    answer is about their mean.

    Attributes:
        points: One row per evaluation in the order of the tables, DENSE first, then per scope and
            sparsity TEAL and its runs: `allocation, scope, sparsity, seed, label, teal, learn,
            layers, sites, bias_parameters, site_sparsity, model_sparsity`, where `teal` is the
            point of the same scope and sparsity without biases (DENSE is its own) and `learn` says
            how the biases were learned; `sparsity` is the one asked for, `site_sparsity` and
            `model_sparsity` are those reached; and `CONSTANTS`: the evaluation's own temperature,
            which is fitted on calibration text, and percentiles of the KL divergence of single
            tokens, nats.
        series: Every block's mean per token by the names of `SUMS`: nats, but for `top1` the share
            of predictions whose most likely token is the dense model's.
        means: The same over all blocks, and perplexity.
        biased: Layer and map of every site with a bias, by allocation.
        protocol: How the text was cut and scored, as a hash.
    """

    points: pd.DataFrame
    series: dict[str, Float[np.ndarray, "blocks points"]]
    means: dict[str, Float[np.ndarray, "points"]]
    biased: dict[str, Sites]
    protocol: str

    @property
    def blocks(self) -> int:
        """Number of evaluation blocks."""
        return len(self.series["nll"])

    @cached_property
    def names(self) -> list[dict]:
        """The rows of `points`."""
        return self.points.to_dict("records")

    @cached_property
    def quantities(self) -> dict[str, list[stats.Quantity]]:
        """The mean over blocks of each of the series at every point."""
        return {
            measure: [
                stats.mean_quantity(values[:, point], names["label"])
                for point, names in enumerate(self.names)
            ]
            for measure, values in self.series.items()
        }

    def quantity(self, measure: str, point: int | Trainings) -> stats.Quantity:
        """A mean over blocks: of one of the series, or the perplexity, exp of the mean nll."""
        if measure == "perplexity":
            return self.quantity("nll", point).exp()
        return stats.average([self.quantities[measure][run] for run in list_points(point)])

    def perplexity(self, point: int | Trainings) -> stats.Estimate:
        """A point's perplexity with its own interval, which is mostly the spread between blocks.

        Without a p-value.
        """
        nll = self.quantity("nll", point).interval()
        value, low, high = np.exp([nll.value, nll.low, nll.high]).tolist()
        return stats.Estimate(value, low, high, np.nan)

    def difference(
        self, measure: str, point: int | Trainings, reference: int | Trainings
    ) -> stats.Estimate:
        """`point` minus `reference`, paired by block and training, nats per token."""
        return (self.quantity(measure, point) - self.quantity(measure, reference)).interval()

    def gain(self, measure: str, run: int | Trainings) -> stats.Quantity:
        """TEAL less a run."""
        gain = self.quantity(measure, self.teal(run)) - self.quantity(measure, run)
        return gain.named(f"the gain of {self.allocation(run)}")

    def damage(self, measure: str, run: int | Trainings) -> stats.Quantity:
        """TEAL less the dense model, at a run's scope and sparsity."""
        damage = self.quantity(measure, self.teal(run)) - self.quantity(measure, DENSE_POINT)
        return damage.named(f"the damage at {self.first(run)['scope']}")

    def recovery(self, measure: str, run: int | Trainings) -> stats.Quantity:
        """Percent of TEAL's damage that a run wins back."""
        return 100 * self.gain(measure, run) / self.damage(measure, run)

    def first(self, point: int | Trainings) -> dict:
        """The row of a point, or of the first of several trainings."""
        return self.names[list_points(point)[0]]

    def allocation(self, point: int | Trainings) -> str:
        """The allocation of a point."""
        return self.first(point)["allocation"]

    def teal(self, point: int | Trainings) -> int:
        """The point of the same scope and sparsity without biases."""
        return self.first(point)["teal"]

    def sites(self, point: int | Trainings) -> Sites:
        """Layer and map of the sites with a bias; TEAL has none."""
        return self.biased.get(self.allocation(point), frozenset())

    def label(self, point: int | Trainings) -> str:
        """A name of a point that is its own in the whole study; of several without the seed."""
        label = self.first(point)["label"]
        return label.rpartition("/")[0] if len(list_points(point)) > 1 else label

    def runs(self) -> list[int]:
        """Points with biases."""
        return np.flatnonzero(~self.points["allocation"].isin([DENSE, TEAL])).tolist()

    def trainings(self, allocation: str, sparsity: float) -> Trainings:
        """The runs of an allocation at a sparsity, by seed; there may be none."""
        same = (self.points["allocation"] == allocation) & (self.points["sparsity"] == sparsity)
        return tuple(np.flatnonzero(same).tolist())

    def repeat(self, points: Sequence[int]) -> list[Trainings]:
        """Put points together that differ in their seed alone."""
        keys = self.points.loc[points].groupby(KEYS[:3], sort=False)
        return [tuple(rows.index.tolist()) for _, rows in keys]

    def share_seeds(self, *points: Trainings) -> list[Trainings]:
        """Keep the trainings whose seed all of them have; a baseline has none and stays.

        Returns:
            Nothing, if there are fewer than two such seeds though some have several.
        """
        seeds = [{self.seed(run) for run in runs} - {None} for runs in points]
        seeded = [found for found in seeds if found]
        shared = set.intersection(*seeded) if seeded else set()
        if len(shared) < min(2, max(map(len, seeded), default=0)):
            return []
        return [tuple(run for run in runs if self.seed(run) in shared | {None}) for runs in points]

    def seed(self, point: int) -> int | None:
        """The seed of a point; None of a baseline."""
        seed = self.names[point]["seed"]
        return None if pd.isna(seed) else int(seed)

    def describe_trainings(self, runs: Trainings) -> dict:
        """Scope, sparsity and seed of trainings, and how many they are; several have no seed."""
        seed = self.seed(runs[0])
        return {
            "scope": self.first(runs)["scope"],
            "sparsity": self.first(runs)["sparsity"],
            "seed": pd.NA if seed is None or len(runs) > 1 else seed,
            "seeds": 0 if seed is None else len(runs),
        }

    def groups(self) -> Iterator[list[Trainings]]:
        """Trained runs that may be compared, within each scope and sparsity.

        First those of every seed, then those of all allocations that have several seeds.
        """
        trained = self.points[self.points["learn"] == TRAINED]
        for _, alike in trained.groupby(["scope", "sparsity"], sort=False):
            for _, group in alike.groupby("seed"):
                yield [(run,) for run in group.index.tolist()]
            repeated = [runs for runs in self.repeat(alike.index.tolist()) if len(runs) > 1]
            if repeated:
                yield repeated

    def table(self, rows: Sequence[Mapping], columns: Sequence[str]) -> pd.DataFrame:
        """Make a table that keeps its header when it is empty; every row has the protocol."""
        frame = pd.DataFrame(list(rows), columns=list(columns)).assign(protocol=self.protocol)
        whole = [name for name in columns if name.endswith(("seed", "seeds"))]
        return frame.astype(dict.fromkeys(whole, "Int64"))


def list_points(point: int | Trainings) -> Trainings:
    """A point, or several trainings, as a tuple."""
    return point if isinstance(point, tuple) else (point,)


def label_point(allocation: str, scope: str, sparsity: float, seed: int) -> str:
    """Name an evaluation: `DENSE`, `BASELINE-TEAL/down_proj/s0.5` or `TOP-50/s0.5/seed0`."""
    if allocation == DENSE:
        return allocation
    if allocation == TEAL:
        return f"{allocation}/{scope}/s{sparsity}"
    return f"{allocation}/s{sparsity}/seed{seed}"


def adjust_per_measure(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A table with `p_holm`, which adjusts `p_value` over all comparisons of one `measure`.

    Args:
        frame: With `seeds`, how many trainings a row is the mean of.
        names: The columns that say what a row compares, apart from seeds.

    Returns:
        Of the rows of one comparison, that of most trainings counts; `p_holm` of the others is
        empty.
    """
    adjusted = []
    most = frame.groupby([*names, "measure"], dropna=False)["seeds"].transform("max")
    for measure in frame["measure"].unique():
        family = (frame["measure"] == measure) & (frame["seeds"] == most)
        p_values = frame.loc[family, "p_value"]
        adjusted.append(pd.Series(stats.adjust_holm(p_values.to_numpy(float)), p_values.index))
    return frame.assign(p_holm=pd.concat(adjusted) if adjusted else np.nan)


def gather_outcomes(
    blocks: pd.DataFrame,
    sites: pd.DataFrame,
    thresholds: pd.DataFrame,
    shape: Mapping,
    scopes: Sequence[str],
    protocol: str,
) -> Outcomes:
    """Put all evaluations of a study side by side.

    Args:
        blocks: `allocation, scope, sparsity, seed, block, predictions`, the columns of `SUMS` and
            `CONSTANTS`, one row per evaluation and block. DENSE has no scope, sparsity and seed,
            BASELINE-TEAL no seed.
        sites: `allocation, learn, site, layer, map, d_in, d_out`, the sites with a bias,
            allocations in the tables' order; `learn` is how their biases are learned, `kl` if they
            are trained.
        thresholds: As in `realised.realise_sparsity`.
        shape: A `model.json`'s shape.
        scopes: In the tables' order.
        protocol: Hash of the protocol.

    Raises:
        ValueError: A likelihood is not finite, or there are fewer than two blocks.
    """
    keyed = fill_names(blocks)
    evaluations = keyed[[*KEYS, *CONSTANTS]].drop_duplicates(KEYS)
    points = describe_points(evaluations, sites, scopes)
    points = points.join(realise_sparsity(points, thresholds, shape))
    series = pair_blocks(keyed, points)
    stats.check_blocks(len(series["nll"]))
    means = {measure: values.mean(axis=0) for measure, values in series.items()}
    biased = {}
    for allocation, rows in sites.groupby("allocation"):
        biased[allocation] = frozenset(zip(rows["layer"], rows["map"], strict=True))
    return Outcomes(
        points=points.assign(seed=points["seed"].astype("Int64").replace(NO_SEED, pd.NA)),
        series=series,
        means=means | {"perplexity": np.exp(means["nll"])},
        biased=biased,
        protocol=protocol,
    )


def read_outcomes(paths: Mapping, spec: Mapping) -> Outcomes:
    """Read all evaluations of a study and put them side by side.

    Args:
        paths: `model`, `protocol`, and the lists `sites`, `nll` and `thresholds`, whose rows name
            what they are of.
        spec: `scopes`, the `allocations` that have biases, and `evaluations`, the last two in the
            order of `sites` and `nll`; all in the tables' order.

    Raises:
        FileError: A file is damaged, or of another evaluation than its place says.
    """
    shape = check.read_json(paths["model"], "shape")
    sites = []
    for path, allocation in zip(paths["sites"], spec["allocations"], strict=True):
        sites.append(read_sites(path, shape))
        check.check_names(sites[-1], path, {"allocation": allocation})
    return gather_outcomes(
        blocks=pd.concat(read_evaluations(paths["nll"], spec["evaluations"]), ignore_index=True),
        sites=pd.concat(sites, ignore_index=True),
        thresholds=read_thresholds(paths["thresholds"], shape, spec["scopes"]),
        shape=shape,
        scopes=list(spec["scopes"]),
        protocol=check.read_json(paths["protocol"], "protocol"),
    )


def describe_points(
    keys: pd.DataFrame, sites: pd.DataFrame, scopes: Sequence[str]
) -> pd.DataFrame:
    """Order the evaluations as the tables do, and add what the biases of each of them cost."""
    order = {
        "scope": ["", *scopes],
        "allocation": [DENSE, TEAL, *sites["allocation"].unique()],
    }

    def rank(column: pd.Series) -> pd.Series:
        return column.map(order[column.name].index) if column.name in order else column

    points = keys.sort_values(
        ["scope", "sparsity", "allocation", "seed"], key=rank, ignore_index=True
    )
    assert points["allocation"].iloc[DENSE_POINT] == DENSE, points
    baselines = points[points["allocation"].isin([DENSE, TEAL])]
    teal = {(row.scope, row.sparsity): row.Index for row in baselines.itertuples()}
    by_allocation = sites.groupby("allocation")
    sizes = by_allocation.agg(
        layers=("layer", "nunique"), sites=("site", "nunique"), bias_parameters=("d_out", "sum")
    )
    sizes = sizes.reindex(points["allocation"], fill_value=0).reset_index(drop=True)
    return points.join(sizes).assign(
        learn=points["allocation"].map(by_allocation["learn"].first()),
        label=[label_point(*key) for key in points[KEYS].itertuples(index=False, name=None)],
        teal=[teal[row.scope, row.sparsity] for row in points.itertuples()],
    )


def pair_blocks(
    keyed: pd.DataFrame, points: pd.DataFrame
) -> dict[str, Float[np.ndarray, "blocks points"]]:
    """The series of every point on every block, per token; blocks in the order of the text.

    Divided by the mean number of predictions over blocks, so that a mean over blocks is the sum
    over the text divided by its predictions.
    """
    order = points[KEYS].assign(point=points.index)
    numbered = keyed.merge(order, on=KEYS)
    wide = numbered.pivot(index="block", columns="point")
    predictions = wide["predictions"].to_numpy()
    assert (predictions == predictions[:, :1]).all(), "evaluations differ in their blocks"
    series = {}
    for measure, column in SUMS.items():
        sums = wide[column].to_numpy(float)
        broken = np.flatnonzero(~np.isfinite(sums).all(axis=0))
        if len(broken):
            name = f"{column} of {points['label'].iloc[broken[0]]}"
            raise ValueError(
                f"every block needs a finite likelihood, found one that is not in {name}"
            )
        series[measure] = sums / predictions[:, 0].mean()
    return series
