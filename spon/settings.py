"""The config, checked before any work: every mistake is one sentence that names the key, the value, what is allowed."""

import ctypes
import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError

from spon import checkpoints, corpus, memory, shapes, source
from spon.sites import DENSE, RANDOM, TEAL, TRAINED, allocate_biases, choose_layers
from spon.study import Allocation, read_allocation

# Blocks of which text each key asks for.
BLOCKS = [
    ("calibration", "calibrate", "blocks"),
    ("calibration", "train", "blocks"),
    ("evaluation", "calibrate", "held_out_blocks"),
    ("evaluation", "controls", "draw_blocks"),
    ("evaluation", "analyses", "blocks"),
]


# The precision in which analyses load a model, as `spon.models` says.
STATES = "float32"
SHAPES = Path(__file__).parents[1] / "resources/shapes.yaml"


class SettingsError(ValueError):
    """A mistake in the config, said in one sentence."""


def check(config: Mapping, schema: Path, home: Path = Path()) -> None:
    """Refuse a config that cannot be run; paths in it that lead nowhere from here are taken from `home`.

    Raises:
        SettingsError: The first thing that is wrong.
    """
    validator = Draft202012Validator(yaml.safe_load(schema.read_text()))
    for error in sorted(
        validator.iter_errors(config), key=lambda error: list(map(str, error.absolute_path))
    ):
        raise SettingsError(explain(error))
    for study in config["studies"].values():
        if "checkpoints" in study:
            study["checkpoints"] = place(study["checkpoints"], home)
        elif "path" in study["model"]:
            study["model"]["path"] = place(study["model"]["path"], home)
    config["analyses"]["prompts"] = place(config["analyses"]["prompts"], home)
    check_catalogues(config)
    check_sweep(config["sweep"], config)
    for name in config["sweep"]["studies"]:
        if "checkpoints" in config["studies"][name]:
            check_checkpoints(name, config)
        else:
            check_study(name, config)


def place(path: str, home: Path) -> str:
    """A path as it is where it leads somewhere from here, else as seen from here in `home`, if it is there.

    A study in a folder of its own so finds what the repository ships, and still names it by no
    machine's path.
    """
    shipped = Path(os.path.relpath(home / path))
    return path if Path(path).exists() or not shipped.exists() else shipped.as_posix()


