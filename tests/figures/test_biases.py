"""Figures 4 to 7 show their tables' numbers and chance beside them: read from the artists."""

import numpy as np
import pandas as pd
import pytest

from spon.figures import biases, states, style

NAN, DOWN, OUT = float("nan"), "mlp.down_proj", "self_attn.o_proj"
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}


def rows_of(columns: str, rows: list[tuple]) -> pd.DataFrame:
    """Make a table from its rows, of one run unless they name their own.

    A site is named after its layer and map.
    """
    table = pd.DataFrame(rows, columns=columns.split())
    table = table.assign(**{key: value for key, value in RUN.items() if key not in table})
    sites = [
        f"model.layers.{layer}.{name}"
        for layer, name in zip(table["layer"], table["map"], strict=True)
    ]
    return table.assign(site=sites)


# At layer 0 TEAL shifts by 1.0 and SPON by 0.9, as predicted; the cross term is worth 0.3.
# Layer 1 has no bias.
SHIFT = rows_of(
    "definition place positions layer map biased teal_shift recovery_percent recovery_low "
    "recovery_high predicted_spon_shift predicted_without_cross_term",
    [
        ("sound", "site_same_input", "first", 0, DOWN, True, 9.0, 99.0, NAN, NAN, NAN, NAN),
        ("sound", "site_same_input", "rest", 0, DOWN, True, 1.0, 10.0, 8.0, 12.0, 0.9, 1.2),
        ("sound", "site_same_input", "rest", NAN, None, True, 1.0, 11.0, 9.0, 13.0, NAN, NAN),
        ("sound", "site", "rest", 0, DOWN, True, 1.0, 7.0, 5.0, 9.0, NAN, NAN),
        ("sound", "site", "rest", 1, DOWN, False, 1.0, -2.0, -3.0, -1.0, NAN, NAN),
        ("sound", "residual", "rest", 0, None, False, 1.0, 4.0, 3.0, 5.0, NAN, NAN),
        ("as_published", "site", "prompt_mean", 0, DOWN, True, 1.0, -80.0, NAN, NAN, NAN, NAN),
    ],
)
ALIGNMENT = rows_of(
    "definition layer map component cosine max_abs_cosine null_mean null_95 cosine_mean_output "
    "cosine_null_95",
    [
        (definition, layer, DOWN, component, cosine, 0.4, 0.17, 0.25, 0.3, 0.17)
        for definition in ("as_published", "sound")
        for layer, component, cosine in ((0, 1, 0.1), (0, 2, -0.4), (1, 1, -0.4), (1, 2, NAN))
    ],
)
PAIRS = rows_of(
    "comparison allocation sparsity seed reference reference_sparsity reference_seed layer map "
    "cosine null_95",
    [
        ("allocation", "TOP-50", 0.5, 0, "UNIF-ALL", 0.5, 0, 0, DOWN, 0.9, 0.2),
        ("allocation", "TOP-50", 0.5, 0, "UNIF-ALL", 0.5, 0, 1, DOWN, 0.8, 0.1),
        ("allocation", "TOP-50", 0.5, 1, "UNIF-ALL", 0.5, 1, 0, DOWN, 0.85, 0.2),
        ("seed", "TOP-50", 0.5, 1, "TOP-50", 0.5, 0, 0, DOWN, 0.95, 0.2),
        ("sparsity", "TOP-50", 0.6, 0, "TOP-50", 0.5, 0, 0, DOWN, 0.7, 0.2),
        ("sparsity", "TOP-50", 0.8, 0, "TOP-50", 0.5, 0, 0, DOWN, 0.6, 0.2),
    ],
)
STATISTICS = rows_of(
    "layer map l2_norm positive_fraction positive_low positive_high excess_kurtosis "
    "excess_kurtosis_without_outliers kurtosis_null_low kurtosis_null_high largest_deviation "
    "outlier_bound cosine_next_layer cosine_null_95",
    [
        (0, DOWN, 1.0, 0.50, 0.45, 0.55, 3.0, 0.2, -0.5, 0.9, 6.0, 3.5, 0.4, 0.17),
        (1, DOWN, 2.0, 0.60, 0.55, 0.65, 0.1, 0.1, -0.5, 0.9, 3.0, 3.5, NAN, 0.17),
    ],
)
RANKING = pd.concat(
    [
        STATISTICS[["allocation", "sparsity", "seed", "site"]].assign(boundary=[False, True]),
        STATISTICS[["allocation", "sparsity", "seed", "site"]].assign(seed=1, boundary=True),
    ]
)
PLOTS = {
    "hidden_state_shift": lambda: states.plot_hidden_state_shift(SHIFT),
    "pca_alignment": lambda: states.plot_pca_alignment(ALIGNMENT),
    "cross_configuration": lambda: biases.plot_cross_configuration(PAIRS),
    "bias_statistics": lambda: biases.plot_bias_statistics(STATISTICS, RANKING),
}


