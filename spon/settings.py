"""Check the config before any work.

Every mistake is one sentence that names the key, its value and the values that are allowed.
"""

import ctypes
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from spon import memory, names, texts
from spon.allocate import FISHER, MODE, RANDOM, TRAINED, allocate_biases, choose_layers
from spon.inputs import corpus, source, topics
from spon.inputs.files import CORPORA
from spon.inputs.shape import check_positions
from spon.inputs.text import look
from spon.methods.names import BY_RANK, THRESHOLD
from spon.schema import SettingsError, check_form
from spon.sites import TEAL
from spon.study import Allocation, Study, read_allocation

# The text, and the section and key that say how many of its blocks are used.
BLOCKS = [
    ("calibration", "calibrate", "blocks"),
    ("calibration", "evaluate", "temperature_blocks"),
    ("evaluation", "calibrate", "held_out_blocks"),
    ("evaluation", "controls", "draw_blocks"),
    ("evaluation", "analyses", "blocks"),
]
# The precision in which analyses load a model: `models.STATES`, whose module imports torch.
STATES = "float32"
# A model has one of these keys.
KINDS = ["path", "repository", "gguf", "package"]
# The splits of the texts that are made of what is installed.
SPLITS = {"pydoc": ["calibration", "evaluation"], "python_reference": ["all"]}
SHAPES = Path(__file__).parents[1] / "resources/shapes.yaml"


def check(config: Mapping, schema: Path, home: Path = Path()) -> None:
    """Refuse a config that cannot be run, and resolve its paths.

    Args:
        config: Its paths of models, checkpoints and prompts are replaced by those that
            `resolve_path` returns.
        schema: The JSON schema of the config, a YAML file.
        home: The folder of the repository.

    Raises:
        SettingsError: The first mistake.
    """
    check_form(config, schema)
    check_devices(config)
    check_names(config)
    check_names_of_texts(config)
    for study in config["studies"].values():
        if "checkpoints" in study:
            study["checkpoints"] = resolve_path(study["checkpoints"], home)
        else:
            for key in {"path", "gguf"} & set(study["model"]):
                study["model"][key] = resolve_path(study["model"][key], home)
    config["analyses"]["prompts"] = resolve_path(config["analyses"]["prompts"], home)
    check_given(config.get("given", []))
    check_catalogues(config)
    check_sweep(config["sweep"], config)
    for name in config["sweep"]["studies"]:
        if "model" in config["studies"][name]:
            check_study(name, config)


def check_given(paths: Sequence[str]) -> None:
    """Check that files that were changed by hand are there."""
    for path in paths:
        if not Path(path).is_file():
            raise SettingsError(
                f"config: given has '{path}', which is no file: allowed are paths relative to "
                f"where Snakemake runs"
            )


def check_devices(config: Mapping) -> None:
    """Check that the devices that `memory_gib` names go with other keys, and drop those of none.

    An overlay takes one away by null.
    """
    limit = config["memory_gib"]
    if not isinstance(limit, Mapping):
        return
    limit = {name: gib for name, gib in limit.items() if gib is not None}
    config["memory_gib"] = limit
    named, devices = memory.name_limit(limit), memory.order_devices(limit)
    gpus = [name for name in devices if name.startswith("cuda:")]
    if gpus != [f"cuda:{number}" for number in range(len(gpus))]:
        raise SettingsError(
            f"config: memory_gib is {named}: allowed are GPUs from cuda:0 on, without a gap"
        )
    if not limit.keys() - {"disk"}:
        raise SettingsError(
            f"config: memory_gib is {named}: allowed is a disk beside cpu or cuda:0"
        )
    device = devices[0].partition(":")[0]
    if config["device"] != device:
        raise SettingsError(
            f"config: memory_gib names devices, {named}, and device is {config['device']}: "
            f"allowed with them is {device}"
        )
    if config["train"]["compile"]:
        raise SettingsError(
            f"config: train.compile is true, and memory_gib is {named}: allowed with several "
            f"devices is false"
        )


