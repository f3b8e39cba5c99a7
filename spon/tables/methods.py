"""Methods side by side: studies that differ in how inputs are set to zero, and in nothing else."""

from collections.abc import Mapping

import pandas as pd

from spon.inputs import check
from spon.tables.outcomes import MEASURES, Outcomes, adjust_per_measure, read_outcomes
from spon.tables.perplexity import list_trainings

COLUMNS = [
    "method",
    "allocation",
    "scope",
    "sparsity",
    "seed",
    "seeds",
    "site_sparsity",
    "model_sparsity",
    "perplexity",
    "measure",
    "nats_per_token",
    "low",
    "high",
    "difference_nats_per_token",
    "difference_low",
    "difference_high",
    "p_value",
    "p_holm",
    "blocks",
]
# What is read of every study.
FILES = ("model", "protocol", "sites", "nll", "thresholds")
COMPARED = ["method", "allocation", "scope", "sparsity"]


def read_methods(paths: Mapping, spec: Mapping) -> dict[str, Outcomes]:
    """Read the evaluations of several studies, by their methods.

    Args:
        paths: What `outcomes.read_outcomes` takes of each method, under names such as `wina_nll`.
        spec: What it takes, the same for all, and the `methods` in their order.

    Raises:
        FileError: A file is damaged, or a study is of another model or text than the first.
    """
    by_method = {}
    for method in spec["methods"]:
        by_method[method] = files = {kind: paths[f"{method}_{kind}"] for kind in FILES}
        first = by_method[spec["methods"][0]]
        for name, key in (("model", "files"), ("protocol", "protocol")):
            if check.read_json(files[name], key) != check.read_json(first[name], key):
                raise check.FileError(
                    files[name], f"and {first[name]} differ in {key}, so methods do not compare"
                )
    return {method: read_outcomes(files, spec) for method, files in by_method.items()}


def tabulate_methods(methods: Mapping[str, Outcomes]) -> pd.DataFrame:
    """Compare every evaluation of each method with the first method's, block by block.

    Returns:
        Of each evaluation two rows, by `measure`: `nats_per_token` with its own interval, and
        `difference_nats_per_token` to the first method with that of the difference, below zero
        where the method is better; the first has none. `p_holm` is adjusted over all differences
        of one measure, of which the row of most trainings counts.
    """
    reference = next(iter(methods.values()))
    rows = []
    for method, outcomes in methods.items():
        labels = outcomes.points["label"], reference.points["label"]
        assert labels[0].equals(labels[1]), f"the method {method} has other evaluations"
        teal = [(point,) for point in sorted(set(outcomes.points["teal"]) - {0})]
        for runs in [*teal, *list_trainings(outcomes)]:
            names = {"method": method, "allocation": outcomes.allocation(runs)}
            names |= outcomes.describe_trainings(runs)
            realised = outcomes.points.loc[list(runs), ["site_sparsity", "model_sparsity"]].mean()
            for measure in MEASURES:
                row = describe_difference(outcomes, reference, runs, measure)
                rows.append(names | realised.to_dict() | row)
    return adjust_per_measure(reference.table(rows, COLUMNS), COMPARED)


def describe_difference(
    outcomes: Outcomes, reference: Outcomes, runs: tuple[int, ...], measure: str
) -> dict:
    """Return the numbers of one row; without a difference where a study would meet itself."""
    quantity = outcomes.quantity(measure, runs)
    own = quantity.interval()
    row = {
        "perplexity": outcomes.quantity("perplexity", runs).value,
        "measure": measure,
        "nats_per_token": own.value,
        "low": own.low,
        "high": own.high,
        "blocks": outcomes.blocks,
    }
    if outcomes is reference:
        return row
    difference = (quantity - reference.quantity(measure, runs)).interval()
    return row | {
        "difference_nats_per_token": difference.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p_value": difference.p_value,
    }
