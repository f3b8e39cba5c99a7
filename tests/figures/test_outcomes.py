"""Figures 1 and 2 lose and move no run, and use more than colour: read back from the artists."""

import json
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from spon.figures import outcomes, style

DENSE, TEAL, NAN = "DENSE", "BASELINE-TEAL", float("nan")

# Dense 10.0; TEAL 11.0 and 10.5; TOP-50 has two seeds. KL is half of the likelihood that is lost.
PERPLEXITY = pd.DataFrame(
    [
        (DENSE, None, None, None, 10.0),
        (TEAL, "down_proj", 0.5, None, 11.0),
        ("TOP-50", "down_proj", 0.5, 0, 10.8),
        ("TOP-50", "down_proj", 0.5, 1, 10.7),
        ("UNIF-ALL", "down_proj", 0.5, 0, 10.6),
        (TEAL, "o_proj", 0.5, None, 10.5),
        ("ATTN-ONLY", "o_proj", 0.5, 0, 10.2),
    ],
    columns=["allocation", "scope", "sparsity", "seed", "perplexity"],
)
NLL = np.log(PERPLEXITY["perplexity"])
PERPLEXITY = PERPLEXITY.assign(nll_nats_per_token=NLL, kl_nats_per_token=(NLL - NLL[0]) / 2)
MEAN = (10.8 * 10.7) ** 0.5  # of log-likelihoods
PAIRS = [
    (TEAL, None, DENSE, "down_proj", 11.0 / 10, 10.9 / 10, 11.1 / 10),
    ("TOP-50", 0, TEAL, "down_proj", 10.8 / 11, 10.5 / 11, 11.1 / 11),
    ("TOP-50", 1, TEAL, "down_proj", 10.7 / 11, 10.6 / 11, 10.8 / 11),
    ("TOP-50", None, TEAL, "down_proj", MEAN / 11, 10.6 / 11, 10.9 / 11),
    ("UNIF-ALL", 0, TEAL, "down_proj", 10.6 / 11, 10.5 / 11, 10.7 / 11),
    ("TOP-50", 0, "UNIF-ALL", "down_proj", 10.8 / 10.6, 10.7 / 10.6, 10.9 / 10.6),
    (TEAL, None, DENSE, "o_proj", 10.5 / 10, 10.4 / 10, 10.6 / 10),
    ("ATTN-ONLY", 0, TEAL, "o_proj", 10.2 / 10.5, 10.1 / 10.5, 10.3 / 10.5),
]
COLUMNS = ["allocation", "seed", "reference", "scope", "sparsity", "measure"]
CONTRASTS = pd.DataFrame(
    [
        (name, seed, reference, scope, 0.5, measure, *(np.log(ratios) * factor))
        for name, seed, reference, scope, *ratios in PAIRS
        for measure, factor in (("nll", 1), ("kl", 0.5))
    ],
    columns=[*COLUMNS, "difference_nats_per_token", "low", "high"],
)
RECOVERY = pd.DataFrame(
    [
        ("TOP-50", "down_proj", 0.5, 0, "perplexity", 20.0, 10.0, 30.0),
        ("TOP-50", "down_proj", 0.5, 0, "nll", 21.0, 11.0, 31.0),
        ("TOP-50", "down_proj", 0.5, 0, "kl", 15.0, 12.0, 18.0),
        ("TOP-50", "down_proj", 0.5, 1, "perplexity", 30.0, 20.0, 40.0),
        ("TOP-50", "down_proj", 0.5, 1, "kl", 16.0, 13.0, 19.0),
        ("TOP-50", "down_proj", 0.5, NAN, "perplexity", 25.0, -900.0, 35.0),
        ("TOP-50", "down_proj", 0.5, NAN, "kl", 15.5, 12.5, 18.5),
        ("ATTN-ONLY", "o_proj", 0.5, 0, "perplexity", NAN, NAN, NAN),
        ("ATTN-ONLY", "o_proj", 0.5, 0, "kl", 40.0, 35.0, 45.0),
    ],
    columns=[
        "allocation",
        "scope",
        "sparsity",
        "seed",
        "measure",
        "recovery_percent",
        "low",
        "high",
    ],
)


def lines_of(ax, *names: str) -> list:
    """Return the lines of a panel that were plotted under one of the names."""
    return [line for line in ax.lines if line.get_gid() in names]


