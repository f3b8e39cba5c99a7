"""A model's output head: final states to logits as the model itself has it, and back.

transformers is asked instead of multiplying by the head's weight, since some models scale, cap or
shift their logits (Granite, Cohere, Gemma).
"""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.graph import get_gradient_edge
from transformers.modeling_outputs import MoeModelOutputWithPast

# Takes gradients of logits to those of final states, float32.
Pull = Callable[[Float[Tensor, "tokens vocabulary"]], Float[Tensor, "tokens d_model"]]


class Head:
    """Computes logits from final states, float32, tokens by the vocabulary.

    It is the model without its decoder: the model's own forward pass, which is given final states.
    """

    def __init__(self, network: nn.Module):
        # ASSUME: logits are computed in float32 from hidden states of the model's own precision.
        # bfloat16 logits, as most evaluations have them, are off by up to 0.4 % each, more than
        # the effects measured here.
        shell = copy.copy(network)
        # Of a model that is spread over devices, a pass of its own that moves what it is given.
        shell.__dict__.pop("forward", None)
        shell._modules = dict(network._modules)
        setattr(shell, network.base_model_prefix, GivenStates(network.base_model))
        shell.set_output_embeddings(Float32Linear(network.get_output_embeddings()))
        self.shell = shell

    def logits(
        self, states: Float[Tensor, "tokens d_model"]
    ) -> Float[Tensor, "tokens vocabulary"]:
        """Return logits, summed and kept in float32, of states that may be bfloat16."""
        return self.shell(inputs_embeds=states[None], use_cache=False).logits[0]

    def log_probabilities(
        self, states: Float[Tensor, "tokens d_model"]
    ) -> Float[Tensor, "tokens vocabulary"]:
        """Return next-token log-probabilities in nats, float32."""
        return torch.log_softmax(self.logits(states), dim=-1)

    def open(
        self, states: Float[Tensor, "tokens d_model"]
    ) -> tuple[Float[Tensor, "tokens vocabulary"], Pull]:
        """Return logits, and the function that takes their gradients back to the states, once.

        Of a head without a cap, the logits need not be kept for it.
        """
        with torch.enable_grad():
            at = states.detach().float().requires_grad_()
            logits = self.logits(at)
        return logits.detach(), pull_to(at, logits)

    def push(
        self, states: Float[Tensor, "tokens d_model"], shifts: Float[Tensor, "tokens d_model"]
    ) -> tuple[Float[Tensor, "tokens vocabulary"], Float[Tensor, "tokens vocabulary"], Pull]:
        """Return what `open` does, and between, the logits' derivatives along shifts of states."""
        with torch.enable_grad(), forward_ad.dual_level():
            at = states.detach().float().requires_grad_()
            dual = self.logits(forward_ad.make_dual(at, shifts.detach().float()))
            logits, shifted = forward_ad.unpack_dual(dual)
            return logits.detach(), shifted.detach(), pull_to(at, logits)


def pull_to(states: Float[Tensor, "tokens d_model"], logits: Tensor) -> Pull:
    """Return the function from gradients of logits to those of states; it keeps no logits."""
    edge = get_gradient_edge(logits)
    return lambda gradients: torch.autograd.grad((edge,), states, gradients)[0]


class GivenStates(nn.Module):
    """A decoder that returns the states that it is given, and is else as the one it stands for."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.__dict__["decoder"] = decoder  # no module of its own

    def __getattr__(self, name: str) -> object:
        """Return what the decoder has under this name."""
        return getattr(self.__dict__["decoder"], name)

    def forward(self, inputs_embeds: Tensor, **_) -> "FinalStates":
        """Return them as the final states, in the form that all causal language models read."""
        return FinalStates(last_hidden_state=inputs_embeds)


class FinalStates(MoeModelOutputWithPast):
    """What a decoder returns: final states, and None for whatever else some models read."""

    def __getattr__(self, name: str) -> None:
        """Return None for what is not there."""
        if name.startswith("__"):
            raise AttributeError(name)


class Float32Linear(nn.Module):
    """A linear map whose products are summed and kept in float32, whatever its weights are.

    On a CPU its weights are float32. On a GPU they keep their own precision, since products there
    are summed in float32 all the same.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        keep = linear.weight.is_cuda
        self.weight = nn.Parameter(
            linear.weight if keep else linear.weight.float(), requires_grad=False
        )
        self.bias = linear.bias if linear.bias is None else linear.bias.float()

    def forward(self, states: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Return the outputs, float32."""
        if self.weight.dtype == torch.float32:
            return nn.functional.linear(states.float(), self.weight, self.bias)
        flat = MixedProduct.apply(states.to(self.weight.dtype).flatten(0, -2), self.weight)
        outputs = flat.unflatten(0, states.shape[:-1])
        return outputs if self.bias is None else outputs + self.bias


class MixedProduct(torch.autograd.Function):
    """Product of bfloat16 states and weights, summed and kept in float32, on a GPU.

    On the way back the gradients of the outputs are first rounded to the weights' precision. Those
    of the states are rounded to it in any case.
    """

    @staticmethod
    def forward(ctx, states: Tensor, weight: Tensor) -> Tensor:
        ctx.weight = weight
        ctx.set_materialize_grads(False)  # that of the weight would be as large as it is
        return torch.mm(states, weight.T, out_dtype=torch.float32)

    @staticmethod
    def backward(ctx, gradients: Tensor) -> tuple[Tensor, None]:
        rounded = gradients.to(ctx.weight.dtype)
        return torch.mm(rounded, ctx.weight, out_dtype=torch.float32), None

    @staticmethod
    def jvp(ctx, shifts: Tensor, _) -> Tensor:
        return torch.mm(shifts, ctx.weight.T, out_dtype=torch.float32)
