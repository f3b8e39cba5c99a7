"""Keep tensors that several jobs of a study need, so that they are computed once.

They lie in files beside the results and are no results. A file is named by the digest of all that
its tensor depends on, so it is never out of date, and a study without these files computes the
same numbers. A file that is damaged is made again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spon import progress

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
        """Return the tensor of this key: read if its file is whole, else made and written.

        Raises:
            OSError: The disk does not give back what was written.
        """
        path = self.folder / f"{digest({**self.identity, **key})}.safetensors"
        kept = read_entry(path)
        if kept is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_entry(make().contiguous(), path)
            kept = read_entry(path)
        if kept is None:
            raise OSError(f"{path} cannot be read as it was written: check the disk")
        return kept


def write_entry(tensor: Tensor, path: Path) -> None:
    """Write a tensor with the digest of its entries."""
    # Renamed when it is complete, so that no other job reads half a file.
    partial = path.with_suffix(f".{os.getpid()}")
    save_file({"kept": tensor}, partial, metadata={"digest": seal(tensor, path)})
    partial.replace(path)


def read_entry(path: Path) -> Tensor | None:
    """Read what `write_entry` wrote; None without a file, or if another one is in its place."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            kept = file.get_tensor("kept")
            if (file.metadata() or {}).get("digest") == seal(kept, path):
                return kept
    except (SafetensorError, OSError):
        pass  # it is damaged too
    progress.log.info(f"{path} is damaged and is made again")
    return None


def seal(tensor: Tensor, path: Path) -> str:
    """Return the digest of a tensor in a file of this name, for which no other file passes."""
    return hashlib.sha256(f"{path.stem} {digest_tensor(tensor)}".encode()).hexdigest()


def digest(key: Mapping[str, object]) -> str:
    """Return thirty-two hex digits for plain data, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def digest_tensor(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's type, shape and entries."""
    hashed = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    # As bytes, since numpy has no bfloat16.
    hashed.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return hashed.hexdigest()
