"""Damaged files of jobs, each read as its job reads it: one sentence names the file.

No lineage record is at hand here: what one would notice is in tests/lineage/test_records.py.
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_study import SCOPES, SHAPE, SITES, TOP_50, reach

from spon import calibrate, centre, models, sparsify
from spon.analyses import runs
from spon.biases import write_biases
from spon.claims import effects
from spon.inputs import check, tokens
from spon.sites import EVALUATION, name_sites, read_sites
from spon.tables import likelihoods, realised, trainings

DOWN, OUT = "mlp.down_proj", "self_attn.o_proj"
SITE = f"model.layers.0.{DOWN}"
RUN = {"allocation": "TOP-50", "sparsity": 0.5, "seed": 0}
NAMES = RUN | {"study": "s", "scope": "down_proj"}
SPARSIFICATION = {"method": "threshold", "dense_share": 0.0}
VOCABULARY = 2048


@pytest.fixture(scope="module")
def model(model_json):
    return models.load(model_json, "cpu", "float32")


@pytest.fixture(scope="module")
def shape(model_json):
    return json.loads(model_json.read_text())["shape"]


# How to write each kind of file, and how its job reads it.


def write_thresholds(path, model):
    sites = name_sites(2, [DOWN])
    rows = {"site": sites, "layer": range(len(sites)), "threshold": 0.1 + 0.1 * np.arange(2)}
    reached = {"sparsity_dense_pass": 0.5, "sparsity_sparse_pass": 0.5}
    table = pd.DataFrame({"scope": "down_proj", "sparsity": 0.5, **rows, **reached})
    table.to_csv(path, index=False)


def read_thresholds(path, model):
    return sparsify.read_sparsifiers(model, path, SPARSIFICATION, 0.5, names=NAMES)


def write_run(path, model):
    made_by = {name: str(value) for name, value in (RUN | {"study": "s"}).items()}
    biases = {
        site: torch.ones(model.get_submodule(site).out_features) for site in name_sites(2, [DOWN])
    }
    write_biases(biases, path, json.dumps(made_by))


def read_biases(path, model):
    return sparsify.load_biases(path, model, NAMES)


def read_run(path, model):
    return runs.gather_runs([path], [RUN])


def write_centres(path, model):
    centres = {
        site: torch.ones(model.get_submodule(site).in_features) for site in name_sites(2, [DOWN])
    }
    centre.write_centres(centres, path, "{}")


def read_centres(path, model):
    return centre.read_centres(path, model, name_sites(2, [DOWN]))


def write_quantiles(path, model):
    sites = name_sites(2, [DOWN])
    tables = [
        pd.DataFrame({"site": site, "share": calibrate.SHARES, "magnitude": calibrate.SHARES})
        for site in sites
    ]
    pd.concat(tables).to_parquet(path)


def read_quantiles(path, model):
    return calibrate.load_quantiles(path, name_sites(2, [DOWN]))


def write_tokens(path, model):
    tokens.save_tokens(torch.arange(32).view(4, 8), path, "{}")


def read_tokens(path, model):
    return tokens.read_tokens(path, VOCABULARY)


def write_prompts(path, model):
    prompts = {f"0{n}.math": torch.ones(1, 3 + n, dtype=torch.int32) for n in range(3)}
    tokens.save_prompts(prompts, path, "{}")


def read_prompts(path, model):
    return tokens.read_prompts(path, VOCABULARY)


def write_sites(path, model):
    SITES[0].to_csv(path, index=False)


def read_small_sites(path, model):
    return read_sites(path, SHAPE)


def write_nll(path, model):
    TOP_50.astype({"seed": "Int64"}).to_parquet(path)


def read_nll(path, model):
    expected = dict(zip(EVALUATION, ("TOP-50", "down_proj", 0.5, 0), strict=True))
    return likelihoods.read_evaluations([path], [expected])


def write_draws(path, model):
    draws = [TOP_50.iloc[:4].assign(draw=draw, norms_of="TOP-50") for draw in range(3)]
    pd.concat(draws).to_parquet(path)


def read_draws(path, model):
    return likelihoods.read_draws([path], [RUN])


def write_curve(path, model):
    curve = {"step": range(5), "learning_rate": 0.1, "kl_nats_per_token": 0.2, "event": ""}
    held_out = {"held_out_kl": [1.0, np.nan, 0.8, np.nan, 0.7]}
    pd.DataFrame({**RUN, "scope": "down_proj", **curve, **held_out}).to_csv(path, index=False)


def read_curve(path, model):
    return trainings.tabulate_trainings([path], "constant", [RUN], False)


def write_trainings(path, model):
    rows = [RUN | {"scope": "down_proj", "seed": seed} for seed in (0, 1)]
    pd.DataFrame(rows).reindex(columns=trainings.TRAININGS, fill_value=1).to_csv(path, index=False)


def read_trainings(path, model):
    points = pd.DataFrame([RUN | {"scope": "down_proj", "seed": seed} for seed in (0, 1)])
    return trainings.read_trainings(path, points.astype({"seed": "Int64"}).assign(learn="kl"))


def write_reached(path, model):
    reach("down_proj", 0.5, 0.5).to_csv(path, index=False)


def read_reached(path, model):
    return realised.read_thresholds([path], SHAPE, SCOPES)


def write_analysis(path, model):
    pd.DataFrame([RUN | {"site": SITE, "size": 1.0}]).to_csv(path, index=False)


def read_analysis(path, model):
    return effects.read_evidence({"bias_statistics": [path]}, {})


def write_description(path, model):
    path.write_text(json.dumps({"shape": {"layers": 2}}))


def read_description(path, model):
    return check.read_json(path, "shape", "layers")


KINDS = {
    "thresholds.csv": (write_thresholds, read_thresholds),
    "biases.safetensors": (write_run, read_biases),
    "run.safetensors": (write_run, read_run),
    "centres.safetensors": (write_centres, read_centres),
    "quantiles.parquet": (write_quantiles, read_quantiles),
    "tokens.safetensors": (write_tokens, read_tokens),
    "prompts.safetensors": (write_prompts, read_prompts),
    "sites.csv": (write_sites, read_small_sites),
    "nll.parquet": (write_nll, read_nll),
    "draws.parquet": (write_draws, read_draws),
    "curve.csv": (write_curve, read_curve),
    "trainings.csv": (write_trainings, read_trainings),
    "reached.csv": (write_reached, read_reached),
    "analysis.csv": (write_analysis, read_analysis),
    "model.json": (write_description, read_description),
}

# What befalls any file.


def empty(content):
    return b""


def cut(content):
    """The first third."""
    return content[: len(content) // 3]


def zero(content):
    return bytes(len(content))


def garble(content):
    return bytes(byte ^ 0xA5 for byte in content)


BYTES = [empty, cut, zero, garble]

# What befalls a table.


def keep_header(table):
    return table.iloc[:0]


def lose_row(table):
    table = table.reset_index(drop=True)
    return table.drop(len(table) // 2)


def double_row(table):
    return pd.concat([table, table.iloc[[0]]])


def is_of(**names):
    def change(table):
        return table.assign(**names)

    change.__name__ = f"is_of_{'_'.join(map(str, names.values()))}"
    return change


def lose(column):
    def change(table):
        return table.drop(columns=column)

    change.__name__ = f"lose_{column}"
    return change


def put(value, column, row=0):
    def change(table):
        changed = table.reset_index(drop=True).astype({column: object})
        changed.loc[len(table) - 1 if row < 0 else row, column] = value
        return changed if isinstance(value, str) else changed.infer_objects()

    change.__name__ = f"put_{value}_in_{column}"
    return change


SHRUNK = [keep_header, lose_row, double_row]
NOT_FINITE = [np.inf, np.nan]
TABLES = {
    "thresholds.csv": [
        *SHRUNK,
        lose("threshold"),
        lose("site"),
        is_of(sparsity=0.6),
        is_of(scope="o_proj"),
        *(put(value, "threshold") for value in (*NOT_FINITE, -0.1, "0.1.2")),
        put(f"model.layers.7.{DOWN}", "site"),
        is_of(threshold=np.nan),
    ],
    "quantiles.parquet": [
        *SHRUNK,
        lose("share"),
        *(put(value, "magnitude", 5) for value in (*NOT_FINITE, -1.0, 0.9)),
        put(0.5, "share", 3),
        is_of(site=SITE),
    ],
    "sites.csv": [
        keep_header,
        double_row,
        lose("site"),
        put("model.layers.9.mlp.down_proj", "site"),
        put(3, "d_out"),
        put("self_attn.o_proj", "map"),
        is_of(layer=0),
    ],
    "nll.parquet": [
        *SHRUNK,
        lose("kl_nats"),
        is_of(seed=1),
        is_of(allocation="TOP-75"),
        is_of(sparsity=0.6),
        *(put(value, "nll_nats") for value in (*NOT_FINITE, -3.0)),
        *(put(value, "kl_nats") for value in (*NOT_FINITE, -3.0)),
        put(np.nan, "kl_at_temperature_nats"),
        put(-1.0, "entropy_nats"),
        put(11, "top1"),
        is_of(temperature=0.0),
        is_of(kl_95=np.inf),
        is_of(predictions=0),
        put(9, "block"),
    ],
    "draws.parquet": [
        *SHRUNK,
        lose("draw"),
        is_of(allocation="RANDOM-OUT"),
        put(np.nan, "nll_nats"),
        put(-9.0, "kl_nats"),
    ],
    "curve.csv": [
        *SHRUNK,
        lose("held_out_kl"),
        is_of(seed=1),
        put(np.nan, "held_out_kl", -1),
        put(np.inf, "held_out_kl", 2),
        put(-1.0, "held_out_kl", 2),
        put(np.inf, "learning_rate", 2),
        put(np.nan, "kl_nats_per_token", 2),
    ],
    "trainings.csv": [*SHRUNK, lose("converged"), is_of(seed=4)],
    "reached.csv": [
        *SHRUNK,
        lose("scope"),
        is_of(scope="o_proj"),
        is_of(scope="none"),
        put(1.5, "sparsity_sparse_pass"),
        put(np.nan, "sparsity_sparse_pass"),
    ],
    "analysis.csv": [keep_header, lose("seed"), put(np.inf, "size")],
}

# What befalls tensors.


def have_none(tensors, names):
    return {}, names


def lose_tensor(tensors, names):
    return dict(list(tensors.items())[1:]), names


def rename(tensors, names):
    return {name.replace("model", "modal"): value for name, value in tensors.items()}, names


def move(tensors, names):
    return {name.replace("layers.1", "layers.9"): value for name, value in tensors.items()}, names


def shorten(tensors, names):
    return {name: value[:1].clone() for name, value in tensors.items()}, names


def halve(tensors, names):
    return {name: value.half() for name, value in tensors.items()}, names


def widen(tensors, names):
    return {name: value[None].clone() for name, value in tensors.items()}, names


def fill(number):
    def change(tensors, names):
        changed = {name: value.clone() for name, value in tensors.items()}
        for value in changed.values():
            value.view(-1)[0] = number
        return changed, names

    change.__name__ = f"fill_{number}"
    return change


def say(**others):
    def change(tensors, names):
        return tensors, names | others

    change.__name__ = f"say_{'_'.join(others.values())}"
    return change


def say_nothing(tensors, names):
    return tensors, {}


OF_BIASES = [have_none, rename, halve, widen, fill(np.inf), fill(np.nan)]
TENSORS = {
    "biases.safetensors": [
        *OF_BIASES,
        move,
        shorten,
        say(allocation="TOP-75"),
        say(sparsity="0.6"),
        say(seed="1"),
        say(study="t"),
    ],
    "run.safetensors": [*OF_BIASES, say(seed="1"), say_nothing],
    "centres.safetensors": [
        have_none, lose_tensor, rename, move, shorten, widen, fill(np.inf), fill(np.nan)
    ],
    "tokens.safetensors": [have_none, widen, halve, fill(VOCABULARY), fill(-1)],
    "prompts.safetensors": [have_none, lose_tensor, halve, widen, fill(VOCABULARY), fill(-1)],
}  # fmt: skip


def damage_bytes(path, damage):
    path.write_bytes(damage(path.read_bytes()))


def damage_table(path, damage):
    if path.suffix == ".parquet":
        damage(pd.read_parquet(path)).to_parquet(path)
    else:
        damage(pd.read_csv(path)).to_csv(path, index=False)


def damage_tensors(path, damage):
    tensors, names = load_file(path), {}
    if "biases" in path.name or "run" in path.name:
        names = {name: str(value) for name, value in (RUN | {"study": "s"}).items()}
    tensors, names = damage(tensors, names)
    save_file(tensors, path, metadata={"made_by": json.dumps(names)})


CASES = [
    *((name, damage_bytes, damage) for name in KINDS for damage in BYTES),
    *((name, damage_table, damage) for name, damages in TABLES.items() for damage in damages),
    *((name, damage_tensors, damage) for name, damages in TENSORS.items() for damage in damages),
]


@pytest.mark.parametrize("name", KINDS)
def test_an_intact_file_is_read(name, tmp_path, model):
    write, read = KINDS[name]
    write(tmp_path / name, model)
    read(tmp_path / name, model)


@pytest.mark.parametrize(
    ("name", "how", "damage"), CASES, ids=[f"{case[0]}-{case[2].__name__}" for case in CASES]
)
def test_a_damaged_file_is_named_in_one_sentence(name, how, damage, tmp_path, model):
    write, read = KINDS[name]
    path = tmp_path / name
    write(path, model)
    whole = path.read_bytes()
    how(path, damage)
    assert path.read_bytes() != whole
    with pytest.raises(ValueError) as caught:
        read(path, model)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path} ")
    assert "\n" not in sentence
    assert "delete it, and Snakemake makes it again" in sentence


def test_there_are_many():
    assert len(CASES) > 150


def test_two_files_of_one_run_are_named(tmp_path, model):
    paths = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    for path in paths:
        write_run(path, model)
    with pytest.raises(ValueError, match="1.safetensors is of the same run as .*0.safetensors"):
        runs.gather_runs(paths, [RUN, RUN | {"seed": 1}])
    files = [tmp_path / "0.csv", tmp_path / "1.csv"]
    for file in files:
        write_analysis(file, model)
    with pytest.raises(ValueError, match="1.csv is of the same run as .*0.csv"):
        effects.read_evidence({"bias_statistics": files}, {})
    for file in files:
        write_reached(file, model)
    with pytest.raises(ValueError, match="1.csv is of the same scope and sparsity as .*0.csv"):
        realised.read_thresholds(files, SHAPE, SCOPES)


def test_sites_by_rank_have_no_thresholds(tmp_path, model):
    path, by_rank = tmp_path / "thresholds.csv", {"method": "topk", "dense_share": 0.0}
    write_thresholds(path, model)
    with pytest.raises(ValueError, match="has a threshold, and the study's method is topk"):
        sparsify.read_sparsifiers(model, path, by_rank, 0.5)
    pd.read_csv(path).assign(threshold=np.nan).to_csv(path, index=False)
    assert len(sparsify.read_sparsifiers(model, path, by_rank, 0.5)) == 2
