"""Activation sparsity with learned bias correction.

`spon.open_run(FOLDER)` loads a run's model, sparsified and with biases; `spon.attach(model,
FOLDER)` puts a run into a model that is loaded already.
"""

from typing import Any

# Found when they are asked for, so that importing one module imports no other.
FOUND = ("attach", "open_run")


def __dir__() -> list[str]:
    """List what users call."""
    return [*FOUND]


def __getattr__(name: str) -> Any:
    """Return what is found when it is asked for."""
    if name in FOUND:
        from spon.export import attach

        return getattr(attach, name)
    raise AttributeError(f"module 'spon' has no attribute '{name}'")
