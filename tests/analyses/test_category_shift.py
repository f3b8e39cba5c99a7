import numpy as np
import pytest
import torch

from spon.analyses import category_shift

SITE = "model.layers.0.mlp.down_proj"


def make_states(samples, dimensions, seed=0):
    return torch.randn(
        samples, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def test_identical_states_have_cka_one_and_so_have_turned_and_scaled_ones():
    states = make_states(50, 6)
    turned = 3 * states @ torch.linalg.qr(make_states(6, 6, seed=1))[0] + 5
    assert category_shift.debiased_cka(states, states, turned) == pytest.approx([1, 1])
    assert category_shift.linear_cka(states, states, turned) == pytest.approx([1, 1])


def test_few_independent_states_in_many_dimensions_look_alike_unless_the_estimator_is_debiased():
    pairs = [(make_states(5, 2048, seed), make_states(5, 2048, seed + 100)) for seed in range(20)]
    assert np.mean([category_shift.linear_cka(*pair) for pair in pairs]) > 0.99
    assert abs(np.mean([category_shift.debiased_cka(*pair) for pair in pairs])) < 0.05


def test_the_unbiased_hsic_is_that_of_kernels_without_diagonals():
    x, y = make_states(7, 3), make_states(7, 4, seed=1)
    k, l = (states @ states.T for states in (x, y))  # noqa: E741
    k, l = (kernel - torch.diag(kernel.diag()) for kernel in (k, l))  # noqa: E741
    expected = ((k @ l).trace() + k.sum() * l.sum() / (6 * 5) - 2 * (k @ l).sum() / 5) / (7 * 4)
    hsic = category_shift.unbiased_hsic(category_shift.take_sums(x, y))
    assert hsic == pytest.approx(expected.item())
    moved = category_shift.unbiased_hsic(category_shift.take_sums(x + 1, y - 2))
    assert moved == pytest.approx(expected.item())  # a kernel's origin does not matter


def test_the_jackknife_leaves_out_one_group_at_a_time():
    states = make_states(32 * 3, 4).view(32, 3, 4), make_states(32 * 3, 4, seed=1).view(32, 3, 4)
    states = (states[0], states[0] + 0.1 * states[1])
    tokens = [x[:, 1:].flatten(0, 1) for x in states]
    (whole,) = category_shift.debiased_cka(*tokens)
    # 16 groups of 2 blocks of 2 tokens
    (without_first,) = category_shift.debiased_cka(*(x[4:] for x in tokens))
    assert category_shift.jackknife(states)[0] == pytest.approx(16 * whole - 15 * without_first)


def test_the_controls_of_cka_are_states_out_of_order_and_states_moved_as_far_at_random():
    dense = make_states(400, 8)
    row = category_shift.compare_states((dense, dense + 0.5), category_shift.debiased_cka, seed=0)
    assert row["l2_shift"] == pytest.approx(0.5 * 8**0.5)
    assert row["cka"] == pytest.approx(1)  # a shift of all states alike changes no geometry
    assert row["cka_noised"] < 0.95  # the same length, in another direction each
    assert abs(row["cka_permuted"]) < 0.05


def test_shifts_that_depend_on_nothing_but_the_category_are_all_between_categories():
    share, p_value = category_shift.permute_categories(
        [1.0, 1.0, 1.0, 5.0, 5.0, 5.0], list("aaabbb"), draws=2000, seed=0
    )
    assert share == pytest.approx(1)
    # Of the 20 ways to choose three of six, two do so.
    assert p_value == pytest.approx(2 / 20, abs=0.02)
    share, p_value = category_shift.permute_categories(
        [1.0, 5.0, 3.0, 1.0, 5.0, 3.0], list("aaabbb"), draws=200, seed=0
    )
    assert share == pytest.approx(0)
    assert p_value == 1


def test_every_category_all_prompts_and_held_out_text_have_their_rows(network, tokens):
    prompts = {
        f"{i:02d}.{name}": tokens[i : i + 1]
        for i, name in enumerate(["math", "math", "code", "code"])
    }
    held_out = torch.randint(0, 2048, (16, 8), dtype=torch.int32)
    masks = {SITE: lambda x: x * (x.abs() > 0.02)}
    table = category_shift.compare_categories(
        network, held_out, prompts, masks, {SITE: torch.ones(32)}, 4, 200, 0
    )
    sound = table[(table["definition"] == "sound") & (table["site"] == "all")].set_index(
        "category"
    )
    assert sound["samples"].to_dict() == {"math": 14, "code": 14, "prompts": 28, "held_out": 112}
    assert sound["category_p"].notna().tolist() == [False, False, True, False]
    assert (
        sound.loc["held_out", "cka_low"]
        < sound.loc["held_out", "cka"]
        < sound.loc["held_out", "cka_high"]
    )
