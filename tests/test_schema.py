"""The form of a config: numbers that cannot be computed with, and sentences on one line."""

import math

import pytest
import torch
import yaml
from conftest import ROOT

from spon import schema

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
NUMBERS = [
    (math.inf, "config: a.0 is inf: allowed are finite numbers"),
    (-math.inf, "config: a.0 is -inf: allowed are finite numbers"),
    (math.nan, "config: a.0 is nan: allowed are finite numbers"),
    (1e300, "config: a.0 is 1e+300: allowed are numbers up to 9007199254740992, 2^53"),
    (-(2**53) - 1, "config: a.0 is -9007199254740993: allowed are numbers up to"),
    (10**4000, "config: a.0 is 1000"),
]


@pytest.mark.parametrize(("number", "sentence"), NUMBERS)
def test_a_number_that_is_not_finite_or_too_large_is_refused_wherever_it_stands(number, sentence):
    with pytest.raises(schema.SettingsError) as refused:
        schema.check_numbers({"b": 1, "a": [number]})
    assert str(refused.value).startswith(sentence)


def test_numbers_texts_and_the_same_list_twice_are_taken():
    twice = [2**53, 0.0, -1, True, None, "inf"]
    schema.check_numbers({"a": twice, "b": {"c": twice, "d": []}})


def test_a_config_that_holds_itself_is_refused():
    config = yaml.safe_load("a: &itself {b: [*itself]}")
    with pytest.raises(schema.SettingsError, match=r"^config: a.b.0 refers to what it stands in"):
        schema.check_numbers(config)


def test_a_config_that_refers_to_its_parts_again_and_again_is_read_once_each():
    parts = [[1.0]]
    for _ in range(60):
        parts.append([parts[-1]] * 2)
    schema.check_numbers({"a": parts[-1]})  # 2^60 paths


@pytest.mark.parametrize(
    ("value", "of", "sentence"),
    [
        (3.0, {"type": "integer"}, "config: key is 3.0: allowed is a whole number"),
        (True, {"type": "integer"}, "config: key is true: allowed is a whole number"),
        ("ab\n", {"pattern": "^ab$"}, r'config: key is "ab\n": allowed is what matches ^ab$'),
        (
            "y" * 10**6,
            {"type": "integer"},
            f'config: key is "{"y" * 99}…: allowed is a whole number',
        ),
        (
            yaml.safe_load("2026-01-01"),
            {"type": "integer"},
            'config: key is "2026-01-01": allowed',
        ),
        ({1: 1, "b\nc": 1}, {"additionalProperties": False}, "config: '1' is no key of key"),
        ({"b\nc": 1}, {"additionalProperties": False}, "config: 'b c' is no key of key"),
    ],
)
def test_a_value_is_shown_on_one_line_and_its_start_alone_if_it_is_long(value, of, sentence):
    validator = schema.make_validator({"properties": {"key": {"properties": {}} | of}})
    (error,) = validator.iter_errors({"key": value})
    said = str(schema.SettingsError(schema.explain(error)))
    assert said.startswith(sentence)
    assert "\n" not in said


def test_the_largest_seed_of_the_schema_fits_every_generator():
    largest = yaml.safe_load(SCHEMA.read_text())["$defs"]["seed"]["maximum"]
    epochs = 10**6
    torch.Generator().manual_seed(largest * 1_000_003 + epochs)  # as pretraining shuffles
    torch.Generator().manual_seed(largest)
    with pytest.raises((RuntimeError, OverflowError, ValueError)):
        torch.Generator().manual_seed(2**64)
    assert int(float(largest)) == largest
