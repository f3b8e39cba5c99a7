"""Causal language models as the method sees them: hidden states, an output head, and named sites."""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from spon import source

# ASSUME: hidden states are compared in float32 whatever the study's precision. The smallest shifts are 1 % of a state,
# and bfloat16 rounds each entry by up to 0.4 %.
STATES = "float32"


def load(path: str | Path, device: str, dtype: str) -> nn.Module:
    """Load the model that a `model.json` describes, frozen and in evaluation mode.

    Args:
        path: The `model.json`.
        device: `cpu` or `cuda`.
        dtype: Of weights and activations, e.g. `float32`.

    Raises:
        ValueError: The files are not those that were described, or hold no complete causal language model.
    """
    model = json.loads(Path(path).read_text())
    folder = source.locate(model["source"])
    changed = [name for name, digest in model["files"].items() if source.digest_file(folder / name) != digest]
    if changed:
        raise ValueError(f"'{folder / changed[0]}' is not the file that model.json describes: delete {path}")
    network, report = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise ValueError(f"the model in '{folder}' lacks weights, first of them {sorted(report['missing_keys'])[0]}")
    return network.to(device).requires_grad_(False).eval()


def name_sites(network: nn.Module, maps: Sequence[str]) -> list[str]:
    """The sites of a scope: every layer's map of these names, layer by layer.

    Raises:
        ValueError: The model has no such map.
    """
    layers = network.get_decoder().layers
    known = [name for name, module in layers[0].named_modules() if isinstance(module, nn.Linear)]
    for name in maps:
        if name not in known:
            raise ValueError(f"the scope names '{name}', which the model lacks: allowed are {', '.join(known)}")
    return [f"model.layers.{layer}.{name}" for layer in range(len(layers)) for name in maps]


def final_states(network: nn.Module, blocks: Int[Tensor, "blocks length"]) -> Float[Tensor, "blocks length d_model"]:
    """Hidden states after the last norm: what the output head reads."""
    ids = blocks.to(network.device, torch.long)
    return network.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state


class Pass(NamedTuple):
    """What went into a module and came out of it, in one pass; float32."""

    input: Float[Tensor, "blocks length d_in"]
    output: Float[Tensor, "blocks length d_out"]


def record(network: nn.Module, blocks: Int[Tensor, "blocks length"], modules: Iterable[str]) -> dict[str, Pass]:
    """Run the model as it stands, sparsified or not, and keep what the named modules take and give.

    Args:
        modules: Sites, or whole layers (`model.layers.3`), whose output is the residual stream behind them.
    """
    seen = {}

    def keep(name: str, inputs: tuple, output: Tensor | tuple) -> None:
        seen[name] = Pass(inputs[0].float(), (output if isinstance(output, Tensor) else output[0]).float())

    with ExitStack() as stack, torch.inference_mode():
        for name in modules:
            hook = network.get_submodule(name).register_forward_hook(
                lambda _, inputs, output, name=name: keep(name, inputs, output)
            )
            stack.callback(hook.remove)
        final_states(network, blocks)
    return seen


def head_weight(network: nn.Module) -> Float[Tensor, "vocabulary d_model"]:
    """The output head in float32."""
    # ASSUME: logits are computed in float32 from hidden states of the model's own precision. bfloat16 logits, as
    # most evaluations have them, are off by up to 0.4 % each, more than the effects measured here.
    head = network.get_output_embeddings()
    assert head.bias is None, "output heads with a bias are not known"
    return head.weight.float()


def log_probabilities(
    states: Float[Tensor, "tokens d_model"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens vocabulary"]:
    """Next-token log-probabilities in nats, float32."""
    return torch.log_softmax(states.float() @ head.T, dim=-1)