def resolve_path(path: str, home: Path) -> str:
    """Return `path` if it exists or `home` has it neither; else the relative path to it in `home`.

    So a study in a folder of its own finds what the repository ships. The path stays relative, so
    that it names no folder of one machine.
    """
    shipped = Path(os.path.relpath(home / path))
    return path if Path(path).exists() or not shipped.exists() else shipped.as_posix()


def check_names(config: Mapping) -> None:
    """Check that every study, scope and allocation can have a folder of its own by its name."""
    for catalogue in ("studies", "scopes", "allocations"):
        for name in config[catalogue]:
            try:
                names.check_name(name)
            except ValueError as mistake:
                raise SettingsError(f"config: an entry of {catalogue} {mistake}") from mistake
    both = sorted(set(config["scopes"]) & set(config["allocations"]))
    if both:
        raise SettingsError(
            f"config: '{both[0]}' is both a scope and an allocation, which share folders: "
            f"rename one"
        )
    for keys in (("studies",), ("scopes", "allocations")):
        alike = names.find_alike(name for key in keys for name in config[key])
        if alike:
            raise SettingsError(
                f"config: {' and '.join(keys)} have '{alike[0]}' and '{alike[1]}', which are one "
                f"folder where a file system ignores case: rename one"
            )


def check_names_of_texts(config: Mapping) -> None:
    """Check that every study's evaluation texts can have files by their names."""
    for name, study in config["studies"].items():
        if "text" in study:
            try:
                texts.check_names(f"studies.{name}.text", study["text"])
            except ValueError as mistake:
                raise SettingsError(f"config: {mistake}") from mistake


def check_catalogues(config: Mapping) -> None:
    """Check that no allocation is called as a baseline, and that its scope and maps are there."""
    for name, allocation in config["allocations"].items():
        if name == TEAL:
            raise SettingsError(
                f"config: allocations has '{name}': the tables call a baseline so, "
                f"allowed is any other"
            )
        key = f"allocations.{name}"
        require(allocation["scope"], config["scopes"], f"{key}.scope")
        for map_ in allocation.get("biases", []):
            require(map_, config["scopes"][allocation["scope"]], f"{key}.biases")
    allocations = {name: read_allocation(name, config) for name in config["allocations"]}
    for allocation in allocations.values():
        check_norms(allocation, allocations)


def check_norms(allocation: Allocation, allocations: Mapping[str, Allocation]) -> None:
    """Check that random directions, and they alone, name a trained allocation for their norms.

    It must have the same sites.
    """
    key, imitated = f"allocations.{allocation.name}", allocation.norms_of
    if allocation.learn != RANDOM:
        if imitated is not None:
            raise SettingsError(
                f"config: {key}.norms_of is for an allocation with learn: random alone: "
                f"leave it out"
            )
        return
    if imitated is None:
        raise SettingsError(
            f"config: {key} learns at random and lacks the key 'norms_of', a trained allocation"
        )
    require(imitated, allocations, f"{key}.norms_of")
    trained = allocations[imitated]
    same_sites = all(
        getattr(allocation, name) == getattr(trained, name)
        for name in ("scope", "layers", "biases")
    )
    if not same_sites or trained.learn != TRAINED:
        allowed = "a trained allocation of the same scope, layers and biases"
        raise SettingsError(f"config: {key}.norms_of names '{imitated}': allowed is {allowed}")


