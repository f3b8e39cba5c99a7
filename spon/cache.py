"""Keep tensors that several jobs of a study need, so that they are computed once.

They lie in files beside the results and are no results. A file is named by the digest of all that
its tensor depends on, so it is never out of date, and a study without these files computes the
same numbers.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

# A function that returns the tensor of a key; it may call its second argument to compute it.
Keep = Callable[[Mapping[str, object], Callable[[], Tensor]], Tensor]


def compute(key: Mapping[str, object], make: Callable[[], Tensor]) -> Tensor:
    """Compute a tensor and keep nothing: the `Keep` of a caller without a cache."""
    return make()


@dataclass(frozen=True)
class Cache:
    """A folder of tensors.

    Attributes:
        folder: Where the files are; it may be removed whenever no job runs.
        identity: What all tensors depend on: the code, the model, the device and its software.
    """

    folder: Path
    identity: Mapping[str, object]

    def keep(self, key: Mapping[str, object], make: Callable[[], Tensor]) -> Tensor:
        """Return the tensor of this key: read if its file exists, else made and written."""
        path = self.folder / f"{digest({**self.identity, **key})}.safetensors"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # Renamed when it is complete, so that no other job reads half a file.
            partial = path.with_suffix(f".{os.getpid()}")
            save_file({"kept": make().contiguous()}, partial)
            partial.replace(path)
        return load_file(path)["kept"]


def digest(key: Mapping[str, object]) -> str:
    """Return thirty-two hex digits for plain data, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def digest_tensor(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's type, shape and entries."""
    kind = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    return hashlib.sha256(kind + tensor.contiguous().numpy().tobytes()).hexdigest()
