import math

import pytest
import torch

from spon.methods import wina

# Its columns have the lengths 5 and 1.
WEIGHT = torch.tensor([[3.0, 0.0], [4.0, 1.0]])


def test_an_entry_weighs_as_much_as_the_column_that_it_meets_is_long():
    assert wina.norm_columns(WEIGHT).tolist() == [5.0, 1.0]
    x = torch.tensor([[0.5, -2.0]])
    assert wina.score_inputs(x, WEIGHT).tolist() == [[2.5, 2.0]]
    lengths = (WEIGHT * x).norm(dim=0)  # of what each entry adds to the output
    torch.testing.assert_close(wina.score_inputs(x, WEIGHT)[0], lengths)


def test_a_small_entry_that_meets_a_long_column_is_kept_before_a_large_one_that_does_not():
    keep = wina.make_sparsifier(WEIGHT, 2.0)
    x = torch.tensor([[0.5, -2.0], [0.5, -2.1], [0.1, 3.0]])
    assert keep(x).tolist() == [[0.5, 0.0], [0.5, pytest.approx(-2.1)], [0.0, 3.0]]
    assert x[0, 1] == -2.0, "the caller's tensor is left alone"


def test_with_columns_of_one_length_it_is_the_threshold_on_magnitudes():
    keep = wina.make_sparsifier(torch.eye(3), 1.0)
    assert keep(torch.tensor([1.0, -1.5, 0.2])).tolist() == [0.0, -1.5, 0.0]


def test_a_broken_activation_does_not_pass_as_a_dropped_one():
    assert math.isnan(wina.make_sparsifier(WEIGHT, 1.0)(torch.tensor([float("nan"), 0.1]))[0])


def test_kept_entries_pass_their_gradient_on_and_dropped_ones_none():
    x = torch.tensor([0.5, -2.0], requires_grad=True)
    wina.make_sparsifier(WEIGHT, 2.0)(x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_in_half_precision_entries_are_compared_as_they_were_calibrated():
    x = torch.tensor([0.5, -2.0], dtype=torch.bfloat16)
    sparse = wina.make_sparsifier(WEIGHT.bfloat16(), 2.0)(x)
    assert sparse.dtype == torch.bfloat16
    assert sparse.tolist() == [0.5, 0.0]
