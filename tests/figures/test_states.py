"""Figures 4 and 5 show their tables' numbers and what they are held against: read from artists."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from spon.figures import states, style

NAN, DOWN, OUT = float("nan"), "mlp.down_proj", "self_attn.o_proj"
TOP, ALL = ("TOP-50", 0.5, 0), ("UNIF-ALL", 0.5, 0)


def align(
    run: tuple, definition: str, cosines: list[list[float]], name: str = DOWN
) -> pd.DataFrame:
    """Make the rows of one run from a list of cosines per layer.

    The |cosine| of random directions is 0.2 on average and 0.3 at its 95 % quantile.
    """
    rows = []
    for layer, in_layer in enumerate(cosines):
        for component, cosine in enumerate(in_layer, start=1):
            row = {"layer": layer, "component": component, "cosine": cosine}
            rows.append({**row, "max_abs_cosine": max(map(abs, in_layer))})
    table = pd.DataFrame(rows).assign(**dict(zip(style.RUN, run, strict=True)), map=name)
    sites = [f"model.layers.{layer}.{name}" for layer in table["layer"]]
    table = table.assign(definition=definition, site=sites, null_mean=0.2, null_95=0.3)
    mean = -0.6 if definition == "sound" else NAN
    return table.assign(cosine_mean_output=mean, cosine_null_95=0.15 if mean else NAN)


COSINES = [[0.1, -0.4], [0.05, 0.25]]
ALIGNMENT = pd.concat(
    [align(TOP, "as_published", [[-0.1, 0.0], [0.2, 0.1]]), align(TOP, "sound", COSINES)],
    ignore_index=True,
)


def shift(place: str, layer: float, teal: float, spon: float, **values: object) -> dict:
    """Make one row: sound, not of a block's first tokens, with an interval two percent wide."""
    recovery = 100 * (teal - spon) / teal
    row = {
        **dict(zip(style.RUN, TOP, strict=True)),
        "definition": "sound",
        "place": place,
        "positions": "rest",
        "layer": layer,
        "map": NAN if place == "residual" or np.isnan(layer) else DOWN,
        "biased": place != "residual",
        "teal_shift": teal,
        "spon_shift": spon,
        "recovery_percent": recovery,
        "recovery_low": recovery - 1,
        "recovery_high": recovery + 1,
        "predicted_spon_shift": NAN,
        "predicted_without_cross_term": NAN,
    }
    return {**row, **values}


PREDICTION = {"predicted_spon_shift": 1.1, "predicted_without_cross_term": 1.5}
PUBLISHED = {
    "definition": "as_published",
    "positions": "prompt_mean",
    "recovery_low": NAN,
    "recovery_high": NAN,
}
SHIFTS = pd.DataFrame(
    [
        shift("site", 0.0, 1.0, 5.0, positions="first"),
        shift("site_same_input", 0.0, 1.0, 1.1, **PREDICTION),
        shift("site", 0.0, 1.0, 0.9),
        shift("site", 1.0, 1.0, 0.8, biased=False),
        shift("site_same_input", NAN, 1.0, 1.1),
        shift("site", NAN, 1.0, 0.9),
        shift("residual", 0.0, 2.0, 1.0),
        shift("residual", 1.0, 2.0, 3.0),
        shift("site", 0.0, 1.0, 1.4, **PUBLISHED),
        shift("site", NAN, 1.0, 1.4, **PUBLISHED),
    ]
)


def lines_of(ax, gid: str) -> list:
    """Return the lines of a panel that were plotted under a name."""
    return [line for line in ax.lines if line.get_gid() == gid]


def heights_of(ax, gid: str) -> list[float]:
    """Return the y of every point of a panel that was plotted under a name."""
    return [round(float(y), 9) for line in lines_of(ax, gid) for y in line.get_ydata()]


def test_the_heat_map_holds_every_sound_magnitude_with_layers_from_the_top_down():
    heat, _, _, bar = states.plot_pca_alignment(ALIGNMENT).axes
    assert heat.collections[0].get_array().tolist() == np.abs(COSINES).tolist()
    assert heat.get_ylim()[0] > heat.get_ylim()[1]
    assert heat.get_title(loc="left") == "TOP-50, 50 %, seed 0"
    assert "cosine" in bar.get_ylabel()


def test_the_scale_of_colour_starts_at_zero_and_darkens():
    image = states.plot_pca_alignment(ALIGNMENT).axes[0].collections[0]
    assert image.get_clim() == (0, 0.4)
    shades = image.get_cmap()(np.linspace(0, 1, 9))[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(shades) < 0).all()


def test_a_layer_is_beyond_chance_where_its_point_leaves_the_bar():
    _, largest, mean, _ = states.plot_pca_alignment(ALIGNMENT).axes
    points = [tuple(line.get_xydata()[0]) for line in lines_of(largest, "TOP-50")]
    assert points == [(0.4, 0), (0.25, 1)]
    published = [tuple(line.get_xydata()[0]) for line in lines_of(largest, "as published")]
    assert published == [(0.1, 0), (0.2, 1)]
    assert [bar.get_width() for bar in largest.patches] == [0.3, 0.3]
    assert [line.get_xdata()[0] for line in lines_of(largest, "null mean")] == [0.2, 0.2]
    assert largest.get_xlim() == pytest.approx((0, 1.08 * 0.4))
    assert [line.get_xdata()[0] for line in lines_of(mean, "TOP-50")] == [0.6, 0.6]
    assert [bar.get_width() for bar in mean.patches] == [0.15, 0.15]


