"""Load causal language models, run them, and give their hidden states, logits and sites."""

import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, memory, progress
from spon.inputs import check, source
from spon.inputs.folder import digest_file, explained, gathered
from spon.sites import name_layer

# ASSUME: hidden states are compared in float32 whatever the study's precision. The smallest shifts
# are 1 % of a state, and bfloat16 rounds each entry by up to 0.4 %.
STATES = "float32"


def load(
    path: str | Path, device: str, dtype: str, memory_gib: memory.Limit = math.inf
) -> nn.Module:
    """Load the model that a `model.json` describes, frozen and in evaluation mode.

    Args:
        path: The `model.json`.
        device: `cpu` or `cuda`.
        dtype: Of weights and activations, e.g. `float32`.
        memory_gib: Memory that the job may use; of several devices, the layers are spread over
            them, whatever `device` is.

    Raises:
        ValueError: The weights do not fit into the memory, the files are not those that were
            described, or they hold no complete causal language model.
    """
    return load_described(check.read_json(path), device, dtype, memory_gib)


def load_described(
    model: Mapping, device: str, dtype: str, memory_gib: memory.Limit = math.inf
) -> nn.Module:
    """Load the model that the content of a `model.json` describes, as `load` does."""
    memory.check_weights(model["shape"], dtype, device, memory_gib)
    folder = source.locate(model["source"])
    # Files of the hub are named by their commit and were checked when they were downloaded;
    # hashing them for every job costs more than reading them.
    files = {} if "repository" in model["source"] else model["files"]
    changed = [name for name, digest in files.items() if digest_file(folder / name) != digest]
    if changed:
        remedy = "delete model.json"
        if source.is_converted(model["source"]):
            remedy += ", or this folder, which is then made again"
        raise ValueError(
            f"'{folder / changed[0]}' is not the file that model.json describes: {remedy}"
        )
    with ExitStack() as stack:
        files = stack.enter_context(gathered(folder, model["files"]))
        if not isinstance(memory_gib, Mapping):
            return read_network(files, getattr(torch, dtype), name=folder).to(device)
        places = memory.place_layers(model["shape"], dtype, memory_gib, device)
        network = read_network(
            files,
            getattr(torch, dtype),
            name=folder,
            main_device=memory.main_device(memory_gib, device),
            places=places,
            offload_folder=stack.enter_context(TemporaryDirectory(prefix="spon-")),
        )
        # Layers on the disk are read from these files as long as the model lives.
        weakref.finalize(network, stack.pop_all().close)
        return network


def read_network(
    folder: Path,
    dtype: torch.dtype,
    name: Path | None = None,
    main_device: str = "cpu",
    places: Sequence[str] = (),
    offload_folder: str | None = None,
) -> nn.Module:
    """Read a causal language model, frozen and in evaluation mode; no code of its own is run.

    Args:
        folder: Its config.json and weights, in the safetensors format.
        dtype: Of weights and activations.
        name: The folder as errors name it, if it has another name.
        main_device: Of all but the layers, if these are spread.
        places: The device of every layer, if they are spread; `disk` leaves a layer in its file.
        offload_folder: Where accelerate writes what it cannot leave there.

    Raises:
        ValueError: transformers does not know such a model, or the weights are not exactly those
            that the model has.
    """
    # Imported here, since it takes two seconds, and earlier errors need not wait for it.
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    name = name or folder
    with explained("model", name):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        known = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
        if known is None:
            raise ValueError(f"a {config.model_type} is no causal language model")
        network, report = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            # A config may name another implementation, which would be fetched from the hub.
            attn_implementation="sdpa" if known._supports_sdpa else "eager",
            use_safetensors=True,
            # Only so that `check_report` names the tensor.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
            local_files_only=True,
            device_map=map_modules(config, main_device, places) if places else None,
            offload_folder=offload_folder,
        )
    check_report(report, name)
    return network.requires_grad_(False).eval()


def map_modules(config: object, main_device: str, places: Sequence[str]) -> dict[str, str]:
    """Return the device of every layer and of every module outside them, as accelerate wants it.

    Args:
        config: The model's, of transformers.
        main_device: Of all but the layers.
        places: The device of every layer.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        modules = dict(AutoModelForCausalLM.from_config(config).named_modules())
    own = [
        name
        for name, module in modules.items()
        if [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    ]
    layers = {name_layer(layer): place for layer, place in enumerate(places)}
    outside = [name for name in own if ".".join(name.split(".")[:3]) not in layers]
    return dict.fromkeys(outside, main_device) | layers


def read_parameter(module: nn.Module, name: str = "weight") -> Tensor | None:
    """Return a parameter of a module, fetched if it is kept where nothing is computed.

    It lies where the module computes; None if the module has none.
    """
    if not is_fetched(module):
        return getattr(module, name)
    from accelerate.utils import align_module_device

    with align_module_device(module):
        return getattr(module, name)


def find_device(module: nn.Module) -> torch.device:
    """Return the device on which a linear map computes."""
    if is_fetched(module):
        return torch.device(module._hf_hook.execution_device)
    return module.weight.device


def is_fetched(module: nn.Module) -> bool:
    """Return whether accelerate fetches a module's parameters for as long as it runs."""
    return getattr(getattr(module, "_hf_hook", None), "offload", False)


