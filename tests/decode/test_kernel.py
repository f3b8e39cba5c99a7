"""In the interpreter of Triton, which is chosen before Triton is imported: in its own process."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("triton")
CODE = """
import math, torch
from spon.decode.kernel import multiply_large
from spon.sparsify import keep_large

x = torch.tensor([2.0, 0.5, -1.0])
transposed = torch.tensor([[1.0, 10.0], [math.nan, math.nan], [3.0, 30.0]])
assert multiply_large(x, transposed, 0.5).tolist() == [-1.0, -10.0], "a dropped row is not read"
assert multiply_large(x, transposed, 0.5, torch.ones(2)).tolist() == [0.0, -9.0]
broken = multiply_large(torch.tensor([math.nan, 0.0, 0.0]), transposed, 0.5)
assert broken.isnan().all(), "a broken input is kept"

torch.manual_seed(0)
for d_in, d_out in ((1, 1), (300, 200)):
    x, transposed = torch.randn(d_in), torch.randn(d_in, d_out)
    expected = keep_large(x, 0.7) @ transposed
    torch.testing.assert_close(multiply_large(x, transposed, 0.7), expected, rtol=1e-4, atol=1e-4)
"""


def test_the_kernel_keeps_and_multiplies_as_the_ordinary_product_does():
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
