"""The look of all figures: a style per allocation, also in grey, and files alike on every call."""

import json
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from spon.figures import style

DOWN, OUT = "mlp.down_proj", "self_attn.o_proj"


@style.printed()
def plot() -> Figure:
    """Plot a figure of one run."""
    figure = Figure(figsize=(style.SINGLE, 2), layout="constrained")
    run = pd.Series({"allocation": "TOP-50", "single": False})
    style.plot_run(figure.add_subplot(), 1.0, 2.0, run, span=(0.5, 1.5))
    return figure


def save(figure: Figure, folder, **metadata: str) -> bytes:
    """Save a figure and return the bytes of its two files."""
    png, pdf = folder / "a.png", folder / "a.pdf"
    style.save(figure, png, pdf, metadata)
    return png.read_bytes() + pdf.read_bytes()


def test_an_allocation_without_an_entry_never_looks_like_one_with_an_entry():
    own = {style[:2] for style in style.STYLES.values()}
    assert not {style.style_of(f"MINE-{i}")[:2] for i in range(500)} & own
    assert {style.style_of(f"MINE-{i}").marker for i in range(500)} == set(style.SPARE_MARKERS)


def lightness(colour: str) -> float:
    """Return the CIE L* of a colour, 0 to 100: what a grey print keeps of it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return 116 * luminance ** (1 / 3) - 16


def test_colours_stay_apart_in_grey_and_stand_out_from_paper():
    levels = [lightness(colour) for colour in style.COLOURS]
    assert levels == sorted(levels)
    assert min(np.diff(levels)) > 6
    assert levels[-1] < 75


def test_named_allocations_differ_in_marker_too():
    for first, second in combinations(style.STYLES.values(), 2):
        assert first.marker != second.marker


def test_what_is_not_trained_has_no_colour_and_is_lighter_than_teal():
    untrained = ("MEAN-", "FISHER-", "MODE-", "RANDOM-")
    controls = [name for name in style.STYLES if name.startswith(untrained)]
    assert {style.STYLES[name].colour for name in controls} == {style.CONTROL}
    assert len(set(to_rgb(style.CONTROL))) == 1
    assert lightness(style.MUTED) + 6 < lightness(style.CONTROL) < 75


def test_a_figure_is_saved_with_the_same_bytes_however_often(tmp_path):
    once = plot()
    assert save(once, tmp_path) == save(once, tmp_path) == save(plot(), tmp_path)


def test_the_files_say_what_made_them_and_not_when(tmp_path):
    metadata = {"study": "pydoc", "code": "0123456789ab"}
    save(plot(), tmp_path, **metadata)
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == metadata
        assert image.width == round(300 * style.SINGLE)
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert json.dumps(metadata, sort_keys=True).encode() in pdf
    assert b"CreationDate" not in pdf


def test_a_users_matplotlibrc_changes_nothing(tmp_path):
    before = save(plot(), tmp_path)
    with matplotlib.rc_context({"font.size": 20, "xtick.major.size": 9, "pdf.compression": 0}):
        assert save(plot(), tmp_path) == before
        assert matplotlib.rcParams["font.size"] == 20


RUNS = [
    ("TOP-50", 0.5, 0, DOWN),
    ("TOP-50", 0.5, 0, OUT),
    ("UNIF-ALL", 0.5, 0, DOWN),
    ("UNIF-ALL", 0.5, 0, OUT),
]


def test_a_title_says_sparsity_and_seed_and_the_map_where_the_run_has_several():
    alone = [("TOP-50", 0.5, 0, DOWN), ("ATTN-ONLY", 0.8, 1, OUT)]
    titles = [style.title_of(run, alone) for run in alone]
    assert titles == ["TOP-50, 50 %, seed 0", "ATTN-ONLY, 80 %, seed 1"]
    assert style.title_of(RUNS[1], RUNS) == "TOP-50, 50 %, seed 0, self_attn.o_proj"


def test_a_scope_is_said_in_words_with_its_sparsity():
    assert style.say_scope("down_proj", 0.5) == "down_proj, 50 %"
    assert style.say_scope("all") == "whole model"


def test_single_seeds_are_those_whose_mean_is_in_the_table():
    rows = [("TOP-50", 0), ("TOP-50", 1), ("TOP-50", None), ("UNIF-ALL", 0), ("TEAL", None)]
    runs = pd.DataFrame(rows, columns=["allocation", "seed"]).assign(scope="s", sparsity=0.5)
    marked = style.mark_single_seeds(runs)
    assert marked["single"].tolist() == [True, True, False, False, False]


def test_a_run_and_map_has_its_own_rows_and_those_of_no_map():
    table = pd.DataFrame([*RUNS, ("TOP-50", 0.5, 0, None)], columns=[*style.RUN, "map"])
    assert style.list_run_maps(table) == RUNS
    assert style.select(table, RUNS[0]).index.tolist() == [0, 4]


@pytest.mark.parametrize("columns", [1, 3, 4, 7])
def test_columns_of_a_grid_go_on_below_and_share_y_along_a_line_but_where_they_stand_apart(
    columns,
):
    titles = {(number,): f"column {number}" for number in range(columns)}
    _, panels = style.make_grid(titles, 2, height=1.5, below=0.5, per_line=3, apart=(0,))
    assert list(panels) == list(titles)
    for number, axes in enumerate(panels.values()):
        line, column = divmod(number, 3)
        above, below = (ax.get_subplotspec() for ax in axes)
        assert (above.rowspan.start, above.colspan.start) == (2 * line, column)
        assert below.rowspan.start == above.rowspan.start + 1
        if column > 0:
            first = panels[3 * line,]
            joined = [a.get_shared_y_axes().joined(a, b) for a, b in zip(axes, first, strict=True)]
            assert joined == [False, True]


def test_an_axis_of_layers_has_few_names_and_a_place_for_all_of_them_together():
    deep, short = Figure().subplots(2)
    style.dress_depth(deep, [float(layer) for layer in range(32)])
    names = [text.get_text() for text in deep.get_xticklabels()]
    assert names == ["0", "4", "8", "12", "16", "20", "24", "28"]
    style.dress_depth(short, [0, 1, 2], together=True)
    assert [text.get_text() for text in short.get_xticklabels()] == ["0", "1", "2", "all"]
    assert short.get_xticks()[-1] == 2 + style.TOGETHER
