"""Name a study's texts: one to calibrate on, and one or more to evaluate on."""

from collections.abc import Mapping

from spon import names

# The text that tables and claims are about.
FIRST = "evaluation"
# What every study has tokens of; no further text is called so.
PARTS = ("calibration", FIRST, "prompts")
# The key that names an evaluation text, as `name` is the subset of a data set.
CALLED = "called"


def list_evaluations(text: Mapping) -> dict[str, Mapping]:
    """List a study's evaluation texts by their keys in the config, the first of them first.

    Args:
        text: The study's `text` in the config, whose `evaluation` is a text or a list of texts.
    """
    given = text["evaluation"]
    if isinstance(given, list):
        return {f"evaluation.{number}": one for number, one in enumerate(given)}
    return {"evaluation": given}


def list_keys(text: Mapping) -> dict[str, str]:
    """Return the key of each of a study's texts in the config, by part."""
    first, *further = list_evaluations(text).items()
    keys = {"calibration": "calibration", FIRST: first[0]}
    return keys | {one[CALLED]: key for key, one in further}


def name_texts(text: Mapping) -> dict[str, dict]:
    """Return a study's texts by part: `calibration`, `evaluation`, and the names of further ones.

    A part names the files of a text. The texts are without `called`, which changes nothing that is
    read.
    """
    by_key = {"calibration": text["calibration"], **list_evaluations(text)}
    return {
        part: {name: value for name, value in by_key[key].items() if name != CALLED}
        for part, key in list_keys(text).items()
    }


def list_names(text: Mapping) -> list[str]:
    """Return what a study's evaluation texts are called, the first of them first."""
    first, *further = list_evaluations(text).values()
    return [first.get(CALLED, FIRST), *(one[CALLED] for one in further)]


def check_names(key: str, text: Mapping) -> None:
    """Check that evaluation texts can have files by their names, which all but the first have.

    Args:
        key: That of `text` in the config.
        text: As `list_evaluations` takes it.

    Raises:
        ValueError: They cannot; in one sentence that names the key.
    """
    if CALLED in text["calibration"]:
        raise ValueError(
            f"{key}.calibration has the key '{CALLED}', which is for evaluation texts: "
            f"leave it out"
        )
    for number, (place, one) in enumerate(list_evaluations(text).items()):
        if CALLED in one:
            check_name(f"{key}.{place}", one[CALLED])
        elif number:
            raise ValueError(
                f"{key}.{place} lacks the key '{CALLED}', which all texts but the first need"
            )
    called = [one[CALLED] for one in list_evaluations(text).values() if CALLED in one]
    for number, name in enumerate(called):
        if name.casefold() in [other.casefold() for other in called[:number]]:
            raise ValueError(
                f"{key}.evaluation has two texts called '{name}', or so but for case, whose files "
                f"would be one: rename one"
            )


def check_name(key: str, name: str) -> None:
    """Check that a text's name is one of a file, and no name of what every study has."""
    try:
        names.check_name(name)
    except ValueError as mistake:
        raise ValueError(f"{key} {mistake}") from mistake
    if name.casefold() in PARTS:
        raise ValueError(
            f"{key} has the name '{name}', as tokens of every study have: allowed are others than "
            f"{', '.join(PARTS)}"
        )