def points_of(ax) -> list[tuple[str, float, float]]:
    """Return allocation, x and y of every run in a panel."""
    return [(line.get_gid(), *line.get_xydata()[0]) for line in lines_of(ax, *style.STYLES)]


PLOTS = {
    "perplexity": lambda: outcomes.plot_perplexity(PERPLEXITY, CONTRASTS),
    "damage_recovery": lambda: outcomes.plot_damage_recovery(RECOVERY),
}


def test_every_run_stands_where_it_is_above_dense_beside_the_mean_of_its_seeds():
    down_kl, out_kl, down, out = outcomes.plot_perplexity(PERPLEXITY, CONTRASTS).axes
    assert [(name, round(x, 9)) for name, x, _ in points_of(down)] == [
        (TEAL, 10.0),
        ("TOP-50", 8.0),
        ("TOP-50", 7.0),
        ("UNIF-ALL", 6.0),
        ("TOP-50", round(10 * MEAN - 100, 9)),
    ]
    assert [(name, round(x, 9)) for name, x, _ in points_of(out)] == [
        (TEAL, 5.0),
        ("ATTN-ONLY", 2.0),
    ]
    # In thousandths of a nat.
    assert [x for _, x, _ in points_of(down_kl)][:2] == pytest.approx(
        [500 * np.log(1.1), 500 * np.log(1.08)]
    )
    assert len(points_of(out_kl)) == 2


def test_a_run_that_does_not_differ_from_teal_has_a_bar_that_crosses_teals_line():
    down = outcomes.plot_perplexity(PERPLEXITY, CONTRASTS).axes[2]
    bars = [tuple(np.round(line.get_xdata(), 9)) for line in lines_of(down, "interval")]
    assert bars == [(9.0, 11.0), (5.0, 7.0), (6.0, 9.0)]  # TEAL, UNIF-ALL, the mean of TOP-50
    dashed = [line.get_xdata()[0] for line in down.lines if line.get_linestyle() == "--"]
    assert dashed == pytest.approx([10.0])
    assert down.get_xlim()[0] < 0


def test_single_seeds_are_smaller_and_share_the_row_of_their_mean():
    down = outcomes.plot_perplexity(PERPLEXITY, CONTRASTS).axes[2]
    first, second, mean = lines_of(down, "TOP-50")
    assert first.get_markersize() == second.get_markersize() < mean.get_markersize()
    assert 0 < first.get_ydata()[0] - mean.get_ydata()[0] < 0.5
    assert [text.get_text() for text in down.texts] == ["PPL", "11.00", "10.60", "10.75"]


def test_every_recovery_is_a_point_or_reads_not_applicable():
    by_kl, by_perplexity = outcomes.plot_damage_recovery(RECOVERY).axes
    assert [x for _, x, _ in points_of(by_kl)] == [15, 16, 15.5, 40]
    assert [x for _, x, _ in points_of(by_perplexity)] == [20, 30, 25]
    (note,) = by_perplexity.texts
    assert note.get_text().startswith("n/a")
    assert note.get_position()[1] == points_of(by_kl)[-1][2]
    assert [label.get_text() for label in by_perplexity.get_yticklabels()] == [
        "down_proj",
        "TOP-50",
        "o_proj",
        "ATTN-ONLY",
    ]


def test_an_interval_that_leaves_the_window_ends_in_an_arrowhead_and_hides_no_point():
    ax = outcomes.plot_damage_recovery(RECOVERY).axes[1]
    (head,) = lines_of(ax, "cut")
    left, right = ax.get_xlim()
    assert head.get_marker() == "<"
    assert head.get_xdata()[0] == left > -100
    assert all(left < x < right for _, x, _ in points_of(ax))


def test_a_study_whose_damage_is_nowhere_sure_still_has_its_rows():
    unsure = RECOVERY.assign(recovery_percent=NAN, low=NAN, high=NAN)
    axes = outcomes.plot_damage_recovery(unsure).axes
    assert [len([text for text in ax.texts if text.get_text()]) for ax in axes] == [2, 2]


