"""Fetching from a server on loopback that misbehaves in all the ways servers do."""

from __future__ import annotations

import hashlib
import shutil
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from candor.data.official import download
from candor.data.official.download import ATTEMPTS, fetch, stand_ins
from candor.data.official.files import OFFICIAL_FILES, OfficialFile
from candor.errors import DataError, FetchError
from candor.progress import Reporter

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers the n-th request with the n-th behaviour, and then properly.

    Of the standard library alone: what it tests are bodies that break off half-sent, which a test server cannot send.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: list[Callable[[Handler], None]] = []
        self.ranges: list[str | None] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up early are part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/climate-fever.jsonl"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    sent: ClassVar[int] = 0

    def do_GET(self) -> None:
        number = len(self.server.ranges)
        self.server.ranges.append(self.headers.get("Range"))
        behaviours = self.server.behaviours
        (behaviours[number] if number < len(behaviours) else proper)(self)

    def start(self) -> int:
        """Where the client wants to go on from."""
        wanted = self.headers.get("Range")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0

    def head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def proper(handler: Handler) -> None:
    start = handler.start()
    if start >= len(CONTENT):
        handler.head(416, 0, Content_Range=f"bytes */{len(CONTENT)}")
        return
    headers = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
    handler.head(206 if start else 200, len(CONTENT) - start, **headers)
    handler.wfile.write(CONTENT[start:])


def cut_after(size: int) -> Callable[[Handler], None]:
    """Promise everything, send so many bytes, hang up."""

    def behave(handler: Handler) -> None:
        start = handler.start()
        headers = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
        handler.head(206 if start else 200, len(CONTENT) - start, **headers)
        handler.wfile.write(CONTENT[start : start + size])
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    return behave


def too_little(handler: Handler) -> None:
    """Send less than the file and call it all."""
    handler.head(200, 1000)
    handler.wfile.write(CONTENT[:1000])


def garbage(handler: Handler) -> None:
    handler.head(200, len(CONTENT))
    handler.wfile.write(CONTENT[::-1])


def login_page(handler: Handler) -> None:
    page = b"<!DOCTYPE html><html>Please log in</html>"
    handler.head(200, len(page))
    handler.wfile.write(page)


def status(code: int) -> Callable[[Handler], None]:
    return lambda handler: handler.head(code, 0)


def ignores_ranges(handler: Handler) -> None:
    handler.head(200, len(CONTENT))
    handler.wfile.write(CONTENT)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, folder: Path, url: str | None = None) -> Path:
    file = OfficialFile("climatefever", "climate-fever.jsonl", url or server.url, SHA256)
    (fetched,) = fetch("climatefever", folder, files=[file], reporter=Reporter(quiet=True), pause=0)
    return fetched.place.path


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "climatefever").iterdir())


def test_fetch(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path)
    assert path == tmp_path / "climatefever" / "climate-fever.jsonl"
    assert path.read_bytes() == CONTENT
    assert path.with_name("climate-fever.jsonl.sha256").read_text().split()[0] == SHA256
    assert leftovers(tmp_path) == ["climate-fever.jsonl", "climate-fever.jsonl.sha256"]


def test_a_file_without_a_published_checksum_keeps_that_of_the_first_fetch(server: Server, tmp_path: Path) -> None:
    file = OfficialFile("climatefever", "climate-fever.jsonl", server.url, None)
    reporter = Reporter(quiet=True)
    server.behaviours = [login_page]
    with pytest.raises(FetchError, match=r"is no data; it looks like a web page"):
        fetch("climatefever", tmp_path, files=[file], reporter=reporter, pause=0)
    assert leftovers(tmp_path) == []
    (fetched,) = fetch("climatefever", tmp_path, files=[file], reporter=reporter, pause=0)
    kept = fetched.place.path.with_name("climate-fever.jsonl.sha256").read_text()
    assert (fetched.new, kept.split()[0]) == (True, SHA256)
    fetched.place.path.write_bytes(b"changed")
    with pytest.raises(DataError, match="has changed since it was fetched"):
        fetch("climatefever", tmp_path, files=[file], reporter=reporter, pause=0)


def test_the_archive_of_real_pairs_stands_in_for_vitaminc(tmp_path: Path) -> None:
    (file,) = (file for file in OFFICIAL_FILES if file.name == "vitaminc.zip")
    assert stand_ins(tmp_path, file) == []
    with zipfile.ZipFile(tmp_path / "vitaminc_real.zip", "w") as archive:
        archive.writestr("vitaminc_real/test.jsonl", "{}")
    assert [place.member for place in stand_ins(tmp_path, file)] == ["vitaminc_real/test.jsonl"]
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        archive.writestr("vitaminc/train.jsonl", "{}")
    assert stand_ins(tmp_path, file) == []


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.ranges) == 1
    (tmp_path / "climatefever" / "climate-fever.jsonl").write_bytes(b"changed")
    with pytest.raises(DataError, match="has changed since it was fetched"):
        get(server, tmp_path)


