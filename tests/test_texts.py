import pytest

from spon import texts

ONE = {"path": "pydoc", "blocks": 4}
OTHER = {"path": "text", "name": "subset", "blocks": 2}
SEVERAL = {"calibration": ONE, "evaluation": [ONE, OTHER | {"called": "other"}]}


def test_one_text_is_called_evaluation_and_further_ones_as_they_are_called():
    one = {"calibration": ONE, "evaluation": OTHER}
    assert texts.name_texts(one) == one
    assert texts.name_texts(SEVERAL) == {"calibration": ONE, "evaluation": ONE, "other": OTHER}


def test_the_name_of_the_first_text_names_no_file_but_is_what_it_is_called():
    named = {"calibration": ONE, "evaluation": [ONE | {"called": "first"}]}
    assert texts.name_texts(named) == {"calibration": ONE, "evaluation": ONE}
    assert texts.list_names(named) == ["first"]
    assert texts.list_names(SEVERAL) == ["evaluation", "other"]


def test_each_text_has_its_key_in_the_config():
    assert texts.list_keys(SEVERAL) == {
        "calibration": "calibration",
        "evaluation": "evaluation.0",
        "other": "evaluation.1",
    }
    assert texts.list_keys({"calibration": ONE, "evaluation": ONE})["evaluation"] == "evaluation"


@pytest.mark.parametrize(
    ("calibration", "evaluation", "sentence"),
    [
        (ONE | {"called": "c"}, ONE, "t.calibration has the key 'called', which is for eval"),
        (ONE, [ONE, OTHER], "t.evaluation.1 lacks the key 'called', which all texts but"),
        (ONE, [ONE, OTHER | {"called": "a/b"}], "t.evaluation.1 has the name 'a/b': allowed are"),
        (ONE, [ONE, OTHER | {"called": "tables"}], "has the name 'tables', which is a folder"),
        (ONE, [ONE, OTHER | {"called": "Prompts"}], "has the name 'Prompts', as tokens of every"),
        (ONE, ONE | {"called": "evaluation"}, "t.evaluation has the name 'evaluation', as tokens"),
        (
            ONE,
            [ONE | {"called": "wiki"}, OTHER | {"called": "Wiki"}],
            "t.evaluation has two texts called 'Wiki', or so but for case",
        ),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(calibration, evaluation, sentence):
    with pytest.raises(ValueError, match=sentence):
        texts.check_names("t", {"calibration": calibration, "evaluation": evaluation})
