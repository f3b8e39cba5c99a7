import pytest

from spon.report import markdown


def test_a_table_has_words_on_the_left_and_numbers_on_the_right():
    table = markdown.write_table(["run", "gain"], [["TOP-50", "1.5"], ["a|b", "2"]])
    assert table.splitlines() == [
        "| run | gain |",
        "| --- | ---: |",
        "| TOP-50 | 1.5 |",
        "| a\\|b | 2 |",
    ]


def test_a_figure_that_a_study_lacks_leaves_nothing():
    figures = {"fig1": "../fig1.png"}
    assert (
        markdown.embed_figure(figures, "fig1", "bars", "How to read it.")
        == "![bars](../fig1.png)\n\n*How to read it.*"
    )
    assert markdown.embed_figure(figures, "fig2", "bars", "How to read it.") == ""
    assert markdown.join_blocks("one\n", "", "two") == "one\n\ntwo"


@pytest.mark.parametrize(
    ("words", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_an_enumeration_ends_with_and(words, said):
    assert markdown.join_words(words) == said


def test_a_number_stands_with_its_interval_if_it_has_one():
    nothing = float("nan")
    assert markdown.say_bounds(0.00163, 0.0012, 0.00206, 2, scale=1000.0) == "1.63 [1.20, 2.06]"
    assert markdown.say_bounds(6.49, 6.2, 6.8, 1, "%") == "6.5 % [6.2, 6.8]"
    assert markdown.say_bounds(6.49, nothing, nothing, 1, "%") == "6.5 %"
    assert markdown.say_bounds(nothing, nothing, nothing, 1, "%") == "n/a"


def test_a_rounded_zero_has_no_sign():
    assert markdown.say_fixed(-0.001, 2) == "0.00"
    assert markdown.say_change(-0.001) == "+0.00 %"


def test_a_range_of_one_number_is_that_number():
    assert markdown.say_range([1.04, 1.01, float("nan")], 1) == "1.0"
    assert markdown.say_range([1.0, 2.5], 1, "%") == "1.0 to 2.5 %"
    assert markdown.say_range([], 1) == "n/a"


def test_places_are_said_as_a_reader_says_them():
    assert markdown.say_origin("s0.5 TOP-50 seed1") == "50 % TOP-50, seed 1"
    assert markdown.say_origin("s0.5→s0.6 UNIF-ALL") == "50 % → 60 % UNIF-ALL"


def test_a_small_p_value_is_said_to_be_small():
    assert [markdown.say_p_value(p) for p in (0.0004, 0.0341, 1.0, float("nan"))] == [
        "< 0.001",
        "0.034",
        "1",
        "n/a",
    ]
