"""Edits of code that were shown to change no number, so that they rerun nothing.

`python -m bench.equal_code` writes an entry; CONTRIBUTING.md says when one may be made.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Module:
    """The meaning of one file of ours.

    Attributes:
        digest: Of its own meaning, sixteen hexadecimal digits; blind to what its imports are
            called and contain.
        imports: Names of our modules that it uses, as `train` or `tables.outcomes`, in the order
            of their first use.
    """

    digest: str
    imports: tuple[str, ...]


@dataclass(frozen=True)
class Equal:
    """A file of ours in two states that give the same bytes.

    A file that is in neither state is what it is: the next edit makes an entry void.

    Attributes:
        file: Its path in the repository, for a reader: what counts is its digest.
        now: As it is.
        was: As it was when the results in question were made.
        shown: How it was shown that no number changes.
    """

    file: str
    now: Module
    was: Module
    shown: str

    def __post_init__(self):
        """Refuse what could hide an edit: an import that only the new state has.

        The digest of the old state knows nothing of it. Those that `lineage.digest` keeps apart
        are no imports here, and what guards them is said there.
        """
        new = set(self.now.imports) - set(self.was.imports)
        assert not new, f"{self.file} imports {', '.join(sorted(new))}, which it did not before"


# Made by `bench.equal_code`.
SPARSIFY = ("inputs.check", "sites", "models", "biases")
CALIBRATE = ("sites", "models", "sparsify", "inputs.check")
QUANTILES = ("inputs.check", "models", "calibrate", "inputs.tokens", "allocate")
METHODS = (
    "of pydoc, thresholds.csv and the quantiles of down_proj, recomputed and as published; of two "
    "small studies of its model, by threshold and by topk, all tensors and tables of TOP-50, "
    "MEAN-DOWN, MODE-DOWN and TEAL: training, centring and evaluation with the old and new code"
)
SHARED_OUT = ("sites", "inputs.tokens", "models", "sparsify")
COMPARED = (
    "of studies/methods, made again: quantiles and an evaluation by wina, and both thresholds.csv "
    "by greedy"
)
EQUAL: tuple[Equal, ...] = (
    Equal(
        file="spon/sparsify.py",
        now=Module("bd9cdc9aa029e179", SPARSIFY),
        was=Module("8c8f7972cdc0233f", SPARSIFY),
        shown=METHODS,
    ),
    Equal(
        file="spon/calibrate.py",
        now=Module("8d608e8bac3fb29f", CALIBRATE),
        was=Module("702996834254aa7c", CALIBRATE),
        shown=METHODS,
    ),
    Equal(
        file="workflow/scripts/read_quantiles.py",
        now=Module("5405dfecbe68b5d4", QUANTILES),
        was=Module("7f2e61e3acf32cc1", QUANTILES),
        shown=METHODS,
    ),
    Equal(
        file="spon/methods/wina.py",
        now=Module("5cb5c7852a212534", ()),
        was=Module("5a6b69ef181b9292", ()),
        shown=COMPARED,
    ),
    Equal(
        file="spon/methods/greedy.py",
        now=Module("7c390112a53495e3", SHARED_OUT),
        was=Module("99e52f70d25800bc", SHARED_OUT),
        shown=COMPARED,
    ),
)


def find_earlier(module: Module, known: tuple[Equal, ...] = EQUAL) -> Module:
    """Return the state of a file that it is equal to; itself, if nobody has shown any."""
    return next((entry.was for entry in known if entry.now == module), module)
