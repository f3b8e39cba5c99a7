"""A study's evaluations side by side: series over the same blocks, with their joint draws."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from spon import stats
from spon.allocate import TRAINED, model_sparsity
from spon.sites import DENSE, EVALUATION, TEAL

DENSE_POINT = 0
KEYS = EVALUATION
NO_SEED = -1
# What adds up over blocks; perplexity does not, it is a function of the mean nll.
MEASURES = ("nll", "kl")
Sites = frozenset[tuple[int, str]]


@dataclass(frozen=True)
class Outcomes:
    """Every evaluation of a study; a point is one of them, named by its row in `points`.

    Attributes:
        points: One row per evaluation in the order of the tables, DENSE first, then per scope and
            sparsity TEAL and its runs: `allocation, scope, sparsity, seed, label, teal, learn,
            layers, sites, bias_parameters, model_sparsity`, where `teal` is the point of the same
            scope and sparsity without biases (DENSE is its own) and `learn` says how the biases
            were learned.
        series: nll and kl of every block, nats per token.
        means: nll and kl, nats per token, and perplexity.
        draws: The same, resampled jointly over points and measures.
        biased: Layer and map of every site with a bias, by allocation.
        protocol: How the text was cut and scored, as a hash.
    """

    points: pd.DataFrame
    series: dict[str, Float[np.ndarray, "blocks points"]]
    means: dict[str, Float[np.ndarray, "points"]]
    draws: dict[str, Float[np.ndarray, "draws points"]]
    biased: dict[str, Sites]
    protocol: str

    @property
    def blocks(self) -> int:
        """Number of evaluation blocks."""
        return len(self.series["nll"])

    def perplexity(self, point: int) -> stats.Estimate:
        """A point's perplexity with its own interval, which is mostly the spread between blocks.

        Without a p-value.
        """
        nll = stats.mean_interval(self.series["nll"][:, point])
        return stats.Estimate(
            float(self.means["perplexity"][point]),
            float(np.exp(nll.low)),
            float(np.exp(nll.high)),
            np.nan,
        )

    def difference(self, measure: str, point: int, reference: int) -> stats.Estimate:
        """`point` minus `reference`, paired by block, nats per token."""
        return stats.mean_interval(
            self.series[measure][:, point] - self.series[measure][:, reference]
        )

    def quantity(self, measure: str, point: int) -> stats.Quantity:
        """A point's mean with its draws; all points and measures are drawn jointly."""
        value = float(self.means[measure][point])
        return stats.Quantity(value, self.draws[measure][:, point], self.label(point))

    def gain(self, measure: str, run: int) -> stats.Quantity:
        """TEAL less a run."""
        gain = self.quantity(measure, self.teal(run)) - self.quantity(measure, run)
        return gain.named(f"the gain of {self.points['allocation'].iloc[run]}")

    def damage(self, measure: str, run: int) -> stats.Quantity:
        """TEAL less the dense model, at a run's scope and sparsity."""
        damage = self.quantity(measure, self.teal(run)) - self.quantity(measure, DENSE_POINT)
        return damage.named(f"the damage at {self.points['scope'].iloc[run]}")

    def recovery(self, measure: str, run: int) -> stats.Quantity:
        """Percent of TEAL's damage that a run wins back."""
        return 100 * self.gain(measure, run) / self.damage(measure, run)

    def teal(self, point: int) -> int:
        """The point of the same scope and sparsity without biases."""
        return int(self.points["teal"].iloc[point])

    def sites(self, point: int) -> Sites:
        """Layer and map of the sites with a bias; TEAL has none."""
        return self.biased.get(self.points["allocation"].iloc[point], frozenset())

    def label(self, point: int) -> str:
        """A name of a point that is its own in the whole study."""
        return self.points["label"].iloc[point]

    def runs(self) -> list[int]:
        """Points with biases."""
        return np.flatnonzero(~self.points["allocation"].isin([DENSE, TEAL])).tolist()

    def groups(self) -> Iterator[tuple[dict, list[int]]]:
        """Each `scope, sparsity, seed` with its trained runs, which may be compared."""
        trained = self.points[self.points["learn"] == TRAINED]
        for _, group in trained.groupby(["scope", "sparsity", "seed"], sort=False):
            yield group[["scope", "sparsity", "seed"]].iloc[0].to_dict(), group.index.tolist()

    def table(self, rows: Sequence[Mapping], columns: Sequence[str]) -> pd.DataFrame:
        """Make a table that keeps its header when it is empty; every row has the protocol."""
        frame = pd.DataFrame(list(rows), columns=list(columns)).assign(protocol=self.protocol)
        return frame.astype({name: "Int64" for name in columns if name.endswith("seed")})


def label_point(allocation: str, scope: str, sparsity: float, seed: int) -> str:
    """Name an evaluation: `DENSE`, `BASELINE-TEAL/down_proj/s0.5` or `TOP-50/s0.5/seed0`."""
    if allocation == DENSE:
        return allocation
    if allocation == TEAL:
        return f"{allocation}/{scope}/s{sparsity}"
    return f"{allocation}/s{sparsity}/seed{seed}"


