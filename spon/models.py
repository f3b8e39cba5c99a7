"""Load causal language models, run them, and give their hidden states, logits and sites."""

import json
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import cache, memory, progress
from spon.inputs import source
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
    # Files of the hub are named by their commit and were checked when they were downloaded;
    # hashing them for every job costs more than reading them.
    files = model["files"] if "path" in model["source"] else {}
    changed = [
        name for name, digest in files.items() if source.digest_file(folder / name) != digest
    ]
    if changed:
        raise ValueError(
            f"'{folder / changed[0]}' is not the file that model.json describes: delete {path}"
        )
    # Imported here, since it takes two seconds, and the errors above need not wait for it.
    from transformers import AutoModelForCausalLM

    network, report = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        first = sorted(report["missing_keys"])[0]
        raise ValueError(f"the model in '{folder}' lacks weights, first of them {first}")
    return network.to(device).requires_grad_(False).eval()


def name_sites(network: nn.Module, maps: Sequence[str]) -> list[str]:
    """Return the sites of a scope: every layer's maps of these names, layer by layer.

    Raises:
        ValueError: The model has no such map.
    """
    layers = network.get_decoder().layers
    linears = [name for name, module in layers[0].named_modules() if isinstance(module, nn.Linear)]
    for name in maps:
        if name not in linears:
            raise ValueError(
                f"the scope names '{name}', which the model lacks: "
                f"allowed are {', '.join(linears)}"
            )
    return [name_site(layer, name) for layer in range(len(layers)) for name in maps]


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
        with torch.inference_mode():
            parts = [
                final_states(network, batch).cpu()
                for batch in progress.follow(batches(blocks, batch_tokens))
            ]
        return torch.cat(parts).clone()

    key = {"states": "final", "tokens": cache.digest_tensor(blocks), "batch_tokens": batch_tokens}
    return keep(key | {"dtype": str(network.dtype)}, run)


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


def head_weight(network: nn.Module) -> Float[Tensor, "vocabulary d_model"]:
    """Return the weight of the output head, as `project` needs it.

    On a CPU it is float32. On a GPU it has the model's own precision, since products there are
    summed in float32 all the same.
    """
    # ASSUME: logits are computed in float32 from hidden states of the model's own precision.
    # bfloat16 logits, as most evaluations have them, are off by up to 0.4 % each, more than the
    # effects measured here.
    head = network.get_output_embeddings()
    assert head.bias is None, "output heads with a bias are not known"
    return head.weight if head.weight.is_cuda else head.weight.float()


def project(
    states: Float[Tensor, "tokens d_model"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens vocabulary"]:
    """Return logits, summed and kept in float32, of states and a head that may be bfloat16."""
    if head.dtype == torch.float32:
        return states.float() @ head.T
    return torch.mm(states.to(head.dtype), head.T, out_dtype=torch.float32)


def project_back(
    gradients: Float[Tensor, "tokens vocabulary"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens d_model"]:
    """Return the gradients of the states from those of the logits, summed and kept in float32.

    On a GPU the gradients of the logits are first rounded to the head's precision. Those of the
    states are rounded to it in any case.
    """
    if head.dtype == torch.float32:
        return gradients @ head
    return torch.mm(gradients.to(head.dtype), head, out_dtype=torch.float32)


def log_probabilities(
    states: Float[Tensor, "tokens d_model"], head: Float[Tensor, "vocabulary d_model"]
) -> Float[Tensor, "tokens vocabulary"]:
    """Return next-token log-probabilities in nats, float32."""
    return torch.log_softmax(project(states, head), dim=-1)
