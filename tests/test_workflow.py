"""The tiny study through Snakemake, and what an edit makes it run again."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors import safe_open
from small_workflow import (
    FINDINGS,
    OF_BIASES,
    OF_STATES,
    PLOTS_OF_ANALYSES,
    PLOTS_OF_TABLES,
    REPORTING,
    TRAININGS,
    Study,
    edit,
)

from spon.biases import read_biases

ROOT = Path(__file__).parents[1]
WIKITEXT = ROOT.parent / "shared/data/wikitext-2"
REFERENCE = ROOT.parent / "shared/reference/checkpoints"


@pytest.fixture
def edited(tiny):
    """The finished study, whose code is put back after the test."""
    yield tiny
    shutil.rmtree(tiny.folder / "spon")
    shutil.copytree(ROOT / "spon", tiny.folder / "spon")


def test_the_study_makes_its_tables_and_figures(tiny):
    tables = pd.read_csv(tiny.folder / "results/tiny/tables/perplexity.csv")
    assert tables["allocation"].tolist().count("BASELINE-TEAL") == 2
    assert len(tables) == 1 + 2 + 5 + 3
    trained = tables["steps"].notna()
    assert trained.sum() == 5
    assert (tables.loc[trained, "temperature"] > 0).all()
    assert tables["protocol"].nunique() == 1
    figures = sorted(path.name for path in (tiny.folder / "figures/tiny").glob("*.png"))
    assert [name[:4] for name in figures] == [f"fig{number}" for number in range(1, 10)]
    for name in figures:
        assert (tiny.folder / f"figures/tiny/{name}").stat().st_size > 10_000
        assert (tiny.folder / f"figures/tiny/{name}").with_suffix(".pdf").exists()
    assert (tiny.folder / "results/tiny/summary.json").exists()


def test_a_further_text_has_tables_of_its_own_at_the_temperatures_of_the_first(tiny):
    tables = tiny.folder / "results/tiny/tables"
    first, other = (pd.read_csv(tables / f"perplexity{part}.csv") for part in ("", ".reference"))
    assert list(other.columns) == list(first.columns)
    assert other["allocation"].equals(first["allocation"])
    assert (other["temperature"] == first["temperature"]).all()
    assert set(other["protocol"]).isdisjoint(first["protocol"])
    texts = pd.read_csv(tables / "texts.csv")
    assert texts["text"].unique().tolist() == ["evaluation", "reference"]
    nll = pd.read_parquet(tiny.folder / "results/tiny/dense/nll.reference.parquet")
    assert len(nll) == 16
    report = (tiny.folder / "results/tiny/findings.md").read_text()
    assert "## On another text" in report
    assert "*reference*: `python_reference`, split `all`, 16 blocks" in report


def test_the_study_ends_in_verdicts_and_a_page_that_needs_no_other_file(tiny):
    claims = json.loads((tiny.folder / "results/tiny/claims.json").read_text())
    assert {claim["claim"] for claim in claims} == set(range(1, 8))
    assert {claim["verdict"] for claim in claims} <= {
        "supported",
        "supported, smaller",
        "contradicted",
        "indistinguishable",
        "not applicable",
    }
    page = (tiny.folder / "results/tiny/findings.html").read_text()
    assert page.count('src="data:image/png;base64,') == 9
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_mean_residual_repairs_and_random_directions_do_not(tiny):
    controls = pd.read_csv(tiny.folder / "results/tiny/tables/controls.csv")
    assert set(controls["control"]) == {
        "mean_residual",
        "fisher",
        "mode",
        "random",
        "temperature",
        "dense_model",
        "dense_temperature",
    }
    first = controls[(controls["allocation"] == "UNIF-ALL") & (controls["seed"] == 0)]
    kl = first[first["measure"] == "kl"].set_index("control")
    assert kl.loc["mean_residual", "control_gain_nats_per_token"] > 0
    assert kl.loc["random", "draws"] == 20
    assert kl.loc["dense_model", "control_gain_nats_per_token"] < 0


def test_sparsity_does_damage_and_biases_are_trained(tiny):
    results = tiny.folder / "results/tiny"
    teal = pd.read_parquet(results / "down_proj/s0.5/teal/nll.parquet")
    spon = pd.read_parquet(results / "UNIF-ALL/s0.5/seed0/nll.parquet")
    dense = pd.read_parquet(results / "dense/nll.parquet")
    assert (dense["kl_nats"] == 0).all()
    assert (teal["kl_nats"] > 0).all()
    assert spon["kl_nats"].mean() < teal["kl_nats"].mean()
    biases = read_biases(results / "TOP-50/s0.5/seed0/biases.safetensors")
    assert list(biases) == ["model.layers.0.mlp.down_proj"]
    assert abs(biases["model.layers.0.mlp.down_proj"]).max() > 0


@pytest.fixture
def thresholds(tiny):
    """The thresholds of the tiny study, which are afterwards what they were before."""
    file = tiny.folder / "results/tiny/down_proj/s0.5/thresholds.csv"
    whole, state = file.read_bytes(), file.stat()
    yield file
    file.write_bytes(whole)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    tiny.run("results/tiny/down_proj/s0.5/teal/nll.parquet", "--force")
    tiny.run()


def test_a_job_reads_what_its_maker_wrote_or_what_the_user_gives(tiny, thresholds):
    path, folder = thresholds.relative_to(tiny.folder).as_posix(), "down_proj/s0.5/teal"
    nll = f"results/tiny/{folder}/nll.parquet"
    record = tiny.folder / f"results/tiny/lineage/{folder}/evaluate_teal.json"
    whole, before = thresholds.read_bytes(), (tiny.folder / nll).read_bytes()
    table = pd.read_csv(thresholds)
    table.assign(threshold=2 * table["threshold"]).to_csv(thresholds, index=False)

    refused = tiny.snakemake(nll, "--force")
    assert refused.returncode == 1
    assert f"evaluate_teal: {path} is not what its record says" in refused.stderr
    assert not record.exists()

    given = tiny.overlay(given=[path])
    tiny.run(nll, "--force", overlays=given)
    assert json.loads(record.read_text())["spec"]["given"] == [path]
    assert (tiny.folder / nll).read_bytes() != before

    table.iloc[:0].to_csv(thresholds, index=False)
    refused = tiny.snakemake(nll, "--force", overlays=given)
    assert f"evaluate_teal: {path} has no rows: mend it if the config names it" in refused.stderr

    thresholds.write_bytes(whole)
    tiny.run(nll, "--force")
    assert (tiny.folder / nll).read_bytes() == before
    assert "given" not in json.loads(record.read_text())["spec"]


def test_a_seed_changes_biases_and_the_same_seed_gives_the_same_bytes(tiny):
    run = "results/tiny/TOP-50/s0.5/seed{}/biases.safetensors"
    first, second = (tiny.folder / run.format(seed) for seed in (0, 1))
    before = first.read_bytes()
    values = [read_biases(path)["model.layers.0.mlp.down_proj"] for path in (first, second)]
    assert (values[0] != values[1]).any()
    tiny.run(run.format(0), "--force")
    tiny.run()
    assert first.read_bytes() == before


def test_files_say_what_made_them(tiny):
    path = tiny.folder / "results/tiny/UNIF-ALL/s0.5/seed0/biases.safetensors"
    with safe_open(path, framework="pt") as file:
        made_by = json.loads(file.metadata()["made_by"])
    assert made_by.items() >= {"rule": "train_spon", "study": "tiny", "seed": "0"}.items()


def test_every_job_leaves_a_record_that_fits_its_files(tiny):
    environment = os.environ | {"PYTHONPATH": str(tiny.folder)}
    command = [sys.executable, "-m", "spon.command", "verify", "tiny"]
    result = subprocess.run(
        command, cwd=tiny.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    # Every job but the target has a record, and each is named after its log.
    logs = {
        path.relative_to(tiny.folder / "logs/tiny")
        for path in (tiny.folder / "logs/tiny").rglob("*.log")
    }
    lineage = tiny.folder / "results/tiny/lineage"
    records = {path.relative_to(lineage).with_suffix(".log") for path in lineage.rglob("*.json")}
    assert records == logs


def test_a_finished_study_has_nothing_to_do(tiny):
    assert tiny.plan() == {}
    assert "Nothing to be done" in (output := tiny.snakemake("--dry-run")).stdout + output.stderr


def test_another_number_of_epochs_reruns_trainings_and_what_follows(tiny):
    overlays = tiny.overlay(train={"epochs": 2})
    assert (
        tiny.plan(overlays=overlays)
        == TRAININGS | OF_STATES | OF_BIASES | PLOTS_OF_ANALYSES | REPORTING
    )


def test_whether_trainings_may_end_worse_than_they_began_trains_and_evaluates_nothing(tiny):
    plan = tiny.plan(overlays=tiny.overlay(train={"allow_worse": False}))
    assert plan == {"tabulate_trainings": 1} | REPORTING


def test_a_new_allocation_is_one_more_run(tiny):
    overlays = tiny.overlay(
        allocations={"LAST": {"scope": "down_proj", "layers": [1]}},
        sweep={"allocations": ["UNIF-ALL", "TOP-50", "BOTTOM-50", "ATTN-ONLY", "LAST"]},
    )
    one_more = {
        "allocate_biases": 1,
        "train_spon": 1,
        "tabulate_trainings": 1,
        "evaluate_spon": 1,
        "evaluate_spon_further": 1,
    }
    assert tiny.plan(overlays=overlays) == one_more | REPORTING


def test_rewording_a_docstring_or_a_comment_reruns_nothing(edited):
    edit(
        edited,
        "spon/train.py",
        "Learn one constant per output",
        "Learn a constant for each output",
    )
    edit(
        edited,
        "spon/models.py",
        "    ids = blocks.to(network",
        "    # As embeddings want them.\n    ids = blocks.to(network",
    )
    assert edited.plan() == {}


def test_editing_figures_redraws_them_and_nothing_else(edited):
    edit(
        edited,
        "spon/figures/outcomes.py",
        "import pandas as pd\n",
        "import pandas as pd\n\nNEW = 1\n",
    )
    plots = PLOTS_OF_TABLES | PLOTS_OF_ANALYSES
    assert edited.plan() == plots | {"write_findings": 1, "render_page": 1}


def test_editing_one_analysis_reruns_it_its_figure_the_verdicts_and_the_report(edited):
    edit(
        edited,
        "spon/analyses/pca_alignment.py",
        "components, len(outputs) - 1",
        "components, len(outputs) - 2",
    )
    assert edited.plan() == {"pca_alignment": 2, "plot_pca_alignment": 1} | FINDINGS


def test_editing_the_training_reruns_no_calibration_and_no_baseline(edited):
    edit(
        edited,
        "spon/course.py",
        "clip_grad_norm_(self.learned.values(), 1.0)",
        "clip_grad_norm_(self.learned.values(), 2.0)",
    )
    assert edited.plan() == TRAININGS | OF_STATES | OF_BIASES | PLOTS_OF_ANALYSES | REPORTING


def test_biases_learned_elsewhere_are_analysed_without_a_model(tmp_path):
    study = Study(tmp_path)
    study.run(overlays=("config/checkpoints.yaml",))
    results = tmp_path / "results/checkpoints"
    pairs = pd.read_csv(results / "analyses/cross_configuration.csv")
    assert set(pairs["comparison"]) == {"allocation", "seed"}
    figures = sorted(path.stem for path in (tmp_path / "figures/checkpoints").glob("*.png"))
    assert figures == ["fig6_cross_configuration", "fig7_bias_statistics"]
    verdicts = {
        claim["id"]: claim["verdict"]
        for claim in json.loads((results / "claims.json").read_text())
    }
    assert verdicts["1-recovery-o_proj"] == "not applicable"
    assert verdicts["6-agreement"] == "supported"
    assert (results / "findings.html").exists()
    assert not (results / "model.json").exists()


@pytest.fixture
def of_methods(tiny):
    """The tiny study, and what adds one of another method to it, which is gone afterwards."""
    study = yaml.safe_load((tiny.folder / "config/tiny.yaml").read_text())["studies"]["tiny"]

    def overlay(method):
        sweep = {"studies": ["tiny", method], "allocations": ["UNIF-ALL"], "further": []}
        others = {method: study | {"method": method}}
        return tiny.overlay(studies=others, sweep=sweep, controls={"on_dense": []})

    yield tiny, overlay
    for method in ("wina", "greedy"):
        shutil.rmtree(tiny.folder / f"results/{method}", ignore_errors=True)
    tiny.run()


def test_a_study_of_another_method_shares_no_job_that_sees_zeros(of_methods):
    study, overlay = of_methods
    for method, chooses in (("wina", "choose_thresholds"), ("greedy", "choose_greedy_thresholds")):
        plan = study.plan("results/tiny/tables/methods.csv", overlays=overlay(method))
        assert plan.items() >= {"compare_methods": 1, chooses: 1, "train_spon": 1}.items()
        assert plan["evaluate_teal"] == plan["evaluate_spon"] == plan["read_quantiles"] == 1


@pytest.mark.long
def test_methods_are_compared_where_studies_differ_in_nothing_else(of_methods):
    study, overlay = of_methods
    study.run("results/tiny/tables/methods.csv", overlays=overlay("wina"))
    table = pd.read_csv(study.folder / "results/tiny/tables/methods.csv")
    kl = table[table["measure"] == "kl"].set_index(["method", "allocation"])
    differences = kl["difference_nats_per_token"]
    assert differences["threshold"].isna().all()
    assert (differences["wina"] != 0).all()
    # Greedy shares are those of thresholds where a block has one map to share them out to.
    chosen = "down_proj/s0.5/thresholds.csv"
    study.run(f"results/greedy/{chosen}", overlays=overlay("greedy"))
    first, second = (
        pd.read_csv(study.folder / f"results/{name}/{chosen}") for name in ("tiny", "greedy")
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the published checkpoints are not here")
def test_the_published_checkpoints_are_a_study_of_their_own(tiny):
    tiny.run("--config", f"checkpoints={REFERENCE}", overlays=("config/checkpoints.yaml",))
    run = tiny.folder / "results/checkpoints/TOP-50/s0.5/seed0/analyses/bias_statistics.csv"
    assert pd.read_csv(run)["excess_kurtosis"].round(2).tolist() == [
        3.0,
        0.04,
        0.28,
        0.02,
        0.09,
        0.24,
        0.34,
        0.07,
    ]


def test_the_published_protocol_runs_on_a_local_model_and_local_text(tmp_path):
    study = Study(tmp_path)
    if WIKITEXT.exists():
        files = {
            "calibration": str(WIKITEXT / "valid.txt"),
            "evaluation": str(WIKITEXT / "test.txt"),
        }
    else:
        files = {"calibration": str(ROOT / "docs/method.md"), "evaluation": str(ROOT / "LICENSE")}
    text = {
        part: {
            "path": "text",
            "data_files": file,
            "split": "train",
            "field": "text",
            "blocks": 24,
            "order": "first",
        }
        for part, file in files.items()
    }
    published = yaml.safe_load((ROOT / "config/llama-3.2-1b-published.yaml").read_text())
    settings = published["studies"]["llama-3.2-1b-published"]
    # A trained model: random weights may have no temperature that suits the text.
    settings |= {"model": {"path": "resources/models/pydoc"}, "dtype": "float32", "text": text}
    settings["protocol"]["block_length"] = 64
    published["sweep"] |= {"allocations": ["UNIF-ALL"], "sparsities": [0.5]}
    published["train"] |= {"blocks": 16, "held_out_blocks": 8, "epochs": 1}
    published["evaluate"] = {"temperature_blocks": 16}
    published["calibrate"] = {"blocks": 16, "held_out_blocks": 16}
    published["controls"] = published.get("controls", {}) | {"draw_blocks": 16}
    published["analyses"] = published.get("analyses", {}) | {"blocks": 16}
    # Figures and the report are those of any study.
    study.run("tables", overlays=(study.write("config/swapped.yaml", yaml.safe_dump(published)),))
    thresholds = pd.read_csv(
        tmp_path / "results/llama-3.2-1b-published/down_proj/s0.5/thresholds.csv"
    )
    assert thresholds["threshold"].isna().all()
    assert (thresholds["sparsity_sparse_pass"] == 0.5).all()
    assert not (tmp_path / "results/llama-3.2-1b-published/down_proj/quantiles.parquet").exists()


def test_a_wrong_config_ends_in_one_sentence_before_any_job(tiny):
    result = tiny.snakemake(overlays=tiny.overlay(train={"epoch": 2}))
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert "config: 'epoch' is no key of train: did you mean 'epochs'?" in output
    assert "Traceback" not in output
    assert "jobid" not in output


def test_what_only_the_text_can_tell_is_told_by_the_first_job_on_screen_and_in_its_log(tmp_path):
    study = Study(tmp_path)
    settings = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())["studies"]["tiny"]
    lines = {
        "path": "text",
        "data_files": str(ROOT / "LICENSE"),
        "split": "train",
        "field": "text",
    }
    settings["text"]["evaluation"] = lines | {"blocks": 5000, "order": "even"}
    result = study.snakemake(
        "results/tiny/tokens/evaluation.safetensors",
        overlays=study.overlay(studies={"tiny": settings}),
    )
    assert result.returncode != 0
    sentence = (
        r"tokenize_text: the text holds \d+ blocks of 64 tokens, "
        r"blocks asks for 5000: allowed is 1 to \d+"
    )
    assert re.search(sentence, result.stdout + result.stderr)
    assert re.search(
        sentence, (tmp_path / "logs/tiny/tokens/evaluation/tokenize_text.log").read_text()
    )


def test_a_text_is_watched_by_its_contents_whatever_their_dates(tmp_path):
    study = Study(tmp_path)
    text = json.dumps({"text": (ROOT / "LICENSE").read_text() * 4}) + "\n"
    other = json.dumps({"text": (ROOT / "README.md").read_text() * 4}) + "\n"
    named = {"path": "json", "data_files": "corpora/**/*.jsonl"}
    settings = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())["studies"]["tiny"]
    evaluation, *_ = settings["text"]["evaluation"]
    settings["text"]["evaluation"] = [evaluation]
    settings["text"]["calibration"] |= named | {"split": "train"}
    evaluation |= {"path": "folder", "split": "train"}
    overlays = study.overlay(studies={"tiny": settings})
    tokens = [f"results/tiny/tokens/{part}.safetensors" for part in settings["text"]]

    def give(path, content):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".new").write_text(content)
        os.utime(file.with_suffix(".new"), (1e9, 1e9))  # older than any output
        file.with_suffix(".new").replace(file)

    def lead(target):
        link = tmp_path / "corpora/a/link.jsonl"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / target)

    give("folder/train.jsonl", text)
    give("one.jsonl", text)
    give("two.jsonl", other)
    lead("one.jsonl")
    study.run(*tokens, overlays=overlays)
    lineage = tmp_path / "results/tiny/lineage/tokens"
    for part, file in {
        "calibration": "corpora/a/link.jsonl",
        "evaluation": "folder/train.jsonl",
    }.items():
        record = json.loads((lineage / part / "tokenize_text.json").read_text())
        assert record["inputs"][file] == hashlib.sha256(text.encode()).hexdigest()
    give("folder/train.jsonl", other)
    lead("two.jsonl")
    assert study.plan("--cores", "2", *tokens, overlays=overlays) == {"tokenize_text": 2}
    give("folder/train.jsonl", text)
    lead("one.jsonl")
    give("corpora/c/more.jsonl", other)
    assert study.plan("--cores", "2", *tokens, overlays=overlays) == {"tokenize_text": 1}


def test_decoding_is_measured_where_it_is_asked_for(edited):
    run = {"allocation": "UNIF-ALL", "sparsity": 0.5, "seed": 0}
    settings = {"runs": [run], "sparsities": [], "shapes": [[8, 16]], "tokens": 3, "repeats": 1}
    overlays = edited.overlay(decode=settings)
    assert edited.plan("decode", overlays=overlays) == {"measure_decoding": 1, "decode": 1}
    edited.run("decode", overlays=overlays)
    tables = edited.folder / "results/tiny/tables"
    decoded = pd.read_csv(tables / "decode.csv")
    assert decoded["variant"].tolist() == ["dense", "teal", "spon"]
    assert pd.read_csv(tables / "decode_matrices.csv")["matrix"].iloc[-1] == "8 x 16"


def test_a_model_that_main_memory_does_not_hold_twice_is_not_decoded_with(planned):
    overlays = ("config/llama-3.1-70b.yaml",)
    result = planned.snakemake("decode", "--dry-run", overlays=overlays)
    assert result.returncode != 0
    refused = "cpu: 240}: decoding runs on the CPU, whose part is 240, the model in float32 and"
    assert refused in result.stdout


def test_runs_that_cannot_decode_are_named_where_decoding_is_asked_for(planned):
    run = {"allocation": "MODE-DOWN", "sparsity": 0.5, "seed": 0}
    overlays = planned.overlay(decode={"runs": [run]})
    assert "decode" not in planned.plan(overlays=overlays)
    result = planned.snakemake("decode", "--dry-run", overlays=overlays)
    assert result.returncode == 1
    assert "config: decode.runs.0.allocation is 'MODE-DOWN': allowed are" in result.stdout


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Study:
    """A copy of the repository with a plan of the tiny study, for a GPU that is not here."""
    study = Study(tmp_path_factory.mktemp("planned"))
    study.run("plan", overlays=study.overlay(plan={"teraflops": 1}))
    return study


def read_plan(study: Study) -> dict:
    return json.loads((study.folder / "results/tiny/plan.json").read_text())


def test_a_plan_has_the_jobs_of_a_dry_run_rule_by_rule(planned):
    found = read_plan(planned)
    assert {rule: told["jobs"] for rule, told in found["rules"].items()} == planned.plan()
    assert found["gpu_hours"] > 0
    made = {path.name for path in (planned.folder / "results/tiny").iterdir()}
    assert made == {"plan.json", "rate.json", "lineage"}


def test_a_plan_counts_what_is_analysed_imitated_or_ranked_beside_the_sweep(planned):
    odd = {
        "plan": {"teraflops": 1},
        "sweep": {
            "allocations": ["UNIF-ALL", "MEAN-DOWN", "RANDOM-DOWN"],
            "sparsities": [0.6, 0.7],
            "seeds": [0, 2],
        },
    }
    overlays = planned.overlay(**odd)
    planned.run("plan", overlays=overlays)
    counts = {rule: told["jobs"] for rule, told in read_plan(planned)["rules"].items()}
    assert counts == planned.plan(overlays=overlays)


def test_a_plan_is_shown_as_a_table_beside_what_earlier_runs_took(planned):
    benchmark = planned.folder / "benchmarks/tiny/dense/evaluate_dense.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\tmax_rss\tcpu_time\n7.5\t300\t7\n")
    # Of a rule that the workflow no longer has.
    shutil.copy(benchmark, benchmark.with_name("draw_perplexity.tsv"))
    shown = planned.snakemake("plan", overlays=planned.overlay(plan={"teraflops": 1}))
    output = shown.stdout + shown.stderr
    assert (
        "write_plan: what tiny will take, on a GPU that sustains 1 TFLOP/s, one model at a time"
        in output
    )
    assert re.search(r"^evaluation .* 8 s \(1 job\)$", output, re.M)
    assert re.search(r"^memory .* of 4 GiB \(memory_gib\)$", output, re.M)


@pytest.mark.parametrize(
    "name",
    ["llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b", "llama-3.1-70b", "mistral-7b", "qwen3-8b"],
)
def test_a_model_that_is_not_here_is_planned_without_a_download(planned, name):
    result = planned.snakemake("plan", "--dry-run", overlays=(f"config/{name}.yaml",))
    assert result.returncode == 0, result.stderr
    assert not list(planned.folder.glob("results/*/model.json"))


def test_a_model_whose_shape_is_not_known_is_told_in_one_sentence(planned):
    model = {"repository": "nobody/nothing", "revision": "0" * 40}
    study = yaml.safe_load((ROOT / "config/llama-3.2-1b.yaml").read_text())["studies"][
        "llama-3.2-1b"
    ]
    overlays = planned.overlay(
        studies={"other": study | {"model": model}}, sweep={"studies": ["other"]}
    )
    result = planned.snakemake("plan", overlays=overlays)
    output = result.stdout + result.stderr
    assert (
        "plan: the shape of nobody/nothing is not known: known are HuggingFaceTB/SmolLM2" in output
    )
    assert "run `snakemake results/other/model.json` first" in output
    assert "Traceback" not in output


def test_checkpoints_alone_have_no_plan(planned):
    result = planned.snakemake("plan", overlays=("config/checkpoints.yaml",))
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert (
        "plan: the sweep's studies have checkpoints alone and run no model, "
        "so there is nothing to plan" in output
    )


def test_a_folder_of_checkpoints_that_is_not_there_ends_in_one_sentence_before_any_job(planned):
    result = planned.snakemake(
        "--config", "checkpoints=no/folder", overlays=("config/checkpoints.yaml",)
    )
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "config: checkpoints is 'no/folder', which is no folder" in output
    assert "Traceback" not in output
