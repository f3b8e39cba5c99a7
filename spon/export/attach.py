"""Put a run into a model: sparsify inputs, and add biases where they are not folded in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spon import models, sparsify
from spon.biases import SUFFIX
from spon.export.bundle import BIASES, DESCRIPTION, read_bundle
from spon.export.fold import KEY, sum_biases
from spon.export.run import CENTRES, Run, read_run
from spon.inputs import source
from spon.inputs.folder import CONFIG, digest_file
from spon.inputs.tokens import read_tokenizer
from spon.memory import SIZES
from spon.sites import name_sites

# Entries of every site's weight by which a model is told from others, and how far they may be
# apart, of the largest among them: precisions round, and another model differs by more.
SAMPLES, APART = 4, 0.01


def attach(network: nn.Module, path: str | Path) -> nn.Module:
    """Sparsify a model as a run does, with its biases, for good.

    Args:
        network: The model that the run belongs to, as transformers loads it: the dense one, or
            that of a folder with biases folded in.
        path: A folder that `spon export` or `spon import` wrote, its `biases.safetensors`, or a
            run's folder in a study.

    Returns:
        The same model. To have the dense one again, load it again.

    Raises:
        ValueError: It is another model, or sparsified already.
    """
    run = read_any(path)
    return attach_run(network, run, says_folded(network, Path(path)))


def read_any(path: str | Path) -> Run:
    """Read a run, from a study or as it was handed on.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(path, str | Path):
        raise ValueError(f"the path is a {type(path).__name__}: the path comes second")
    path = Path(path)
    if path.suffix == ".gguf":
        raise ValueError(
            f"'{path}' is for llama.cpp: name the run's folder, or one of spon export"
        )
    if path.is_file() and path.suffix != Path(BIASES).suffix:
        raise ValueError(
            f"'{path}' is no run: allowed are a run's folder in a study, one of spon export, or "
            f"its {BIASES}"
        )
    is_bundle = path.is_file() or (path / DESCRIPTION).is_file()
    return read_bundle(path) if is_bundle else read_run(path)


def says_folded(network: nn.Module, path: Path) -> bool:
    """Return whether a model says that the biases of this folder are folded in.

    Raises:
        ValueError: It says that others are.
    """
    said = getattr(network.config, KEY, None)
    if said is None:
        return False
    file = path / BIASES if path.is_dir() else path
    if digest_file(file) != said["biases_sha256"]:
        raise ValueError(
            f"the model has other biases folded in than those of '{file}': take the folder that "
            f"the model was loaded from"
        )
    return True


def attach_run(network: nn.Module, run: Run, is_folded: bool = False) -> nn.Module:
    """Sparsify a model as a run does; its biases are added if they are not folded in."""
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"the model is a {type(network).__name__}: it comes first, the path second"
        )
    if getattr(network, "sparsified_by", None):
        raise ValueError("the model is sparsified already: load it again")
    check_model(network, run)
    sparsifiers = run.make_sparsifiers(network)
    for site, sparsifier in sparsifiers.items():
        network.get_submodule(site).register_forward_pre_hook(take_first(sparsifier))
    if not is_folded:
        add_biases_to(network, run)
    network.sparsified_by = dict(run.names)
    network.save_pretrained = refuse_to_save
    return network


def refuse_to_save(*_, **__) -> None:
    """Refuse to save a model that a run was attached to: its config knows of no biases.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        "a sparsified model would be saved without what sparsifies it, and loaded without its "
        "biases: `spon export RUN DIR` writes one"
    )


def take_first(sparsifier: sparsify.Sparsifier) -> Callable:
    """Return a pre-hook that applies an S to a module's one input."""
    return lambda _, inputs: (sparsifier(inputs[0]),)


def add_biases_to(network: nn.Module, run: Run) -> None:
    """Add a run's biases to a model for good."""
    for name, total in sum_biases(network, run.vectors).items():
        linear = network.get_submodule(name.removesuffix(SUFFIX))
        linear.bias = nn.Parameter(total.to(linear.weight), requires_grad=False)


