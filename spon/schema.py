"""Check that a config has the form of its schema, and that its numbers can be computed with.

Every mistake is one sentence that names the key, its value and the values that are allowed.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

# Whole numbers up to here are exact in a float64, and so in JSON and in a table with gaps.
LARGEST = 2**53
LONGEST = 100  # characters of a value that a sentence shows


class SettingsError(ValueError):
    """A mistake in the config, said in one sentence on one line."""

    def __init__(self, sentence: str):
        super().__init__(" ".join(sentence.split()))


TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def check_form(config: Mapping, schema: Path) -> None:
    """Refuse a config that has not the form of a JSON schema, a YAML file.

    Raises:
        SettingsError: The first mistake.
    """
    check_numbers(config)
    errors = make_validator(yaml.safe_load(schema.read_text())).iter_errors(config)
    for error in sorted(errors, key=lambda error: list(map(str, error.absolute_path))):
        raise SettingsError(explain(error))


def check_numbers(config: Mapping) -> None:
    """Refuse a config with a number that is not finite or is too large, or that holds itself.

    A schema cannot say this: `.nan` passes every bound, and `.inf` every lower one.
    """
    seen = set()

    def visit(value: object, path: tuple, around: tuple) -> None:
        key = ".".join(map(str, path))
        if id(value) in around:
            raise SettingsError(f"config: {key} refers to what it stands in: write it out")
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"config: {key} is {value}: allowed are finite numbers")
        if isinstance(value, int | float) and abs(value) > LARGEST:
            raise SettingsError(
                f"config: {key} is {show(value)}: allowed are numbers up to {LARGEST}, 2^53"
            )
        entries = list_entries(value)
        if id(value) not in seen:
            for name, entry in entries:
                visit(entry, (*path, name), (*around, id(value)))
        if entries:
            seen.add(id(value))

    visit(config, (), ())


def list_entries(value: object) -> list[tuple]:
    """Return the entries of a mapping by key or of a list by number; none of anything else."""
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def make_validator(schema: Mapping) -> Validator:
    """Return a validator that is stricter than JSON Schema in two points.

    A pattern matches the whole text, where `$` would let a last newline pass; and 3.0 is no whole
    number, as no loop counts to it.
    """

    def is_integer(_: TypeChecker, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    return extend(Draft202012Validator, {"pattern": match_whole}, type_checker=types)(schema)


def match_whole(
    validator: Validator, pattern: str, value: object, _: Mapping
) -> Iterator[ValidationError]:
    """Refuse a text that a pattern does not match as a whole."""
    if validator.is_type(value, "string") and not re.fullmatch(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def show(value: object) -> str:
    """Return a value as a sentence shows it: as JSON, its start if it is long."""
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError):  # keys of other kinds; integers of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def explain(error: ValidationError) -> str:
    """Return one sentence for a violation of the schema."""
    key = ".".join(map(str, error.absolute_path)) or "the config"
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema["properties"])
        unknown = sorted(map(str, set(error.instance) - set(allowed)))[0]
        near = difflib.get_close_matches(unknown, allowed, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"config: '{unknown}' is no key of {key}: {hint}allowed are {', '.join(allowed)}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        described = error.schema["properties"][missing].get("description", "")
        return f"config: {key} lacks the key '{missing}': {described}"
    described = error.schema.get("description", "")
    if "propertyNames" in error.absolute_schema_path:
        return f"config: {key} names {show(error.instance)}: allowed is {begin_low(described)}"
    mistake = f"config: {key} is {show(error.instance)}"
    if error.validator == "oneOf":
        return f"{mistake}: allowed are {described}"
    if error.validator == "pattern" and described:
        return f"{mistake}: allowed is {begin_low(described)}"
    return f"{mistake}: {describe_rule(error)}. {described}".rstrip()


def begin_low(sentence: str) -> str:
    """Return a sentence without its first capital, unless it is of a name such as OWNER/NAME."""
    first = sentence.split()[0]
    is_name = len(first) > 1 and first.isupper()
    return sentence if is_name else sentence[0].lower() + sentence[1:]


def say_types(types: str | list[str]) -> str:
    """Write the types of JSON in words: `a list or null`."""
    return " or ".join(TYPES[one] for one in ([types] if isinstance(types, str) else types))


def describe_rule(error: ValidationError) -> str:
    """Say what a violated rule of the schema allows."""
    value = error.validator_value
    phrases = {
        "enum": lambda: f"allowed are {', '.join(map(str, value))}",
        "type": lambda: f"allowed is {say_types(value)}",
        "minimum": lambda: f"allowed is {value} or more",
        "maximum": lambda: f"allowed is {value} or less",
        "exclusiveMinimum": lambda: f"allowed is more than {value}",
        "exclusiveMaximum": lambda: f"allowed is less than {value}",
        "pattern": lambda: f"allowed is what matches {value}",
        "minItems": lambda: f"allowed are at least {value} entries",
        "uniqueItems": lambda: "no entry may stand twice",
    }
    return phrases.get(error.validator, lambda: error.message)()
