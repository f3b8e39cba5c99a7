"""Checkpoints of others: what their names tell, and what is refused."""

import hashlib
import os
import re
import subprocess
import sys
import zipfile

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
LAYERS = 16


def save(folder, name="spon_TOP-50_s0.50.pt", **content):
    """A file of the published form, or what is left of it."""
    published = {"biases": {"layer_0_down_proj": BIAS}, "config_name": "TOP-50", "sparsity": 0.5}
    torch.save(published | content, folder / name)
    return folder / name


def refuse(path):
    with pytest.raises(ValueError) as refused:
        checkpoints.read_checkpoint(path, LAYERS)
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
    ((site, bias),) = checkpoints.read_checkpoint(path, LAYERS).items()
    assert site == f"model.layers.11.{part}.{name}"
    assert bias.dtype == torch.float32
    assert bias.tolist() == [1.0, -2.0]


def test_our_own_biases_are_a_checkpoint(tmp_path):
    path = tmp_path / "TOP-50_s0.5_seed1.safetensors"
    write_biases({SITE: BIAS}, path, '{"allocation": "TOP-50", "sparsity": "0.5", "seed": "1"}')
    assert checkpoints.read_checkpoint(path, LAYERS)[SITE].tolist() == [1.0, -2.0]
    save_file({f"{SITE}.bias": BIAS}, path)
    assert checkpoints.read_checkpoint(path, LAYERS)[SITE].tolist() == [1.0, -2.0]


def test_biases_that_share_one_storage_can_be_saved_apart(tmp_path):
    both = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    path = save(tmp_path, biases={"layer_0_down_proj": both[0], "layer_1_down_proj": both[1]})
    write_biases(checkpoints.read_checkpoint(path, LAYERS), tmp_path / "biases.safetensors", "{}")
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
            f"has the bias inf at {SITE}: allowed are finite numbers, in float32",
        ),
        (
            torch.tensor([torch.nan]),
            f"has the bias nan at {SITE}: allowed are finite numbers, in float32",
        ),
    ],
)
def test_a_bias_that_is_no_vector_of_finite_numbers_is_refused(tmp_path, bias, sentence):
    path = save(tmp_path, biases={"layer_0_down_proj": bias})
    assert refuse(path) == f"the checkpoint 'FILE' {sentence}"


