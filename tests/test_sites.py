import pandas as pd

from spon import sites

OUT = "self_attn.o_proj"


def test_a_site_tells_its_layer_and_its_map():
    site = "model.layers.11.self_attn.o_proj"
    assert sites.name_site(11, OUT) == site
    assert (sites.layer_of(site), sites.map_of(site)) == (11, OUT)
    assert sites.describe_site(site) == {"site": site, "layer": 11, "map": OUT}
    assert sorted([site, sites.name_site(2, OUT)], key=sites.order_of) == [
        "model.layers.2." + OUT,
        site,
    ]


def test_rows_are_named_in_front_and_what_has_no_seed_has_none():
    table = pd.DataFrame({"block": [0, 1]})
    run = sites.name_rows(table, {"allocation": "TOP-50", "sparsity": "0.5", "seed": "1"})
    assert run.values.tolist() == [["TOP-50", 0.5, 1, 0], ["TOP-50", 0.5, 1, 1]]
    dense = sites.name_rows(table, {"allocation": "DENSE", "sparsity": None, "seed": None})
    assert dense["seed"].isna().all()
    assert dense["sparsity"].dtype == float


def test_the_maps_of_every_layer_are_named_layer_by_layer():
    assert sites.name_sites(2, iter(["b.c", "a"])) == [
        "model.layers.0.b.c",
        "model.layers.0.a",
        "model.layers.1.b.c",
        "model.layers.1.a",
    ]
