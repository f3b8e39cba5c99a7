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
SMALL = gather(*ALL)
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0, "definition": "sound"}
EFFECT = Effect(2.0, 1.0, 3.0, 0.01, 0.0, sparsities=(0.5,), seeds=1)


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
        ("frontier", replace(EFFECT, holds=True), 0.01, "supported"),
        ("frontier", replace(EFFECT, holds=False), 0.01, "contradicted"),
        ("frontier", replace(EFFECT, holds=True), 0.5, "indistinguishable"),
        ("greater", replace(EFFECT, missing="it was not run"), np.nan, "not applicable"),
    ],
)
def test_one_rule_decides_by_the_side_of_the_null_and_the_adjusted_p_value(
    direction, effect, p_holm, verdict
):
    assert verdicts.judge(effect, direction, p_holm) == verdict


@pytest.mark.parametrize(
    ("direction", "effect", "published", "verdict"),
    [
        ("greater", EFFECT, 3.1, "supported, smaller"),
        ("greater", EFFECT, 2.9, "supported"),
        ("greater", EFFECT, 0.5, "supported"),
        ("greater", EFFECT, "much", "supported"),
        ("less", replace(EFFECT, value=-2.0, low=-3.0, high=-1.0), -3.1, "supported, smaller"),
        ("less", replace(EFFECT, value=-2.0, low=-3.0, high=-1.0), -0.5, "supported"),
        ("greater", replace(EFFECT, null=2.5), 9.0, "contradicted"),
        ("greater", replace(EFFECT, low=np.nan, high=np.nan), 9.0, "supported"),
        ("within", replace(EFFECT, margin=2.5), 9.0, "supported"),
    ],
)
def test_the_sign_can_hold_where_the_size_does_not(direction, effect, published, verdict):
    assert verdicts.judge(effect, direction, 0.01, published) == verdict


def test_a_clear_effect_on_the_stated_side_supports_a_claim():
    (record,) = ask("1-recovery-o_proj-kl")
    assert (record["at"], record["verdict"], record["unit"]) == ("s0.5", "supported", "points")
    np.testing.assert_allclose(
        [record["effect"], record["low"], record["high"], record["null"]], [55, 55, 55, 0]
    )
    assert record["reason"] == (
        "At 50 % sparsity, the share of the KL divergence that ATTN-ONLY takes away at o_proj, "
        "less the share that UNIF-ALL takes away at down_proj, is 55 [55, 55] points "
        "(ATTN-ONLY 80, UNIF-ALL 25): above 0 points, as stated (p < 0.001); "
        "conditional on one training."
    )
    assert record["published"] == "15 to 17 % at o_proj, 5 to 7 % at down_proj"
    assert record["retracted"].startswith("The author took back")


def test_a_clear_effect_on_the_other_side_contradicts_it():
    late = score("BOTTOM-50", "down_proj", 0.5, 0, 2.4, 0.3)
    (record,) = ask("2-early-layers", outcomes=gather(DENSE, TEAL, TOP_50, late))
    assert record["verdict"] == "contradicted"
    np.testing.assert_allclose(record["effect"], 0.8)
    assert (
        "is 0.8 [0.8, 0.8] (TOP-50 0.08, BOTTOM-50 0.1): below 1, against what is stated"
        in record["reason"]
    )


def test_an_effect_that_blocks_blur_is_indistinguishable():
    noisy = score("BOTTOM-50", "down_proj", 0.5, 0, 2.42, 0.38, noise=NOISE[0])
    outcomes = gather(DENSE, TEAL, TOP_50, UNIF_ALL, noisy)
    share, frontier = ask("3-share-of-gain", "3-pareto", outcomes=outcomes)
    assert share["verdict"] == frontier["verdict"] == "indistinguishable"
    assert share["low"] < 0 < share["high"]
    assert ": not told apart at the 5 % level from 0 points (p = " in share["reason"]
    assert "too close at the 5 % level to say whether it is on the frontier" in frontier["reason"]


def test_a_tie_is_on_the_frontier_and_a_better_rival_is_not():
    for nll, verdict, words in (
        (2.42, "supported", "on the frontier, better than every cheaper allocation, and none of"),
        (
            2.41,
            "contradicted",
            "not on the frontier, as an allocation of at most its cost is better",
        ),
    ):
        rival = score("BOTTOM-50", "down_proj", 0.5, 0, nll, 0.38)
        (record,) = ask("3-pareto", outcomes=gather(DENSE, TEAL, TOP_50, rival))
        assert record["verdict"] == verdict
        assert words in record["reason"]


