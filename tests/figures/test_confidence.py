"""Figure 8 tells what a temperature wins back from what biases do."""

import numpy as np
import pandas as pd
import pytest

from spon.figures import confidence, style

DENSE, TEAL, NAN = "DENSE", "BASELINE-TEAL", float("nan")
# TEAL loses 0.4 nats, of which its temperature wins back 0.1.
PERPLEXITY = pd.DataFrame(
    [
        (DENSE, None, None, 2.0, 2.0, 0.0, NAN, NAN, NAN),
        (TEAL, "down_proj", None, 2.4, 2.3, 0.5, NAN, NAN, NAN),
        ("UNIF-ALL", "down_proj", 0, 2.2, 2.2, 0.3, 50.0, 30.0, 40.0),
        ("UNIF-ALL", "down_proj", 1, 2.2, 2.2, 0.3, 60.0, 40.0, 44.0),
        ("TOP-50", "down_proj", 0, 2.3, 2.2, 0.4, 25.0, 20.0, 20.0),
        ("MEAN-DOWN", "down_proj", 0, 2.3, 2.2, 0.4, 20.0, -5.0, 10.0),
    ],
    columns=[
        "allocation",
        "scope",
        "seed",
        "nll_nats_per_token",
        "nll_at_temperature",
        "kl_nats_per_token",
        "recovery_nll_percent",
        "recovery_own_temperature_percent",
        "recovery_kl_percent",
    ],
).assign(sparsity=0.5)
CONTROLS = pd.DataFrame(
    [
        ("mean_residual", "UNIF-ALL", "MEAN-DOWN", "nll", 0.08),
        ("temperature", "UNIF-ALL", TEAL, "kl", 0.05),
        ("temperature", "TOP-50", TEAL, "kl", 0.05),
    ],
    columns=["control", "allocation", "reference", "measure", "control_gain_nats_per_token"],
).assign(scope="down_proj", sparsity=0.5)


def points_of(ax, name: str) -> list[float]:
    """Return the x of every point of a run, means and what is hollow among them."""
    return [line.get_xdata()[0] for line in ax.lines if line.get_gid() == name]


def test_a_temperature_wins_back_its_share_and_nothing_more_at_its_own():
    by_likelihood, by_kl = confidence.plot_confidence(PERPLEXITY, CONTROLS).axes
    assert points_of(by_likelihood, TEAL) == pytest.approx([0, 25])
    assert points_of(by_kl, TEAL) == pytest.approx([10])


def test_a_run_stands_as_it_is_and_hollow_at_its_own_temperature_beside_its_seeds():
    by_likelihood, by_kl = confidence.plot_confidence(PERPLEXITY, CONTROLS).axes
    assert points_of(by_likelihood, "UNIF-ALL") == [50, 60, 35, 55]
    assert points_of(by_likelihood, "MEAN-DOWN") == [-5, 20]
    assert points_of(by_kl, "UNIF-ALL") == [40, 44, 42]
    hollow = [x.get_markerfacecolor() for x in by_likelihood.lines if x.get_gid() == "MEAN-DOWN"]
    assert hollow == ["white", style.CONTROL]


def test_only_runs_that_are_compared_are_drawn_and_all_of_a_scope_without_comparisons():
    figure = confidence.plot_confidence(PERPLEXITY, CONTROLS)
    assert points_of(figure.axes[0], "TOP-50") == []
    alone = confidence.plot_confidence(PERPLEXITY, CONTROLS[1:])
    assert points_of(alone.axes[0], "TOP-50") == [20, 25]


def test_a_study_without_a_temperature_control_has_no_point_of_it_in_kl():
    by_kl = confidence.plot_confidence(PERPLEXITY, CONTROLS[:1]).axes[1]
    assert np.isnan(points_of(by_kl, TEAL)).all()


def test_the_figure_stays_within_the_page_and_has_the_same_bytes_on_every_call(tmp_path):
    saved = set()
    for _ in range(2):
        figure = confidence.plot_confidence(PERPLEXITY, CONTROLS)
        style.save(figure, tmp_path / "a.png", tmp_path / "a.pdf", {})
        saved.add((tmp_path / "a.png").read_bytes() + (tmp_path / "a.pdf").read_bytes())
    assert len(saved) == 1
    with style.printed():
        page, whole = figure.bbox_inches, figure.get_tightbbox()
    assert page.x0 <= whole.x0 < whole.x1 <= page.x1
    assert page.y0 <= whole.y0 < whole.y1 <= page.y1
