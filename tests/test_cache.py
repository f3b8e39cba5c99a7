import pytest
import torch

from spon.cache import Cache, compute, digest, digest_tensor

X = torch.tensor([[1.0, -2.5], [0.1, float("inf")]])
KEY = {"states": "final", "batch_tokens": 32}


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", {"model": "abc", "device": "cpu"})


def fail():
    raise AssertionError("made again")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32])
def test_an_entry_is_made_once_and_found_again_with_the_same_bits(cache, dtype):
    value = X.nan_to_num(posinf=3.0).to(dtype).T  # a view whose rows are not contiguous
    first, second = cache.keep(KEY, lambda: value), cache.keep(KEY, fail)
    assert first.dtype == second.dtype == dtype
    assert first.equal(value)
    assert second.equal(value)


def test_another_key_or_another_identity_is_another_entry(cache):
    assert cache.keep(KEY, lambda: X).equal(X)
    assert cache.keep(KEY | {"batch_tokens": 64}, lambda: 2 * X).equal(2 * X)
    on_gpu = Cache(cache.folder, {**cache.identity, "device": "cuda"})
    assert on_gpu.keep(KEY, lambda: 3 * X).equal(3 * X)
    assert cache.keep(KEY, fail).equal(X)
    assert len(list(cache.folder.iterdir())) == 3


def test_a_value_that_cannot_be_made_leaves_nothing_and_is_made_the_next_time(cache):
    with pytest.raises(AssertionError, match="made again"):
        cache.keep(KEY, fail)
    assert list(cache.folder.iterdir()) == []
    assert cache.keep(KEY, lambda: X).equal(X)


def test_an_entry_whose_writing_is_cut_short_is_none(cache, monkeypatch):
    def write_half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("spon.cache.save_file", write_half)
        cache.keep(KEY, lambda: X)
    assert list(cache.folder.glob("*.safetensors")) == []
    assert cache.keep(KEY, lambda: X).equal(X)
    assert [path.name for path in cache.folder.iterdir()] == [
        f"{digest({**cache.identity, **KEY})}.safetensors"
    ]


def cut(content):
    return content[:-3]


def empty(content):
    return b""


def zero(content):
    """The tensor's sixteen bytes."""
    return content[:-16] + bytes(16)


def flip(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def keep_header_alone(content):
    return content[:100]


def change_type(content):
    return content.replace(b"F32", b"I32")


def change_shape(content):
    return content.replace(b"[2,2]", b"[4,1]")


def forget_digest(content):
    return content.replace(b"digest", b"DIGEST")


@pytest.mark.parametrize(
    "damage",
    [cut, empty, zero, flip, keep_header_alone, change_type, change_shape, forget_digest],
)
def test_a_damaged_entry_is_made_again_and_the_log_names_it(cache, damage, caplog):
    cache.keep(KEY, lambda: X)
    (path,) = cache.folder.iterdir()
    whole = path.read_bytes()
    damaged = damage(whole)
    assert damaged != whole
    path.write_bytes(damaged)
    with caplog.at_level("INFO", logger="spon.progress"):
        assert cache.keep(KEY, lambda: X).equal(X)
    assert f"{path} is damaged and is made again" in caplog.text
    assert path.read_bytes() == whole
    assert cache.keep(KEY, fail).equal(X)


def test_an_entry_in_the_place_of_another_one_is_none(cache):
    cache.keep(KEY, lambda: X)
    (path,) = cache.folder.iterdir()
    cache.keep(KEY | {"batch_tokens": 64}, lambda: 2 * X)
    (other,) = set(cache.folder.iterdir()) - {path}
    other.replace(path)
    assert cache.keep(KEY, lambda: X).equal(X)


def test_two_jobs_that_make_the_same_entry_at_once_both_get_it(cache):
    def make():
        cache.keep(KEY, lambda: X)  # the other job was faster
        return X

    assert cache.keep(KEY, make).equal(X)
    assert len(list(cache.folder.iterdir())) == 1


def test_without_a_cache_every_value_is_made():
    made = []
    for _ in range(2):
        assert compute(KEY, lambda: made.append(0) or X) is X
    assert len(made) == 2


def test_a_digest_depends_on_all_values_and_not_on_the_order_of_keys():
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": 1, "b": 2}) != digest({"a": 2, "b": 1})
    assert len(digest({})) == 32


def test_tokens_are_told_apart_by_entries_by_shape_and_by_type():
    tokens = torch.tensor([[1, 2], [3, 4]], dtype=torch.int32)
    others = [tokens.T, tokens.reshape(1, 4), tokens.view(torch.float32)]
    assert digest_tensor(tokens) == digest_tensor(tokens.T.contiguous().T)
    assert len({digest_tensor(tensor) for tensor in (tokens, *others)}) == 4
