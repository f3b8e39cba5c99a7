"""A matrix-vector product that reads only the weights of inputs that are not zero.

It is C++ for float32 on a CPU, compiled in a fraction of a second by the compiler of the machine
when it is first wanted. `bench/decoding.py` compares it with what torch has.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

# Eight rows are added in one sweep over the outputs, so that a sum is stored once for eight
# weights read; a sweep is as long as what a core's first cache holds beside them.
SOURCE = r"""
#include <cstdint>
#include <cstring>
#include <vector>

constexpr int ROWS = 8;
constexpr int64_t SWEEP = 2048, FEW_WEIGHTS = 32768;

static void add_rows(const float* weights, const float* x, const int64_t* kept, int64_t count,
                     int64_t d_out, int64_t from, int64_t length, float* __restrict sums) {
  int64_t row = 0;
  for (; row + ROWS <= count; row += ROWS) {
    const float* rows[ROWS];
    float factors[ROWS];
    for (int i = 0; i < ROWS; ++i) {
      rows[i] = weights + kept[row + i] * d_out + from;
      factors[i] = x[kept[row + i]];
    }
    for (int64_t out = 0; out < length; ++out) {
      float sum = sums[out];
#pragma GCC unroll 8
      for (int i = 0; i < ROWS; ++i) sum += factors[i] * rows[i][out];
      sums[out] = sum;
    }
  }
  for (; row < count; ++row) {
    const float* last = weights + kept[row] * d_out + from;
    const float factor = x[kept[row]];
    for (int64_t out = 0; out < length; ++out) sums[out] += factor * last[out];
  }
}

extern "C" void multiply(const float* x, const float* weights, const float* bias, float* y,
                         int64_t d_in, int64_t d_out, int threads) {
  std::vector<int64_t> kept(d_in);
  int64_t count = 0;
  for (int64_t i = 0; i < d_in; ++i) {
    kept[count] = i;
    count += x[i] != 0;
  }
  // Waking threads takes longer than so few weights.
  if (count * d_out < FEW_WEIGHTS) threads = 1;
  const int64_t share = ((d_out + threads - 1) / threads + 15) / 16 * 16;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    const int64_t end = thread * share + share < d_out ? thread * share + share : d_out;
    for (int64_t from = thread * share; from < end; from += SWEEP) {
      const int64_t length = from + SWEEP < end ? SWEEP : end - from;
      if (bias) std::memcpy(y + from, bias + from, length * sizeof(float));
      else std::memset(y + from, 0, length * sizeof(float));
      add_rows(weights, x, kept.data(), count, d_out, from, length, y + from);
    }
  }
}
"""
# Apple's compiler has no OpenMP: one thread there.
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]
FLAGS += [] if sys.platform == "darwin" else ["-fopenmp"]


def multiply(
    x: Float32[Tensor, "d_in"],
    transposed: Float32[Tensor, "d_in d_out"],
    bias: Float32[Tensor, "d_out"] | None = None,
) -> Float32[Tensor, "d_out"]:
    """Return `transposed.T @ x + bias`, of which no row is read whose entry of `x` is zero.

    Args:
        x: Inputs of one token; a NaN is none that is zero.
        transposed: A linear map's weight, transposed, so that an input's weights lie side by side.
        bias: None adds nothing.

    Raises:
        ValueError: There is no compiler, as `build` says.
    """
    assert transposed.is_contiguous(), "transposed is a view, whose rows do not lie side by side"
    d_in, d_out = transposed.shape
    check_operand("x", x, (d_in,))
    check_operand("transposed", transposed, (d_in, d_out))
    x, y = x.contiguous(), transposed.new_empty(d_out)
    at = None
    if bias is not None:
        check_operand("bias", bias, (d_out,))
        bias = bias.contiguous()  # has a name, so that a copy lives until the product is done
        at = bias.data_ptr()
    threads = torch.get_num_threads()
    build()(x.data_ptr(), transposed.data_ptr(), at, y.data_ptr(), d_in, d_out, threads)
    return y


def check_operand(name: str, operand: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse what the product would read as other numbers, or beyond its end."""
    kind = operand.dtype, operand.device.type, tuple(operand.shape)
    assert kind == (torch.float32, "cpu", shape), (
        f"{name} is {kind}, the product takes {(torch.float32, 'cpu', shape)}"
    )


@cache
def build() -> Callable[..., None]:
    """Compile the product for this machine, once per process.

    Raises:
        ValueError: There is no C++ compiler, or it does not take the source.
    """
    compiler = os.environ.get("CXX", "c++")
    if not shutil.which(compiler):
        raise ValueError(
            f"the C++ compiler is '{compiler}', which is not found, and the product of sparse "
            f"decoding is built with one: install it (Debian: g++), or name another one in CXX"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "product.cpp"), Path(folder, "product.so")
        source.write_text(SOURCE)
        built = subprocess.run(
            [compiler, *FLAGS, str(source), "-o", str(library)],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            reason = " ".join(built.stderr.split())[:160]
            raise ValueError(f"the C++ compiler '{compiler}' fails: {reason}")
        product = ctypes.CDLL(str(library)).multiply
    product.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 2 + [ctypes.c_int]
    product.restype = None
    return product
