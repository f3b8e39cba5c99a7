"""Norms that were planted: what their order and their edges must give."""

import numpy as np
import pytest
from published_biases import gather_published, needs_published

from spon.analyses import norm_ranking
from spon.analyses.runs import Run

DOWN, OUT = "mlp.down_proj", "self_attn.o_proj"


def plant(norms, first=0, name=DOWN):
    """Biases of given norms, layer by layer."""
    return {
        f"model.layers.{layer}.{name}": np.array([0.6, -0.8]) * norm
        for layer, norm in enumerate(norms, first)
    }


def make(allocation, biases, seed=0, sparsity=0.5):
    return Run(allocation, sparsity, seed, biases)


UNIF_ALL = make("UNIF-ALL", plant([1.0, 2.0, 3.0, 4.0]))
TOP_50 = make("TOP-50", plant([1.0, 3.0]))
BOTTOM_50 = make("BOTTOM-50", plant([6.0, 4.0], first=2))


def rank(*runs, layers=4):
    return norm_ranking.describe_norm_ranking(runs, layers)


def of(table, allocation):
    return table[table["allocation"] == allocation]


def test_the_table_has_the_columns_that_were_promised_and_a_row_per_run_and_site():
    table = rank(UNIF_ALL, TOP_50)
    assert ", ".join(table.columns) == (
        "allocation, sparsity, seed, site, layer, map, l2_norm, rank, boundary, "
        "norm_over_widest, widest, "
        "spearman_rho, spearman_p, spearman_rho_inside, spearman_p_inside"
    )
    assert table["allocation"].tolist() == ["UNIF-ALL"] * 4 + ["TOP-50"] * 2
    np.testing.assert_allclose(table["l2_norm"], [1, 2, 3, 4, 1, 3])


def test_rank_one_is_the_largest_norm_of_the_run():
    table = rank(UNIF_ALL, BOTTOM_50)
    assert of(table, "UNIF-ALL")["rank"].tolist() == [4, 3, 2, 1]
    assert of(table, "BOTTOM-50")["rank"].tolist() == [1, 2]


def test_norms_that_grow_with_depth_have_rho_one_and_the_p_value_of_two_in_all_orders():
    table = rank(UNIF_ALL)
    assert table["spearman_rho"].tolist() == pytest.approx([1.0] * 4)
    assert table["spearman_p"].tolist() == pytest.approx(
        [2 / 24] * 4
    )  # one of 4! orders, and its reverse


def test_norms_that_shrink_with_depth_have_rho_minus_one():
    table = rank(make("UNIF-ALL", plant([4.0, 3.0, 1.0])), layers=3)
    assert table["spearman_rho"].iloc[0] == pytest.approx(-1)
    assert table["spearman_p"].iloc[0] == pytest.approx(2 / 6)


def test_a_p_value_counts_every_order_that_is_as_far_from_chance():
    # Ranks 1 3 2: of the six orders two have rho 1/2, two -1/2, one 1 and one -1, so all are as
    # far from zero.
    table = rank(make("UNIF-ALL", plant([1.0, 3.0, 2.0])), layers=3)
    assert table["spearman_rho"].iloc[0] == pytest.approx(0.5)
    assert table["spearman_p"].iloc[0] == pytest.approx(1)


def test_eight_sites_are_counted_and_more_are_left_to_students_t():
    grown = [float(norm) for norm in range(1, 10)]
    counted = rank(make("UNIF-ALL", plant(grown[:8])), layers=8)
    assert counted["spearman_p"].iloc[0] == pytest.approx(2 / 40320)
    grown[4:6] = [6.0, 5.0]
    many = rank(make("UNIF-ALL", plant(grown)), layers=9)
    rho = 1 - 6 * 2 / (9 * 80)  # two neighbours have changed places
    assert many["spearman_rho"].iloc[0] == pytest.approx(rho)
    assert 0 < many["spearman_p"].iloc[0] < 1e-5


@pytest.mark.filterwarnings("error")
def test_two_sites_or_equal_norms_have_no_correlation():
    assert rank(TOP_50)[["spearman_rho", "spearman_p"]].isna().all(axis=None)
    assert (
        rank(make("RANDOM-DOWN", plant([1.0] * 4)))[["spearman_rho", "spearman_p"]]
        .isna()
        .all(axis=None)
    )