def check_model(network: nn.Module, run: Run) -> None:
    """Refuse a model that a run does not belong to.

    Raises:
        ValueError: It has other sites, of other sizes, or with other weights.
    """
    linear = {
        name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)
    }
    for site in (*run.thresholds, *run.biases):
        if site not in linear:
            raise ValueError(f"the run has the site {site}, which this model has not")
    layers = models.count_layers(network)
    if lacking := [site for site in name_sites(layers, run.maps) if site not in run.thresholds]:
        raise ValueError(
            f"the run lacks the site {lacking[0]}, which this model of {layers} layers has"
        )
    for kind, vectors in (("outputs", run.biases), ("inputs", run.centres)):
        for site, vector in vectors.items():
            size = linear[site].out_features if kind == "outputs" else linear[site].in_features
            if len(vector) != size:
                raise ValueError(
                    f"the run has {len(vector)} entries for {site}, which has {size} {kind} in "
                    f"this model"
                )
    for site, samples in run.samples.items():
        check_weight(site, linear[site].weight, samples)


def check_weight(site: str, weight: Float[Tensor, "d_out d_in"], samples: Sequence[float]) -> None:
    """Refuse a weight whose sampled entries are other ones.

    Raises:
        ValueError: They are.
    """
    found, expected = torch.tensor(sample(weight)), torch.tensor(samples)
    if not (found - expected).abs().max() <= APART * expected.abs().max():
        raise ValueError(
            f"the weight of {site} is not that of the model which the biases were learned on: "
            f"allowed is that model, in any precision of 16 bits or more"
        )


def sample_weights(network: nn.Module, sites: Mapping[str, object]) -> dict[str, list[float]]:
    """Return some entries of the weight of every site."""
    return {site: sample(network.get_submodule(site).weight) for site in sites}


def sample(weight: Float[Tensor, "d_out d_in"]) -> list[float]:
    """Return some entries of a weight, evenly spread, as float32 has them."""
    flat = weight.detach().flatten()
    return [flat[(len(flat) - 1) * i // (SAMPLES - 1)].float().item() for i in range(SAMPLES)]


def load_dense(run: Run, device: str = "cpu", dtype: str | None = None) -> nn.Module:
    """Load the dense model that a run belongs to, from where the study had it.

    Raises:
        ValueError: The run does not say which that is.
    """
    return models.load_described(find_model(run), device, dtype or run.dtype)


def find_model(run: Run) -> dict:
    """Return the content of a run's `model.json`, with the place of a local folder resolved.

    Raises:
        ValueError: The run does not say which model it belongs to.
    """
    if not run.model:
        raise ValueError("the run does not say which model it belongs to: load it yourself")
    origin = dict(run.model["source"])
    for name in ("path", "gguf"):
        if name in origin:
            place = run.home / origin[name]
            if not place.exists():
                raise ValueError(
                    f"the run's model is '{origin[name]}', and there is no '{place}': go to the "
                    f"folder that it is in, or load the model and use spon.attach"
                )
            origin[name] = str(place)
    return {**run.model, "source": origin}


def locate_model(run: Run) -> Path:
    """Return the folder of a run's model, which is fetched or made first if it is not here."""
    return source.locate(find_model(run)["source"])


def open_run(
    path: str | Path, device: str = "cpu", dtype: str | None = None
) -> tuple[nn.Module, Callable]:
    """Load a run: its model, sparsified and with biases, and the tokenizer.

    Args:
        path: A run's folder in a study, such as `results/pydoc/UNIF-ALL/s0.5/seed0`, or a folder
            that `spon export` wrote.
        device: `cpu` or `cuda`.
        dtype: Of weights and activations; else that of the study.

    Returns:
        The model, frozen and in evaluation mode, and its tokenizer, both transformers' own.

    Raises:
        ValueError: It is no run, or the model is not here and cannot be had.
    """
    if dtype not in (None, *SIZES):
        raise ValueError(f"dtype is '{dtype}': allowed are {', '.join(SIZES)}")
    run, folder = read_any(path), Path(path)
    if (folder / CONFIG).is_file():
        network = models.read_network(folder, getattr(torch, dtype or run.dtype)).to(device)
        return attach(network, folder), read_tokenizer(describe_folder(folder))
    model = find_model(run)
    network = models.load_described(model, device, dtype or run.dtype)
    return attach_run(network, run), read_tokenizer(model)


def describe_folder(folder: Path) -> dict:
    """Describe a folder that holds an exported model as a `model.json` does, for its tokenizer."""
    ours = {DESCRIPTION, BIASES, CENTRES}
    names = [path.name for path in folder.iterdir() if path.is_file() and path.name not in ours]
    return {"source": {"path": str(folder)}, "files": dict.fromkeys(names)}


def with_samples(run: Run, network: nn.Module) -> Run:
    """Return a run that knows its model by some entries of the weights."""
    return replace(run, samples=sample_weights(network, run.thresholds))
