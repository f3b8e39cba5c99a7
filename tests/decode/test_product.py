import math

import jaxtyping
import pytest
import torch

from spon.decode import product
from spon.decode.product import multiply

# Inputs, and the weights of each of them side by side.
X = torch.tensor([2.0, 0.0, -1.0])
TRANSPOSED = torch.tensor([[1.0, 10.0], [5.0, 50.0], [3.0, 30.0]])


@pytest.fixture
def unbuilt():
    product.build.cache_clear()
    yield
    product.build.cache_clear()


def test_rows_are_added_by_their_inputs_and_the_bias_last():
    assert multiply(X, TRANSPOSED).tolist() == [-1.0, -10.0]
    assert multiply(X, TRANSPOSED, torch.tensor([1.0, 1.0])).tolist() == [0.0, -9.0]
    assert multiply(torch.zeros(3), TRANSPOSED).tolist() == [0.0, 0.0]


def test_a_row_of_an_input_that_is_zero_is_not_read():
    transposed = TRANSPOSED.clone()
    transposed[1] = math.nan
    assert multiply(X, transposed).tolist() == [-1.0, -10.0]


def test_a_broken_input_is_none_that_is_zero():
    assert multiply(torch.tensor([0.0, math.nan, 0.0]), TRANSPOSED).isnan().all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("d_in", "d_out"), [(1, 1), (8, 17), (131, 5003)])
def test_it_is_the_dense_product_whatever_the_sizes_and_threads(d_in, d_out, threads):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(d_in, generator=generator)
    x[::3] = 0
    transposed = torch.randn(d_in, d_out, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(multiply(x, transposed), x @ transposed, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(before)


def test_a_view_of_the_untransposed_weight_is_refused():
    with pytest.raises(AssertionError, match="transposed is a view"):
        multiply(torch.zeros(2), TRANSPOSED.T)


@pytest.fixture
def unannotated():
    """Without the checks of shapes that tests alone have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("operands", "sentence"),
    [
        ((X.double(), TRANSPOSED), r"x is \(torch.float64, 'cpu', \(3,\)\), the product takes"),
        ((X.bfloat16(), TRANSPOSED), "x is .*bfloat16"),
        ((X[:2], TRANSPOSED), r"x is .*\(2,\)\), the product takes .*\(3,\)\)$"),
        ((X[None], TRANSPOSED), r"x is .*\(1, 3\)"),
        ((X.to("meta"), TRANSPOSED), "x is .*'meta'"),
        ((X, TRANSPOSED.double()), "transposed is .*float64"),
        ((X, TRANSPOSED, torch.ones(3)), r"bias is .*\(3,\)\), the product takes .*\(2,\)\)$"),
        ((X, TRANSPOSED, torch.ones(2).half()), "bias is .*float16"),
    ],
)
def test_operands_that_would_be_read_as_other_numbers_are_refused(unannotated, operands, sentence):
    with pytest.raises(AssertionError, match=sentence):
        multiply(*operands)


def test_the_product_is_float32_on_the_cpu_whatever_torch_makes_by_itself():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            y = multiply(X, TRANSPOSED)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (y.dtype, y.tolist()) == (torch.float32, [-1.0, -10.0])


def test_a_bias_that_is_a_view_is_added_entry_by_entry():
    bias = torch.tensor([[1.0, 9.0], [2.0, 9.0]])[:, 0]
    assert multiply(X, TRANSPOSED, bias).tolist() == [0.0, -8.0]


def test_a_missing_compiler_and_one_that_fails_are_named(unbuilt, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="the C\\+\\+ compiler is 'no-such-compiler', which is"):
        product.build()
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(ValueError, match="the C\\+\\+ compiler 'false' fails"):
        product.build()