def test_a_site_is_at_the_boundary_where_the_next_layer_of_the_model_has_no_bias():
    table = rank(UNIF_ALL, TOP_50, BOTTOM_50, make("INNER", plant([1.0, 1.0], first=1)))
    assert not of(table, "UNIF-ALL")["boundary"].any(), "the model ends where it does"
    assert of(table, "TOP-50")["boundary"].tolist() == [False, True]
    assert of(table, "BOTTOM-50")["boundary"].tolist() == [True, False]
    assert of(table, "INNER")["boundary"].tolist() == [True, True]


def test_the_inflated_last_layer_of_top_50_is_seen_beside_the_widest_allocation():
    run = make("TOP-50", plant([1.0, 2.0, 3.0, 6.0]))
    wide = make("UNIF-ALL", plant([1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]))
    table = of(rank(run, wide, layers=8), "TOP-50")
    assert table["boundary"].tolist() == [False, False, False, True]
    assert table["norm_over_widest"].tolist() == pytest.approx([1, 1, 0.75, 1.5])
    assert set(table["widest"]) == {"UNIF-ALL"}


def test_growth_that_the_boundary_makes_is_gone_inside():
    table = rank(make("TOP-50", plant([3.0, 2.0, 1.0, 9.0])), layers=8)
    assert table["spearman_rho"].iloc[0] == pytest.approx(
        0.2
    )  # ranks 3 2 1 4: 1 - 6 * 8 / (4 * 15)
    assert table["spearman_rho_inside"].iloc[0] == pytest.approx(-1)
    assert table["spearman_p_inside"].iloc[0] == pytest.approx(2 / 6)


def test_the_widest_has_no_ratio_to_itself_nor_a_run_to_sites_that_the_widest_lacks():
    table = rank(make("OUTER", plant([1.0, 2.0]) | plant([8.0], first=3)), BOTTOM_50)
    assert of(table, "OUTER")["norm_over_widest"].isna().all()
    outside, shared = of(table, "BOTTOM-50")["norm_over_widest"]
    assert np.isnan(outside)
    assert shared == pytest.approx(0.5)


def test_runs_of_another_sparsity_seed_or_map_are_not_compared():
    others = [
        make("TOP-50", plant([1.0, 3.0]), sparsity=0.6),
        make("TOP-50", plant([1.0, 3.0]), seed=1),
        make("ATTN-ONLY", plant([1.0] * 4, name=OUT)),
    ]
    for table in (rank(UNIF_ALL, other) for other in others):
        alone = table[table["widest"] != "UNIF-ALL"]
        assert alone["widest"].tolist() == alone["allocation"].tolist()
        assert table["norm_over_widest"].isna().all()


def test_depth_is_followed_map_by_map_and_ranks_over_the_whole_run():
    run = make("ALL", plant([1.0, 2.0, 3.0]) | plant([9.0, 8.0, 7.0], name=OUT))
    table = rank(run, layers=3)
    assert table.groupby("map")["spearman_rho"].first().to_dict() == pytest.approx(
        {DOWN: 1.0, OUT: -1.0}
    )
    assert table["rank"].tolist() == [6, 5, 4, 1, 2, 3]


def test_a_bias_beyond_the_model_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^layers is 3, but UNIF-ALL has a bias in layer 3: allowed is 4 or more$",
    ):
        rank(UNIF_ALL, layers=3)


@needs_published
def test_published_norms_grow_with_depth_and_jump_at_the_edge_of_top_50(tmp_path):
    table = rank(*gather_published(tmp_path), layers=16)
    top, wide = of(table, "TOP-50"), of(table, "UNIF-ALL")
    assert top["boundary"].tolist() == [False] * 7 + [True]
    assert not wide["boundary"].any()
    assert round(top["norm_over_widest"].iloc[7], 2) == 1.44
    assert top["norm_over_widest"].iloc[:4].max() < 1.04
    assert top["rank"].iloc[7] == 1
