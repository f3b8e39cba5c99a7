"""The sparsifiers of a study's `method` beside `threshold` and `topk`, which `spon.sparsify` has.

No job's digest of code holds these modules: a study that uses one of them names its digest in the
settings of its jobs (workflow/rules/common.smk), so that editing it reruns no other study. So
nothing is decided here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from spon.methods import wina


@dataclass(frozen=True)
class Method:
    """A sparsifier with one threshold per site.

    Attributes:
        score_inputs: From inputs and the site's weight to what the threshold is a quantile of,
            zero or more, of the shape of the inputs.
        make_sparsifier: From the site's weight and its threshold to its S.
    """

    score_inputs: Callable[[Tensor, Tensor], Tensor]
    make_sparsifier: Callable[[Tensor, float], Callable[[Tensor], Tensor]]


METHODS = {"wina": Method(wina.score_inputs, wina.make_sparsifier)}
