import numpy as np
import pytest
import torch

from spon.inputs.tokens import (
    Protocol,
    cut_blocks,
    describe_tokens,
    join_documents,
    read_prompts,
    read_tokens,
    save_prompts,
    save_tokens,
    take_blocks,
    take_even,
    tokenize,
    tokenize_prompts,
)


class Characters:
    """A tokenizer whose tokens are characters; counts those that it has tokenised."""

    bos_token_id = 7
    count = 0

    def __call__(self, text, **_):
        self.count += len(text)
        return {"input_ids": [ord(character) for character in text]}


def protocol(**changes):
    settings = {"block_length": 4, "bos": False, "join": "", "strip": True, "dense_share": 0.0}
    return Protocol(**settings | changes)


def test_documents_are_stripped_emptied_of_nothing_and_joined_as_the_protocol_says():
    lines = [" a \n", "", "  ", "b"]
    assert join_documents(lines, protocol(join="|")) == "a|b"
    assert join_documents(lines, protocol(join="|", strip=False)) == " a \n||  |b"


def test_the_first_blocks_are_the_start_of_the_text_and_even_ones_span_it():
    ids = np.arange(21)  # five blocks of four, and a rest
    assert cut_blocks(ids, protocol(), 2, "first").tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert cut_blocks(ids, protocol(), 2, "even")[:, 0].tolist() == [0, 8]
    assert cut_blocks(ids, protocol(), 5, "even")[:, 0].tolist() == [0, 4, 8, 12, 16]


def test_a_bos_token_takes_a_place_in_every_block():
    assert cut_blocks(np.arange(6), protocol(bos=True), 2, "first", 9).tolist() == [
        [9, 0, 1, 2],
        [9, 3, 4, 5],
    ]
    with pytest.raises(ValueError, match="protocol.bos is true, but this tokenizer has no BOS"):
        cut_blocks(np.arange(6), protocol(bos=True), 2, "first")


def test_a_text_shorter_than_the_blocks_asked_for_is_refused_with_what_it_holds():
    with pytest.raises(
        ValueError, match="holds 2 blocks of 4 tokens, blocks asks for 3: allowed is 1 to 2"
    ):
        cut_blocks(np.arange(11), protocol(), 3, "first")
    with pytest.raises(ValueError, match="holds 3 tokens, no block of 4 .*: take a longer text$"):
        cut_blocks(np.arange(3), protocol(), 3, "first")


def test_first_blocks_cost_no_more_of_a_long_text_than_they_need():
    documents = ["abcd"] * 1000
    tokenizer = Characters()
    blocks = tokenize(documents, tokenizer, protocol(), 3, "first")
    whole = tokenize(documents, Characters(), protocol(), 1000, "first")
    assert blocks.equal(whole[:3])
    assert tokenizer.count < 100


def test_two_texts_or_two_protocols_have_two_hashes():
    tokens = torch.zeros(2, 4, dtype=torch.int32)
    text, settings = {"path": "text"}, {"join": ""}
    digests = [
        describe_tokens(*arguments, {"rows": 2})["protocol"]
        for arguments in [
            (tokens, text, settings),
            (tokens + 1, text, settings),
            (tokens, text, {"join": " "}),
        ]
    ]
    assert len(set(digests)) == 3
    again = describe_tokens(tokens.clone(), dict(text), dict(settings), {"rows": 3})
    assert digests[0] == again["protocol"]
    assert again["read"] == {"rows": 3}


def test_tokens_survive_the_file(tmp_path):
    tokens = torch.arange(6, dtype=torch.int32).view(2, 3)
    save_tokens(tokens, tmp_path / "tokens.safetensors", '{"rule": "tokenize_text"}')
    assert read_tokens(tmp_path / "tokens.safetensors", 10).equal(tokens)
    assert take_even(tokens, 1).tolist() == [[0, 1, 2]]


def test_the_first_blocks_come_in_order_and_random_ones_by_the_seed():
    tokens = torch.arange(20, dtype=torch.int32).view(10, 2)

    def take(order, seed):
        return take_blocks(tokens, 4, order, torch.Generator().manual_seed(seed))

    assert take("first", 0).equal(tokens[:4])
    assert take("random", 0).equal(take("random", 0))
    assert not take("random", 0).equal(take("random", 1))
    assert len({block.tolist()[0] for block in take("random", 1)}) == 4  # none twice


def test_prompts_are_blocks_of_their_own_in_the_files_order_with_a_bos_if_the_protocol_has_one(
    tmp_path,
):
    class Letters:
        bos_token_id = 99

        def __call__(self, text, **_):
            return {"input_ids": [ord(letter) - ord("a") for letter in text]}

    prompts = {"math": ["abc", "d"], "code": ["ba"]}
    protocol = Protocol(block_length=8, bos=True, join="", strip=True, dense_share=0.0)
    tokens = tokenize_prompts(prompts, Letters(), protocol)
    save_prompts(tokens, tmp_path / "prompts.safetensors", "{}")
    read = read_prompts(tmp_path / "prompts.safetensors", 100)
    assert {name: ids.tolist() for name, ids in read.items()} == {
        "00.math": [[99, 0, 1, 2]],
        "01.math": [[99, 3]],
        "02.code": [[99, 1, 0]],
    }
