"""Costs of hand-made benchmarks, added up by eye."""

import re
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from spon.cost.benchmarks import LAST_STAGE, STAGES, count_cost, plot_cost, stage_of

ROOT = Path(__file__).parents[2]
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def read(*rows: str) -> pd.DataFrame:
    """A benchmark file with seconds, largest memory and CPU seconds in each row."""
    lines = [
        f"{s}\t0:00:01\t{memory}\t9\t9\t9\t0\t0\t50\t{cpu}\n"
        for s, memory, cpu in map(str.split, rows)
    ]
    return pd.read_csv(StringIO(HEADER + "".join(lines)), sep="\t")


RULE_FILES = {
    "train_spon": "train",
    "evaluate_dense": "evaluate",
    "plot_pareto": "figures",
    "tabulate": "tables",
}
BENCHMARKS = {
    "benchmarks/a/tabulate.tsv": read("0.21 - -"),  # too short for Snakemake to look at
    "benchmarks/a/TOP-50/s0.5/seed0/train_spon.tsv": read("10.04 400.4 9.5"),
    "benchmarks/a/TOP-50/s0.5/seed1/train_spon.tsv": read("20.0 300 18"),
    "benchmarks/a/UNIF-ALL/s0.5/seed0/train_spon.tsv": read("1.0 NA NA"),
    "benchmarks/a/dense/evaluate_dense.tsv": read("1.25 500 1"),
    "benchmarks/a/plot_pareto.tsv": read("2 90 1.5", "3 80 NA"),  # repeated
}


@pytest.fixture
def cost():
    return count_cost(BENCHMARKS, RULE_FILES)


def test_jobs_and_times_add_up_and_of_memory_the_largest_job_counts(cost):
    assert cost["rules"]["train_spon"] == {
        "stage": "training",
        "jobs": 3,
        "seconds": 31.0,
        "cpu_seconds": 27.5,
        "largest_memory_mb": 400,
    }
    assert cost["total"] == {
        "jobs": 7,
        "seconds": 37.5,
        "cpu_seconds": 30.0,
        "largest_memory_mb": 500,
    }


def test_what_snakemake_could_not_measure_is_missing_and_not_zero(cost):
    tabulate = cost["rules"]["tabulate"]
    assert (tabulate["seconds"], tabulate["cpu_seconds"], tabulate["largest_memory_mb"]) == (
        0.2,
        None,
        None,
    )
    assert cost["rules"]["plot_pareto"]["cpu_seconds"] == 1.5


def test_rules_stand_in_the_order_of_the_stages_whatever_the_order_of_the_files(cost):
    assert list(cost["rules"]) == ["train_spon", "evaluate_dense", "plot_pareto", "tabulate"]
    assert count_cost(dict(reversed(BENCHMARKS.items())), RULE_FILES) == cost


def test_what_is_no_benchmark_is_refused_in_one_sentence():
    with pytest.raises(
        ValueError, match="^there are no benchmarks to count: run the study first$"
    ):
        count_cost({}, {})
    with pytest.raises(ValueError, match="^the benchmark a.tsv has no column cpu_time$"):
        count_cost({"a.tsv": pd.DataFrame({"s": [1.0], "max_rss": [2.0]})}, {})


def test_a_rule_is_in_the_stage_of_the_file_that_it_stands_in():
    assert stage_of("train_spon", RULE_FILES) == "training"
    assert stage_of("plot_pareto", RULE_FILES) == stage_of("unknown", {}) == LAST_STAGE
    names = {path.stem for path in (ROOT / "workflow/rules").glob("*.smk")}
    assert set(STAGES) <= names


def test_every_rule_that_runs_a_model_has_a_stage_of_its_own():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        if "**MODEL," in path.read_text():
            assert path.stem in STAGES


def test_a_benchmark_file_is_named_as_the_rule_that_it_measures():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        rules = re.split(r"^(?:use )?rule (?:\w+ as )?(\w+)", path.read_text(), flags=re.M)
        for name, body in zip(rules[1::2], rules[2::2], strict=True):
            for stem in re.findall(r'"benchmarks/(?:[^"]*/)?([^"/]+)\.tsv"', body):
                assert stem == name, f"{path.name}: the benchmark of {name} is named {stem}"


def test_a_bar_is_as_long_as_its_stage_and_parted_by_rule_the_longest_first(cost):
    ax = plot_cost(cost).axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["training", "evaluation", LAST_STAGE]
    lengths = {bar.patches[0].get_gid(): bar.patches[0].get_width() for bar in ax.containers}
    assert lengths == pytest.approx(
        {"train_spon": 31.0, "evaluate_dense": 1.2, "plot_pareto": 5.0, "tabulate": 0.2}
    )
    texts = [text.get_text() for text in ax.texts]
    assert {"31 s, 3 jobs", "1 s, 1 job"} <= set(texts)
    assert "plot_pareto 96 % · tabulate 4 %" in texts
    starts = [
        bar.patches[0].get_x() for bar in ax.containers if bar.patches[0].get_gid() == "tabulate"
    ]
    assert starts == [5.0]


def test_neighbours_in_a_bar_differ_in_grey(cost):
    ax = plot_cost(cost).axes[0]
    *_, longer, shorter = [bar.patches[0].get_facecolor() for bar in ax.containers]
    assert abs(longer[0] - shorter[0]) > 0.2
    assert len(set(longer[:3])) == len(set(shorter[:3])) == 1


def test_many_rules_of_a_stage_are_named_by_the_longest_and_counted_beyond_them():
    cost = count_cost(
        {f"draw_{letter}.tsv": read(f"{i} 1 1") for i, letter in enumerate("abcdef")}, {}
    )
    (names,) = [
        text.get_text() for text in plot_cost(cost).axes[0].texts if "draw_f" in text.get_text()
    ]
    assert names == "draw_f 33 % · draw_e 27 % · draw_d 20 % · draw_c 13 % · 2 more"