def check_sweep(sweep: Mapping, config: Mapping) -> None:
    """Check that the sweep, the controls and the analyses name entries of the catalogues."""
    for catalogue in ("studies", "allocations"):
        for name in sweep[catalogue]:
            require(name, config[catalogue], f"sweep.{catalogue}")
    for number, grid in enumerate(sweep.get("further", [])):
        for name in grid["allocations"]:
            require(name, config["allocations"], f"sweep.further.{number}.allocations")
    ways = {name: read_allocation(name, config).learn for name in config["allocations"]}
    trained = [name for name, way in ways.items() if way == TRAINED]
    for name in config["controls"]["on_dense"]:
        require(name, trained, "controls.on_dense")
    # Analyses sparsify around zero, so they do not know runs whose inputs are centred.
    learned = [name for name, way in ways.items() if way not in (RANDOM, MODE)]
    for number, run in enumerate(config["analyses"]["runs"]):
        require(run["allocation"], learned, f"analyses.runs.{number}.allocation")
    check_runs_of_tasks(config["tasks"]["runs"], ways)
    for name in sweep["allocations"]:
        imitated = read_allocation(name, config).norms_of
        if imitated and imitated not in sweep["allocations"]:
            raise SettingsError(
                f"config: sweep.allocations has '{name}' without '{imitated}', "
                f"whose norms it takes: name both"
            )
    check_imitated(Study(sweep["studies"][0], config))


def check_runs_of_tasks(runs: str | list, ways: Mapping[str, str]) -> None:
    """Check that tasks are measured with runs that have biases of their own.

    Args:
        runs: `analysed`, or a list of runs.
        ways: How each allocation of the catalogue learns.
    """
    with_biases = [name for name, way in ways.items() if way != RANDOM]
    for number, run in enumerate([] if runs == "analysed" else runs):
        require(run["allocation"], with_biases, f"tasks.runs.{number}.allocation")


def check_imitated(study: Study) -> None:
    """Check that a trained run is swept wherever random directions take its norms."""
    trained = study.runs(TRAINED)
    for run in study.runs(RANDOM):
        imitated = study.allocations[run["allocation"]].norms_of
        if run | {"allocation": imitated} not in trained:
            raise SettingsError(
                f"config: sweep has '{run['allocation']}' at sparsity {run['sparsity']} with "
                f"seed {run['seed']}, but not '{imitated}', whose norms it takes: have both there"
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
    """Check that a study's files exist, and that its model has the sweep's sites and fits."""
    study, keys = Study(name, config).settings, texts.list_keys(config["studies"][name]["text"])
    for part, text in study["text"].items():
        check_text(f"studies.{name}.text.{keys[part]}", text, config)
    for part, section, key in BLOCKS:
        blocks, available = config[section][key], study["text"][part]["blocks"]
        if blocks > available:
            limit = f"studies.{name}.text.{keys[part]}.blocks"
            raise SettingsError(
                f"config: {section}.{key} is {blocks}: allowed is 1 to {available}, as many as "
                f"{limit} says"
            )
    check_method(name, study, config)
    check_training(name, study, config["train"])
    if not Path(config["analyses"]["prompts"]).is_file():
        raise SettingsError(
            f"config: analyses.prompts is '{config['analyses']['prompts']}', which is no file"
        )
    shape = check_model(f"studies.{name}", study, config)
    if shape:
        check_memory(study, shape, config)


def check_method(name: str, study: Mapping, config: Mapping) -> None:
    """Check that a study's method has what the sweep's allocations need.

    Thresholds around modes are of magnitudes, and at the sparsity that the sweep asks for.
    """
    around_zero = study["method"] not in (THRESHOLD, BY_RANK)
    for allocation in config["sweep"]["allocations"] if around_zero else []:
        if read_allocation(allocation, config).learn == MODE:
            raise SettingsError(
                f"config: studies.{name}.method is {study['method']}, and sweep.allocations has "
                f"'{allocation}', which learns by {MODE}: allowed with it are "
                f"{THRESHOLD} and {BY_RANK}"
            )


def check_training(name: str, study: Mapping, train: Mapping) -> None:
    """Check that there are calibration blocks to train on, and others to measure the KL on."""
    available = study["text"]["calibration"]["blocks"]
    if train["blocks"] + train["held_out_blocks"] > available:
        raise SettingsError(
            f"config: train.blocks and train.held_out_blocks are {train['blocks']} and "
            f"{train['held_out_blocks']}: allowed are {available} together, as many as "
            f"studies.{name}.text.calibration.blocks says"
        )


def check_text(key: str, text: Mapping, config: Mapping) -> None:
    """Check that a text's local files begin with text, or that the corpus has its split."""
    path = text["path"]
    if path in CORPORA:
        if "pydoc" not in config:
            raise SettingsError(
                f"config: {key}.path is '{path}', but the config has no key pydoc that says of "
                f"what"
            )
        require(text["split"], SPLITS[path], f"{key}.split")
        require(text["field"], ["text"], f"{key}.field")
    if path == "pydoc":
        check_packages(config["pydoc"]["packages"])
    if path == "python_reference":
        check_topics(key)
    try:
        look(text)
    except ValueError as mistake:
        raise SettingsError(f"config: {key}: {mistake}") from mistake


def check_topics(key: str) -> None:
    """Check that this Python comes with the reference of the language."""
    try:
        topics.read_topics()
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"config: {key}.path is 'python_reference', but this Python comes without it "
            f"(pydoc_data.topics): take another Python, or another text"
        ) from error


