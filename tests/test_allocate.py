"""Which layers and sites an allocation stands for, on models small enough to count."""

import pytest

from spon import allocate

# 2 x (4 x 4 + 12 x 4) = 128 weights, of which down_proj holds 3/4.
SHAPE = {
    "layers": 2,
    "maps": {
        "mlp.down_proj": {"d_in": 12, "d_out": 4},
        "self_attn.o_proj": {"d_in": 4, "d_out": 4},
    },
    "lacking": {"mlp.up_proj": 1},
}
DOWN, OUT = "mlp.down_proj", "self_attn.o_proj"


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("alternating", [0, 2, 4, 6]),
        ({"first": 0.75}, [0, 1, 2, 3, 4, 5]),
        ({"last": 0.5}, [4, 5, 6, 7]),
        ([5, 2], [2, 5]),
    ],
)
def test_layers_are_counted_from_the_input_and_come_in_ascending_order(layers, numbers):
    assert allocate.choose_layers(layers, 8) == numbers


@pytest.mark.parametrize(
    ("share", "count", "size"),
    [
        (0.5, 5, 3),
        (0.7, 5, 4),
        (0.4, 8, 3),
        (0.285, 100, 29),
        (0.01, 8, 1),
        (1, 8, 8),
        (0.5, 1, 1),
    ],
)
def test_half_a_layer_counts_as_one_and_no_share_is_empty(share, count, size):
    assert len(allocate.choose_layers({"first": share}, count)) == size
    assert len(allocate.choose_layers({"last": share}, count)) == size


def test_first_and_last_halves_share_no_layer_and_leave_none_out():
    halves = allocate.choose_layers({"first": 0.5}, 16) + allocate.choose_layers({"last": 0.5}, 16)
    assert halves == list(range(16))


def test_random_layers_depend_on_the_seed_alone():
    picks = [allocate.choose_layers({"random": 0.5, "seed": seed}, 8) for seed in (3, 3, 4)]
    assert picks[0] == picks[1] == [0, 2, 5, 6]
    assert picks[2] != picks[0]
    assert len(set(picks[2])) == 4


WRONG_LISTS = [[], [8], [-1], [1, 1], [True], [0.5]]
WRONG_SHARES = [
    {"first": 0},
    {"last": 1.5},
    {"first": True},
    {"random": 0.5},
    {"first": 0.5, "seed": 1},
]


@pytest.mark.parametrize(
    "layers", ["some", 3, *WRONG_LISTS, *WRONG_SHARES, {"random": 0.5, "seed": "a"}]
)
def test_impossible_layers_are_refused_with_the_value_and_what_is_allowed(layers):
    with pytest.raises(ValueError) as error:
        allocate.choose_layers(layers, 8)
    assert str(error.value).startswith(f"layers is {layers!r}: allowed are all, alternating, ")
    assert str(error.value).endswith("from 0 to 7")


def test_sites_are_listed_layer_by_layer_with_their_sizes():
    table = allocate.list_sites(SHAPE, [OUT, DOWN], [0, 1])
    assert table.columns.tolist() == ["site", "layer", "map", "d_in", "d_out"]
    assert table.values.tolist() == [
        ["model.layers.0.self_attn.o_proj", 0, OUT, 4, 4],
        ["model.layers.0.mlp.down_proj", 0, DOWN, 12, 4],
        ["model.layers.1.self_attn.o_proj", 1, OUT, 4, 4],
        ["model.layers.1.mlp.down_proj", 1, DOWN, 12, 4],
    ]


def test_an_unknown_map_is_refused_with_the_maps_that_there_are():
    for call in (
        lambda: allocate.list_sites(SHAPE, ["mlp.fc1"], [0]),
        lambda: allocate.allocate_biases(SHAPE, ["mlp.fc1"], [], "all"),
        lambda: allocate.model_sparsity(SHAPE, ["mlp.fc1"], 0.5),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == (
            "the model has no linear map 'mlp.fc1': allowed are mlp.down_proj, self_attn.o_proj"
        )


def test_a_map_that_a_layer_lacks_is_refused_with_the_layer():
    with pytest.raises(ValueError, match=r"'mlp.up_proj' is no linear map of model.layers.1, or"):
        allocate.list_sites(SHAPE, ["mlp.up_proj"], [0])


def test_biases_go_only_to_the_chosen_maps_and_layers_of_the_scope():
    table = allocate.allocate_biases(SHAPE, [OUT, DOWN], [DOWN], {"last": 0.5})
    assert table["site"].tolist() == ["model.layers.1.mlp.down_proj"]


def test_a_map_that_is_not_sparsified_gets_no_bias():
    with pytest.raises(ValueError) as error:
        allocate.allocate_biases(SHAPE, [DOWN], [OUT], "all")
    assert str(error.value) == (
        "biases names 'self_attn.o_proj', which the scope does not sparsify: "
        "allowed are mlp.down_proj"
    )


def test_model_sparsity_is_the_scopes_share_of_the_decoders_linear_weights():
    assert allocate.model_sparsity(SHAPE, [DOWN], 0.5) == 0.375
    assert allocate.model_sparsity(SHAPE, [OUT], 0.5) == 0.125
    assert allocate.model_sparsity(SHAPE, [DOWN, OUT], 0.5) == 0.5
    assert allocate.model_sparsity(SHAPE, [], 0.5) == 0


def test_the_published_scopes_hold_the_published_shares_of_the_model():
    # Llama-3.2-1B: q and o 2048 x 2048, k and v 2048 x 512, gate, up and down 2048 x 8192.
    sizes = {
        OUT: (2048, 2048),
        "q": (2048, 2048),
        "k": (2048, 512),
        "v": (2048, 512),
        DOWN: (8192, 2048),
    }
    sizes |= {"gate": (2048, 8192), "up": (2048, 8192)}
    maps = {name: {"d_in": d_in, "d_out": d_out} for name, (d_in, d_out) in sizes.items()}
    shape = {"layers": 16, "maps": maps}
    assert allocate.model_sparsity(shape, [OUT], 0.6) == pytest.approx(0.041, abs=5e-4)
    assert allocate.model_sparsity(shape, [DOWN], 0.6) == pytest.approx(0.166, abs=5e-4)
