"""Numbers as given, and verdicts as the intervals allow."""

import numpy as np
from small_findings import MODEL, SETTINGS, row, tabulate, write
from small_study import ALL, BLOCKS, DENSE, TEAL, UNIF_ALL, gather, reach, score

from spon.report.sections import results
from spon.tables import perplexity

AGAIN = score("UNIF-ALL", "down_proj", 0.5, 1, 2.398, 0.298)


def describe(*evaluations):
    outcomes = gather(*evaluations)
    return results.describe_results(
        perplexity.tabulate_perplexity(outcomes),
        perplexity.tabulate_contrasts(outcomes),
        perplexity.tabulate_damage_recovery(outcomes),
        SETTINGS,
        {},
    )


def test_numbers_of_the_tables_stand_in_the_text():
    text = write()
    # TEAL costs 0.5 nats, UNIF-ALL wins back 0.1 of them, and 0.1 of the 0.4 nats of KL.
    baselines, runs = (text.split(f"## {title}")[1] for title in ("Baselines", "Results"))
    assert row(baselines.split("\n## ")[0], "down_proj", "50 %")[-2:] == [
        "400.0",
        "500.0 [500.0, 500.0]",
    ]
    assert row(runs.split("\n## ")[0], "UNIF-ALL", "50 %")[2:] == [
        "25.0 % [25.0, 25.0]",
        "20.0 % [20.0, 20.0]",
        "20.0 %",
        "",
    ]
    assert f"perplexity of {np.exp(2):.3f}" in text


def test_several_trainings_are_one_row_and_stand_behind_it():
    cells = row(describe(*ALL, AGAIN), "UNIF-ALL", "50 %")
    # Of 0.4 nats of KL 0.1 and 0.102 are won back, of 0.5 nats of likelihood as many.
    assert cells[2].startswith("25.2 % [")
    assert cells[5] == "25.0, 25.5 / 20.0, 20.4"


def test_a_run_whose_interval_holds_zero_is_not_called_better():
    runs = tabulate(loud=True)
    text = results.describe_results(
        runs["perplexity"], runs["contrasts"], runs["damage_recovery"], SETTINGS, {}
    )
    assert "by log-likelihood all but UNIF-ALL at 50 % (not told apart)." in text


def test_two_runs_whose_difference_holds_zero_are_not_ranked():
    loud = score("TOP-50", "down_proj", 0.5, 0, 2.41, 0.32, noise=np.resize([0.3, -0.3], BLOCKS))
    text = describe(*ALL[:4], loud)
    assert "By log-likelihood, 1 of 3 pairs of allocations of one place are told apart" in text
    assert "not: UNIF-ALL and TOP-50, TOP-75 and TOP-50 at 50 %." in text


def test_controls_are_no_results_of_training():
    text = write().split("## Results")[1].split("\n## ")[0]
    assert "| TOP-50 |" in text
    assert "| MEAN-DOWN |" not in text


def test_the_largest_allocation_of_a_place_stands_for_it():
    largest = results.keep_largest(tabulate()["perplexity"], SETTINGS)
    assert largest["allocation"].tolist() == ["UNIF-ALL", "ATTN-ONLY"]


def test_a_study_without_the_whole_model_has_no_such_section():
    assert "The whole model" not in write()
    assert results.say_scope("all") == "whole model"


def test_sites_that_reach_another_sparsity_than_was_asked_for_are_named():
    def describe_baselines(reached):
        thresholds = reach("down_proj", 0.5, reached).assign(sparsity_dense_pass=0.88)
        outcomes = gather(DENSE, TEAL, UNIF_ALL, thresholds=[thresholds])
        return results.describe_baselines(
            perplexity.tabulate_perplexity(outcomes),
            perplexity.tabulate_contrasts(outcomes),
            MODEL,
            thresholds,
        )

    text = describe_baselines(0.9)
    # down_proj has three quarters of the model's weights.
    assert row(text, "down_proj", "50 %")[2:4] == ["67.5 %", "88.0 / 90.0 %"]
    assert "which is what a model costs: 90.0 % for 50 % at down_proj." in text
    assert "than was asked for" not in describe_baselines(0.515)
