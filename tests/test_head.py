import pytest
import torch
import transformers
from given_head import make_head

from spon import models
from spon.head import Head

SIZES = {
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
}


def build(family, **more):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SIZES | more)
    network = getattr(transformers, f"{family}ForCausalLM")(config)
    return network.requires_grad_(False).eval()


# x = (1, 2) and rows (1, 0), (0, 1), (1, 1): logits 1, 2, 3. Their gradients (1, 0, 2) come back
# as 1 (1, 0) + 2 (1, 1).
def test_logits_and_the_way_back_are_those_of_the_weight():
    head = make_head(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    logits, pull = head.open(torch.tensor([[1.0, 2.0]]))
    assert logits.tolist() == [[1.0, 2.0, 3.0]]
    assert pull(torch.tensor([[1.0, 0.0, 2.0]])).tolist() == [[3.0, 2.0]]
    logits, shifted, pull = head.push(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]]))
    assert logits.tolist() == [[1.0, 2.0, 3.0]]
    assert shifted.tolist() == [[0.0, 1.0, 1.0]]
    assert pull(torch.tensor([[1.0, 0.0, 2.0]])).tolist() == [[3.0, 2.0]]


@pytest.mark.parametrize(
    ("family", "settings", "expect"),
    [
        ("Granite", {"logits_scaling": 8.0}, lambda plain: plain / 8),
        ("Cohere", {"logit_scale": 0.25}, lambda plain: plain / 4),
        ("Gemma2", {"final_logit_softcapping": 2.0}, lambda plain: 2 * torch.tanh(plain / 2)),
        ("Phi", {"num_key_value_heads": 2}, lambda plain: plain),  # with a bias
    ],
)
def test_logits_are_scaled_capped_and_shifted_as_the_model_does(family, settings, expect):
    network = build(family, **settings)
    outer = network.get_output_embeddings()
    outer.weight.data.normal_()
    if outer.bias is not None:
        outer.bias.data.normal_()
    states = torch.randn(3, 8)
    head = Head(network)
    expected = expect(states @ outer.weight.T + (0 if outer.bias is None else outer.bias))
    torch.testing.assert_close(head.logits(states), expected)
    # Along a shift, by a central difference; and back, by the product of both.
    shift, gradient, step = torch.randn(3, 8), torch.randn(3, 11), 1e-2
    _, shifted, pull = head.push(states, shift)
    difference = (head.logits(states + step * shift) - head.logits(states - step * shift)) / step
    torch.testing.assert_close(shifted, difference / 2, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close((pull(gradient) * shift).sum(), (gradient * shifted).sum())


def test_the_model_itself_is_left_as_it_was(network, tokens):
    before = network(input_ids=tokens.long()).logits
    Head(network).logits(models.final_states(network, tokens)[0])
    assert network(input_ids=tokens.long()).logits.equal(before)
    assert type(network.lm_head) is torch.nn.Linear
