"""Downloads are verified, resumed, and never leave a file that is not the release's under its name.

A real HTTP server on this machine's loopback stands where the releases' hosts do.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from caref import download
from caref.data import comve, cos_e, ecqa, esnli
from caref.data.releases import ReleaseFile
from caref.data.sources import load
from caref.errors import UserError


@dataclass
class Fault:
    """What goes wrong with one request."""

    cut_after: int | None = None  # bytes
    status: int | None = None  # of HTTP
    no_ranges: bool = False


class Server:
    """Serves `files` by path; the n-th request for a path meets the n-th of its `faults`."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.base = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, wanted = unquote(request.path), request.headers.get("Range")
        self.asked.append((path, wanted))
        fault = self.faults[path].pop(0) if self.faults.get(path) else Fault()
        if fault.status or path not in self.files:
            request.send_error(fault.status or 404)
            return
        content = self.files[path]
        ranged = wanted is not None and not fault.no_ranges
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if ranged else 0
        if start and start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        request.wfile.write(content[start:][: fault.cut_after])
        request.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content).hexdigest()


@pytest.fixture
def release(server, monkeypatch) -> Callable[[bytes], str]:
    """A function: make e-SNLI's release a single file of this content; returns the file's path on the server."""

    def publish(content: bytes) -> str:
        file = replace(esnli.RELEASE[2], blob=blob(content))
        monkeypatch.setattr(esnli, "RELEASE", (file,))
        path = urlsplit(file.address).path
        server.files[path] = content
        return path

    return publish


CONTENT = b"pairID,gold_label\n" + bytes(range(256)) * 40


def fetch(server, root, dataset: str = "esnli") -> list[str]:
    told: list[str] = []
    download.download(dataset, root, base=server.base, report=told.append)
    return told


def refusal(server, root) -> str:
    with pytest.raises(UserError) as error:
        fetch(server, root)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(root) -> list[str]:
    return sorted(path.name for path in (root / "esnli").iterdir())


def test_a_release_is_fetched_verified_and_read(data_root, server, tmp_path):
    for module, folder in ((cos_e, "cos_e"), (comve, "comve")):
        for file in module.RELEASE:
            content = (data_root / folder / file.path).read_bytes()
            server.files[unquote(urlsplit(file.address).path)] = content
        told = fetch(server, tmp_path, folder)
        assert len(told) == len(module.RELEASE)
        assert all("fetched" in line and "verified by its blob id" in line for line in told)
        here, there = (load(folder, "validation", "files", str(root)) for root in (tmp_path, data_root))
        assert here == there


def test_blob_ids_are_gits(tmp_path):
    (tmp_path / "greeting").write_bytes(b"hello\n")
    assert download.blob_id(tmp_path / "greeting") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


def test_what_is_there_and_whole_is_left_alone(server, release, tmp_path):
    release(CONTENT)
    fetch(server, tmp_path)
    asked = len(server.asked)
    assert "already there, verified by its blob id" in fetch(server, tmp_path)[0]
    assert len(server.asked) == asked


def test_a_connection_cut_midway_is_taken_up_again(server, release, tmp_path):
    path = release(CONTENT)
    server.faults[path] = [Fault(cut_after=3000), Fault(cut_after=2000)]
    fetch(server, tmp_path)
    assert (tmp_path / "esnli" / "esnli_dev.csv").read_bytes() == CONTENT
    assert server.asked == [(path, None), (path, "bytes=3000-"), (path, "bytes=5000-")]
    assert names(tmp_path) == ["esnli_dev.csv"]


def test_a_download_that_was_stopped_goes_on_in_the_next_run(server, release, tmp_path):
    path = release(CONTENT)
    server.faults[path] = [Fault(cut_after=3000)] + [Fault(cut_after=0)] * download.ATTEMPTS
    told = refusal(server, tmp_path)
    assert "the connection was cut after 3,000 bytes; run the same line again" in told
    assert names(tmp_path) == ["esnli_dev.csv.part"]
    server.faults.clear()
    server.asked.clear()
    fetch(server, tmp_path)
    assert server.asked == [(path, "bytes=3000-")]
    assert (tmp_path / "esnli" / "esnli_dev.csv").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(server, release, tmp_path):
    path = release(CONTENT)
    server.faults[path] = [Fault(cut_after=3000), Fault(no_ranges=True)]
    fetch(server, tmp_path)
    assert (tmp_path / "esnli" / "esnli_dev.csv").read_bytes() == CONTENT


