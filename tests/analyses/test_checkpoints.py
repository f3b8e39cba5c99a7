"""Checkpoints of others: what their names tell, and what is refused."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from make_checkpoints import CHECKPOINTS, make_checkpoints
from published_biases import REFERENCE, needs_published
from safetensors.torch import save_file

from spon.analyses import checkpoints
from spon.biases import read_biases, write_biases

BIAS = torch.tensor([1.0, -2.0])
SITE = "model.layers.0.mlp.down_proj"


def save(folder, name="spon_TOP-50_s0.50.pt", **content):
    """A file of the published form, or what is left of it."""
    published = {"biases": {"layer_0_down_proj": BIAS}, "config_name": "TOP-50", "sparsity": 0.5}
    torch.save(published | content, folder / name)
    return folder / name


def refuse(path):
    with pytest.raises(ValueError) as refused:
        checkpoints.read_checkpoint(path)
    sentence = str(refused.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence.replace(str(path), "FILE")


def touch(folder, *names):
    for name in names:
        (folder / name).touch()
    return folder


def test_a_folder_lists_its_runs_by_name(tmp_path):
    touch(
        tmp_path,
        "spon_UNIF-ALL_s0.50.pt",
        "UNIF-ALL_s0.5_seed12.safetensors",
        "TOP-50_s0.60.pt",
        "README.md",
    )
    runs = checkpoints.find_checkpoints(tmp_path)
    assert [list(run.values()) for run in runs] == [
        ["TOP-50", 0.6, 0, str(tmp_path / "TOP-50_s0.60.pt")],
        ["UNIF-ALL", 0.5, 0, str(tmp_path / "spon_UNIF-ALL_s0.50.pt")],
        ["UNIF-ALL", 0.5, 12, str(tmp_path / "UNIF-ALL_s0.5_seed12.safetensors")],
    ]
    assert list(runs[0]) == ["allocation", "sparsity", "seed", "file"]


def test_folders_that_cannot_be_a_study_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(
        ValueError, match=r"^checkpoints is 'nowhere', which is no folder: name one with files"
    ):
        checkpoints.find_checkpoints("nowhere")
    with pytest.raises(
        ValueError, match=r"^checkpoints is '.*', which holds no .pt or .safetensors file: allowed"
    ):
        checkpoints.find_checkpoints(tmp_path)


@pytest.mark.parametrize(
    "name", ["TOP-50.pt", "TOP-50_s50.pt", "_s0.5.pt", "TOP-50_s0.5_seed.pt", "biases.safetensors"]
)
def test_a_name_that_tells_no_run_is_refused(tmp_path, name):
    with pytest.raises(
        ValueError, match=rf"^the checkpoint '.*{name}' has a name that tells no run: allowed are"
    ):
        checkpoints.find_checkpoints(touch(tmp_path, name))


def test_two_files_of_one_run_are_refused(tmp_path):
    touch(tmp_path, "TOP-50_s0.5.pt", "spon_TOP-50_s0.50_seed0.safetensors")
    with pytest.raises(
        ValueError,
        match=r"are both TOP-50 at sparsity 0.5 with seed 0: allowed is one checkpoint per",
    ):
        checkpoints.find_checkpoints(tmp_path)


def test_listing_a_folder_needs_no_torch():
    code = (
        "import sys; from spon.analyses import checkpoints; "
        "assert checkpoints.find_checkpoints('resources/checkpoints'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", checkpoints.MAPS)
def test_every_map_of_a_llama_layer_is_named_as_its_site(tmp_path, name):
    path = save(tmp_path, biases={f"layer_11_{name}": BIAS.to(torch.bfloat16)})
    part = "self_attn" if name in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
    ((site, bias),) = checkpoints.read_checkpoint(path).items()
    assert site == f"model.layers.11.{part}.{name}"
    assert bias.dtype == torch.float32
    assert bias.tolist() == [1.0, -2.0]


def test_our_own_biases_are_a_checkpoint(tmp_path):
    path = tmp_path / "TOP-50_s0.5_seed1.safetensors"
    write_biases({SITE: BIAS}, path, '{"allocation": "TOP-50", "sparsity": "0.5", "seed": "1"}')
    assert checkpoints.read_checkpoint(path)[SITE].tolist() == [1.0, -2.0]
    save_file({f"{SITE}.bias": BIAS}, path)
    assert checkpoints.read_checkpoint(path)[SITE].tolist() == [1.0, -2.0]


def test_biases_that_share_one_storage_can_be_saved_apart(tmp_path):
    both = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    path = save(tmp_path, biases={"layer_0_down_proj": both[0], "layer_1_down_proj": both[1]})
    write_biases(checkpoints.read_checkpoint(path), tmp_path / "biases.safetensors", "{}")
    assert read_biases(tmp_path / "biases.safetensors")[
        "model.layers.1.mlp.down_proj"
    ].tolist() == [3.0, 4.0]


class Command:
    """What a pickle may do to its reader."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no PyTorch file of tensors and plain values alone" in refuse(
        save(tmp_path, extra=Command())
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello world\n", bytes(range(256)), b"PK\x03\x04 cut off"]
)
def test_a_file_of_something_else_is_refused(tmp_path, content):
    for name, kind in (("TOP-50_s0.5.pt", "PyTorch"), ("TOP-50_s0.5.safetensors", "safetensors")):
        (tmp_path / name).write_bytes(content)
        assert refuse(tmp_path / name).startswith(f"the checkpoint 'FILE' is no {kind} file")