def adjust_per_measure(frame: pd.DataFrame) -> pd.DataFrame:
    """A table with `p_holm`, which adjusts `p_value` over all rows of one `measure`."""
    frame = frame.copy()
    for measure in MEASURES:
        family = frame["measure"] == measure
        p_values = frame.loc[family, "p_value"].to_numpy(float)
        frame.loc[family, "p_holm"] = stats.adjust_holm(p_values)
    return frame


def gather_outcomes(
    blocks: pd.DataFrame,
    sites: pd.DataFrame,
    shape: Mapping,
    scopes: Mapping[str, Sequence[str]],
    protocol: str,
    draws: int,
    seed: int,
) -> Outcomes:
    """Put all evaluations of a study side by side.

    Args:
        blocks: `allocation, scope, sparsity, seed, block, predictions, nll_nats, kl_nats`, one row
            per evaluation and block. DENSE has no scope, sparsity and seed, BASELINE-TEAL no seed.
        sites: `allocation, learn, site, layer, map, d_in, d_out`, the sites with a bias,
            allocations in the tables' order; `learn` is how their biases are learned, `kl` if they
            are trained.
        shape: A `model.json`'s shape.
        scopes: The maps of each scope, scopes in the tables' order.
        protocol: Hash of the protocol.
        draws: Bootstrap draws.
        seed: Of the draws.

    Raises:
        ValueError: A likelihood is not finite, or there are fewer than two blocks.
    """
    keyed = blocks.assign(
        scope=blocks["scope"].fillna(""),
        sparsity=blocks["sparsity"].fillna(0.0).astype(float),
        seed=blocks["seed"].astype("Int64").fillna(NO_SEED).astype(int),
    )
    points = describe_points(keyed[KEYS].drop_duplicates(), sites, shape, scopes)
    series = pair_blocks(keyed, points)
    means = {measure: values.mean(axis=0) for measure, values in series.items()}
    # All points and measures are resampled at once, so that they are drawn jointly.
    resampled = stats.resample_means(np.hstack(list(series.values())), draws, seed)
    by_measure = np.split(resampled, len(series), axis=1)
    biased = {}
    for allocation, rows in sites.groupby("allocation"):
        biased[allocation] = frozenset(zip(rows["layer"], rows["map"], strict=True))
    return Outcomes(
        points=points.assign(seed=points["seed"].astype("Int64").replace(NO_SEED, pd.NA)),
        series=series,
        means=add_perplexity(means),
        draws=add_perplexity(dict(zip(series, by_measure, strict=True))),
        biased=biased,
        protocol=protocol,
    )


def read_outcomes(paths: Mapping, spec: Mapping) -> Outcomes:
    """Read all evaluations of a study and put them side by side.

    Args:
        paths: `model`, `protocol`, and the lists `sites` and `nll`, whose rows name what they are
            of.
        spec: The maps of each scope as `scopes`, the `allocations` that have biases, both in the
            tables' order, and the `draws` and `seed` of `statistics`.
    """
    sites = pd.concat(map(pd.read_csv, paths["sites"]), ignore_index=True)
    order = sites["allocation"].map(spec["allocations"].index)
    return gather_outcomes(
        blocks=pd.concat(map(pd.read_parquet, paths["nll"]), ignore_index=True),
        sites=sites.iloc[order.argsort(kind="stable")],
        shape=json.loads(Path(paths["model"]).read_text())["shape"],
        scopes=spec["scopes"],
        protocol=json.loads(Path(paths["protocol"]).read_text())["protocol"],
        **spec["statistics"],
    )


def describe_points(
    keys: pd.DataFrame, sites: pd.DataFrame, shape: Mapping, scopes: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Order the evaluations as the tables do, and add what each of them costs."""
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
        model_sparsity=[
            model_sparsity(shape, scopes[row.scope], row.sparsity) if row.scope else 0.0
            for row in points.itertuples()
        ],
    )


def pair_blocks(
    keyed: pd.DataFrame, points: pd.DataFrame
) -> dict[str, Float[np.ndarray, "blocks points"]]:
    """nll and kl of every point on every block, nats per token; blocks in the order of the text.

    Divided by the mean number of predictions over blocks, so that a mean over blocks is the sum of
    nats over the sum of predictions.
    """
    groups = keyed.set_index("block").groupby(KEYS)
    evaluations = []
    for label, *key in points[["label", *KEYS]].itertuples(index=False, name=None):
        evaluations.append(groups.get_group(tuple(key)).add_suffix(f" of {label}"))
    wide = pd.concat(evaluations, axis=1, sort=True)
    predictions = wide.filter(like="predictions of ").to_numpy()
    assert (predictions == predictions[:, :1]).all(), "evaluations differ in their blocks"
    series = {}
    for measure in MEASURES:
        nats = wide.filter(like=f"{measure}_nats of ")
        broken = nats.columns[~np.isfinite(nats).all()]
        if len(broken):
            raise ValueError(
                f"every block needs a finite likelihood, found one that is not in {broken[0]}"
            )
        series[measure] = nats.to_numpy() / predictions[:, 0].mean()
    return series


def add_perplexity(measures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The measures and the perplexity, exp of the mean nll."""
    return measures | {"perplexity": np.exp(measures["nll"])}