def test_an_allocation_looks_the_same_in_every_figure():
    looks = {}
    for plot in PLOTS.values():
        for ax in plot().axes:
            for line in lines_of(ax, *style.STYLES):
                look = (line.get_markeredgecolor(), line.get_marker())
                looks.setdefault(line.get_gid(), set()).add(look)
    assert {name: len(different) for name, different in looks.items()} == dict.fromkeys(looks, 1)
    assert len(set.union(*looks.values())) == len(looks)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_a_figure_is_saved_with_the_same_bytes_however_often(plot, tmp_path):
    saved = []
    figure_once = plot()
    for figure in (figure_once, figure_once, plot()):
        style.save(figure, tmp_path / "a.png", tmp_path / "a.pdf", {"study": "pydoc"})
        saved.append((tmp_path / "a.png").read_bytes() + (tmp_path / "a.pdf").read_bytes())
    assert len(set(saved)) == 1


def test_the_files_say_what_made_them_and_not_when(tmp_path):
    png, pdf = tmp_path / "a.png", tmp_path / "a.pdf"
    metadata = {"study": "pydoc", "code": "0123456789ab"}
    style.save(outcomes.plot_damage_recovery(RECOVERY), png, pdf, metadata)
    with Image.open(png) as image:
        assert image.text == metadata
        assert image.width == round(300 * style.SINGLE)
    assert json.dumps(metadata, sort_keys=True).encode() in pdf.read_bytes()
    assert b"CreationDate" not in pdf.read_bytes()


def test_a_users_matplotlibrc_changes_nothing(tmp_path):
    files = tmp_path / "a.png", tmp_path / "a.pdf"
    style.save(outcomes.plot_damage_recovery(RECOVERY), *files, {})
    before = [file.read_bytes() for file in files]
    with matplotlib.rc_context({"font.size": 20, "xtick.major.size": 9, "pdf.compression": 0}):
        style.save(outcomes.plot_damage_recovery(RECOVERY), *files, {})
        assert matplotlib.rcParams["font.size"] == 20
    assert [file.read_bytes() for file in files] == before


def sweep(scopes: int, sparsities: int) -> list:
    """Plot both figures of a study with one allocation per scope."""
    rows = []
    for i, j in product(range(scopes), range(sparsities)):
        scope, sparsity = f"scope_{i}", round(0.9 - 0.1 * j, 1)
        rows += [(TEAL, scope, sparsity), (f"RUN-{scope}", scope, sparsity)]
    table = pd.DataFrame(rows, columns=["allocation", "scope", "sparsity"])
    teal = table["allocation"] == TEAL
    table = table.assign(
        seed=np.where(teal, NAN, 0),
        nll_nats_per_token=np.where(teal, 2.5, 2.4),
        kl_nats_per_token=np.where(teal, 0.2, 0.1),
    )
    pairs = table.assign(reference=np.where(teal, DENSE, TEAL), low=-0.1, high=0.1)
    pairs = pairs.assign(difference_nats_per_token=0.0)
    contrasts = pd.concat([pairs.assign(measure=measure) for measure in ("nll", "kl")])
    recovery = [
        table[~teal].assign(measure=measure, recovery_percent=50.0, low=40.0, high=60.0)
        for measure in ("perplexity", "kl")
    ]
    return [
        outcomes.plot_perplexity(pd.concat([PERPLEXITY[:1], table]), contrasts),
        outcomes.plot_damage_recovery(pd.concat(recovery)),
    ]


@pytest.mark.parametrize(("scopes", "sparsities"), [(1, 1), (1, 5), (6, 1), (3, 2)])
def test_any_sweep_is_drawn_whole_and_within_the_page(scopes, sparsities):
    panels = (2 * scopes * sparsities, 2 * sparsities)
    for figure, axes in zip(sweep(scopes, sparsities), panels, strict=True):
        assert len(figure.axes) == axes
        with style.printed():
            figure.draw_without_rendering()
            page, whole = figure.bbox_inches, figure.get_tightbbox()
            legend = figure.legends[0].get_window_extent()
        assert page.x0 <= whole.x0 < whole.x1 <= page.x1
        assert page.y0 <= whole.y0 < whole.y1 <= page.y1
        assert not any(legend.overlaps(ax.get_tightbbox()) for ax in figure.axes)


def test_a_run_without_a_contrast_keeps_its_point():
    contrasts = CONTRASTS[CONTRASTS["allocation"] != "ATTN-ONLY"]
    figure = outcomes.plot_perplexity(PERPLEXITY, contrasts)
    assert [name for name, *_ in points_of(figure.axes[1])] == [TEAL, "ATTN-ONLY"]
