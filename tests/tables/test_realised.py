"""What evaluations spare: the share that thresholds reach, weighted by what it is a share of."""

import pandas as pd
import pytest
from small_study import ALL, DENSE, SHAPE, TEAL, UNIF_ALL, gather, reach, score

from spon.tables import realised

DOWN_PROJ = reach("down_proj", 0.5, [0.5, 0.5, 1.0, 1.0])
O_PROJ = reach("o_proj", 0.5, 0.25)


def test_an_evaluation_costs_the_share_that_is_reached_and_not_the_one_asked_for():
    points = gather(*ALL, thresholds=[DOWN_PROJ, O_PROJ]).points
    reached = points.set_index(["scope", "allocation"])[["sparsity", *realised.REALISED]]
    assert reached.loc["", "DENSE"].tolist() == [0, 0, 0]
    # Three quarters of all weights are down_proj's.
    for allocation in ("BASELINE-TEAL", "UNIF-ALL", "TOP-50"):
        assert reached.loc["down_proj", allocation].tolist() == [0.5, 0.75, 0.75 * 0.75]
    assert reached.loc["o_proj", "ATTN-ONLY"].tolist() == [0.5, 0.25, 0.25 * 0.25]


def test_sites_count_by_their_weights():
    both = pd.concat([DOWN_PROJ, O_PROJ]).assign(scope="both")
    point = pd.DataFrame(
        {"allocation": ["BASELINE-TEAL"], "scope": "both", "sparsity": 0.5, "seed": -1}
    )
    reached = realised.realise_sparsity(point.assign(learn=None), both, SHAPE)
    # Of 48 and 16 weights, 36 and 4 meet a zero.
    assert reached.values.tolist() == [[40 / 64, 40 / 64]]


def test_a_run_with_thresholds_of_its_own_costs_what_they_reach():
    own = reach("down_proj", 0.5, 0.6).assign(allocation="MODE-DOWN", seed=0)
    centred = score("MODE-DOWN", "down_proj", 0.5, 0, 2.44, 0.36)
    points = gather(DENSE, TEAL, UNIF_ALL, centred, thresholds=[DOWN_PROJ, own]).points
    assert points.set_index("allocation")["site_sparsity"].to_dict() == pytest.approx(
        {"DENSE": 0, "BASELINE-TEAL": 0.75, "UNIF-ALL": 0.75, "MODE-DOWN": 0.6}
    )
