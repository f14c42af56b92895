"""A hub that is out of reach, or that does not have a model, is told in one line and within seconds."""

import http.server
import socket
import threading
import time

import pytest

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import backbones, checkpoints


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A function: make this address the hub, with nothing in the cache."""

    def at(address: str) -> None:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    return at


def test_a_hub_out_of_reach_is_told_within_seconds(hub, monkeypatch):
    monkeypatch.setattr(checkpoints, "HUB_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        for address in ("http://127.0.0.1:9", f"http://127.0.0.1:{silent.getsockname()[1]}"):
            hub(address)
            began = time.monotonic()
            with pytest.raises(UserError, match=r"model\.path=google/flan-t5-small: .* out of reach") as refused:
                backbones.load(Model(name="x", path="google/flan-t5-small"))
            assert time.monotonic() - began < 15  # its retries take half a minute
            assert "\n" not in str(refused.value)


def test_a_model_that_the_hub_does_not_have_is_refused(hub):
    class Unknown(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unknown) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UserError, match=r"model\.path=google/flan: neither a folder nor a model on the hub"):
            backbones.load(Model(name="x", path="google/flan"))
        server.shutdown()
