import pytest

from spon.tasks import catalogue


def test_without_the_harness_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(catalogue, "HARNESS", "no_such_package")
    with pytest.raises(ValueError, match="not installed: pip install -r requirements-tasks.txt"):
        catalogue.require_known([])


def test_a_task_that_the_harness_does_not_know_is_named_with_one_that_it_does():
    pytest.importorskip("lm_eval")
    catalogue.require_known(["arc_easy", "mmlu"])
    with pytest.raises(ValueError, match=r"names 'arc_eazy', which .* did you mean 'arc_easy'\?"):
        catalogue.require_known(["arc_easy", "arc_eazy"])


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (
            {"metric": "some/metric"},
            r"'mine.yaml' has the metric 'some/metric' in metric_list, which .* allowed are acc, ",
        ),
        (
            {"metric": "acc", "aggregation": "mode"},
            "has the aggregation 'mode' in .* mean, median",
        ),
    ],
)
def test_a_metric_that_the_harness_does_not_have_is_named_with_the_file(metric, sentence):
    pytest.importorskip("lm_eval")
    catalogue.require_metrics("mine.yaml", {"metric_list": [{"metric": "acc"}]})
    catalogue.require_metrics("mine.yaml", {})
    with pytest.raises(ValueError, match=sentence):
        catalogue.require_metrics("mine.yaml", {"metric_list": [metric]})
