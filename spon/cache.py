"""What several jobs of a study would compute alike: kept in files beside the results, and no result itself.

An entry is named by everything that it depends on, so it is never out of date; a study is the same
without any.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

# How a value is had: computed, or found by its key.
Keep = Callable[[Mapping[str, object], Callable[[], Tensor]], Tensor]


def compute(key: Mapping[str, object], make: Callable[[], Tensor]) -> Tensor:
    """Keep nothing."""
    return make()


@dataclass(frozen=True)
class Cache:
    """A folder of tensors.

    Attributes:
        folder: Where they are; it may be removed at any time that no job runs.
        identity: What every entry depends on: model, code, and what it runs on.
    """

    folder: Path
    identity: Mapping[str, object]

    def keep(self, key: Mapping[str, object], make: Callable[[], Tensor]) -> Tensor:
        """The tensor of this key: read if it is here, else made and written, whole or not at all."""
        path = self.folder / f"{digest({**self.identity, **key})}.safetensors"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            save_file({"kept": make().contiguous()}, part)
            part.replace(path)
        return load_file(path)["kept"]


def digest(key: Mapping[str, object]) -> str:
    """Thirty-two hex digits of plain data, the same in any order of its keys."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def digest_tensor(tensor: Tensor) -> str:
    """SHA-256 of a tensor's type, shape and entries."""
    kind = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    return hashlib.sha256(kind + tensor.contiguous().numpy().tobytes()).hexdigest()