def xy_of(ax, name: str) -> list[np.ndarray]:
    """Return the x and y of every line of a panel that was plotted under a name."""
    lines = [line for line in ax.lines if line.get_gid() == name]
    return [np.asarray(line.get_xydata(), dtype=float) for line in lines]


def heights_of(ax, name: str) -> list[float]:
    """Return the y of every point of a panel that was plotted under a name."""
    return [y for line in xy_of(ax, name) for y in line[:, 1]]


def chance_of(ax) -> list[tuple[float, float]]:
    """Return the lower and upper end of every bar of chance in a panel."""
    spans = [patch.get_bbox() for patch in ax.patches if patch.get_gid() == "null"]
    return [(round(box.y0, 9), round(box.y1, 9)) for box in spans]


def test_recoveries_stand_with_their_intervals_and_the_first_token_is_left_out():
    sites, residual, published = states.plot_hidden_state_shift(SHIFT).axes
    assert heights_of(sites, "site_same_input") == [10, 11]
    assert heights_of(sites, "site") == [7, -2]
    assert heights_of(residual, "residual") == [4]
    assert heights_of(published, "site") == [-80]
    intervals = [tuple(line[:, 1]) for line in xy_of(sites, "interval")]
    assert intervals == [(8, 12), (9, 13), (5, 9), (-3, -1)]


def test_the_prediction_with_the_cross_term_meets_the_point_and_the_one_without_does_not():
    sites = states.plot_hidden_state_shift(SHIFT).axes[0]
    (point, _), (line,) = xy_of(sites, "site_same_input"), xy_of(sites, "predicted_spon_shift")
    assert line == pytest.approx(point)
    assert heights_of(sites, "predicted_without_cross_term") == pytest.approx([-20])


def test_heat_maps_show_absolute_cosines_and_leave_out_what_is_not_known():
    heat, largest, *_ = states.plot_pca_alignment(ALIGNMENT).axes
    cosines = heat.collections[0].get_array()
    assert cosines.filled(-1).tolist() == [[0.1, 0.4], [0.4, -1]]
    assert [line[0, 0] for line in xy_of(largest, "TOP-50")] == [0.4, 0.4]
    bars = [patch.get_width() for patch in largest.patches if patch.get_gid() == "null"]
    assert bars == [0.25, 0.25]
    assert [line[0, 0] for line in xy_of(largest, "null mean")] == [0.17, 0.17]


def test_agreement_is_the_mean_over_seeds_beside_the_ceiling_and_chance():
    at_one, at_two = biases.plot_cross_configuration(PAIRS).axes
    assert heights_of(at_one, "allocation") == pytest.approx([(0.9 + 0.85) / 2, 0.8])
    assert heights_of(at_one, "single") == [0.9, 0.8, 0.85]
    assert heights_of(at_one, "seed") == [0.95]
    assert heights_of(at_two, "sparsity") == [0.7, 0.6]
    assert chance_of(at_one) == [(-0.2, 0.2), (-0.1, 0.1)]


def test_every_line_of_panels_fills_the_width_and_every_panel_shows_its_own_layers():
    lines = [len(line) for line in biases.balance_lines(list("abcd"))]
    assert lines == [2, 2]
    figure = biases.plot_cross_configuration(PAIRS)
    with style.printed():
        figure.draw_without_rendering()
    for ax in figure.axes:
        assert ax.get_position().x1 > 0.95
    assert [ax.get_xlim() for ax in figure.axes] == [(-0.5, 1.5), (-0.5, 0.5)]


def test_two_sparsities_are_told_apart_without_colour():
    at_two = biases.plot_cross_configuration(PAIRS).axes[1]
    dashes = [line.get_linestyle() for line in at_two.lines if line.get_gid() == "sparsity"]
    assert len(set(dashes)) == len(dashes) == 2


def test_checkpoints_without_a_second_seed_or_sparsity_have_one_panel():
    (ax,) = biases.plot_cross_configuration(PAIRS[:2]).axes
    assert heights_of(ax, "allocation") == [0.9, 0.8]