def test_a_file_of_ones_own_is_used_as_it_is(server: Server, tmp_path: Path) -> None:
    (tmp_path / "climate-fever.jsonl").write_bytes(b"mine")
    assert get(server, tmp_path) == tmp_path / "climate-fever.jsonl"
    assert server.ranges == []


def test_goes_on_after_cuts(server: Server, tmp_path: Path) -> None:
    # More cuts than attempts: as long as bytes arrive, it is worth going on.
    server.behaviours = [cut_after(100_000)] * (ATTEMPTS + 2)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges[0] is None
    assert all(wanted is not None for wanted in server.ranges[1:])
    starts = [int(wanted[6:-1]) for wanted in server.ranges[1:] if wanted]
    assert starts == sorted(starts)


def test_goes_on_in_a_later_run(server: Server, tmp_path: Path) -> None:
    server.behaviours = [cut_after(300_000), *[status(503)] * ATTEMPTS]
    with pytest.raises(FetchError, match=r"HTTP 503 .* bytes are kept, and fetching goes on from there"):
        get(server, tmp_path)
    assert leftovers(tmp_path) == ["climate-fever.jsonl.part"]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={300_000 // download._CHUNK * download._CHUNK}-"


def test_a_finished_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "climatefever").mkdir()
    (tmp_path / "climatefever" / "climate-fever.jsonl.part").write_bytes(CONTENT)
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "climatefever").mkdir()
    (tmp_path / "climatefever" / "climate-fever.jsonl.part").write_bytes(CONTENT + b"more")
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_servers_without_ranges(server: Server, tmp_path: Path) -> None:
    server.behaviours = [cut_after(200_000), ignores_ranges]
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_server_that_recovers(server: Server, tmp_path: Path) -> None:
    server.behaviours = [status(503), status(429), status(500)]
    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "words", "requests"),
    [
        (status(404), "HTTP 404 Not Found; if the file has moved", 1),
        (status(403), "HTTP 403", 1),
        (status(503), f"failed {ATTEMPTS} times .HTTP 503", ATTEMPTS),
        (garbage, "is not the published file", 1),
        (too_little, "is not the published file", 1),
        (login_page, "is not the published file .* looks like a web page", 1),
        (cut_after(0), "broke off|cannot reach", ATTEMPTS),
    ],
)
def test_failures(
    server: Server, tmp_path: Path, behaviour: Callable[[Handler], None], words: str, requests: int
) -> None:
    server.behaviours = [behaviour] * 20
    with pytest.raises(FetchError, match=words) as caught:
        get(server, tmp_path)
    assert "\n" not in str(caught.value)
    assert len(server.ranges) == requests
    assert not (tmp_path / "climatefever" / "climate-fever.jsonl").exists()
    # Nothing wrong is kept: a proper server is enough to go on.
    server.behaviours = []
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_no_network(server: Server, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
    with pytest.raises(FetchError, match=r"cannot reach 127.0.0.1:\d+ .* Check the network"):
        get(server, tmp_path, url)
    with pytest.raises(FetchError, match=r"cannot reach no-such-host.invalid"):
        get(server, tmp_path, "http://no-such-host.invalid/x")


def test_disk_too_full_to_begin(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1000))  # type: ignore[attr-defined]
    with pytest.raises(FetchError, match=r"too full: 1.0 MB are needed and 0.0 MB are free"):
        get(server, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_full_midway(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "climatefever" / "climate-fever.jsonl.part"
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with pytest.raises(FetchError, match="the disk is full; make room"):
        get(server, tmp_path)


def test_unknown_dataset(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"there are fever, vitaminc, climatefever, .*, fever-symmetric and all"):
        fetch("feverr", tmp_path)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="cannot be made"):
        fetch("fever", tmp_path / "file" / "data")


def test_all_official_files_are_recognised_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.httpx2, "stream", lambda *args, **options: pytest.fail("network used"))
    for name in ("fever/train.jsonl", "fever/shared_task_dev.jsonl", "vitaminc/train.jsonl", "climate-fever.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "fever" / "wiki-pages").mkdir()
    for name in ("check-covid/Check-COVID_all.json", "check-covid/corpus.json", "SciTab/dataset/sci_tab.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("{}\n")
    for name in ("healthver_train.csv", "healthver_dev.csv", "healthver_test.csv", "AVeriTeC/data/train.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("{}\n")
    for name in ("AVeriTeC/data/dev.json", "fever_symmetric_dev.jsonl", "fever_symmetric_test.jsonl"):
        (tmp_path / name).write_text("{}\n")
    assert [item.new for item in fetch("all", tmp_path)] == [False] * 15
