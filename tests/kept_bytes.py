"""What a pass through layers keeps for the way back."""

import torch


def run_layers(network, states):
    """The residual stream behind all layers of a Llama, from the one that enters the first."""
    positions = torch.arange(states.shape[1])[None]
    rotary = network.model.rotary_emb(states, position_ids=positions)
    for layer in network.model.layers:
        states = layer(
            states, attention_mask=None, position_ids=positions, position_embeddings=rotary
        )
    return states


def measure_kept(network, run):
    """Bytes that `run(network)` keeps for the way back, weights not counted."""
    known = {
        tensor.untyped_storage().data_ptr()
        for tensor in (*network.parameters(), *network.buffers())
    }
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run(network)
    return sum(storage.nbytes() for storage in kept.values())
