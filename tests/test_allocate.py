"""Which layers and sites an allocation stands for, on models small enough to count."""

from pathlib import Path

import pytest

from spon import allocate
from spon.inputs.shape import look_up

ROOT = Path(__file__).parents[1]

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
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == (
            "the model has no linear map 'mlp.fc1': allowed are mlp.down_proj, self_attn.o_proj"
        )


def test_a_scope_is_every_layers_maps_layer_by_layer():
    assert allocate.name_scope(SHAPE, [OUT, DOWN]) == [
        "model.layers.0.self_attn.o_proj",
        "model.layers.0.mlp.down_proj",
        "model.layers.1.self_attn.o_proj",
        "model.layers.1.mlp.down_proj",
    ]


def test_a_map_that_a_layer_lacks_is_refused_with_the_layer():
    with pytest.raises(
        ValueError, match=r"'mlp.up_proj' is no linear map of model.layers.1 that takes ev"
    ):
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


def test_skipped_weights_are_those_that_meet_a_zero():
    # 48 weights of a down_proj and 16 of an o_proj in a layer, 128 in two.
    zeros = {"model.layers.0.mlp.down_proj": 0.5, "model.layers.0.self_attn.o_proj": 0.75}
    assert allocate.count_skipped(SHAPE, zeros) == 24 + 12
    assert allocate.site_sparsity(SHAPE, zeros) == 36 / 64
    assert allocate.model_sparsity(SHAPE | {"linear_weights": 128}, zeros) == 36 / 128
    assert allocate.model_sparsity(SHAPE | {"linear_weights": 128}, {}) == 0


def test_the_published_scopes_hold_the_published_shares_of_the_model():
    shape = look_up("meta-llama/Llama-3.2-1B", ROOT / "resources/shapes.yaml")
    for name, share in {OUT: 0.041, DOWN: 0.166}.items():
        sites = allocate.list_sites(shape, [name], range(16))["site"]
        assert allocate.model_sparsity(shape, dict.fromkeys(sites, 0.6)) == pytest.approx(
            share, abs=5e-4
        )
