"""A head whose weight is chosen by hand."""

from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from spon.head import Head


def make_head(weight):
    """The head of a Llama with this weight, vocabulary by d_model."""
    vocabulary, width = weight.shape
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        tie_word_embeddings=False,
    )
    network = LlamaForCausalLM(config).eval()
    network.lm_head.weight = nn.Parameter(weight, requires_grad=False)
    return Head(network)