@pytest.mark.parametrize(
    "content", [{"biases": BIAS}, {"config_name": None}, {"sparsity": "half"}]
)
def test_a_pytorch_file_of_another_form_is_refused(tmp_path, content):
    assert "is not of the published form: wanted are the keys biases" in refuse(
        save(tmp_path, **content)
    )


@pytest.mark.parametrize(
    "name", ["down_proj", "layer_0_lm_head", "layer_00_down_proj", "layer_x_down_proj", 3]
)
def test_a_bias_of_unknown_name_is_refused(tmp_path, name):
    path = save(tmp_path, biases={name: BIAS})
    assert f"has a bias '{name}': allowed are layer_N_MAP of q_proj, k_proj" in refuse(path)


@pytest.mark.parametrize(
    "name", [SITE, "model.layers.0.mlp.q_proj.bias", "model.layers.0.mlp.down_proj.weight"]
)
def test_a_parameter_of_unknown_name_is_refused(tmp_path, name):
    save_file({name: BIAS}, tmp_path / "TOP-50_s0.5.safetensors")
    assert f"has a bias '{name}': allowed are model.layers.N.MAP.bias" in refuse(
        tmp_path / "TOP-50_s0.5.safetensors"
    )


def test_a_file_whose_content_and_name_disagree_is_refused(tmp_path):
    said = "the checkpoint 'FILE' says that it holds"
    sentence = refuse(save(tmp_path, config_name="TOP-75"))
    assert sentence == f"{said} allocation TOP-75, but its name says TOP-50: they must agree"
    assert refuse(save(tmp_path, sparsity=0.6)).startswith(
        f"{said} sparsity 0.6, but its name says 0.5:"
    )
    path = tmp_path / "TOP-50_s0.5_seed1.safetensors"
    write_biases({SITE: BIAS}, path, '{"seed": "2"}')
    assert refuse(path).startswith(f"{said} seed 2, but its name says 1:")


def test_a_checkpoint_is_imported_as_the_run_that_it_is(tmp_path):
    path = save(tmp_path)
    checkpoints.check_run(path, "TOP-50", 0.5, 0)
    with pytest.raises(
        ValueError, match=r"is wanted for seed 1, but its name says 0: they must agree$"
    ):
        checkpoints.check_run(path, "TOP-50", 0.5, 1)


@pytest.mark.parametrize(
    ("bias", "sentence"),
    [
        (
            torch.ones(2, 2),
            f"has a bias of shape [2, 2] at {SITE}: allowed are vectors of floating-point numbers",
        ),
        (
            torch.tensor(1.0),
            f"has a bias of shape [] at {SITE}: allowed are vectors of floating-point numbers",
        ),
        (
            torch.tensor([1]),
            f"has a bias of shape [1] at {SITE}: allowed are vectors of floating-point numbers",
        ),
        (
            [1.0],
            f"has a bias of shape [] at {SITE}: allowed are vectors of floating-point numbers",
        ),
        (
            torch.tensor([0.0, torch.inf]),
            f"has the bias inf at {SITE}: allowed are finite numbers",
        ),
        (torch.tensor([torch.nan]), f"has the bias nan at {SITE}: allowed are finite numbers"),
    ],
)
def test_a_bias_that_is_no_vector_of_finite_numbers_is_refused(tmp_path, bias, sentence):
    path = save(tmp_path, biases={"layer_0_down_proj": bias})
    assert refuse(path) == f"the checkpoint 'FILE' {sentence}"


def test_a_listed_checkpoint_is_told_by_its_digest_and_its_sites(tmp_path):
    path = save(tmp_path, biases={"layer_0_down_proj": BIAS, "layer_1_down_proj": BIAS})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
    assert checkpoints.describe_file(path) == run | {
        "file": path.name,
        "sha256": digest,
        "sites": 2,
    }


def test_a_checkpoint_without_a_bias_is_refused(tmp_path):
    assert refuse(save(tmp_path, biases={})) == "the checkpoint 'FILE' holds no bias"


def test_the_shipped_checkpoints_are_what_their_script_writes_and_can_be_read(tmp_path):
    make_checkpoints(tmp_path)
    runs = checkpoints.find_checkpoints(CHECKPOINTS)
    assert [(run["allocation"], run["sparsity"], run["seed"]) for run in runs] == [
        ("TOP-50", 0.5, 0),
        ("UNIF-ALL", 0.5, 0),
        ("UNIF-ALL", 0.5, 1),
    ]
    for shipped, made, sites in zip(
        runs, checkpoints.find_checkpoints(tmp_path), (8, 16, 16), strict=True
    ):
        biases = checkpoints.read_checkpoint(shipped["file"])
        again = checkpoints.read_checkpoint(made["file"])
        assert len(biases) == sites
        for site, bias in biases.items():
            torch.testing.assert_close(bias, again[site])


@needs_published
def test_the_published_checkpoints_are_found_and_read():
    runs = checkpoints.find_checkpoints(REFERENCE / "checkpoints")
    assert [(run["allocation"], run["sparsity"], run["seed"]) for run in runs] == [
        ("TOP-50", 0.5, 0),
        ("UNIF-ALL", 0.5, 0),
    ]
    biases = [checkpoints.read_checkpoint(run["file"]).values() for run in runs]
    assert [len(bias) for bias in biases[0]] == [2048] * 8
    assert [len(bias) for bias in biases[1]] == [2048] * 16
