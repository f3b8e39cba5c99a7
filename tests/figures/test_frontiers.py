"""Figure 3 passes through its runs, shows its ties, and tells near and far apart on one axis."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from spon.figures import frontiers, style

DENSE, TEAL, NAN = "DENSE", "BASELINE-TEAL", float("nan")
PARETO = pd.DataFrame(
    [
        ("scope", "down_proj", TEAL, 0, 11.0, True, None),
        ("scope", "down_proj", "TOP-50", 1024, 10.8, True, "BOTTOM-50"),
        ("scope", "down_proj", "BOTTOM-50", 1024, 10.7, True, "TOP-50"),
        ("scope", "down_proj", "TOP-75", 1536, 10.9, False, None),
        ("scope", "down_proj", "UNIF-ALL", 2048, 10.6, True, None),
        ("scope", "o_proj", "ATTN-ONLY", 2048, 10.2, True, None),
        ("model", "down_proj", "TOP-50", 0.14, 10.8, True, "BOTTOM-50"),
        ("model", "down_proj", "BOTTOM-50", 0.14, 10.7, True, "TOP-50"),
        ("model", None, DENSE, 0.0, 10.0, True, None),
        ("model", "o_proj", "ATTN-ONLY", 0.03, 10.2, True, None),
    ],
    columns=["frontier", "scope", "allocation", "cost", "level", "on_frontier", "tied_with"],
).assign(sparsity=0.5)
PARETO = pd.concat(
    [PARETO.assign(measure="kl", level=np.log(PARETO["level"] / 10)), PARETO.assign(measure="nll")]
)
# The mean of UNIF-ALL, and one of its seeds; TEAL has 11.
CONTRASTS = pd.DataFrame(
    [
        ("UNIF-ALL", NAN, TEAL, 10.6 / 11, 10.5 / 11, 10.7 / 11),
        ("UNIF-ALL", 0, TEAL, 10.4 / 11, 10.3 / 11, 10.5 / 11),
        (TEAL, NAN, DENSE, 11 / 10, 10.9 / 10, 11.1 / 10),
    ],
    columns=["allocation", "seed", "reference", "difference_nats_per_token", "low", "high"],
).assign(scope="down_proj", sparsity=0.5, measure="nll")
CONTRASTS = CONTRASTS.assign(
    **{name: np.log(CONTRASTS[name]) for name in ("difference_nats_per_token", "low", "high")}
)


def lines_of(ax, *names: str) -> list:
    """Return the lines of a panel that were plotted under one of the names."""
    return [line for line in ax.lines if line.get_gid() in names]


def by_perplexity() -> list:
    """Return the panels of the perplexity: down_proj, o_proj, all scopes."""
    return frontiers.plot_pareto(PARETO, CONTRASTS).axes[3:]


def test_the_frontier_passes_through_its_runs_and_steps_on_from_the_nearest_of_tied_ones():
    down, out, model = by_perplexity()
    for ax, expected in (
        (down, [(0, 11.0), (1024, 10.8), (1024, 10.7), (2048, 10.6)]),
        (out, [(2048, 10.2)]),
        (model, [(0, 10.0), (3, 10.2), (14, 10.7), (14, 10.8)]),
    ):
        (line,) = lines_of(ax, "frontier")
        assert np.ravel(line.get_xydata()) == pytest.approx(np.ravel(expected))
    assert lines_of(down, "frontier")[0].get_drawstyle() == "steps-post"
    assert lines_of(model, "frontier")[0].get_drawstyle() == "steps-pre"
    assert [len(lines_of(ax, *style.STYLES)) for ax in (down, out, model)] == [5, 1, 4]


def test_kl_stands_in_thousandths_of_a_nat():
    (attention,) = lines_of(frontiers.plot_pareto(PARETO, CONTRASTS).axes[1], "ATTN-ONLY")
    assert attention.get_ydata()[0] == pytest.approx(1000 * np.log(1.02))


def test_ties_are_hollow_and_nothing_else_is():
    runs = lines_of(by_perplexity()[0], *style.STYLES)
    hollow = {line.get_gid() for line in runs if line.get_markerfacecolor() == "white"}
    assert hollow == {"TOP-50", "BOTTOM-50"}


def test_an_interval_is_that_of_the_paired_difference_of_the_mean_over_seeds():
    bars = [line.get_ydata() for line in lines_of(by_perplexity()[0], "interval")]
    bounds = [tuple(np.round(bar, 9)) for bar in bars if not np.isnan(bar).any()]
    assert sorted(bounds) == [(10.5, 10.7), (10.9, 11.1)]


def test_the_dense_model_stands_on_its_frontier_and_close_runs_apart_from_it():
    model = by_perplexity()[-1]
    assert lines_of(model, "frontier")[0].get_xydata()[0] == pytest.approx([0, 10])
    (dense,), (attention,) = lines_of(model, DENSE), lines_of(model, "ATTN-ONLY")
    heights = [model.transData.transform((0, y.get_ydata()[0]))[1] for y in (dense, attention)]
    assert np.diff(heights) > 0.3 * model.bbox.height  # a quarter of the distance: half the root


def test_ticks_are_round_numbers_that_begin_at_the_dense_model():
    ticks = frontiers.choose_ticks(12.51, 16.0, *frontiers.root_scale(12.51))
    assert ticks == pytest.approx([12.51, 12.6, 13, 13.5, 14, 15, 16])
    # Roots of 100 are ten long, so ticks are 1.1 to 2.2 of them apart: from 0 the next is in
    # 1.2 to 4.9, and from 10 in 18 to 29.
    assert frontiers.choose_ticks(0.0, 100.0, *frontiers.root_scale(0.0))[:4] == [0, 2, 10, 20]


def make_sweep(scopes: int, sparsities: int) -> pd.DataFrame:
    """Make the table of a study with one allocation per scope."""
    rows = [("model", None, 0.0, DENSE, 0.0, 0.0)]
    for i, j in product(range(scopes), range(sparsities)):
        scope, sparsity = f"scope_{i}", round(0.9 - 0.1 * j, 1)
        for name, cost, level in ((TEAL, 0, 0.2), (f"RUN-{scope}", 256, 0.1)):
            rows.append(("scope", scope, sparsity, name, cost, level))
            rows.append(("model", scope, sparsity, name, sparsity / 2, level))
    columns = ["frontier", "scope", "sparsity", "allocation", "cost", "level"]
    kl = pd.DataFrame(rows, columns=columns).assign(on_frontier=True, tied_with=NAN)
    return pd.concat([kl.assign(measure="kl"), kl.assign(measure="nll", level=10 + kl["level"])])


@pytest.mark.parametrize(("scopes", "sparsities"), [(1, 1), (3, 3), (6, 1), (3, 2)])
def test_any_sweep_is_drawn_whole_and_within_the_page(scopes, sparsities):
    figure = frontiers.plot_pareto(make_sweep(scopes, sparsities), CONTRASTS)
    assert len(figure.axes) == 2 * (scopes * sparsities + 1)
    with style.printed():
        figure.draw_without_rendering()
        page, whole = figure.bbox_inches, figure.get_tightbbox()
    assert page.x0 <= whole.x0 < whole.x1 <= page.x1
    assert page.y0 <= whole.y0 < whole.y1 <= page.y1
