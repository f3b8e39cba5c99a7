"""Find the files of a model, wherever it comes from, and describe them by digest and shape."""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import snapshot_download

from spon.inputs.folder import SMALL, digest_file, list_files, name_weights
from spon.inputs.shape import read_shape


def locate(model: Mapping[str, str]) -> Path:
    """Return the folder that holds a model's files.

    A repository is downloaded once, into Hugging Face's cache: small files, and the weights that
    its index names.

    Args:
        model: `{path: FOLDER}`, or `{repository: OWNER/NAME, revision: COMMIT}`.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if "path" in model:
        folder = Path(model["path"])
        if not folder.is_dir():
            raise FileNotFoundError(
                f"model.path is '{folder}', which is no folder: name one with a config.json"
            )
        return folder
    place = {"repo_id": model["repository"], "revision": model["revision"]}
    folder = Path(snapshot_download(**place, allow_patterns=SMALL))
    return Path(snapshot_download(**place, allow_patterns=[*SMALL, *name_weights(folder)]))


def describe(model: Mapping[str, str]) -> dict:
    """Return the content of `model.json`: the source, the SHA-256 of each file, and the shape.

    Raises:
        ValueError: The folder holds no safetensors weights, or a model whose layers are not named
            as Llama's.
    """
    folder = locate(model)
    shape = read_shape(folder)
    files = {name: digest_file(folder / name) for name in list_files(folder)}
    return {"source": dict(model), "files": files, "shape": shape}
