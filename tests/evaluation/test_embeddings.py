"""What is kept on disk comes back bit for bit, or not at all."""

import os
import time
import warnings

import pytest
import torch

from caref.evaluation.embeddings import Embeddings, default_folder


@pytest.fixture
def embedded():
    generator = torch.Generator().manual_seed(0)
    return {tuple(range(length)): torch.randn(length, 8, generator=generator) for length in range(3, 23)}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[text], other[text]) for text in one)


def test_what_is_kept_is_found_by_others_and_by_oneself(embedded, tmp_path):
    mine, theirs = Embeddings(tmp_path / "new" / "folder"), Embeddings(tmp_path / "new" / "folder")
    assert mine.find(embedded) == theirs.find(embedded) == {}
    mine.keep(embedded)
    assert same(mine.find(embedded), embedded)
    assert same(theirs.find(embedded), embedded)
    assert theirs.find([(1, 2), (3, 4, 5)]) == {}
    more = {(9, 9): torch.ones(2, 8)}
    theirs.keep(more)
    assert same(mine.find([*embedded, *more]), embedded | more)


@pytest.mark.parametrize("damage", ["one bit", "header", "type", "half", "empty", "other content"])
def test_what_is_damaged_is_said_removed_and_not_found(embedded, tmp_path, damage):
    Embeddings(tmp_path).keep(embedded)
    [file] = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    match damage:
        case "one bit":
            content[-5] ^= 1
        case "header":
            content[9] ^= 8
        case "type":
            content = content.replace(b'"F32"', b'"I32"')
        case "half":
            content = content[: len(content) // 2]
        case "empty":
            content = b""
        case "other content":
            content = b"not what was written" * 1000
    file.write_bytes(content)
    store = Embeddings(tmp_path)
    with pytest.warns(UserWarning, match=f"{file}: damaged"):
        assert store.find(embedded) == {}
    assert not file.exists()
    store.keep(embedded)
    with warnings.catch_warnings(action="error"):
        assert same(store.find(embedded), embedded)
        assert same(Embeddings(tmp_path).find(embedded), embedded)


def test_a_folder_that_cannot_be_written_is_said_and_memory_serves(embedded, tmp_path):
    (tmp_path / "file").touch()
    store = Embeddings(tmp_path / "file" / "folder")
    with pytest.warns(UserWarning, match="not kept on disk"):
        store.keep(embedded)
    assert same(store.find(embedded), embedded)


def test_only_what_was_abandoned_long_ago_is_swept(embedded, tmp_path):
    abandoned, fresh = tmp_path / ".a.tmp", tmp_path / ".b.tmp"
    for file in (abandoned, fresh):
        file.touch()
    os.utime(abandoned, (time.time() - 2 * 86400,) * 2)
    Embeddings(tmp_path).keep(embedded)
    assert fresh.exists() and not abandoned.exists()


def test_the_default_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "caref" / "bertscore"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "caref" / "bertscore"