def check_packages(packages: list[str]) -> None:
    """Check that the packages whose docstrings are read are installed."""
    for package in packages:
        try:
            corpus.find_package(package)
            corpus.read_versions([package])
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"config: pydoc.packages names '{package}', which is not an installed "
                f"distribution: install it or leave it out of the list"
            ) from error


def check_model(place: str, study: Mapping, config: Mapping) -> dict | None:
    """Check that a model can be read and has the positions, maps and layers of the sweep.

    Args:
        place: Where the config has the study.

    Returns:
        Its shape; None if that is known only when the model is fetched.
    """
    model = study["model"]
    kind = next(kind for kind in KINDS if kind in model)
    key, named = f"{place}.model.{kind}", model[kind]
    if kind == "path" and not (Path(named) / "config.json").exists():
        raise SettingsError(
            f"config: {key} is '{named}', which holds no config.json: name a model's folder"
        )
    if kind == "gguf" and not Path(named).is_file():
        raise SettingsError(f"config: {key} is '{named}', which is no file: name a GGUF file")
    try:
        shape = source.foresee(model, SHAPES)
        if shape is None:
            return None
        check_positions(study["protocol"]["block_length"], shape)
    except ValueError as error:
        raise SettingsError(f"config: {key} is '{named}': {error}") from error
    runs = [config["analyses"]["runs"], config["tasks"]["runs"]]
    further = [run["allocation"] for listed in runs if listed != "analysed" for run in listed]
    for name in dict.fromkeys([*config["sweep"]["allocations"], *further]):
        allocation = read_allocation(name, config)
        try:
            allocate_biases(shape, allocation.maps, allocation.biases, allocation.layers)
        except ValueError as error:
            raise SettingsError(
                f"config: allocations.{name} does not fit {key} '{named}': {error}"
            ) from error
    return shape


def check_memory(study: Mapping, shape: Mapping, config: Mapping) -> None:
    """Check that the model, and a training step on one block, fit into the memory of a job.

    A Newton step takes twice as much as a training step, as every activation has a tangent. The
    model must also fit in the precision in which analyses load it.
    """
    device, limit = "cuda" if wants_gpu(config["device"]) else "cpu", config["memory_gib"]
    swept = [read_allocation(name, config) for name in config["sweep"]["allocations"]]
    length, train = study["protocol"]["block_length"], config["train"]
    steps = {TRAINED: (length, train), FISHER: (2 * length, train | {"checkpointing": False})}
    try:
        for dtype in (study["dtype"], STATES):
            memory.check_weights(shape, dtype, device, limit)
        for allocation in (one for one in swept if one.learn in steps):
            length, train = steps[allocation.learn]
            lowest = min(choose_layers(allocation.layers, shape["layers"]))
            memory.choose_split(shape, study["dtype"], length, lowest, train, limit, device)
    except ValueError as error:
        raise SettingsError(f"config: {error}") from error


def wants_gpu(device: str) -> bool:
    """Return whether model jobs ask for a GPU; with `auto`, if NVIDIA's driver finds one.

    The driver is asked without torch, whose import takes seconds.
    """
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
