"""Differences of tasks are paired by document: four of them, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from spon.inputs.check import FileError
from spon.tables import tasks

MODELS = [
    {"allocation": "DENSE", "scope": "", "sparsity": None, "seed": None, "tempered": False},
    {"allocation": "BASELINE-TEAL", "scope": "mlp", "sparsity": 0.5, "seed": None},
    {"allocation": "BASELINE-TEAL", "scope": "mlp", "sparsity": 0.5, "seed": None},
    {"allocation": "UNIF-ALL", "scope": "mlp", "sparsity": 0.5, "seed": 0, "tempered": False},
]
MODELS[1] |= {"tempered": False}
MODELS[2] |= {"tempered": True}
VALUES = [[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1]]


def make(model, values, metric="acc", weights=1.0):
    names = {name: model[name] for name in ("allocation", "scope", "sparsity", "seed")}
    documents = pd.DataFrame({"document": range(len(values)), "value": np.array(values, float)})
    return documents.assign(
        **names | {"sparsity": names["sparsity"] or np.nan, "tempered": model["tempered"]},
        temperature=1.2 if model["tempered"] else 1.0,
        task="mine",
        metric=metric,
        weight=weights,
        chance=0.25,
        higher_is_better=True,
        protocol="a1",
        harness="lm_eval 0",
    ).astype({"seed": "Int64", "weight": float})


@pytest.fixture
def table():
    made = [make(model, values) for model, values in zip(MODELS, VALUES, strict=True)]
    return tasks.tabulate_tasks(made)


def test_the_difference_from_dense_and_its_error_are_those_of_the_pairs(table):
    teal = table.iloc[1]
    # 0, -1, 0, 0: the deviations from -1/4 have squares that add up to 3/4.
    assert (teal["difference_dense"], teal["error_dense"]) == (-0.25, 0.25)
    assert (teal["value"], teal["documents"], teal["chance"]) == (0.5, 4, 0.25)
    assert teal["standard_error"] == pytest.approx(np.sqrt(1 / 3 / 4))


def test_a_run_is_compared_with_dense_with_teal_and_with_teal_at_its_temperature(table):
    run = table.iloc[3]
    # Against TEAL: 0, 1, -1, 1, whose deviations from 1/4 have squares that add up to 11/4.
    assert run["difference_teal"] == run["difference_tempered"] == 0.25
    assert run["error_teal"] == pytest.approx(np.sqrt(11 / 4 / 3 / 4))
    assert run["difference_dense"] == 0.0
    assert run["error_dense"] == pytest.approx(np.sqrt(2 / 3 / 4))


def test_what_has_no_reference_has_no_difference(table):
    differences = table[[f"difference_{name}" for name in tasks.REFERENCES]]
    assert differences.isna().to_numpy().tolist() == [
        [True, True, True],
        [False, True, True],
        [False, False, True],
        [False, False, False],
    ]
    assert table["temperature"].tolist() == [1.0, 1.0, 1.2, 1.0]


def test_a_ratio_has_the_error_of_what_is_left_of_its_documents():
    # 6 nats in 4 bytes: 1.5 per byte, which leaves 0.5 of the one document and -0.5 of the other.
    assert tasks.mean_over_documents(np.array([2.0, 4.0]), np.array([1.0, 3.0])) == (1.5, 0.25)


def test_one_document_has_no_error():
    value, error = tasks.mean_over_documents(np.array([1.0]), np.array([1.0]))
    assert value == 1.0
    assert np.isnan(error)


def test_errors_of_values_are_those_of_the_harness():
    metrics = pytest.importorskip("lm_eval.api.metrics")
    values = np.array(VALUES[0], float)
    _, error = tasks.mean_over_documents(values, np.ones(4))
    assert error == pytest.approx(metrics.mean_stderr(values.tolist()))


def write(folder, *changes):
    paths = []
    for number, (model, values) in enumerate(zip(MODELS, VALUES, strict=True)):
        made = make(model, values).drop(columns="tempered")
        if number == len(MODELS) - 1:
            made = made.assign(**dict(changes))
        paths.append(folder / f"{number}.parquet")
        made.to_parquet(paths[-1])
    return paths


def test_files_are_read_as_they_were_measured(tmp_path, table):
    read = tasks.read_tasks(write(tmp_path), MODELS)
    pd.testing.assert_frame_equal(tasks.tabulate_tasks(read), table)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("protocol", "b2"), "has other documents or another harness than"),
        (("document", [0, 1, 2, 4]), "has other documents or another harness than"),
        (("document", [0, 1, 2, 2]), "has two rows of task mine"),
        (("allocation", "TOP-50"), "is of allocation TOP-50, and not of allocation UNIF-ALL"),
        (("temperature", 1.2), "is of temperature 1.2, and not of temperature 1.0"),
        (("value", np.nan), "as value in row 1"),
    ],
)
def test_a_file_of_other_documents_or_another_model_is_named(tmp_path, change, sentence):
    paths = write(tmp_path, change)
    with pytest.raises(FileError, match="3.parquet") as caught:
        tasks.read_tasks(paths, MODELS)
    assert sentence in str(caught.value)
