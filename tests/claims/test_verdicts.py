"""The rule that decides claims, every verdict of it, and the sentence that says why."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import ALL, BOTTOM_50, DENSE, NOISE, TEAL, TOP_50, UNIF_ALL, gather, score

from spon.analyses import bias_statistics
from spon.analyses.runs import Run
from spon.claims import ledger, verdicts
from spon.claims.effects import Effect, Evidence

ROOT = Path(__file__).parents[2]
ASKED = ledger.read_claims((ROOT / "resources/claims.yaml").read_text(encoding="utf-8"))
SMALL = gather(*ALL, draws=4000)
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0, "definition": "sound"}
EFFECT = Effect(2.0, 1.0, 3.0, 0.01, 0.0, sparsities=(0.5,), seed=0)


def ask(*names, outcomes=SMALL, **analyses):
    chosen = [clause for clause in ASKED if clause.id in names]
    return verdicts.decide_claims(chosen, Evidence(outcomes, analyses))


def decide(*names, **study):
    return {record["at"]: record["verdict"] for record in ask(*names, **study)}


@pytest.mark.parametrize(
    ("direction", "effect", "p_holm", "verdict"),
    [
        ("greater", EFFECT, 0.049, "supported"),
        ("greater", EFFECT, 0.05, "indistinguishable"),
        ("greater", replace(EFFECT, null=2.5), 0.01, "contradicted"),
        ("less", EFFECT, 0.01, "contradicted"),
        ("less", replace(EFFECT, value=-2.0), 0.01, "supported"),
        ("within", replace(EFFECT, margin=2.5), 0.01, "supported"),
        ("within", replace(EFFECT, margin=1.5), 0.01, "contradicted"),
        ("within", replace(EFFECT, margin=2.5), 0.5, "indistinguishable"),
        ("none", EFFECT, 0.01, "contradicted"),
        ("none", EFFECT, 0.5, "indistinguishable"),
        ("greater", replace(EFFECT, missing="it was not run"), np.nan, "not applicable"),
    ],
)
def test_one_rule_decides_by_the_side_of_the_null_and_the_adjusted_p_value(
    direction, effect, p_holm, verdict
):
    assert verdicts.judge(effect, direction, p_holm) == verdict


def test_a_clear_effect_on_the_stated_side_supports_a_claim():
    (record,) = ask("1-recovery-o_proj-kl")
    assert (record["at"], record["verdict"], record["unit"]) == ("s0.5", "supported", "points")
    np.testing.assert_allclose(
        [record["effect"], record["low"], record["high"], record["null"]], [55, 55, 55, 0]
    )
    assert record["reason"] == (
        "At 50 % sparsity, the share of the KL divergence that ATTN-ONLY takes away at o_proj, "
        "less the share that UNIF-ALL takes away at down_proj, is 55 [55, 55] points "
        "(ATTN-ONLY 80, UNIF-ALL 25): above 0 points, as stated (p < 0.001, after Holm's "
        "adjustment over 1 test p < 0.001); conditional on this training (one seed)."
    )
    assert record["published"] == "15 to 17 % at o_proj, 5 to 7 % at down_proj"
    assert record["retracted"].startswith("The author took back")


def test_a_clear_effect_on_the_other_side_contradicts_it():
    late = score("BOTTOM-50", "down_proj", 0.5, 0, 2.4, 0.3)
    (record,) = ask("2-early-layers", outcomes=gather(DENSE, TEAL, TOP_50, late, draws=4000))
    assert record["verdict"] == "contradicted"
    np.testing.assert_allclose(record["effect"], 0.8)
    assert (
        "is 0.8 [0.8, 0.8] (TOP-50 0.08, BOTTOM-50 0.1): below 1, against what is stated"
        in record["reason"]
    )


def test_an_effect_that_blocks_blur_is_indistinguishable():
    noisy = score("BOTTOM-50", "down_proj", 0.5, 0, 2.42, 0.38, noise=NOISE[0])
    (record,) = ask("3-pareto", outcomes=gather(DENSE, TEAL, TOP_50, noisy))
    assert record["verdict"] == "indistinguishable"
    assert record["low"] < 0 < record["high"]
    assert "not to be told from 0 nats per token (p = " in record["reason"]


def test_a_ratio_to_what_may_be_zero_is_not_applicable():
    noisy = score("BOTTOM-50", "down_proj", 0.5, 0, 2.499, 0.38, noise=NOISE[0])
    (record,) = ask("2-early-layers", outcomes=gather(DENSE, TEAL, TOP_50, noisy))
    assert record["verdict"] == "not applicable"
    assert [record[key] for key in ("effect", "low", "high", "null", "p_value", "p_holm")] == [
        None
    ] * 6
    assert record["reason"].startswith(
        "At 50 % sparsity: the gain of BOTTOM-50 may be zero (0.001 ["
    )
    assert record["published"] == 1.39


def test_what_was_not_run_is_not_applicable():
    (record,) = ask("2-early-layers", outcomes=gather(DENSE, TEAL, TOP_50))
    assert (record["at"], record["verdict"]) == ("study", "not applicable")
    assert record["reason"] == "The study has no run of BOTTOM-50."
    assert record["published"] == "1.39 at s0.5, 1.55 at s0.6"
    (record,) = ask("2-advantage-widens")
    assert (
        record["reason"]
        == "The study has no two sparsities with runs of TOP-50 and BOTTOM-50 of one seed."
    )


def align(p_value, cosine=0.2):
    row = {
        "site": "a",
        "max_abs_cosine": cosine,
        "null_mean": 0.17,
        "null_95": 0.25,
        "p_value": p_value,
    }
    return pd.DataFrame([RUN | row])


def test_a_claim_that_there_is_nothing_is_contradicted_beyond_chance_and_never_supported():
    (record,) = ask("7-orthogonal", pca_alignment=align(0.001, 0.4))
    assert record["verdict"] == "contradicted"
    assert (
        "more than chance gives, which is 0.17, the mean of random directions" in record["reason"]
    )
    for p_value in (0.4, 1.0):
        (record,) = ask("7-orthogonal", pca_alignment=align(p_value))
        assert record["verdict"] == "indistinguishable"
        assert "what chance gives, which is 0.17" in record["reason"]
        assert (
            "a random direction would do the same, so it says nothing about the biases"
            in record["reason"]
        )


def test_categories_that_are_alike_are_what_chance_gives():
    row = RUN | {"category": "prompts", "site": "all", "category_share": 0.2, "category_p": 0.3}
    (record,) = ask("5-category", category_shift=pd.DataFrame([row]))
    assert (record["verdict"], record["null"], record["effect"]) == ("indistinguishable", None, 20)
    assert (
        "is 20 %: what chance gives; prompts dealt to the categories at random differ as much"
        in record["reason"]
    )


def signs(share, entries=10_000):
    return pd.DataFrame([RUN | {"d_out": entries, "positive_fraction": share}])


def test_symmetry_is_supported_inside_the_margin_alone():
    for share, verdict in (
        (0.5, "supported"),
        (0.53, "supported"),
        (0.549, "indistinguishable"),
        (0.6, "contradicted"),
    ):
        (record,) = ask("7-symmetric", bias_statistics=signs(share))
        assert record["verdict"] == verdict
    assert "not within 5 points of 50 %, against what is stated" in record["reason"]
    (record,) = ask("7-symmetric", bias_statistics=signs(0.5, entries=100))
    assert record["verdict"] == "indistinguishable"
    assert "neither surely within nor beyond 5 points of 50 %" in record["reason"]


def test_few_layers_cannot_decide_and_the_reason_says_so():
    rows = pd.DataFrame(
        [
            RUN | {"layer": layer, "l2_norm": layer + 1.0, "boundary": layer == 3}
            for layer in range(4)
        ]
    )
    (record,) = ask("7-norm-grows", norm_ranking=rows)
    assert (record["effect"], record["verdict"]) == (1, "indistinguishable")
    assert (record["low"], record["high"]) == (None, None)
    assert (
        "p = 0.083, after Holm's adjustment over 1 test p = 0.083; "
        "the first is the least that 4 layers can show"
    ) in record["reason"]


def test_p_values_are_adjusted_over_all_tests_of_the_study():
    evidence = {"pca_alignment": align(0.03), "bias_statistics": signs(0.5)}
    records = {
        record["id"]: record
        for record in ask("7-orthogonal", "7-symmetric", "2-early-layers-kl", **evidence)
    }
    # Three tests: the smallest p-value counts three times, the largest once.
    np.testing.assert_allclose(records["7-orthogonal"]["p_holm"], 0.03)
    smallest = min(record["p_value"] for record in records.values())
    np.testing.assert_allclose(min(record["p_holm"] for record in records.values()), 3 * smallest)
    assert "over 3 tests" in records["7-orthogonal"]["reason"]


def test_several_seeds_are_told_apart_and_each_is_conditional_on_its_own_training():
    second = [
        score("TOP-50", "down_proj", 0.5, 1, 2.43, 0.33),
        score("UNIF-ALL", "down_proj", 0.5, 1, 2.4, 0.3),
    ]
    records = ask("3-share-of-gain", "2-early-layers", outcomes=gather(*ALL, *second, draws=4000))
    assert [record["at"] for record in records] == ["s0.5", "s0.5 seed0", "s0.5 seed1"]
    assert [record["published"] for record in records] == [1.39, 85, 85]
    assert records[0]["reason"].endswith("conditional on this training (one seed).")
    assert records[1]["reason"].startswith("At 50 % sparsity (seed 0), ")
    assert records[2]["reason"].endswith("conditional on this training (one of 2 seeds).")
    summary = verdicts.summarise_claims(records)
    assert summary["published"].tolist() == ["1.39 at s0.5", "85 % at s0.5"]


def test_places_are_named_by_sparsity_and_allocation():
    harder = [
        score(*names, nll, 0.5)
        for *names, nll in [
            ("BASELINE-TEAL", "down_proj", 0.6, None, 3.0),
            ("UNIF-ALL", "down_proj", 0.6, 0, 2.7),
        ]
    ]
    verdict_at = decide(
        "4-relative-gain", outcomes=gather(DENSE, TEAL, UNIF_ALL, BOTTOM_50, *harder, draws=4000)
    )
    assert verdict_at == {
        "s0.5→s0.6 UNIF-ALL": "supported",
        **dict.fromkeys(["TOP-75", "TOP-50", "BOTTOM-50", "ATTN-ONLY"], "not applicable"),
    }


def test_every_clause_is_decided_in_every_study_and_is_plain_json():
    for outcomes in (SMALL, None, gather(DENSE, TEAL)):
        records = verdicts.decide_claims(ASKED, Evidence(outcomes, {}))
        assert {record["id"] for record in records} == {clause.id for clause in ASKED}
        assert json.loads(json.dumps(records, allow_nan=False)) == records
        assert all(
            record["reason"].endswith(".") and "nan" not in record["reason"] for record in records
        )


def test_a_study_of_biases_alone_says_so_once_per_clause():
    entries = np.random.default_rng(0).standard_normal(4000)
    run = Run("TOP-50", 0.5, 0, {"model.layers.0.mlp.down_proj": entries})
    empty = pd.DataFrame(columns=["allocation", "sparsity", "seed", "comparison", "reference"])
    analyses = {"bias_statistics": bias_statistics.describe_bias_statistics(run)}
    evidence = Evidence(None, analyses | {"norm_ranking": empty, "cross_configuration": empty})
    records = verdicts.decide_claims(ASKED, evidence)
    alone = [
        record for record in records if record["reason"].startswith("The study has biases alone")
    ]
    assert len(alone) == len({record["id"] for record in alone}) == 17
    assert {record["claim"] for record in alone} == {1, 2, 3, 4, 5, 7}
    others = {record["id"]: record["verdict"] for record in records if record not in alone}
    assert others.pop("7-symmetric") == "supported"
    assert others.pop("7-platykurtic") == "indistinguishable"
    assert set(others.values()) == {"not applicable"}


def test_the_summary_has_one_row_per_clause_with_the_places_of_each_verdict():
    noisy = score("UNIF-ALL", "down_proj", 0.5, 0, 2.4, 0.3, noise=NOISE[0] / 10)
    outcomes = gather(DENSE, TEAL, noisy, *ALL[3:], draws=4000)
    records = ask(
        "3-diminishing-returns", "1-recovery-o_proj", "2-advantage-widens", outcomes=outcomes
    )
    table = verdicts.summarise_claims(records).set_index("id")
    assert table.index.tolist() == [
        "1-recovery-o_proj",
        "2-advantage-widens",
        "3-diminishing-returns",
    ]
    assert table.loc["3-diminishing-returns", "verdict"] == "mixed"
    assert table.loc["3-diminishing-returns", "verdicts"] == (
        "supported: s0.5 TOP-50→TOP-75; indistinguishable: s0.5 TOP-75→UNIF-ALL"
    )
    assert table.loc["2-advantage-widens", ["verdict", "verdicts"]].tolist() == [
        "not applicable",
        "not applicable: study",
    ]
    assert table.loc["1-recovery-o_proj", ["verdict", "published"]].tolist() == [
        "supported",
        "58 points at s0.5",
    ]
    assert table.loc["1-recovery-o_proj", "retracted"].startswith("The author")


def test_a_claim_that_holds_wherever_it_can_be_asked_is_not_mixed():
    records = [
        {"verdict": verdict, "at": at, "published": None, "unit": ""}
        | dict.fromkeys(["claim", "statement", "retracted", "note"])
        | {"id": "x"}
        for verdict, at in (("supported", "s0.6"), ("not applicable", "s0.5"))
    ]
    (row,) = verdicts.summarise_claims(records).to_dict("records")
    assert (row["verdict"], row["verdicts"]) == (
        "supported",
        "supported: s0.6; not applicable: s0.5",
    )
