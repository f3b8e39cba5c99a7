import numpy as np
import pytest
import torch

from spon.analyses import pca_alignment

# Outputs that vary by 3 along (0.6, 0.8, 0), by 1 along the third axis, and not at all across
# both.
AXIS = torch.tensor([0.6, 0.8, 0.0])
OUTPUTS = (
    torch.cat(
        [3 * torch.tensor([[1.0], [-1.0]]) * AXIS, torch.tensor([[0, 0, 1.0], [0, 0, -1.0]])]
    )
    + 7
)
SITE = "model.layers.0.mlp.down_proj"


def align(bias, components=2):
    return pca_alignment.align_site(
        SITE, torch.tensor(bias).double(), OUTPUTS, components, draws=1000, seed=0
    )


def test_principal_components_are_where_outputs_vary_whatever_their_mean_is():
    shares, axes = pca_alignment.find_components(OUTPUTS, 2)
    torch.testing.assert_close(shares, torch.tensor([0.9, 0.1]).double())
    torch.testing.assert_close(
        axes.abs(), torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]).double()
    )


def test_there_are_no_more_components_than_outputs_less_one():
    shares, _ = pca_alignment.find_components(OUTPUTS[:2], 10)
    assert shares.tolist() == [1.0]


def test_a_bias_along_a_principal_component_is_aligned_with_it_and_no_other():
    rows = align([-1.2, -1.6, 0.0])
    np.testing.assert_allclose(rows["cosine"].abs(), [1, 0], atol=1e-6)
    assert (rows["best_component"] == 1).all()
    np.testing.assert_allclose(rows["max_abs_cosine"], 1)
    assert (rows["p_value"] < 0.01).all()


def test_a_bias_across_all_components_is_less_aligned_than_chance():
    rows = align([0.8, -0.6, 0.0])
    np.testing.assert_allclose(rows["max_abs_cosine"], 0, atol=1e-6)
    assert (rows["p_value"] == 1).all()
    assert (rows["null_mean"] > 0.5).all()  # in three dimensions, chance alone aligns


def test_the_mean_output_is_another_direction_than_those_in_which_outputs_vary():
    # The mean is (7, 7, 7); the bias (2, 0, 0) has 7 / (7 √3) with it.
    row = pca_alignment.compare_with_mean(torch.tensor([2.0, 0.0, 0.0]).double(), OUTPUTS)
    assert row["cosine_mean_output"] == pytest.approx(1 / 3**0.5)
    assert row["cosine_null_95"] == pytest.approx(0.95)  # in three dimensions, exactly
    away = pca_alignment.compare_with_mean(-torch.ones(3).double(), OUTPUTS)
    assert away["cosine_mean_output"] == pytest.approx(-1)


def test_tokens_and_prompts_are_read_from_the_dense_model(network, tokens):
    prompts = {f"{i:02d}.math": block[None] for i, block in enumerate(tokens)}
    learned = {SITE: torch.ones(32)}
    table = pca_alignment.align_with_components(network, tokens, prompts, learned, 3, 4, 200, 0)
    samples = table.groupby("definition")["samples"].first()
    assert samples.to_dict() == {"as_published": 6, "sound": 6 * 7}
    assert table.groupby("definition").size().tolist() == [3, 3]
    assert (table["cosine_mean_output"].notna() == (table["definition"] == "sound")).all()
