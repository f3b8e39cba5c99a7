import pandas as pd
import pytest
from small_study import BLOCKS, TEAL, UNIF_ALL

from spon import evaluate
from spon.sites import EVALUATION
from spon.tables import likelihoods

PLACES = [("BASELINE-TEAL", "down_proj", 0.5, None), ("UNIF-ALL", "down_proj", 0.5, 0)]
NAMES = [dict(zip(EVALUATION, place, strict=True)) for place in PLACES]


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / "teal.parquet", tmp_path / "run.parquet"]
    for path, table in zip(files, (TEAL, UNIF_ALL), strict=True):
        table.astype({"seed": "Int64"}).to_parquet(path)
    return files


def test_evaluations_are_read_in_their_order(paths):
    teal, run = likelihoods.read_evaluations(paths, NAMES)
    assert (len(teal), set(run["allocation"])) == (BLOCKS, {"UNIF-ALL"})
    assert likelihoods.read_evaluations([], []) == []


def test_the_file_of_another_evaluation_is_named_and_not_the_right_one(paths):
    paths[0].write_bytes(paths[1].read_bytes())
    with pytest.raises(ValueError, match="teal.parquet is of allocation UNIF-ALL, and not of "):
        likelihoods.read_evaluations(paths, NAMES)


def test_evaluations_are_of_the_same_blocks(paths):
    UNIF_ALL.iloc[:-1].astype({"seed": "Int64"}).to_parquet(paths[1])
    with pytest.raises(ValueError, match="run.parquet has other blocks than .*teal.parquet"):
        likelihoods.read_evaluations(paths, NAMES)


def test_a_divergence_may_be_below_zero_by_rounding_alone_where_it_is_written_and_read(paths):
    predictions = UNIF_ALL["predictions"]
    rounded = UNIF_ALL.assign(kl_nats=-0.9e-3 * predictions, seed=0)
    evaluate.check_blocks(rounded).to_parquet(paths[1])
    likelihoods.read_evaluations(paths, NAMES)
    negative = UNIF_ALL.assign(kl_nats=-1.1e-3 * predictions, seed=0)
    with pytest.raises(ValueError, match="has kl_nats -"):
        evaluate.check_blocks(negative)
    negative.to_parquet(paths[1])
    with pytest.raises(ValueError, match="as kl_nats in row 1"):
        likelihoods.read_evaluations(paths, NAMES)


def test_draws_are_of_the_same_blocks(paths):
    draws = [UNIF_ALL.iloc[[0, 2]].assign(draw=draw, norms_of="UNIF-ALL") for draw in range(3)]
    pd.concat(draws).to_parquet(paths[0])
    (table,) = likelihoods.read_draws(paths[:1], [{"seed": 0}])
    assert table.groupby("draw")["block"].apply(list).tolist() == [[0, 2]] * 3
    pd.concat([draws[0], draws[1].iloc[:1], draws[2]]).to_parquet(paths[0])
    with pytest.raises(ValueError, match="teal.parquet lacks a draw"):
        likelihoods.read_draws(paths[:1], [{"seed": 0}])
