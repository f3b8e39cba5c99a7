"""What a pass keeps for the way back."""

import torch


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
