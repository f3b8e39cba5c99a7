"""The summary says what the intervals show."""

from small_findings import tabulate, write

from spon.report.sections.summary import say_recovered, summarise_biases


def test_the_summary_claims_no_gain_that_the_interval_does_not_show():
    shares = tabulate()["damage_recovery"].query("allocation == 'UNIF-ALL' and measure == 'nll'")
    assert say_recovered(shares) == "20.0 % (at 50 % sparsity)"
    assert say_recovered(shares.assign(low=-1.0)) == "nothing that can be shown at 50 %"
    unknown = shares.assign(low=float("nan"), high=float("nan"))
    assert say_recovered(unknown) == "nothing that can be shown at 50 %"
    worse = shares.assign(low=-9.0, high=-1.0)
    assert say_recovered(worse) == "less than nothing at 50 %, where they make it worse"


def test_the_summary_of_a_study_asks_and_answers():
    summary = write().split("## Summary")[1].split("\n## ")[0]
    assert "At down_proj (UNIF-ALL), biases win back 25.0 % of TEAL's KL divergence" in summary
    assert (
        "training earns its cost, though the mean residual alone reaches 50 % of its gain"
        in summary
    )


def test_without_biases_or_model_there_is_nothing_to_sum_up():
    assert summarise_biases(None, None, None) == ""
