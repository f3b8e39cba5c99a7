"""Numbers as given, and verdicts as the intervals allow."""

import numpy as np
from small_findings import SETTINGS, row, tabulate, write
from small_study import ALL, BLOCKS, gather, score

from spon.report.sections.results import describe_results
from spon.tables import perplexity


def test_numbers_of_the_tables_stand_in_the_text():
    text = write()
    # TEAL costs 0.5 nats, UNIF-ALL wins back 0.1 of them, and 0.1 of the 0.4 nats of KL.
    assert row(text, "down_proj", "50 %")[-2:] == ["500.0 [500.0, 500.0]", "400.0"]
    unif_all = row(text, "UNIF-ALL", "down_proj", "8")
    assert unif_all[4:7] == ["-100.00 [-100.00, -100.00]", "< 0.001", "better"]
    assert unif_all[7:] == ["25.0 % [25.0, 25.0]", "20.0 % [20.0, 20.0]"]
    assert f"perplexity of {np.exp(2):.3f}" in text
    assert (
        "win back 25.0 % of TEAL's KL divergence from the dense model (at 50 % sparsity)" in text
    )


def test_a_run_whose_interval_holds_zero_is_not_called_better():
    runs = tabulate(loud=True)
    text = describe_results(
        runs["perplexity"], runs["contrasts"], runs["damage_recovery"], SETTINGS, {}
    )
    assert row(text, "UNIF-ALL", "down_proj")[6] == "not distinguishable"
    assert "UNIF-ALL than" not in text
    assert "TOP-75 than UNIF-ALL" in text


def test_two_runs_whose_difference_holds_zero_are_not_ranked():
    loud = score("TOP-50", "down_proj", 0.5, 0, 2.41, 0.32, noise=np.resize([0.3, -0.3], BLOCKS))
    outcomes = gather(*ALL[:4], loud)
    results = [perplexity.tabulate_perplexity(outcomes), perplexity.tabulate_contrasts(outcomes)]
    text = describe_results(*results, perplexity.tabulate_damage_recovery(outcomes), SETTINGS, {})
    assert "Not to be told apart: UNIF-ALL and TOP-50; TOP-75 and TOP-50." in text
    assert "better by log-likelihood: UNIF-ALL than TOP-75." in text


def test_controls_are_no_results_of_training():
    results = write().split("## Results at each sparsity")[1].split("\n## ")[0]
    assert "| TOP-50 |" in results
    assert "| MEAN-DOWN |" not in results
