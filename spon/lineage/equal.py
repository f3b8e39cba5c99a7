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
SPREAD = (
    "of tiny by threshold, topk and wina, all tensors and tables: calibration, means, "
    "modes, a Newton step, training, evaluation and analyses with the old and new code"
)
METHODS = (
    "of pydoc, thresholds.csv and the quantiles of down_proj, recomputed and as published; of two "
    "small studies of its model, by threshold and by topk, all tensors and tables of TOP-50, "
    "MEAN-DOWN, MODE-DOWN and TEAL: training, centring and evaluation with the old and new code"
)
COMPARED = (
    "of studies/methods, made again: quantiles and an evaluation by wina, and both thresholds.csv "
    "by greedy"
)


def keep_imports(
    file: str, now: str, was: str, imports: str, shown: str, before: str = ""
) -> Equal:
    """Return the entry of an edit that changes no import, but for the order of their first use.

    Args:
        file: As `Equal` has it.
        now: Digest of the file as it is.
        was: Digest of the file as it was.
        imports: Names, separated by spaces.
        shown: As `Equal` has it.
        before: The names in their earlier order, if that was another.
    """
    old = tuple((before or imports).split())
    return Equal(file, Module(now, tuple(imports.split())), Module(was, old), shown)


EQUAL: tuple[Equal, ...] = (
    keep_imports(
        "spon/models.py",
        now="b015e7ef2947d200",
        was="7197cd6a9e2175e2",
        imports="inputs.check memory inputs.source inputs.folder sites cache",
        shown=SPREAD,
        before="inputs.check memory inputs.source inputs.folder cache sites",
    ),
    keep_imports(
        "spon/layers.py",
        now="89f39d969dd13ad9",
        was="21eed97886055cb0",
        imports="sites models",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/head.py",
        now="38f96d8eb28cb76f",
        was="9793feef72c9aea0",
        imports="",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/sparsify.py",
        now="bd4a416424fbf043",
        was="8c8f7972cdc0233f",
        imports="inputs.check sites models biases",
        shown=f"{SPREAD}; {METHODS}",
    ),
    keep_imports(
        "spon/calibrate.py",
        now="fbb0f1740edcc839",
        was="702996834254aa7c",
        imports="models sites sparsify inputs.check",
        shown=f"{SPREAD}; {METHODS}",
        before="sites models sparsify inputs.check",
    ),
    keep_imports(
        "spon/centre.py",
        now="e5243c2d707fdc3a",
        was="8721bc3d5f4f097d",
        imports="calibrate biases inputs.check",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/untrained.py",
        now="12239709c8529ce0",
        was="60e924ca361c65c4",
        imports="models",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/train.py",
        now="ebac7cd3e0341886",
        was="2a3b75d55c220cda",
        imports="cache resume inputs.tokens models head course divergence sparsify layers",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/agreement.py",
        now="45172d3ba3c5632f",
        was="f5d7286d6372dcfc",
        imports="models head layers inputs.shape sites",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/memory.py",
        now="ff206e94c7a79de0",
        was="949d36fec6439126",
        imports="",
        shown=SPREAD,
    ),
    keep_imports(
        "spon/analyses/hidden_state_shift.py",
        now="17f582e4894b2e57",
        was="3a6a272802fbe17c",
        imports="sparsify analyses.runs models sites stats analyses.chance",
        shown=SPREAD,
    ),
    keep_imports(
        "workflow/scripts/centre_on_mode.py",
        now="032c1648830d0bd3",
        was="102d3190fbc7174b",
        imports="models inputs.tokens inputs.check sites sparsify centre calibrate biases",
        shown=SPREAD,
    ),
    keep_imports(
        "workflow/scripts/read_quantiles.py",
        now="5405dfecbe68b5d4",
        was="7f2e61e3acf32cc1",
        imports="inputs.check models calibrate inputs.tokens allocate",
        shown=METHODS,
    ),
    keep_imports(
        "spon/methods/wina.py",
        now="5cb5c7852a212534",
        was="5a6b69ef181b9292",
        imports="",
        shown=COMPARED,
    ),
    keep_imports(
        "spon/methods/greedy.py",
        now="7c390112a53495e3",
        was="99e52f70d25800bc",
        imports="sites inputs.tokens models sparsify",
        shown=COMPARED,
    ),
)


def find_earlier(module: Module, known: tuple[Equal, ...] = EQUAL) -> Module:
    """Return the state of a file that it is equal to; itself, if nobody has shown any.

    What was moved or renamed since an entry was made goes by its new name: imports are told by
    their place.
    """
    for entry in known:
        imports = entry.now.imports
        if entry.now.digest == module.digest and len(imports) == len(module.imports):
            names = dict(zip(imports, module.imports, strict=True))
            return Module(
                entry.was.digest, tuple(names.get(name, name) for name in entry.was.imports)
            )
    return module