def test_a_listed_checkpoint_is_told_by_its_digest_and_its_sites(tmp_path):
    path = save(tmp_path, biases={"layer_0_down_proj": BIAS, "layer_1_down_proj": BIAS})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    run = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
    assert checkpoints.describe_file(path, LAYERS) == run | {
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
        biases = checkpoints.read_checkpoint(shipped["file"], LAYERS)
        again = checkpoints.read_checkpoint(made["file"], LAYERS)
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
    biases = [checkpoints.read_checkpoint(run["file"], LAYERS).values() for run in runs]
    assert [len(bias) for bias in biases[0]] == [2048] * 8
    assert [len(bias) for bias in biases[1]] == [2048] * 16


def share(storage, *shape, stride):
    """A view whose shape claims more numbers than its storage has."""
    return torch.as_strided(torch.ones(storage), shape, stride)


@pytest.mark.parametrize(
    ("bias", "sentence"),
    [
        (
            share(1, 10**10, stride=(0,)),
            f"has a bias of shape [10000000000] at {SITE}, with which its biases take 40000000000 "
            f"bytes: allowed are SIZE, those of the file",
        ),
        (
            torch.ones(4).to_sparse(),
            f"has a sparse bias of shape [4] at {SITE}: allowed are vectors of floating-point",
        ),
        (
            torch.empty(10**12, device="meta"),
            f"has a meta bias of shape [1000000000000] at {SITE}: allowed are vectors of",
        ),
        (
            torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
            f"has a quantised bias of shape [2] at {SITE}: allowed are vectors of",
        ),
        (
            torch.tensor([1.0, 1e300], dtype=torch.float64),
            f"has the bias 1e+300 at {SITE}: allowed are finite numbers, in float32",
        ),
    ],
)
def test_a_bias_that_the_file_does_not_hold_number_by_number_is_refused(tmp_path, bias, sentence):
    path = save(tmp_path, biases={"layer_0_down_proj": bias})
    said = refuse(path).replace(str(path.stat().st_size), "SIZE")
    assert said.startswith(f"the checkpoint 'FILE' {sentence}")


def test_many_biases_that_share_a_storage_claim_no_more_than_the_file_holds(tmp_path):
    one = torch.ones(10**5)
    path = save(tmp_path, biases={f"layer_{layer}_down_proj": one for layer in range(LAYERS)})
    assert "at model.layers.1.mlp.down_proj, with which its biases take 800000 bytes" in refuse(
        path
    )


def rewrite(path, change):
    """A PyTorch file whose parts are changed, by name."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return {name: change(name, part) for name, part in parts.items()}


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = save(tmp_path, biases={"layer_0_down_proj": torch.zeros(10**6)})
    parts = rewrite(path, lambda name, part: part)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    assert path.stat().st_size < 10**5
    assert "is no PyTorch file of tensors and plain values alone" in refuse(path)


def test_a_storage_that_claims_more_than_its_part_of_the_file_is_refused(tmp_path):
    path = save(tmp_path, biases={"layer_0_down_proj": torch.ones(200)})
    # Pickle writes the number of entries, 200, as K\xc8, and 2^31 - 1 as J and four bytes.
    parts = rewrite(path, lambda _, part: part.replace(b"K\xc8", b"J\xff\xff\xff\x7f"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    assert "is no PyTorch file of tensors and plain values alone" in refuse(path)


def test_the_old_format_whose_sizes_are_believed_is_refused(tmp_path):
    path = tmp_path / "TOP-50_s0.5.pt"
    torch.save({"biases": {}}, path, _use_new_zipfile_serialization=False)
    assert "is no PyTorch file of tensors and plain values alone" in refuse(path)


def test_a_layer_that_the_model_does_not_have_is_refused(tmp_path):
    said = refuse(save(tmp_path, biases={"layer_15_down_proj": BIAS, "layer_16_down_proj": BIAS}))
    assert said == (
        "the checkpoint 'FILE' has a bias at model.layers.16.mlp.down_proj: allowed are layers 0 "
        "to 15, since its model is said to have 16"
    )


@pytest.mark.parametrize("made_by", ["no JSON", "3", '{"seed": "x"}', "[" * 10**5])
def test_metadata_that_name_no_run_are_refused(tmp_path, made_by):
    path = tmp_path / "TOP-50_s0.5.safetensors"
    save_file({f"{SITE}.bias": BIAS}, path, metadata={"made_by": made_by})
    assert refuse(path).startswith("the checkpoint 'FILE' has metadata made_by that names no run")


def test_what_a_file_calls_its_biases_is_shown_on_one_line(tmp_path):
    said = refuse(save(tmp_path, biases={"a\nb" + "c" * 10**5: BIAS}))
    assert f"has a bias 'a b{'c' * 57}…': allowed" in said
    assert "allocation TOP 50, but" in refuse(save(tmp_path, config_name="TOP\n50"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("analyses_s0.5.pt", "has the name 'analyses', which is a folder of every study"),
        ("Tokens_s0.5.pt", "has the name 'Tokens', which is a folder of every study"),
        (f"{'x' * 65}_s0.5.pt", "allowed are 1 to 64 letters"),
        ("BASELINE-TEAL_s0.5.pt", "is called as a baseline is"),
        ("TOP-50_s0.0.pt", "says sparsity 0.0 and seed 0: allowed are sparsities of 0.001"),
        ("TOP-50_s0.5_seed1000000000.pt", "and seed 1000000000: allowed are"),
        ("TÖP_s0.5.pt", "has a name that tells no run"),
    ],
)
def test_a_name_of_no_folder_of_a_run_is_refused(tmp_path, name, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        checkpoints.find_checkpoints(touch(tmp_path, name))


def test_names_that_differ_in_case_alone_are_refused(tmp_path):
    touch(tmp_path, "TOP-50_s0.5.pt", "Top-50_s0.6.pt")
    with pytest.raises(ValueError, match="which has the allocations 'TOP-50' and 'Top-50'"):
        checkpoints.find_checkpoints(tmp_path)