def check_report(report: Mapping, name: Path) -> None:
    """Refuse weights that are not exactly those of the model.

    Raises:
        ValueError: Some are missing, left over or of another size.
    """
    kinds = {
        "missing_keys": "lacks weights that its config.json asks for",
        "unexpected_keys": "has weights that its config.json does not mention",
        "mismatched_keys": "has weights of another size than its config.json says",
    }
    for kind, sentence in kinds.items():
        keys = sorted(key if isinstance(key, str) else key[0] for key in report[kind])
        if keys:
            raise ValueError(
                f"the model in '{name}' {sentence}, {len(keys)}, first of them {keys[0]}"
            )


def count_layers(network: nn.Module) -> int:
    """Return how many layers a model has."""
    return len(network.get_decoder().layers)


def final_states(
    network: nn.Module, blocks: Int[Tensor, "blocks length"]
) -> Float[Tensor, "blocks length d_model"]:
    """Return the hidden states after the last norm, which the output head reads."""
    ids = blocks.to(network.device, torch.long)
    return network.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state


def batches(
    tokens: Int[Tensor, "blocks length"], batch_tokens: int
) -> Sequence[Int[Tensor, "_ length"]]:
    """Split blocks into batches of at most `batch_tokens` tokens, but of at least one block."""
    return tokens.split(max(1, batch_tokens // tokens.shape[1]))


def keep_final_states(
    network: nn.Module,
    blocks: Int[Tensor, "blocks length"],
    batch_tokens: int,
    keep: cache.Keep = cache.compute,
) -> Float[Tensor, "blocks length d_model"]:
    """Return the final states of many blocks, in main memory.

    States are kept instead of logits because they are smaller: d_model entries per token, where
    logits have one per entry of the vocabulary.

    Args:
        keep: Computes the states, or reads them where they were kept.
    """

    def run() -> Tensor:
        parts = []
        with torch.inference_mode():
            for batch in progress.follow(batches(blocks, batch_tokens)):
                parts.append(final_states(network, batch).cpu())
                check_finite(network, batch, parts[-1], first_block=sum(map(len, parts[:-1])))
        return torch.cat(parts).clone()

    key = {"states": "final", "tokens": cache.digest_tensor(blocks), "batch_tokens": batch_tokens}
    return keep(key | {"dtype": str(network.dtype)}, run)


def check_finite(
    network: nn.Module,
    blocks: Int[Tensor, "blocks length"],
    states: Float[Tensor, "blocks length d_model"],
    first_block: int = 0,
) -> None:
    """Refuse final states that are not finite.

    Args:
        blocks: What the states were computed from.
        first_block: Number of the first of the blocks.

    Raises:
        ValueError: Some are not; it names the first block, and the first layer where it breaks.
    """
    broken = (~states.isfinite().flatten(1).all(dim=1)).nonzero()
    if not len(broken):
        return
    block = int(broken[0])
    layers = [name_layer(number) for number in range(count_layers(network))]
    passes = record(network, blocks[block : block + 1], layers)
    where = [name for name in layers if not passes[name].output.isfinite().all()]
    raise ValueError(
        f"the model's states are not finite in block {first_block + block}, first behind "
        f"{where[0] if where else 'the last norm'}: a number is too large for "
        f"{str(network.dtype).removeprefix('torch.')}, or the weights are broken"
    )


class Pass(NamedTuple):
    """The input and the output of a module in one pass, float32."""

    input: Float[Tensor, "blocks length d_in"]
    output: Float[Tensor, "blocks length d_out"]


def record(
    network: nn.Module, blocks: Int[Tensor, "blocks length"], modules: Iterable[str]
) -> dict[str, Pass]:
    """Run the model as it is, sparsified or not; return the named modules' inputs and outputs.

    Args:
        modules: Sites, or whole layers (`model.layers.3`), whose output is the residual stream
            behind them.
    """
    passes = {}

    def store(name: str, inputs: tuple, output: Tensor | tuple) -> None:
        states = output if isinstance(output, Tensor) else output[0]
        passes[name] = Pass(inputs[0].float(), states.float())

    with ExitStack() as stack, torch.inference_mode():
        for name in modules:
            hook = network.get_submodule(name).register_forward_hook(
                lambda _, inputs, output, name=name: store(name, inputs, output)
            )
            stack.callback(hook.remove)
        final_states(network, blocks)
    return passes
