"""Keep how far a long computation is, so that one that is stopped goes on where it was.

A state is a file beside the results and no result: a computation that was stopped and went on
gives the same bytes as one that never was.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

# ASSUME: a state is saved once a minute, which is all that a kill can lose; a save takes
# milliseconds.
SECONDS = 60.0


class Snapshot(NamedTuple):
    """A computation between two of its steps.

    Attributes:
        place: Where it is, in words, as `step 3 of 9`.
        tensors: By name.
        facts: Everything else, as plain data.
    """

    place: str
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, object]


class Unsaved:
    """The state of a caller who does not go on later: nothing is saved or loaded."""

    def load(self) -> Snapshot | None:
        """Return nothing to go on from."""
        return None

    def offer(self, take: Callable[[], Snapshot]) -> None:
        """Save nothing."""

    @contextmanager
    def saved_when_stopped(self, take: Callable[[], Snapshot | None]) -> Iterator[None]:
        """Save nothing, whatever happens."""
        yield


UNSAVED = Unsaved()
# A snapshot as callers may make it who do not import this module.
AnySnapshot = tuple[str, Mapping[str, Tensor], Mapping[str, object]]


class State(Unsaved):
    """A file with the last snapshot of a computation.

    Args:
        path: Of the file.
        identity: All that the computation depends on, as plain data. A snapshot with another
            identity is not loaded.
        say: Shows a sentence to the user.
    """

    def __init__(
        self, path: str | Path, identity: Mapping[str, object], say: Callable[[str], None]
    ):
        self.path, self.say = Path(path), say
        self.identity = json.loads(json.dumps(identity))
        self.due = time.monotonic() + SECONDS
        self.can_save, self.is_stopping = True, False

    def stop(self) -> None:
        """Ask the computation to save and to end at its next offer; a signal may call this."""
        self.is_stopping = True

    def load(self) -> Snapshot | None:
        """Return the snapshot of this computation, None without one.

        One of another computation, or a damaged one, is removed with a sentence.
        """
        if not self.path.exists():
            return None
        try:
            identity, snapshot = read(self.path)
        except ValueError as error:
            self.discard(str(error))
            return None
        names = sorted({*identity, *self.identity})
        other = [name for name in names if identity.get(name) != self.identity.get(name)]
        if other:
            self.discard(f"is of another computation (it differs in {', '.join(other)})")
            return None
        self.say(f"goes on from {snapshot.place}, where it was stopped")
        return snapshot

    def offer(self, take: Callable[[], Snapshot]) -> None:
        """Save a snapshot if it is time for one, or if the computation is to end.

        Raises:
            InterruptedError: It is to end, and has been saved.
        """
        if self.is_stopping or time.monotonic() >= self.due:
            self.save(take())
            self.due = time.monotonic() + SECONDS
        if self.is_stopping:
            raise InterruptedError("stopped, and saved how far it is")

    @contextmanager
    def saved_when_stopped(self, take: Callable[[], Snapshot | None]) -> Iterator[None]:
        """Save a snapshot if the body is told to stop; `take` returns None amid a step.

        Errors are not saved, as they would come again.
        """
        try:
            yield
        except Exception:
            raise
        except BaseException:  # as KeyboardInterrupt
            snapshot = take()
            if snapshot:
                self.save(snapshot)
            raise

    def save(self, snapshot: AnySnapshot) -> None:
        """Write a snapshot in place of the last one, which stays until this one is complete.

        A disk that takes no more ends no computation: a sentence says so, once.
        """
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(write(snapshot, self.identity))
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the name without its content
            partial.replace(self.path)
        except OSError as error:
            if self.can_save:
                self.say(f"how far it is cannot be saved, so a stop would lose it: {error}")
            self.can_save = False

    def discard(self, reason: str) -> None:
        """Remove the file and say why."""
        self.say(f"begins anew: '{self.path}' {reason}")
        self.remove()

    def remove(self) -> None:
        """Remove the file, and what a save that was interrupted has left."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".partial").unlink(missing_ok=True)


def write(snapshot: AnySnapshot, identity: Mapping[str, object]) -> bytes:
    """Return a snapshot as safetensors, with all that is no tensor in its metadata."""
    place, tensors, facts = snapshot
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps([dict(identity), place, dict(facts)])
    return save(tensors, metadata={"text": text, "digest": digest(tensors, text)})


def read(path: Path) -> tuple[dict[str, object], Snapshot]:
    """Return the identity and the snapshot that `write` wrote.

    Raises:
        ValueError: The file is not as it was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, since what is read lies in the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"is damaged ({error})") from error
    text = metadata.get("text", "")
    if metadata.get("digest") != digest(tensors, text):
        raise ValueError("is damaged (its content has another digest)")
    identity, place, facts = json.loads(text)
    return identity, Snapshot(place, tensors, facts)


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return the SHA-256 of a snapshot's text and of its tensors' names, types and entries."""
    whole = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        whole.update(tensor.numpy().tobytes())
    return whole.hexdigest()
