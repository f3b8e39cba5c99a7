"""What a study consists of: its allocations, and the runs and evaluations of its sweep.

Rules ask a study. It knows names and settings, but no path and no job, and loads no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from spon import texts
from spon.allocate import FISHER, MEAN_RESIDUAL, MODE, RANDOM, TRAINED
from spon.methods.names import GREEDY, THRESHOLD
from spon.sites import DENSE, EVALUATION, RUN, TEAL

# How runs are learned that are evaluated one by one; random directions are evaluated many at a
# time.
LEARNED = (TRAINED, MEAN_RESIDUAL, FISHER, MODE)


@dataclass(frozen=True)
class Allocation:
    """Which sites of a scope get a bias, and how these biases are learned.

    Attributes:
        maps: The linear maps of the scope; all of them are sparsified.
        biases: Those of them that get a bias.
        layers: As `allocate.choose_layers` takes them.
        learn: `kl` (trained), `mean_residual`, `fisher`, `mode` or `random`.
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
        settings: The study's own part of it; its texts as `texts.name_texts` has them.
        checkpoints: Of a study without a model, the runs that its folder holds: `allocation,
            sparsity, seed, file`.
        allocations: All of the catalogue by name.
    """

    def __init__(self, name: str, config: Mapping, checkpoints: Sequence[Mapping] = ()):
        self.name = name
        self.config = config
        self.settings = config["studies"][name]
        if self.has_model:
            self.settings = self.settings | {"text": texts.name_texts(self.settings["text"])}
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
    def collects_topics(self) -> bool:
        """Whether some of its text is the reference of the Python language."""
        return any(text["path"] == "python_reference" for text in self.settings["text"].values())

    @property
    def further_texts(self) -> list[str]:
        """The names of the texts, beside the first, on which all runs are evaluated too."""
        parts = self.settings["text"] if self.has_model else {}
        return [part for part in parts if part not in texts.PARTS]

    @property
    def names_of_texts(self) -> list[str]:
        """What the evaluation texts are called, the first of them first."""
        return texts.list_names(self.config["studies"][self.name]["text"])

    @property
    def sparsifier(self) -> str:
        """The method by which a site's inputs are sparsified, whoever chose its sparsity."""
        method = self.settings["method"]
        return THRESHOLD if method == GREEDY else method

    @property
    def sparsification(self) -> dict:
        """How the model is loaded and sparsified: `dtype`, `method`, `dense_share`."""
        return {
            "dtype": self.settings["dtype"],
            "method": self.sparsifier,
            "dense_share": self.settings["protocol"]["dense_share"],
        }

    @property
    def no_sparsification(self) -> dict:
        """How the model is loaded where nothing is sparsified, whatever the study's method."""
        return self.sparsification | {"method": THRESHOLD, "dense_share": 0.0}

    @property
    def sparsification_of_states(self) -> dict:
        """How the model is sparsified where its states are read, which is always in float32."""
        return {name: self.sparsification[name] for name in ("method", "dense_share")}

    @property
    def settings_of_rate(self) -> dict:
        """What decides how fast the model runs."""
        return {
            "dtype": self.settings["dtype"],
            "method": self.sparsifier,
            "block_length": self.settings["protocol"]["block_length"],
            "teraflops": self.config["plan"]["teraflops"],
            "memory_gib": self.config["memory_gib"],
            "train": self.config["train"],
            "evaluate": self.config["evaluate"],
            "pydoc": self.config["pydoc"] if self.collects_docstrings else None,
        }

    @property
    def settings_of_plan(self) -> dict:
        """What decides how much is computed."""
        sections = ("calibrate", "train", "evaluate", "controls", "analyses", "memory_gib")
        catalogues = {
            "scopes": self.config["scopes"],
            "allocations": {name: asdict(one) for name, one in self.allocations.items()},
        }
        return self.settings | {key: self.config[key] for key in sections} | catalogues

    @property
    def settings_of_findings(self) -> dict:
        """What the report says about how the study was made."""
        shared = {"study": self.settings, "analyses": self.config["analyses"]}
        if not self.has_model:
            return shared
        sections = ("calibrate", "train", "evaluate", "controls")
        allocations = {allocation.name: asdict(allocation) for allocation in self.swept}
        return shared | {key: self.config[key] for key in sections} | {"allocations": allocations}

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
        runs = []
        for allocation in self.swept:
            if allocation.learn in ways:
                places = {
                    (sparsity, seed)
                    for grid in self.grids
                    if allocation.name in grid["allocations"]
                    for sparsity in grid["sparsities"]
                    for seed in grid["seeds"]
                }
                runs += [
                    {"allocation": allocation.name, "sparsity": sparsity, "seed": seed}
                    for sparsity, seed in sorted(places)
                ]
        return runs

    @property
    def grids(self) -> list[dict]:
        """The grids of the sweep, each of `allocations`, `sparsities` and `seeds`."""
        sweep = self.config["sweep"]
        return [sweep, *sweep.get("further", [])]

    @cached_property
    def baselines(self) -> list[dict]:
        """Scope and sparsity of every TEAL baseline of the sweep."""
        if not self.has_model:
            return []
        places = {
            (self.allocations[run["allocation"]].scope, run["sparsity"])
            for run in self.runs(*LEARNED, RANDOM)
        }
        scopes = list(dict.fromkeys(allocation.scope for allocation in self.swept))
        return [
            {"scope": scope, "sparsity": sparsity}
            for scope, sparsity in sorted(
                places, key=lambda place: (scopes.index(place[0]), place[1])
            )
        ]

    @property
    def evaluations(self) -> list[dict]:
        """Every evaluation of the sweep by `allocation, scope, sparsity, seed`, as in tables."""
        baselines = [name_baseline(TEAL, **baseline) for baseline in self.baselines]
        runs = [self.name_evaluation(**run) for run in self.runs(*LEARNED)]
        return [name_baseline(DENSE), *baselines, *runs]

    @property
    def biased(self) -> list[str]:
        """The allocations of the sweep that have biases, in the order of the tables."""
        return [allocation.name for allocation in self.swept if allocation.learn in LEARNED]

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
        """The runs that are analysed: those that the config names, or all with a checkpoint."""
        if self.has_model:
            return self.config["analyses"]["runs"]
        return [{name: run[name] for name in RUN} for run in self.checkpoints]

    @property
    def has_tasks(self) -> bool:
        """Whether tasks are to be measured with its model."""
        tasks = self.config["tasks"]
        return self.has_model and bool(tasks["local"] or tasks["hub"])

    @property
    def tasked(self) -> list[dict]:
        """The runs that tasks are measured with: those that the config names, or the analysed."""
        if not self.has_tasks:
            return []
        runs = self.config["tasks"]["runs"]
        return self.analysed if runs == "analysed" else runs

    @property
    def models_of_tasks(self) -> list[dict]:
        """Every model that tasks are measured with, by the columns that name an evaluation.

        TEAL is measured as it is and, with `tempered`, at the temperature that suits it best.
        """
        if not self.has_tasks:
            return []
        places = drop_repeats(
            [
                {"scope": self.allocations[run["allocation"]].scope, "sparsity": run["sparsity"]}
                for run in self.tasked
            ]
        )
        baselines = [
            name_baseline(TEAL, **place) | {"tempered": tempered}
            for place in places
            for tempered in (False, True)
        ]
        runs = [self.name_evaluation(**run) | {"tempered": False} for run in self.tasked]
        return [name_baseline(DENSE) | {"tempered": False}, *baselines, *runs]

    @property
    def compared(self) -> list[dict]:
        """The analysed runs, and the sweep's other runs of the same allocations."""
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

    def differs_in_method(self, other: "Study") -> bool:
        """Whether the method is all in which another study differs, and so what they compare."""
        if not (self.has_model and other.has_model):
            return False
        mine, others = ({**one.settings, "method": None} for one in (self, other))
        return mine == others and self.settings["method"] != other.settings["method"]

    def describe_sites(self, allocation: str) -> dict:
        """What decides which sites get a bias, and what the list of them says of it."""
        names = ("name", "maps", "biases", "layers", "learn")
        return {name: getattr(self.allocations[allocation], name) for name in names}

    def name_evaluation(self, allocation: str, sparsity: float, seed: int) -> dict:
        """Return the names of a run's evaluation in the tables' columns."""
        scope = self.allocations[allocation].scope
        names = (allocation, scope, sparsity, seed)
        return dict(zip(EVALUATION, names, strict=True))

    def learning(self, run: Mapping) -> str:
        """Return how the biases of a run are learned: `kl`, or what else `learn` may be."""
        return self.allocations[run["allocation"]].learn


def name_baseline(name: str, scope: str = "", sparsity: float | None = None) -> dict:
    """Return the names of an evaluation without biases; the dense one has no scope or sparsity."""
    return dict(zip(EVALUATION, (name, scope, sparsity, None), strict=True))


def drop_repeats(entries: Sequence[dict]) -> list[dict]:
    """Return the entries in their order, each once."""
    return [entry for position, entry in enumerate(entries) if entry not in entries[:position]]
