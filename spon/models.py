"""Causal language models as the method sees them: hidden states, an output head, and named sites."""

import json
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, memory, progress, source
from spon.sites import name_site

# ASSUME: hidden states are compared in float32 whatever the study's precision. The smallest shifts
# are 1 % of a state, and bfloat16 rounds each entry by up to 0.4 %.
STATES = "float32"


def load(
    path: str | Path, device: str, dtype: str, memory_gib: float | int = math.inf
) -> nn.Module:
    """Load the model that a `model.json` describes, frozen and in evaluation mode.

    Args:
        path: The `model.json`.
        device: `cpu` or `cuda`.
        dtype: Of weights and activations, e.g. `float32`.
        memory_gib: Memory that the job may use.

    Raises:
        ValueError: The weights do not fit into the memory, the files are not those that were
            described, or they hold no complete causal language model.
    """
    model = json.loads(Path(path).read_text())
    memory.check_weights(model["shape"], dtype, device, memory_gib)
    folder = source.locate(model["source"])
    # The hub's files are named by their commit and were checked when they came; hashing them for
    # every job costs more than reading them.
    local = model["files"] if "path" in model["source"] else {}
    changed = [
        name for name, digest in local.items() if source.digest_file(folder / name) != digest
    ]
    if changed:
        raise ValueError(
            f"'{folder / changed[0]}' is not the file that model.json describes: delete {path}"
        )
    from transformers import AutoModelForCausalLM  # two seconds that a mistake need not wait for

    network, report = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise ValueError(
            f"the model in '{folder}' lacks weights, first of them {sorted(report['missing_keys'])[0]}"
        )
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
            raise ValueError(
                f"the scope names '{name}', which the model lacks: allowed are {', '.join(known)}"
            )
    return [name_site(layer, name) for layer in range(len(layers)) for name in maps]


def final_states(
    network: nn.Module, blocks: Int[Tensor, "blocks length"]
) -> Float[Tensor, "blocks length d_model"]:
    """Hidden states after the last norm: what the output head reads."""
    ids = blocks.to(network.device, torch.long)
    return network.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state


def batches(
    tokens: Int[Tensor, "blocks length"], batch_tokens: int
) -> Sequence[Int[Tensor, "_ length"]]:
    """Whole blocks, as many at a time as `batch_tokens` hold, but at least one."""
    return tokens.split(max(1, batch_tokens // tokens.shape[1]))


def keep_final_states(
    network: nn.Module,
    blocks: Int[Tensor, "blocks length"],
    batch_tokens: int,
    keep: cache.Keep = cache.compute,
) -> Float[Tensor, "blocks length d_model"]:
    """The final states of many blocks, in main memory, by `keep`, which may have them already.

    They are vocabulary / d_model times smaller than the logits that they stand for.
    """

    def run() -> Tensor:
        with torch.inference_mode():
            parts = [
                final_states(network, batch).cpu()
                for batch in progress.follow(batches(blocks, batch_tokens))
            ]
        return torch.cat(parts).clone()

    key = {"states": "final", "tokens": cache.digest_tensor(blocks), "batch_tokens": batch_tokens}
    return keep(key | {"dtype": str(network.dtype)}, run)


class Pass(NamedTuple):
    """What went into a module and came out of it, in one pass; float32."""

    input: Float[Tensor, "blocks length d_in"]
    output: Float[Tensor, "blocks length d_out"]


def record(
    network: nn.Module, blocks: Int[Tensor, "blocks length"], modules: Iterable[str]
) -> dict[str, Pass]:
    """Run the model as it stands, sparsified or not, and keep what the named modules take and give.

    Args:
        modules: Sites, or whole layers (`model.layers.3`), whose output is the residual stream
            behind them.
    """
    seen = {}

    def keep(name: str, inputs: tuple, output: Tensor | tuple) -> None:
        seen[name] = Pass(
            inputs[0].float(), (output if isinstance(output, Tensor) else output[0]).float()
        )

    with ExitStack() as stack, torch.inference_mode():
        for name in modules:
            hook = network.get_submodule(name).register_forward_hook(
                lambda _, inputs, output, name=name: keep(name, inputs, output)
            )
            stack.callback(hook.remove)
        final_states(network, blocks)
    return seen


def head_weight(network: nn.Module) -> Float[Tensor, "vocabulary d_model"]:
    """The output head: in float32 on a CPU, in the model's own precision on a GPU, whose products sum in float32."""
    # ASSUME: logits are computed in float32 from hidden states of the model's own precision.
    # bfloat16 logits, as most evaluations have them, are off by up to 0.4 % each, more than the
    # effects measured here.
    head = network.get_output_embeddings()
    assert head.bias is None, "output heads with a bias are not known"
    return head.weight if head.weight.is_cuda else head.weight.float()


def project(
    states: Float[Tensor, "tokens d_model"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens vocabulary"]:
    """Logits, summed and kept in float32; the entries of a bfloat16 model's states and head are exact in them."""
    if head.dtype == torch.float32:
        return states.float() @ head.T
    return torch.mm(states.to(head.dtype), head.T, out_dtype=torch.float32)


def project_back(
    gradients: Float[Tensor, "tokens vocabulary"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens d_model"]:
    """Gradients by the states from gradients by the logits, summed and kept in float32.

    On a GPU those by the logits are rounded to the head's precision, as those by the states are
    anyway.
    """
    if head.dtype == torch.float32:
        return gradients @ head
    return torch.mm(gradients.to(head.dtype), head, out_dtype=torch.float32)


def log_probabilities(
    states: Float[Tensor, "tokens d_model"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens vocabulary"]:
    """Next-token log-probabilities in nats, float32."""
    return torch.log_softmax(project(states, head), dim=-1)
