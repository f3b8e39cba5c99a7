"""Train the small reference model from scratch: its tokenizer, its weights and its loss curve."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"


@dataclass(frozen=True)
class Schedule:
    """The length, batches and learning rate of the reference model's training.

    Attributes:
        tokens: Tokens to train on, repetitions included.
        sequence_length: Tokens per training sequence.
        batch_sequences: Sequences per optimizer step.
        learning_rate: Peak of the schedule.
        warmup_steps: Steps of linear warm-up; a cosine to a tenth of the peak follows.
        weight_decay: Of the weight matrices; norms have none.
        evaluate_every: Steps between two points of the held-out curve.
    """

    tokens: int
    sequence_length: int
    batch_sequences: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    evaluate_every: int

    @property
    def steps(self) -> int:
        return math.ceil(self.tokens / (self.batch_sequences * self.sequence_length))

    def rate(self, step: int) -> float:
        """Return the learning rate of a step; steps are counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer, without BOS, whose one special token ends a document."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, clean_up_tokenization_spaces=False
    )


def pretrain(
    config: LlamaConfig,
    stream: Int[Tensor, "tokens"],
    held_out: Int[Tensor, "blocks length"],
    schedule: Schedule,
    seed: int,
    state,
    device: str,
) -> tuple[LlamaForCausalLM, pd.DataFrame]:
    """Train a Llama on a stream of tokens.

    Args:
        config: Shape of the model.
        stream: The training text.
        held_out: Text for the curve; decides nothing.
        schedule: Length and learning rate.
        seed: Of the initial weights and of the order of the text.
        state: A `resume.State`, where the training goes on and saves how far it is.
        device: `cpu` or `cuda`.

    Returns:
        The model, and its curve: `step, tokens, learning_rate, train_nats_per_token,
        held_out_nats_per_token`.
    """
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).to(device)
    decay = [weight for weight in model.parameters() if weight.dim() > 1]
    rest = [weight for weight in model.parameters() if weight.dim() < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": decay, "weight_decay": schedule.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        fused=True,
    )
    done, curve, losses = restore(model, optimizer, state.load())
    progress = tqdm(
        range(done, schedule.steps),
        initial=done,
        total=schedule.steps,
        mininterval=30,
        unit="step",
    )
    for step in progress:
        batch = take_batch(stream, schedule, seed, step).to(device)
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        losses.append(take_step(model, optimizer, batch))
        last = step + 1 == schedule.steps
        if last or (step + 1) % schedule.evaluate_every == 0:
            point = {
                "step": step + 1,
                "tokens": (step + 1) * batch.numel(),
                "learning_rate": schedule.rate(step),
                "train_nats_per_token": sum(losses) / len(losses),
                "held_out_nats_per_token": measure_loss(model, held_out),
            }
            curve.append(point)
            progress.set_postfix(held_out=f"{point['held_out_nats_per_token']:.4f}")
            losses.clear()
        state.offer(lambda done=step + 1: take_snapshot(model, optimizer, done, curve, losses))
    return model.eval(), pd.DataFrame(curve)


def take_batch(
    stream: Int[Tensor, "tokens"], schedule: Schedule, seed: int, step: int
) -> Int[Tensor, "batch length"]:
    """Take the sequences of a step out of the training text.

    Every epoch cuts the text at another offset and shuffles the pieces. Nothing but the arguments
    decides, so that a resumed training takes the sequences that an uninterrupted one would take.
    """
    length, count = schedule.sequence_length, schedule.batch_sequences
    pieces = (len(stream) - length) // length
    assert pieces >= count, f"the training text holds {pieces} sequences, a batch needs {count}"
    epoch, position = divmod(step, pieces // count)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    offset = int(torch.randint(length, (1,), generator=generator))
    order = torch.randperm(pieces, generator=generator)
    starts = offset + length * order[position * count : (position + 1) * count]
    return torch.stack([stream[start : start + length] for start in starts.tolist()]).long()


def take_step(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, batch: Int[Tensor, "batch length"]
) -> float:
    """Take one optimizer step in bfloat16 autocast and return the loss in nats per token.

    The norm of the gradient is clipped at 1.
    """
    model.train()
    with torch.autocast(batch.device.type, torch.bfloat16):
        loss = mean_loss(model(input_ids=batch, use_cache=False).logits, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def mean_loss(
    logits: Float[Tensor, "batch length vocabulary"], batch: Int[Tensor, "batch length"]
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the next tokens, in nats per token."""
    return functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def measure_loss(model: LlamaForCausalLM, blocks: Int[Tensor, "blocks length"]) -> float:
    """Return the mean negative log-likelihood over held-out blocks, in nats per token.

    It is computed in the model's own precision.

    Raises:
        ValueError: It is not finite, so that the training has diverged.
    """
    model.eval()
    total = 0.0
    for part in blocks.split(32):
        batch = part.to(model.device, torch.long)
        loss = mean_loss(model(input_ids=batch, use_cache=False).logits, batch)
        total += float(loss) * len(batch)
    if not math.isfinite(total):
        raise ValueError(
            f"the training has diverged: its loss on held-out text is {total / len(blocks)} nats "
            f"per token; lower pretrain.schedule.learning_rate"
        )
    return total / len(blocks)


def take_snapshot(
    model: LlamaForCausalLM,
    optimizer: torch.optim.Optimizer,
    done: int,
    curve: list[dict],
    losses: list[float],
) -> tuple[str, dict[str, Tensor], dict]:
    """Return what `restore` needs: a place in words, tensors, and everything else.

    Args:
        done: Steps done.
        curve: Points so far.
        losses: Of the steps since the last of them.
    """
    tensors = {f"model.{name}": weight for name, weight in model.named_parameters()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in values.items()
        }
    return f"step {done}", tensors, {"done": done, "curve": curve, "losses": losses}


@torch.no_grad()
def restore(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, snapshot
) -> tuple[int, list[dict], list[float]]:
    """Load a snapshot; return the steps done, the curve, and the losses since its last point.

    Without a snapshot nothing is loaded, and no step is done.
    """
    if not snapshot:
        return 0, [], []
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in snapshot.tensors.items():
        if name.startswith("model."):
            model.get_parameter(name.removeprefix("model.")).copy_(tensor)
        else:
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return tuple(snapshot.facts[name] for name in ("done", "curve", "losses"))


def describe_training(
    model: LlamaForCausalLM, held_out: Int[Tensor, "blocks length"], schedule: Schedule, seed: int
) -> dict:
    """Describe the training for the record beside the model: size, schedule and held-out loss.

    The loss is that of the weights rounded to bfloat16, in which they are saved.
    """
    rounded = model.to(torch.bfloat16).to(torch.float32)
    loss = measure_loss(rounded, held_out)
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "schedule": asdict(schedule),
        "seed": seed,
        "held_out_nats_per_token": loss,
        "held_out_perplexity": math.exp(loss),
        "torch": torch.__version__,
    }