def test_a_ratio_to_what_may_be_zero_is_not_applicable():
    noisy = score("BOTTOM-50", "down_proj", 0.5, 0, 2.499, 0.38, noise=NOISE[0])
    (record,) = ask("2-early-layers", outcomes=gather(DENSE, TEAL, TOP_50, noisy))
    assert record["verdict"] == "not applicable"
    assert [record[key] for key in ("effect", "low", "high", "null", "p_value", "p_holm")] == [
        None
    ] * 6
    assert record["reason"].startswith(
        "At 50 % sparsity: the gain of BOTTOM-50 is not shown to be above zero (0.001 ["
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


def align(cosine):
    row = {"site": "a", "max_abs_cosine": cosine, "null_mean": 0.17, "null_95": 0.25}
    return pd.DataFrame([RUN | row])


def test_a_claim_of_no_effect_is_decided_by_its_margin():
    for cosine, verdict in ((0.1, "supported"), (0.2, "indistinguishable"), (0.5, "contradicted")):
        (record,) = ask("7-orthogonal", pca_alignment=align(cosine))
        assert record["verdict"] == verdict
        assert "0.27, the mean of random directions and a margin of 0.1" in record["reason"]


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
    assert "beyond 5 points of 50 %, against what is stated" in record["reason"]
    (record,) = ask("7-symmetric", bias_statistics=signs(0.5, entries=100))
    assert record["verdict"] == "indistinguishable"
    assert "neither to be within nor beyond 5 points of 50 %" in record["reason"]


def test_few_layers_cannot_decide_and_the_reason_says_so():
    rows = [
        RUN | {"site": str(layer), "layer": layer, "l2_norm": layer + 1.0, "boundary": False}
        for layer in range(4)
    ]
    (record,) = ask("7-norm-grows", norm_ranking=pd.DataFrame(rows))
    assert (record["verdict"], record["effect"], record["family"]) == ("not applicable", None, 0)
    assert record["reason"] == (
        "At 50 % sparsity (TOP-50): the order of 4 layers cannot give a p-value below 0.0833, "
        "so no order could be told from chance at the 5 % level."
    )


def sparser(*losses):
    """TEAL and runs at 60 % sparsity."""
    teal = score("BASELINE-TEAL", "down_proj", 0.6, None, 3.0, 0.8)
    return [teal, *[score(name, "down_proj", 0.6, 0, nll, kl) for name, nll, kl in losses]]


def test_p_values_are_adjusted_over_the_places_of_a_clause_and_no_further():
    noisy = score("BOTTOM-50", "down_proj", 0.5, 0, 2.45, 0.38, noise=NOISE[0] / 10)
    late = sparser(("TOP-50", 2.7, 0.6), ("BOTTOM-50", 2.8, 0.7))
    outcomes = gather(DENSE, TEAL, TOP_50, noisy, *late)
    half, sparse, by_kl = ask("2-early-layers", "2-early-layers-kl", outcomes=outcomes)[:3]
    assert (half["family"], sparse["family"], by_kl["family"]) == (2, 2, 2)
    # The smaller p-value counts twice, the larger once.
    np.testing.assert_allclose(half["p_holm"], half["p_value"])
    np.testing.assert_allclose(sparse["p_holm"], 2 * sparse["p_value"])
    assert "after Holm's adjustment over 2 places)" in half["reason"]


def test_a_place_has_one_verdict_and_every_training_stands_beside_it():
    second = [
        score("TOP-50", "down_proj", 0.5, 1, 2.43, 0.33),
        score("BOTTOM-50", "down_proj", 0.5, 1, 2.46, 0.38),
    ]
    (record,) = ask("2-early-layers", outcomes=gather(*ALL, *second))
    assert (record["at"], record["seeds"], record["published"]) == ("s0.5", 2, 1.39)
    assert [single["seed"] for single in record["by_seed"]] == [0, 1]
    assert set(record["by_seed"][0]) == {"seed", "effect", "low", "high", "p_value"}
    np.testing.assert_allclose([one["effect"] for one in record["by_seed"]], [2, 1.75])
    assert record["reason"].endswith("; mean of 2 trainings.")


def test_what_the_published_study_has_not_is_marked_as_ours():
    late = [
        score(name, "down_proj", 0.8, seed, nll, kl)
        for name, seed, nll, kl in [
            ("BASELINE-TEAL", None, 3.0, 0.8),
            ("TOP-50", 0, 2.7, 0.6),
            ("BOTTOM-50", 0, 2.8, 0.7),
        ]
    ]
    records = ask("2-early-layers", "2-early-layers-kl", outcomes=gather(*ALL, *late))
    assert [(record["at"], record["extension"]) for record in records] == [
        ("s0.5", False),
        ("s0.8", True),
        ("s0.5", True),
        ("s0.8", True),
    ]


def test_places_are_named_by_sparsity_and_allocation():
    harder = [
        score(*names, nll, 0.5)
        for *names, nll in [
            ("BASELINE-TEAL", "down_proj", 0.6, None, 3.0),
            ("UNIF-ALL", "down_proj", 0.6, 0, 2.7),
        ]
    ]
    verdict_at = decide(
        "4-relative-gain", outcomes=gather(DENSE, TEAL, UNIF_ALL, BOTTOM_50, *harder)
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
    columns = ["allocation", "sparsity", "seed", "comparison", "reference", "boundary"]
    empty = pd.DataFrame(columns=columns)
    table = bias_statistics.describe_bias_statistics(run).assign(mean_over_std=0.0, skewness=0.0)
    analyses = {"bias_statistics": table}
    evidence = Evidence(None, analyses | {"norm_ranking": empty, "cross_configuration": empty})
    records = verdicts.decide_claims(ASKED, evidence)
    alone = [
        record for record in records if record["reason"].startswith("The study has biases alone")
    ]
    assert len(alone) == len({record["id"] for record in alone}) == 24
    assert {record["claim"] for record in alone} == {1, 2, 3, 4, 5, 7}
    others = {record["id"]: record["verdict"] for record in records if record not in alone}
    for clause in ("7-symmetric", "7-zero-mean", "7-skewness"):
        assert others.pop(clause) == "supported"
    assert others.pop("7-platykurtic") == "indistinguishable"
    assert set(others.values()) == {"not applicable"}


def test_a_clause_has_one_verdict_wherever_it_applies_and_is_mixed_if_places_disagree():
    noisy = score("UNIF-ALL", "down_proj", 0.5, 0, 2.4, 0.3, noise=NOISE[0] / 10)
    outcomes = gather(DENSE, TEAL, noisy, *ALL[3:])
    names = ["1-recovery-o_proj", "2-advantage-widens", "3-diminishing-returns"]
    records = ask(*names, outcomes=outcomes)
    by_clause = {name: [record for record in records if record["id"] == name] for name in names}
    joined = {name: verdicts.join_verdicts(found) for name, found in by_clause.items()}
    assert list(joined.values()) == ["supported", "not applicable", "mixed"]
    assert [(r["verdict"], r["at"]) for r in by_clause["3-diminishing-returns"]] == [
        ("supported", "s0.5 TOP-50→TOP-75"),
        ("indistinguishable", "s0.5 TOP-75→UNIF-ALL"),
    ]
    assert by_clause["2-advantage-widens"][0]["at"] == "study"
    first = by_clause["1-recovery-o_proj"][0]
    assert (first["published"], first["unit"], first["at"]) == (58.0, "points", "s0.5")
    assert first["retracted"].startswith("The author")


def join(*records):
    """The verdict on a clause with these verdicts and published numbers."""
    names = ("verdict", "published")
    return verdicts.join_verdicts([dict(zip(names, record, strict=True)) for record in records])


def test_a_claim_that_holds_wherever_it_can_be_asked_is_not_mixed():
    assert join(("supported", None), ("not applicable", None)) == "supported"


def test_a_claim_is_smaller_if_it_is_so_wherever_a_size_is_published():
    smaller = ("supported, smaller", 9.0)
    assert join(smaller, ("supported", None)) == smaller[0]
    assert join(smaller, ("supported", 5.0)) == "supported"
    assert join(smaller, ("contradicted", 5.0)) == "mixed"