def test_a_part_that_was_whole_already_gets_its_name(server, release, tmp_path):
    release(CONTENT)
    (tmp_path / "esnli").mkdir()
    (tmp_path / "esnli" / "esnli_dev.csv.part").write_bytes(CONTENT)
    fetch(server, tmp_path)
    assert names(tmp_path) == ["esnli_dev.csv"]


def test_a_file_that_came_corrupted_never_gets_its_name(server, release, tmp_path):
    path = release(CONTENT)
    server.files[path] = CONTENT.replace(b"gold", b"fool")
    told = refusal(server, tmp_path)
    assert "not the release's file (its blob id is " in told and blob(CONTENT) in told
    assert names(tmp_path) == ["esnli_dev.csv.bad"]
    server.files[path] = CONTENT
    assert "fetched" in fetch(server, tmp_path)[0]
    assert (tmp_path / "esnli" / "esnli_dev.csv").read_bytes() == CONTENT


def test_another_file_under_the_name_is_set_aside_once_the_right_one_is_here(server, release, tmp_path):
    path = release(CONTENT)
    (tmp_path / "esnli").mkdir()
    mine = tmp_path / "esnli" / "esnli_dev.csv"
    mine.write_bytes(b"mine")
    server.faults[path] = [Fault(status=404)]
    refusal(server, tmp_path)
    assert mine.read_bytes() == b"mine"
    assert "set aside as esnli_dev.csv.bad" in fetch(server, tmp_path)[0]
    assert mine.read_bytes() == CONTENT
    assert mine.with_name("esnli_dev.csv.bad").read_bytes() == b"mine"


def test_an_address_that_is_gone(server, release, tmp_path):
    server.files.pop(release(CONTENT))
    assert "esnli_dev.csv: HTTP 404 Not Found" in refusal(server, tmp_path)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_a_server_in_trouble_is_asked_again(server, release, tmp_path):
    path = release(CONTENT)
    server.faults[path] = [Fault(status=503), Fault(status=500)]
    fetch(server, tmp_path)
    server.faults[path] = [Fault(status=503)] * download.ATTEMPTS
    (tmp_path / "esnli" / "esnli_dev.csv").unlink()
    assert "HTTP 503" in refusal(server, tmp_path)


def test_a_host_that_cannot_be_reached(server, release, tmp_path):
    release(CONTENT)
    server.http.shutdown()
    server.http.server_close()
    assert "cannot be reached" in refusal(server, tmp_path)


def test_a_folder_that_cannot_be_made(server, release, tmp_path):
    release(CONTENT)
    (tmp_path / "esnli").write_text("a file where a folder should be")
    assert f"--root {tmp_path}: " in refusal(server, tmp_path) and server.asked == []


def questions(count: int) -> bytes:
    rows = [{"id": str(n), "answerKey": "A", "question": {"stem": "?", "choices": []}} for n in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (questions(9), "it holds 9 questions, not 10"),
        (questions(10)[:-20], "line 10: broken JSON"),
        (b"<html>moved</html>", "line 1: broken JSON"),
        (questions(10).replace(b"stem", b"text"), "line 1: question.stem is missing"),
    ],
)
def test_a_file_without_a_published_checksum_is_checked_by_what_it_holds(server, tmp_path, monkeypatch, content, flaw):
    file = ReleaseFile("https://example.org/dev.jsonl", "esnli_dev.csv", lines=10)
    monkeypatch.setattr(esnli, "RELEASE", (file,))
    server.files["/dev.jsonl"] = content
    assert flaw in refusal(server, tmp_path)
    server.files["/dev.jsonl"] = questions(10)
    assert "checked only to hold 10 questions: nobody publishes a checksum" in fetch(server, tmp_path)[0]


def test_every_file_but_commonsenseqas_has_a_published_blob_id():
    files = [file for module in (cos_e, comve, ecqa, esnli) for file in module.RELEASE]
    assert all(file.address.startswith("https://") and " " not in file.address for file in files)
    unknown = {file.path: file.lines for file in files if file.blob is None}
    assert unknown == {"cqa/train_rand_split.jsonl": 9741, "cqa/dev_rand_split.jsonl": 1221}
    assert all(len(file.blob) == 40 for file in files if file.blob)


def test_an_unknown_dataset_is_refused_on_the_command_line(command, tmp_path):
    ended = command("-m", "caref.download", "snli", "--root", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: dataset=snli: no such dataset") and ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
