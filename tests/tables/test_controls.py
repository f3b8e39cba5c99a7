import numpy as np
import pandas as pd
import pytest
from small_study import ALL, BLOCKS, PREDICTIONS, TEXT, gather, score

from spon.tables import controls

MEAN_DOWN = score("MEAN-DOWN", "down_proj", 0.5, 0, 2.45, 0.35)
RUN = {"sparsity": 0.5, "seed": 0}


def tabulate(*evaluations, on_dense=controls.NO_BLOCKS, draws=controls.NO_BLOCKS):
    outcomes = gather(*evaluations)
    return controls.tabulate_controls(outcomes, on_dense, draws, resamples=200, seed=0)


def block_rows(allocation, nll, kl, blocks=range(BLOCKS), **more):
    nats = {"nll_nats": PREDICTIONS * (nll + TEXT[list(blocks)]), "kl_nats": PREDICTIONS * kl}
    return pd.DataFrame(
        {
            "allocation": allocation,
            **RUN,
            "block": blocks,
            "predictions": PREDICTIONS,
            **nats,
            **more,
        }
    )


def test_the_mean_residual_gains_half_of_what_training_gains():
    rows = tabulate(*ALL, MEAN_DOWN).set_index("measure")
    assert rows["control"].tolist() == ["mean_residual"] * 2
    assert (
        rows["allocation"].tolist() == ["UNIF-ALL"] * 2
    )  # the trained run at the same sites, not TOP-75
    nll = rows.loc["nll"]
    assert nll["trained_gain_nats_per_token"] == pytest.approx(0.1)
    assert nll["control_gain_nats_per_token"] == pytest.approx(0.05)
    assert nll["difference_nats_per_token"] == pytest.approx(0.05)
    assert nll["share_of_trained_percent"] == pytest.approx(50)


def test_what_biases_gain_on_the_dense_model_is_no_repair():
    rows = tabulate(*ALL, on_dense=block_rows("UNIF-ALL", 1.98, 0.01)).set_index("measure")
    assert rows.loc["nll", "control_gain_nats_per_token"] == pytest.approx(0.02)  # dense is 2.0
    assert rows.loc["nll", "share_of_trained_percent"] == pytest.approx(20)
    assert rows.loc["kl", "control_gain_nats_per_token"] == pytest.approx(
        -0.01
    )  # away from the dense model
    assert rows.loc["nll", "reference"] == "DENSE"


def test_random_directions_are_compared_on_their_own_blocks_and_their_range_is_kept():
    few = range(0, BLOCKS, 2)
    draws = pd.concat(
        [
            block_rows("RANDOM-DOWN", nll, 0.5, few, draw=draw, norms_of="UNIF-ALL")
            for draw, nll in enumerate([2.6, 2.5, 2.7])
        ]
    )
    rows = tabulate(*ALL, draws=draws).set_index("measure")
    nll = rows.loc["nll"]
    assert (nll["draws"], nll["blocks"]) == (3, 30)
    assert nll["control_gain_nats_per_token"] == pytest.approx(
        -0.1
    )  # 2.5 of TEAL less 2.6 on average
    assert (nll["control_low"], nll["control_high"]) == pytest.approx((-0.2, 0.0))
    assert nll["difference_nats_per_token"] == pytest.approx(0.2)


def test_a_study_without_controls_has_an_empty_table():
    table = tabulate(*ALL)
    assert len(table) == 0
    assert "share_of_trained_percent" in table


def test_a_share_of_no_gain_is_not_applicable():
    noisy = score("UNIF-ALL", "down_proj", 0.5, 0, 2.5, 0.4, noise=np.resize([0.3, -0.3], BLOCKS))
    others = [one for one in ALL if one["allocation"].iloc[0] != "UNIF-ALL"]
    rows = tabulate(*others, noisy, MEAN_DOWN).set_index("measure")
    assert np.isnan(rows.loc["nll", "share_of_trained_percent"])
