import pytest
import torch

from bench import decoding
from spon.decode import matrices
from spon.sparsify import keep_large


@pytest.mark.parametrize(("sparsity", "kept"), [(0.0, 4), (0.25, 3), (0.5, 2), (0.74, 1)])
def test_a_threshold_sets_the_share_of_these_entries_to_zero(sparsity, kept):
    x = torch.tensor([0.4, -3.0, 2.0, -0.1])
    threshold = matrices.choose_threshold(x, sparsity)
    assert keep_large(x, threshold).count_nonzero() == kept


def test_maps_of_one_size_are_one_matrix_and_others_are_named_by_their_size(network):
    maps = ["self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj"]
    assert matrices.list_matrices(network, maps, [(8, 16)]) == {
        "self_attn.q_proj self_attn.o_proj": (32, 32),
        "mlp.down_proj": (96, 32),
        "8 x 16": (8, 16),
    }


def test_every_matrix_is_measured_at_every_sparsity(monkeypatch):
    monkeypatch.setattr(matrices, "COLD_BYTES", 2**14)
    pretended = {"dense": [9e-6, 6e-6], "sparse": [4e-6, 5e-6]}

    def pretend(calls, rounds):
        assert rounds == 3 * 2**14 // (4 * 8 * 16)
        for call in calls.values():
            call()
        return pretended

    monkeypatch.setattr(matrices, "clock_in_turns", pretend)
    table = matrices.measure_matrices({"8 x 16": (8, 16)}, [0.0, 0.5], rounds=3)
    assert table["sparsity"].tolist() == [0.0, 0.5]
    row = table.iloc[1]
    assert (row["microseconds_dense"], row["microseconds_sparse"]) == pytest.approx((6.0, 4.0))
    assert (row["speed_up"], row["bound"]) == pytest.approx((1.5, 2.0))
    assert row["share_of_bound"] == pytest.approx(0.75)
    assert row["mebibytes"] == 128 * 4 / 2**20


def test_each_product_reads_all_of_its_copies_one_after_another(monkeypatch):
    dense, sparse = [torch.ones(2, 3) for _ in range(4)], [torch.ones(3, 2) for _ in range(4)]
    read = {"dense": [], "sparse": []}

    def note(name, copies):
        def find(_, matrix):
            read[name] += [number for number, copy in enumerate(copies) if copy is matrix]

        return find

    monkeypatch.setattr(matrices, "linear", note("dense", dense))
    monkeypatch.setattr(matrices, "multiply", note("sparse", sparse))
    matrices.measure_product(dense, sparse, 0.5, rounds=2)
    assert read == dict.fromkeys(read, [0, 1, 2, 3] * 2 + [0])  # and once before


def test_each_way_of_the_benchmark_reads_all_of_its_copies_one_after_another(monkeypatch):
    read = {"dense": [], "first": [], "second": []}
    copies = {name: [torch.ones(2, 2) for _ in range(3)] for name in read}

    def note(name):
        def find(x, matrix):
            read[name] += [number for number, c in enumerate(copies[name]) if c is matrix]
            return matrix @ x

        return find

    def turn(calls, rounds):
        for _ in range(3):
            for call in calls.values():
                call()
        return {name: [1.0] for name in calls}

    monkeypatch.setattr(decoding, "clock_in_turns", turn)
    monkeypatch.setattr(decoding, "linear", note("dense"))
    ways = {name: (note(name), copies[name]) for name in ("first", "second")}
    decoding.compare(ways | {"dense": (None, copies["dense"])}, torch.ones(2), 0.0)
    assert all({0, 1, 2} == set(seen) for seen in read.values()), read