def test_every_run_and_map_has_three_panels_and_a_title():
    tables = [align(run, "sound", COSINES, name) for run in (TOP, ALL) for name in (DOWN, OUT)]
    figure = states.plot_pca_alignment(pd.concat(tables))
    titles = [ax.get_title(loc="left") for ax in figure.axes[:-1:3]]
    runs = ["TOP-50, 50 %, seed 0", "UNIF-ALL, 50 %, seed 0"]
    assert titles == [f"{run}, {name}" for run in runs for name in (DOWN, OUT)]


def test_a_component_that_is_missing_is_masked_and_a_null_that_is_missing_left_out():
    sound = ALIGNMENT[ALIGNMENT["definition"] == "sound"]
    holes = sound.assign(cosine=[NAN, *sound["cosine"][1:]], null_95=NAN, null_mean=NAN)
    heat, *_ = states.plot_pca_alignment(holes).axes
    assert heat.collections[0].get_array().mask.tolist() == [[True, False], [False, False]]


def test_recoveries_stand_with_their_intervals_and_the_first_token_is_left_out():
    sites, residual, published = states.plot_hidden_state_shift(SHIFTS).axes
    assert heights_of(sites, "site_same_input") == [-10, -10]
    assert heights_of(sites, "site") == [10, 20, 10]
    assert heights_of(residual, "residual") == [50, -50]
    assert heights_of(published, "site") == [-40, -40]
    assert heights_of(residual, "interval") == [49, 51, -51, -49]
    assert np.isnan(heights_of(published, "interval")).all()


def test_recoveries_far_from_zero_do_not_flatten_the_others():
    far = pd.concat([SHIFTS, pd.DataFrame([shift("site", 1.0, 1.0, 4.0)])])
    sites = states.plot_hidden_state_shift(far).axes[0]
    place = sites.transData.transform
    span = np.ptp([place((0, y))[1] for y in sites.get_ylim()])
    assert (place((0, 10))[1] - place((0, 0))[1]) / span > 0.1


def test_predictions_are_lines_on_the_scale_of_the_recovery():
    sites, residual, _ = states.plot_hidden_state_shift(SHIFTS).axes
    assert heights_of(sites, "predicted_spon_shift") == heights_of(sites, "site_same_input")[:1]
    assert heights_of(sites, "predicted_without_cross_term") == [-50]
    assert {lines_of(sites, name)[0].get_linestyle() for name in PREDICTION} == {"-", ":"}
    assert heights_of(residual, "predicted_spon_shift") == []


def test_a_site_without_a_bias_is_smaller_and_all_of_them_stand_at_the_right():
    sites, residual, _ = states.plot_hidden_state_shift(SHIFTS).axes
    biased, unbiased, together = lines_of(sites, "site")
    assert unbiased.get_markersize() < biased.get_markersize() == together.get_markersize()
    assert together.get_xdata()[0] > 1 + 1
    assert [text.get_text() for text in sites.get_xticklabels()] == ["0", "1", "all"]
    assert [text.get_text() for text in residual.get_xticklabels()] == ["0", "1"]


def test_layers_stand_below_one_another():
    axes = states.plot_hidden_state_shift(SHIFTS).axes
    assert len({ax.get_xlim() for ax in axes}) == 1


def test_nothing_is_drawn_where_teal_moves_nothing():
    holes = SHIFTS.assign(
        recovery_percent=NAN, recovery_low=NAN, recovery_high=NAN, **dict.fromkeys(PREDICTION, NAN)
    )
    sites, *_ = states.plot_hidden_state_shift(holes).axes
    assert np.isnan(heights_of(sites, "site")).all()


def study(runs: int, layers: int, maps: tuple) -> list:
    """Plot figures 4 and 5 of a study."""
    cosines = [list(np.linspace(0.1, 0.5, 10))] * layers
    alignments, rows = [], []
    for allocation, name in product([f"RUN-{i}" for i in range(runs)], maps):
        for definition in ("as_published", "sound"):
            alignments.append(align((allocation, 0.5, 0), definition, cosines, name))
        for layer in range(layers):
            at_site = {"allocation": allocation, "map": name}
            rows.append(shift("site_same_input", float(layer), 1.0, 0.9, **at_site))
            rows.append(shift("site", float(layer), 1.0, 0.9, **at_site))
            rows.append(shift("residual", float(layer), 1.0, 0.9, allocation=allocation))
    return [
        states.plot_pca_alignment(pd.concat(alignments)),
        states.plot_hidden_state_shift(pd.DataFrame(rows)),
    ]


@pytest.mark.parametrize(
    ("runs", "layers", "maps"), [(1, 2, (DOWN,)), (2, 32, (DOWN,)), (2, 8, (DOWN, OUT))]
)
def test_any_study_is_drawn_within_the_page_and_apart_from_the_legend(runs, layers, maps):
    for figure in study(runs, layers, maps):
        with style.printed():
            figure.draw_without_rendering()
            page, whole = figure.bbox_inches, figure.get_tightbbox()
            legend = figure.legends[0].get_window_extent()
        assert page.x0 <= whole.x0 < whole.x1 <= page.x1
        assert page.y0 <= whole.y0 < whole.y1 <= page.y1
        assert not any(legend.overlaps(ax.get_tightbbox()) for ax in figure.axes)


def test_figures_are_saved_with_the_same_bytes_however_often(tmp_path):
    for plot, table in (
        (states.plot_pca_alignment, ALIGNMENT),
        (states.plot_hidden_state_shift, SHIFTS),
    ):
        saved = set()
        for _ in range(2):
            style.save(plot(table), tmp_path / "a.png", tmp_path / "a.pdf", {})
            saved.add((tmp_path / "a.png").read_bytes() + (tmp_path / "a.pdf").read_bytes())
        assert len(saved) == 1
