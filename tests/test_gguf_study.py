"""A study whose model is a GGUF file in a wheel: fetched once, and made again where it is gone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_gguf import name_in_wheel, write_gguf, write_wheel

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[1]
DENSE, TEAL = "results/small/dense/nll.parquet", "results/small/down_proj/s0.5/teal/nll.parquet"


class Study:
    """The tiny study with another model, in a folder of its own."""

    def __init__(self, folder, model, **variables):
        self.folder, self.cache = folder / "study", folder / "cache"
        self.folder.mkdir()
        lines = "".join(f"line {number} says that {number * 7}\n" for number in range(2000))
        (self.folder / "lines.txt").write_text(lines)
        text = {"path": "text", "data_files": "lines.txt", "split": "train", "field": "text"}
        text |= {"blocks": 64, "order": "even"}
        texts = {"calibration": {**text}, "evaluation": {**text}}
        tiny = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())["studies"]["tiny"]
        studies = {"small": tiny | {"model": model, "text": texts}}
        overlay = {"studies": studies, "sweep": {"studies": ["small"]}}
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        overlays = [str(ROOT / "config/tiny.yaml"), str(self.folder / "overlay.yaml")]
        self.command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        self.command += ["--directory", str(self.folder), "--cores", "2"]
        self.command += ["--configfile", *overlays, "--"]
        self.variables = os.environ | {"SPON_CACHE": str(self.cache)} | variables

    def snakemake(self, *arguments):
        """What Snakemake says, and whether it succeeded."""
        command = [*self.command[:-1], *arguments[1:], "--", arguments[0]]
        done = subprocess.run(
            command, cwd=ROOT, env=self.variables, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr, done.returncode == 0

    def run(self, *arguments):
        said, succeeded = self.snakemake(*arguments)
        assert succeeded, said
        return said


def test_a_wheel_is_fetched_once_and_a_finished_study_needs_it_no_more(tmp_path):
    wheel = write_wheel(tmp_path / "index", write_gguf(tmp_path / "tiny.gguf"))
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    study = Study(tmp_path, name_in_wheel(wheel), **index)
    study.run(DENSE)
    model = json.loads((study.folder / "results/small/model.json").read_text())
    assert model["source"] == name_in_wheel(wheel)
    shutil.rmtree(study.cache)
    said = study.run(TEAL)
    assert "rule fetch_model" not in said
    (folder,) = (study.cache / "models").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == sorted(model["files"])
    shutil.rmtree(study.cache)
    wheel.unlink()
    assert "Nothing to be done" in study.run(TEAL, "--dry-run")
    assert "write_plan" in study.run("plan", "--dry-run")
    assert not study.cache.exists()
    said, succeeded = study.snakemake(DENSE, "--force")
    assert not succeeded
    assert "tiny-gguf==1.0, of which the package index has no wheel for this machine" in said


def test_another_gguf_file_in_the_place_of_one_is_noticed(tmp_path):
    file = write_gguf(tmp_path / "tiny.gguf")
    study = Study(tmp_path, {"gguf": str(file)})
    study.run("results/small/model.json")
    assert "Nothing to be done" in study.run("results/small/model.json", "--dry-run")
    write_gguf(file, splitting="smollm")
    assert "fetch_model" in study.run("results/small/model.json", "--dry-run")
    file.unlink()
    said, succeeded = study.snakemake("results/small/model.json", "--dry-run")
    assert not succeeded
    assert f"studies.small.model.gguf is '{file}', which is no file" in said
