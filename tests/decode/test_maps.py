import pytest
import torch

from spon import sparsify
from spon.decode.maps import KeptInputs, reading_kept, transpose_weights
from spon.sites import name_sites

MAPS = ["self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"]
SITES = name_sites(2, MAPS)


def sparsifiers_of(network, method):
    thresholds = {site: 0.02 if method == "threshold" else float("nan") for site in SITES}
    return sparsify.make_sparsifiers(network, thresholds, method, 0.5, dense_share=0.25)


def biases_of(network):
    generator = torch.Generator().manual_seed(0)
    outputs = {site: network.get_submodule(site).out_features for site in SITES[::2]}
    return {site: torch.randn(size, generator=generator) for site, size in outputs.items()}


def pass_tokens(network, ids):
    """The logits of a prompt of five tokens, and of three more that are passed one by one."""
    with torch.inference_mode():
        passed = network(input_ids=ids[None, :5], use_cache=True)
        logits = [passed.logits[0]]
        for token in ids[5:8]:
            passed = network(
                input_ids=token[None, None],
                past_key_values=passed.past_key_values,
                use_cache=True,
            )
            logits.append(passed.logits[0])
    return torch.cat(logits)


@pytest.mark.parametrize("method", ["threshold", "topk"])
def test_a_model_that_reads_kept_weights_alone_says_what_the_hooked_one_says(
    network, tokens, method
):
    ids, biases = tokens[0].long(), biases_of(network)
    sparsifiers = sparsifiers_of(network, method)
    with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, biases):
        hooked = pass_tokens(network, ids)
    with reading_kept(network, sparsifiers, biases):
        assert isinstance(network.get_submodule(SITES[0]), KeptInputs)
        logits = pass_tokens(network, ids)
    torch.testing.assert_close(logits, hooked, rtol=1e-4, atol=1e-5)
    assert (hooked - pass_tokens(network, ids)).abs().max() > 0.01, "the dense model differs"


def test_the_model_is_afterwards_what_it_was_and_after_a_failure_too(network):
    modules = dict(network.named_modules())
    with (
        pytest.raises(KeyError, match="within"),
        reading_kept(network, sparsifiers_of(network, "threshold"), biases_of(network)),
    ):
        raise KeyError("within")
    assert dict(network.named_modules()) == modules
    assert all(network.get_submodule(site).bias is None for site in SITES)


def test_weights_that_were_transposed_before_are_used(network, tokens):
    ids, sparsifiers = tokens[0].long(), sparsifiers_of(network, "threshold")
    zeros = {site: torch.zeros_like(w) for site, w in transpose_weights(network, SITES).items()}
    with reading_kept(network, sparsifiers, transposed=zeros):
        assert not network.get_submodule(SITES[0])(torch.ones(1, 1, 32)).any()
        assert pass_tokens(network, ids).isfinite().all()


def test_another_precision_is_refused(network):
    with pytest.raises(ValueError, match="the model is in bfloat16 on cpu: sparse decoding is"):
        transpose_weights(network.bfloat16(), SITES)
