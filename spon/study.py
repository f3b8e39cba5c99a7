"""List what a study consists of: its allocations, and the runs and evaluations of its sweep.

Rules read it. It holds names and settings, and knows of no path, job or model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spon.sites import DENSE, EVALUATION, MEAN_RESIDUAL, RANDOM, RUN, TEAL, TRAINED

# How runs are learned that are evaluated one by one; random directions are evaluated many at a
# time.
LEARNED = (TRAINED, MEAN_RESIDUAL)


@dataclass(frozen=True)
class Allocation:
    """Which sites of a scope get a bias, and how these biases are learned.

    Attributes:
        maps: The linear maps of the scope; all of them are sparsified.
        biases: Those of them that get a bias.
        layers: As `sites.choose_layers` takes them.
        learn: `kl` (trained), `mean_residual` or `random`.
        norms_of: The trained allocation whose norms random directions take; None for any other.
    """

    name: str
    scope: str
    maps: Sequence[str]
    biases: Sequence[str]
    layers: object
    learn: str
    norms_of: str | None


def read_allocation(name: str, config: Mapping) -> Allocation:
    """Read an allocation of the config's catalogue, with its defaults filled in."""
    settings = config["allocations"][name]
    maps = config["scopes"][settings["scope"]]
    return Allocation(
        name=name,
        scope=settings["scope"],
        maps=maps,
        biases=settings.get("biases", maps),
        layers=settings["layers"],
        learn=settings.get("learn", TRAINED),
        norms_of=settings.get("norms_of"),
    )


class Study:
    """A study of the config: a model, its text and its sweep, or bias checkpoints without a model.

    Attributes:
        name: As in the config's catalogue.
        config: The whole config, checked.
        settings: The study's own part of it.
        checkpoints: Of a study without a model, the runs that its folder holds: `allocation,
            sparsity, seed, file`.
        allocations: All of the catalogue by name.
    """

    def __init__(self, name: str, config: Mapping, checkpoints: Sequence[Mapping] = ()):
        self.name = name
        self.config = config
        self.settings = config["studies"][name]
        self.checkpoints = list(checkpoints)
        self.allocations = {
            allocation: read_allocation(allocation, config) for allocation in config["allocations"]
        }

    @property
    def has_model(self) -> bool:
        """Whether the study runs a model; else it has bias checkpoints alone."""
        return "checkpoints" not in self.settings

    @property
    def collects_docstrings(self) -> bool:
        """Whether some of its text is the docstring corpus."""
        return any(text["path"] == "pydoc" for text in self.settings["text"].values())

    @property
    def sparsification(self) -> dict:
        """The settings by which the model is loaded and sparsified."""
        dense_share = self.settings["protocol"]["dense_share"]
        return {
            "dtype": self.settings["dtype"],
            "method": self.settings["method"],
            "dense_share": dense_share,
        }

    @property
    def swept(self) -> list[Allocation]:
        """The allocations of the sweep."""
        return [self.allocations[name] for name in self.config["sweep"]["allocations"]]

    @property
    def scopes(self) -> dict[str, Sequence[str]]:
        """The linear maps of every scope of the sweep, in the order of the catalogue."""
        swept = {allocation.scope for allocation in self.swept}
        return {name: maps for name, maps in self.config["scopes"].items() if name in swept}

    def runs(self, *ways: str) -> list[dict]:
        """Return the runs of the sweep whose biases are learned in one of these ways, each once.

        Args:
            ways: Values of an allocation's `learn`.
        """
        sweep = self.config["sweep"]
        repeats = sweep.get("repeats", {"allocations": [], "sparsities": [], "seeds": []})
        runs = []
        for allocation in self.swept:
            if allocation.learn not in ways:
                continue
            repeated = repeats["sparsities"] if allocation.name in repeats["allocations"] else []
            for sparsity in sweep["sparsities"]:
                seeds = sweep["seeds"] + (repeats["seeds"] if sparsity in repeated else [])
                runs += [
                    {"allocation": allocation.name, "sparsity": sparsity, "seed": seed}
                    for seed in dict.fromkeys(seeds)
                ]
        return runs

    @cached_property
    def baselines(self) -> list[dict]:
        """Scope and sparsity of every TEAL baseline of the sweep."""
        if not self.has_model:
            return []
        scopes = dict.fromkeys(allocation.scope for allocation in self.swept)
        sparsities = self.config["sweep"]["sparsities"]
        return [
            {"scope": scope, "sparsity": sparsity} for scope in scopes for sparsity in sparsities
        ]

    @property
    def evaluations(self) -> list[dict]:
        """Every evaluation of the sweep, by the names in the tables' columns."""
        baselines = [name_baseline(TEAL, **baseline) for baseline in self.baselines]
        runs = [self.name_evaluation(**run) for run in self.runs(*LEARNED)]
        return [name_baseline(DENSE), *baselines, *runs]

    @property
    def adaptations(self) -> list[dict]:
        """The trained runs whose biases are evaluated on the dense model too."""
        names, seeds = self.config["controls"]["on_dense"], self.config["sweep"]["seeds"]
        return [
            run
            for run in self.runs(TRAINED)
            if run["allocation"] in names and run["seed"] in seeds
        ]

    @property
    def analysed(self) -> list[dict]:
        """The runs that are analysed one by one: those of the config, or all with a checkpoint."""
        if self.has_model:
            return self.config["analyses"]["runs"]
        return [{name: run[name] for name in RUN} for run in self.checkpoints]

    @property
    def compared(self) -> list[dict]:
        """The analysed runs, and the sweep's runs of the same allocations."""
        names = {run["allocation"] for run in self.analysed}
        swept = self.runs(*LEARNED) if self.has_model else []
        return self.analysed + [
            run for run in swept if run["allocation"] in names and run not in self.analysed
        ]

    @property
    def learned(self) -> list[dict]:
        """Every run whose biases are learned.

        They are the runs of the sweep, those that are analysed, and those whose norms random
        directions take.
        """
        imitated = [
            run | {"allocation": self.allocations[run["allocation"]].norms_of}
            for run in self.runs(RANDOM)
        ]
        return drop_repeats(self.runs(*LEARNED) + self.analysed + imitated)

    @property
    def thresholds(self) -> list[dict]:
        """Scope and sparsity of all thresholds that baselines and learned runs need."""
        of_runs = [
            {"scope": self.allocations[run["allocation"]].scope, "sparsity": run["sparsity"]}
            for run in self.learned
        ]
        return drop_repeats(self.baselines + of_runs)

    def name_evaluation(self, allocation: str, sparsity: float, seed: int) -> dict:
        """Return the names of a run's evaluation in the tables' columns."""
        scope = self.allocations[allocation].scope
        names = (allocation, scope, sparsity, seed)
        return dict(zip(EVALUATION, names, strict=True))

    def learning(self, run: Mapping) -> str:
        """Return how the biases of a run are learned: `kl`, `mean_residual` or `random`."""
        return self.allocations[run["allocation"]].learn


def name_baseline(name: str, scope: str = "", sparsity: float | None = None) -> dict:
    """Return the names of an evaluation without biases; the dense one has no scope or sparsity."""
    return dict(zip(EVALUATION, (name, scope, sparsity, None), strict=True))


def drop_repeats(entries: Sequence[dict]) -> list[dict]:
    """Return the entries in their order, each once."""
    return [entry for position, entry in enumerate(entries) if entry not in entries[:position]]
