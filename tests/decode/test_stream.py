import pytest
import torch
from torch import nn

from spon.decode import stream
from spon.decode.stream import count_bytes, counted, decode
from spon.sparsify import keep_large

SITE = "model.layers.0.mlp.down_proj"


def test_each_token_is_the_likeliest_behind_all_before_it(network, tokens):
    prompt = tokens[0].long()
    decoded = decode(network, prompt, 4)
    ids = prompt
    for _ in range(4):
        with torch.inference_mode():
            likeliest = network(input_ids=ids[None], use_cache=False).logits[0, -1].argmax()
        ids = torch.cat([ids, likeliest[None]])
    assert decoded.tokens.equal(ids[len(prompt) :])


def test_the_first_token_comes_of_the_prompt_and_is_not_timed():
    assert stream.Stream(torch.arange(5), seconds=2.0).tokens_per_second == 2.0


def test_streams_longer_than_the_positions_of_the_model_are_refused(network, tokens):
    positions = network.config.max_position_embeddings
    with pytest.raises(
        ValueError,
        match=f"8 tokens, and {positions} are to be decoded: allowed are {positions} or fewer",
    ):
        decode(network, tokens[0], positions)


def test_kept_inputs_are_counted_where_one_token_is_passed():
    with counted({SITE: lambda x: keep_large(x, 0.5)}) as (sparsifiers, kept):
        sparsifiers[SITE](torch.ones(1, 7, 4))  # a prompt
        sparsifiers[SITE](torch.tensor([[[1.0, 0.1, -2.0, 3.0]]]))
        assert sparsifiers[SITE](torch.tensor([[[0.0, 0.1, 0.2, 3.0]]]))[0, 0].tolist() == [
            0.0,
            0.0,
            0.0,
            3.0,
        ]
    assert kept.shares() == {SITE: 0.5}


class Small(nn.Module):
    """An embedding of 10 tokens, a site of 4 x 3 weights, a norm, and a head."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.site = nn.Linear(4, 3, bias=False)
        self.norm = nn.LayerNorm(3, bias=False)
        self.head = nn.Linear(3, 10)


def test_a_token_reads_one_row_of_the_embedding_and_of_a_site_what_is_kept():
    network = Small()
    assert count_bytes(network) == 4 * (4 + 12 + 3 + 30 + 10)
    assert count_bytes(network, {"site": 0.25}) == 4 * (4 + 3 + 3 + 30 + 10)
    biases = {"site": torch.zeros(3), "head": torch.zeros(10)}  # the head has one already
    assert count_bytes(network, {"site": 0.25}, biases) == 4 * (4 + 3 + 3 + 3 + 30 + 10)


def test_a_head_that_is_the_embedding_is_read_as_a_whole():
    network = Small()
    network.site = nn.Identity()
    network.norm = nn.Identity()
    network.head = nn.Linear(4, 10, bias=False)
    network.head.weight = network.embedding.weight
    assert count_bytes(network) == 4 * (4 + 40)