def test_statistics_are_the_tables_and_only_runs_of_the_table_are_drawn():
    axes = biases.plot_bias_statistics(STATISTICS, RANKING).axes
    norm, positive, kurtosis, deviation, cosine = axes
    assert norm.get_title(loc="left") == "mlp.down_proj, 50 % sparsity"
    assert heights_of(norm, "norm") == [1, 2]
    assert heights_of(norm, "boundary") == [2]
    assert heights_of(positive, "positive") == pytest.approx([50, 60])
    assert heights_of(positive, "interval") == pytest.approx([45, 55, 55, 65])
    assert heights_of(kurtosis, "kurtosis") == [3, 0.1]
    assert heights_of(kurtosis, "without") == [0.2, 0.1]
    assert chance_of(kurtosis) == [(-0.5, 0.9), (-0.5, 0.9)]
    assert heights_of(deviation, "deviation") == [6, 3]
    assert heights_of(deviation, "bound") == [3.5] * 4
    assert heights_of(cosine, "cosine")[0] == 0.4
    assert np.isnan(heights_of(cosine, "cosine")[1])
    assert chance_of(cosine) == [(-0.17, 0.17), (-0.17, 0.17)]


def test_a_column_holds_the_runs_of_one_map_and_sparsity():
    sparser = STATISTICS.assign(sparsity=0.8)
    other = STATISTICS.assign(allocation="UNIF-ALL")
    table = pd.concat([STATISTICS, sparser, other], ignore_index=True)
    axes = biases.plot_bias_statistics(table, RANKING).axes
    assert len(axes) == 10
    assert [len(xy_of(ax, "norm")) for ax in (axes[0], axes[5])] == [2, 1]


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_a_figure_is_saved_with_the_same_bytes_however_often(plot, tmp_path):
    saved, figure_once = set(), plot()
    for figure in (figure_once, figure_once, plot()):
        style.save(figure, tmp_path / "a.png", tmp_path / "a.pdf", {"study": "pydoc"})
        saved.add((tmp_path / "a.png").read_bytes() + (tmp_path / "a.pdf").read_bytes())
    assert len(saved) == 1


def twice(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose run has biases at a second map too."""
    sites = table[table["map"].notna()]
    second = sites.assign(map=OUT, site=sites["site"].str.replace(DOWN, OUT))
    return pd.concat([table, second], ignore_index=True)


@pytest.mark.parametrize(
    ("plot", "panels"),
    [
        (lambda: states.plot_hidden_state_shift(twice(SHIFT)), 6),
        (lambda: states.plot_pca_alignment(twice(ALIGNMENT)), 7),
        (lambda: biases.plot_cross_configuration(twice(PAIRS)), 4),
        (lambda: biases.plot_bias_statistics(twice(STATISTICS), RANKING), 10),
    ],
    ids=PLOTS,
)
def test_several_maps_are_drawn_apart_and_within_the_page(plot, panels):
    figure = plot()
    assert len(figure.axes) == panels
    with style.printed():
        figure.draw_without_rendering()
        page, whole = figure.bbox_inches, figure.get_tightbbox()
    assert page.x0 <= whole.x0 < whole.x1 <= page.x1
    assert page.y0 <= whole.y0 < whole.y1 <= page.y1


def test_seeds_of_one_allocation_look_different():
    table = pd.concat([STATISTICS, STATISTICS.assign(seed=1)], ignore_index=True)
    norm = biases.plot_bias_statistics(table, RANKING).axes[0]
    lines = [line for line in norm.lines if line.get_gid() == "norm"]
    looks = [(line.get_color(), line.get_marker()) for line in lines]
    assert len(set(looks)) == len(looks) == 2


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_one_run_stays_within_the_page(plot):
    figure = plot()
    with style.printed():
        figure.draw_without_rendering()
        page, whole = figure.bbox_inches, figure.get_tightbbox()
    assert page.x0 <= whole.x0 < whole.x1 <= page.x1
    assert page.y0 <= whole.y0 < whole.y1 <= page.y1


def test_runs_that_share_no_site_leave_a_figure_that_says_so():
    figure = biases.plot_cross_configuration(PAIRS[:0])
    assert [text.get_text() for text in figure.texts] == ["no two runs share a site"]


def test_what_is_not_a_number_leaves_a_gap_and_nothing_else():
    statistics = STATISTICS.assign(excess_kurtosis=[NAN, 0.1], kurtosis_null_low=[NAN, -0.5])
    kurtosis = biases.plot_bias_statistics(statistics, RANKING[:1]).axes[2]
    assert np.isnan(heights_of(kurtosis, "kurtosis")).tolist() == [True, False]
    sites = states.plot_hidden_state_shift(SHIFT.assign(recovery_percent=NAN)).axes[0]
    assert np.isnan(heights_of(sites, "site")).all()
    pairs = biases.plot_cross_configuration(PAIRS.assign(cosine=[NAN, *PAIRS["cosine"][1:]]))
    assert np.isnan(heights_of(pairs.axes[0], "single")).tolist() == [True, False, False]
