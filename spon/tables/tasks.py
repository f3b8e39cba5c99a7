"""The table of tasks: what every model scores, and paired differences between models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from spon.inputs import check
from spon.sites import DENSE, EVALUATION, TEAL

MODEL = [*EVALUATION, "temperature"]
# What is measured; values of another protocol or harness are not comparable.
MEASURE = ["task", "metric", "higher_is_better", "protocol", "harness"]
COLUMNS = [*MODEL, "task", "metric", "document", "value", "weight", "chance", *MEASURE[2:]]
# What a model is compared with, by how its columns end.
REFERENCES = ("dense", "teal", "tempered")


def read_tasks(paths: Sequence[str | Path], models: Sequence[Mapping]) -> list[pd.DataFrame]:
    """Read what every model did in the tasks.

    Args:
        paths: Of the files, the first of them of the dense model.
        models: What each has to be of: the columns of `EVALUATION`, and whether it is `tempered`.

    Raises:
        FileError: A file is damaged, of another model, or of other documents than the first.
    """
    tables = []
    for path, names in zip(paths, models, strict=True):
        table = check.read_table(path, COLUMNS)
        expected = {name: names[name] for name in EVALUATION}
        if not names["tempered"]:
            expected["temperature"] = 1.0
        check.check_names(table, path, expected)
        check.check_rows(table, path, ["task", "metric", "document"])
        check.check_numbers(table, path, ["value"])
        check.check_numbers(table, path, ["weight", "temperature"], least=np.finfo(float).tiny)
        asked = [*MEASURE, "document", "weight"]
        if tables and not table[asked].equals(tables[0][asked]):
            raise check.FileError(path, f"has other documents or another harness than {paths[0]}")
        tables.append(table.assign(tempered=names["tempered"]))
    return tables


def tabulate_tasks(models: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put models side by side in every task and metric.

    Args:
        models: As `read_tasks` returns them.

    Returns:
        One row per model, task and metric: `documents`, what guessing gives (`chance`), `value`
        and `standard_error`, that of the documents; and for each of `REFERENCES`, the model's
        value minus that of the dense model, of TEAL at its place, and of TEAL at the temperature
        that suits it best, with the standard error of the differences document by document. A
        difference is NaN where there is no such reference.
    """
    by_name = {name_model(table): table for table in models}
    rows = []
    for table in models:
        references = find_references(table)
        for measure, own in table.groupby(MEASURE, sort=False):
            row = dict(zip(MEASURE, measure, strict=True)) | score(own)
            for reference in REFERENCES:
                other = by_name.get(references.get(reference))
                row |= subtract(own, other, measure, reference)
            rows.append({**table.iloc[0][MODEL].to_dict(), **row})
    differences = [f"{kind}_{name}" for name in REFERENCES for kind in ("difference", "error")]
    shown = ["documents", "chance", "value", "standard_error", *differences]
    columns = [*MODEL, "task", "metric", *shown, *MEASURE[2:]]
    frame = pd.DataFrame(rows)[columns].astype({"seed": "Int64", "documents": int})
    return frame.assign(sparsity=frame["sparsity"].fillna(0.0).astype(float))


def name_model(table: pd.DataFrame) -> tuple:
    """Return what tells a model from the others of a study."""
    first = table.iloc[0]
    names = ["" if pd.isna(first[name]) else first[name] for name in EVALUATION]
    return (*names, bool(first["tempered"]))


def find_references(table: pd.DataFrame) -> dict[str, tuple]:
    """Return the names of the models that a model is compared with."""
    allocation, scope, sparsity, _, is_tempered = name_model(table)
    if allocation == DENSE:
        return {}
    references = {"dense": (DENSE, "", "", "", False)}
    if allocation != TEAL or is_tempered:
        references["teal"] = (TEAL, scope, sparsity, "", False)
    if allocation != TEAL:
        references["tempered"] = (TEAL, scope, sparsity, "", True)
    return references


def score(documents: pd.DataFrame) -> dict[str, float | int]:
    """Return the value of a metric, its standard error, and what guessing gives."""
    value, error = mean_over_documents(documents["value"], documents["weight"])
    return {
        "documents": len(documents),
        "chance": float(documents["chance"].mean(skipna=False)),
        "value": value,
        "standard_error": error,
    }


def subtract(
    own: pd.DataFrame, reference: pd.DataFrame | None, measure: tuple, name: str
) -> dict[str, float]:
    """Return the difference from a reference, and its error, under the columns of its name."""
    difference = error = np.nan
    if reference is not None:
        other = reference[(reference[MEASURE] == list(measure)).all(axis=1)]
        pairs = own["value"].to_numpy() - other["value"].to_numpy()
        difference, error = mean_over_documents(pairs, own["weight"])
    return {f"difference_{name}": difference, f"error_{name}": error}


def mean_over_documents(
    values: Float[np.ndarray, "documents"] | pd.Series,
    weights: Float[np.ndarray, "documents"] | pd.Series,
) -> tuple[float, float]:
    """Return the sum of values over that of weights, and its standard error.

    With weights of 1 these are the mean and s / sqrt(n), as lm-eval has them; else the error is
    that of the ratio, linearised.

    Returns:
        Of a single document, an error that is NaN.
    """
    # ASSUME: documents are independent of one another, as lm-eval takes them.
    value, weight = np.asarray(values, float), np.asarray(weights, float)
    mean, count = float(value.sum() / weight.sum()), len(value)
    if count < 2:
        return mean, np.nan
    rest = value - mean * weight
    return mean, float(np.sqrt(rest @ rest * count / (count - 1)) / weight.sum())