def explain(error: ValidationError) -> str:
    """One sentence for a violation of the schema."""
    key = ".".join(map(str, error.absolute_path)) or "the config"
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema["properties"])
        unknown = sorted(set(error.instance) - set(allowed))[0]
        near = difflib.get_close_matches(unknown, allowed, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"config: '{unknown}' is no key of {key}: {hint}allowed are {', '.join(allowed)}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        described = error.schema["properties"][missing].get("description", "")
        return f"config: {key} lacks the key '{missing}': {described}"
    described = error.schema.get("description", "")
    found = f"config: {key} is {json.dumps(error.instance)}"
    if error.validator == "oneOf":
        return f"{found}: allowed are {described}"
    return f"{found}: {describe_rule(error)}. {described}".rstrip()


def describe_rule(error: ValidationError) -> str:
    """What a violated rule of the schema allows."""
    value = error.validator_value
    phrases = {
        "enum": lambda: f"allowed are {', '.join(map(str, value))}",
        "type": lambda: f"allowed is {value if isinstance(value, str) else ' or '.join(value)}",
        "minimum": lambda: f"allowed is {value} or more",
        "maximum": lambda: f"allowed is {value} or less",
        "exclusiveMinimum": lambda: f"allowed is more than {value}",
        "exclusiveMaximum": lambda: f"allowed is less than {value}",
        "pattern": lambda: f"allowed is what matches {value}",
        "minItems": lambda: f"allowed are at least {value} entries",
        "uniqueItems": lambda: "no entry may stand twice",
    }
    return phrases.get(error.validator, lambda: error.message)()


def check_catalogues(config: Mapping) -> None:
    """Names of scopes and allocations are disjoint, and every allocation stands on a scope."""
    both = sorted(set(config["scopes"]) & set(config["allocations"]))
    if both:
        raise SettingsError(
            f"config: '{both[0]}' is both a scope and an allocation, which share folders: rename one"
        )
    for name, allocation in config["allocations"].items():
        if name in (DENSE, TEAL):
            raise SettingsError(
                f"config: allocations has '{name}': the tables call a baseline so, allowed is any other"
            )
        key = f"allocations.{name}"
        require(allocation["scope"], config["scopes"], f"{key}.scope")
        for map_ in allocation.get("biases", []):
            require(map_, config["scopes"][allocation["scope"]], f"{key}.biases")
    allocations = {name: read_allocation(name, config) for name in config["allocations"]}
    for allocation in allocations.values():
        check_norms(allocation, allocations)


def check_norms(allocation: Allocation, allocations: Mapping[str, Allocation]) -> None:
    """Random directions, and they alone, take the norms of a trained allocation of the same sites."""
    key, named = f"allocations.{allocation.name}", allocation.norms_of
    if allocation.learn != RANDOM:
        if named is not None:
            raise SettingsError(
                f"config: {key}.norms_of is for an allocation with learn: random alone: leave it out"
            )
        return
    if named is None:
        raise SettingsError(
            f"config: {key} learns at random and lacks the key 'norms_of', a trained allocation"
        )
    require(named, allocations, f"{key}.norms_of")
    other = allocations[named]
    same_sites = all(
        getattr(allocation, name) == getattr(other, name) for name in ("scope", "layers", "biases")
    )
    if not same_sites or other.learn != TRAINED:
        allowed = "a trained allocation of the same scope, layers and biases"
        raise SettingsError(f"config: {key}.norms_of names '{named}': allowed is {allowed}")


def check_sweep(sweep: Mapping, config: Mapping) -> None:
    """Everything in the sweep stands in its catalogue."""
    for catalogue in ("studies", "allocations"):
        for name in sweep[catalogue]:
            require(name, config[catalogue], f"sweep.{catalogue}")
    for name in sweep.get("repeats", {}).get("allocations", []):
        require(name, config["allocations"], "sweep.repeats.allocations")
    for name in config["controls"]["on_dense"]:
        require(name, config["allocations"], "controls.on_dense")
    learned = [
        name for name in config["allocations"] if read_allocation(name, config).learn != RANDOM
    ]
    for number, run in enumerate(config["analyses"]["runs"]):
        require(run["allocation"], learned, f"analyses.runs.{number}.allocation")
    for name in sweep["allocations"]:
        imitated = read_allocation(name, config).norms_of
        if imitated and imitated not in sweep["allocations"]:
            raise SettingsError(
                f"config: sweep.allocations has '{name}' without '{imitated}', whose norms it takes: name both"
            )


def require(value: str, allowed: Mapping | list, key: str) -> None:
    """Refuse a name that is not in its catalogue."""
    if value not in allowed:
        near = difflib.get_close_matches(value, list(allowed), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise SettingsError(
            f"config: {key} names '{value}': {hint}allowed are {', '.join(allowed)}"
        )


def check_study(name: str, config: Mapping) -> None:
    """A study's files are there, and its model has the sites that the sweep asks for."""
    study = config["studies"][name]
    for part, text in study["text"].items():
        check_text(f"studies.{name}.text.{part}", text, config)
    for part, section, key in BLOCKS:
        held = study["text"][part]["blocks"]
        if (asked := config[section][key]) > held:
            limit = f"studies.{name}.text.{part}.blocks"
            raise SettingsError(
                f"config: {section}.{key} is {asked}: allowed is 1 to {held}, {limit}"
            )
    if not Path(config["analyses"]["prompts"]).is_file():
        raise SettingsError(
            f"config: analyses.prompts is '{config['analyses']['prompts']}', which is no file"
        )
    if "path" in study["model"]:
        check_model(f"studies.{name}.model.path", study["model"], config)
        check_memory(study, source.read_shape(Path(study["model"]["path"])), config)
    elif study["model"]["repository"] in shapes.read_catalogue(SHAPES):
        check_memory(study, shapes.look_up(study["model"]["repository"], SHAPES), config)


def check_checkpoints(name: str, config: Mapping) -> None:
    """A study's bias checkpoints are there and can be told apart by their names."""
    try:
        checkpoints.find_checkpoints(
            config.get("checkpoints", config["studies"][name]["checkpoints"])
        )
    except ValueError as error:
        raise SettingsError(f"config: {error}") from error


def check_text(key: str, text: Mapping, config: Mapping) -> None:
    """Local text files exist, and the corpus has the split."""
    if text["path"] == "pydoc":
        if "pydoc" not in config:
            raise SettingsError(
                f"config: {key}.path is 'pydoc', but the config has no key pydoc that says of what"
            )
        check_packages(config["pydoc"]["packages"])
        require(text["split"], ["calibration", "evaluation"], f"{key}.split")
        require(text["field"], ["text"], f"{key}.field")
    files = text.get("data_files", [])
    for file in [files] if isinstance(files, str) else files:
        there = (
            Path(file).exists()
            if Path(file).is_absolute()
            else "://" in file or any(Path().glob(file))
        )
        if not there:
            raise SettingsError(
                f"config: {key}.data_files names '{file}', which is no file: name one that exists"
            )


def check_packages(packages: list[str]) -> None:
    """The packages whose docstrings are read are installed."""
    for package in packages:
        try:
            corpus.find_package(package)
            corpus.read_versions([package])
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"config: pydoc.packages names '{package}', which is not an installed distribution: "
                f"install it or leave it out of the list"
            ) from error


def check_model(key: str, model: Mapping, config: Mapping) -> None:
    """A local model is there, can be read, and has every map and layer that the sweep's allocations name."""
    if not (Path(model["path"]) / "config.json").exists():
        raise SettingsError(
            f"config: {key} is '{model['path']}', which holds no config.json: name a model's folder"
        )
    try:
        shape = source.read_shape(Path(model["path"]))
    except ValueError as error:
        raise SettingsError(f"config: {key} is '{model['path']}': {error}") from error
    for name in config["sweep"]["allocations"]:
        allocation = read_allocation(name, config)
        try:
            allocate_biases(shape, allocation.maps, allocation.biases, allocation.layers)
        except ValueError as error:
            raise SettingsError(
                f"config: allocations.{name} does not fit {key} '{model['path']}': {error}"
            ) from error


def check_memory(study: Mapping, shape: Mapping, config: Mapping) -> None:
    """The model fits into the memory that a job may use, for analyses too, and so does a training step on one block."""
    device, limit = "cuda" if wants_gpu(config["device"]) else "cpu", config["memory_gib"]
    swept = [read_allocation(name, config) for name in config["sweep"]["allocations"]]
    trained = [allocation for allocation in swept if allocation.learn == TRAINED]
    length = study["protocol"]["block_length"]
    try:
        for dtype in (study["dtype"], STATES):
            memory.check_weights(shape, dtype, device, limit)
        for allocation in trained:
            lowest = min(choose_layers(allocation.layers, shape["layers"]))
            memory.choose_split(
                shape, study["dtype"], length, lowest, config["train"], limit, device
            )
    except ValueError as error:
        raise SettingsError(f"config: {error}") from error


def wants_gpu(device: str) -> bool:
    """Whether model jobs shall ask for a GPU; with `auto`, if this machine has NVIDIA's driver. Imports no torch."""
    if device != "auto":
        return device == "cuda"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return (
        driver.cuInit(0) == 0
        and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        and count.value > 0
    )
