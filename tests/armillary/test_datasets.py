"""A data set arrives whole and checked, or not at all: against a real HTTP server on this machine."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from armillary.datasets import collection_datasets, fetch, manifest_entry

CONTENT = bytes(range(256)) * 1024  # 256 KiB
N_BYTES = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MANIFEST = yaml.safe_load((Path(__file__).parents[2] / "resources/datasets.yaml").read_text())
FAST = {"timeout_seconds": 0.4, "n_attempts": 3, "backoff_seconds": 0.01}


class Handler(BaseHTTPRequestHandler):
    """Paths say what goes wrong: good, cut (always half), cut_once, missing, stall, drip, busy_once."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        n_seen = sum(path == self.path for path, _ in self.server.requests)
        name = self.path.rpartition("/")[2]
        if name == "missing":
            return self.send_error(404)
        if name == "busy_once" and n_seen == 1:
            return self.send_error(503)
        if self.path == "/tiles/":
            return self.answer(
                b'<a href="../">up</a><a href="t_r4907p01_g.fits">g</a><a href="t_r4907p01_r.fits">r</a>'
            )
        start = self.start()
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if name != "untagged":
            self.send_header("ETag", f'"{self.server.version}"')
        self.end_headers()
        self.body(name, start, n_seen)

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def start(self):
        """Where to begin: from 0, unless the client asks for the rest of the version that is served."""
        if self.path.strip("/") == "cut" or self.headers.get("If-Range") != f'"{self.server.version}"':
            return 0
        return int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))

    def body(self, name, start, n_seen):
        half = len(CONTENT) // 2
        if name in ("cut", "untagged") or (name == "cut_once" and n_seen == 1):
            self.wfile.write(CONTENT[start:half])
            self.close_connection = True
        elif name == "stall":
            self.wfile.write(CONTENT[:100])
            self.server.stopping.wait(5)
        elif name == "drip":
            for i in range(100):
                self.wfile.write(CONTENT[i : i + 1])
                if self.server.stopping.wait(0.05):
                    return
        else:
            self.wfile.write(CONTENT[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests, server.version, server.stopping = [], 1, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def entry_of(*urls, sha256=SHA256, n_bytes=N_BYTES, mirror="set/file.bin"):
    return {
        "dataset": "set/file.bin",
        "urls": list(urls),
        "sha256": sha256,
        "n_bytes": n_bytes,
        "mirror": mirror,
        "licence": "MIT",
        "citation": "nobody",
    }


@pytest.fixture
def get(tmp_path):
    """fetch() into a fresh folder; returns (source, path), and checks that no half file lies about."""

    def call(entry, **options):
        destination = tmp_path / "out" / "file.bin"
        try:
            return fetch(destination, entry, partial=tmp_path / "part" / "file.part", **(FAST | options)), destination
        finally:
            assert [p.name for p in destination.parent.iterdir()] in ([], ["file.bin"])
            assert not destination.exists() or destination.read_bytes() == CONTENT

    return call


def test_a_good_file_arrives(server, get, tmp_path):
    source, path = get(entry_of(f"{server.url}/good"))
    assert source == f"{server.url}/good"
    assert path.read_bytes() == CONTENT
    assert list((tmp_path / "part").iterdir()) == []


def test_a_good_file_that_is_there_is_left_alone(server, get, tmp_path):
    path = tmp_path / "out" / "file.bin"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    before = path.stat().st_mtime_ns
    get(entry_of(f"{server.url}/missing"))
    assert path.stat().st_mtime_ns == before
    assert server.requests == []


def test_a_wrong_checksum_names_both(server, get, tmp_path):
    wrong = "0" * 64
    with pytest.raises(ValueError, match=f"wrong sha256: {SHA256}, the manifest says {wrong}"):
        get(entry_of(f"{server.url}/good", sha256=wrong))
    assert list((tmp_path / "part").iterdir()) == []


def test_a_failed_download_does_not_harm_the_file_that_is_there(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"an older version")
    with pytest.raises(FileNotFoundError):
        fetch(path, entry_of(f"{server.url}/missing"), partial=tmp_path / "part", **FAST)
    assert path.read_bytes() == b"an older version"


def test_a_file_of_another_length_than_the_manifest_says(server, get):
    with pytest.raises(ValueError, match=f"truncated: {len(CONTENT)} bytes, the manifest says {len(CONTENT) + 1}"):
        get(entry_of(f"{server.url}/good", n_bytes=len(CONTENT) + 1))


def test_a_truncated_answer_says_how_much_came(server, get):
    with pytest.raises(ConnectionError, match=f"cut off after {len(CONTENT) // 2} of {len(CONTENT)} bytes.*3 tries"):
        get(entry_of(f"{server.url}/cut"))


def test_a_missing_file_is_asked_for_once(server, get):
    with pytest.raises(FileNotFoundError, match=r"/missing: no such file on the server \(404\).*ARMILLARY_MIRROR"):
        get(entry_of(f"{server.url}/missing"))
    assert len(server.requests) == 1


def test_a_second_url_helps(server, get):
    source, _ = get(entry_of(f"{server.url}/missing", f"{server.url}/good"))
    assert source.endswith("/good")


@pytest.mark.parametrize(
    ("path", "message"),
    [("stall", "stalled after .* of 262144 bytes"), ("drip", "too slow: .* bytes a second")],
)
def test_a_slow_server_is_given_up_in_time(server, get, path, message):
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=message):
        get(entry_of(f"{server.url}/{path}"), n_attempts=2)
    assert time.monotonic() - started < 4


def test_a_busy_server_is_asked_again(server, get):
    get(entry_of(f"{server.url}/busy_once"))
    assert len(server.requests) == 2


def test_an_interrupted_download_goes_on_where_it_stopped(server, get):
    get(entry_of(f"{server.url}/cut_once"))
    assert [asked for _, asked in server.requests] == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_download_goes_on_in_a_later_run(server, get, tmp_path):
    with pytest.raises(ConnectionError):
        get(entry_of(f"{server.url}/cut_once"), n_attempts=1)
    assert (tmp_path / "part" / "file.part").stat().st_size == len(CONTENT) // 2
    get(entry_of(f"{server.url}/cut_once"))
    assert server.requests[-1][1] == f"bytes={len(CONTENT) // 2}-"


def test_a_download_killed_before_its_check_is_not_asked_for_again(server, get, tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "file.part").write_bytes(CONTENT)
    (tmp_path / "part" / "file.part.tag").write_text('"1"')
    get(entry_of(f"{server.url}/good"))
    assert server.requests == [("/good", f"bytes={len(CONTENT)}-")]


def test_parts_of_two_versions_are_never_joined(server, get, tmp_path):
    with pytest.raises(ConnectionError):
        get(entry_of(f"{server.url}/cut_once", sha256=None), n_attempts=1)
    server.version = 2
    (tmp_path / "part" / "file.part").write_bytes(b"x" * (len(CONTENT) // 2))
    get(entry_of(f"{server.url}/cut_once", sha256=None))  # the fixture compares the bytes


def test_a_server_that_tells_no_version_is_never_resumed(server, get):
    with pytest.raises(ConnectionError):
        get(entry_of(f"{server.url}/untagged"))
    assert [asked for _, asked in server.requests] == [None] * 3


def test_no_server_says_so(get):
    with pytest.raises(ConnectionError, match="no connection to the server; is there a network"):
        get(entry_of("http://127.0.0.1:9/good"))


def test_an_unknown_checksum_is_printed(server, get, capsys):
    get(entry_of(f"{server.url}/good", sha256=None, n_bytes=None))
    assert f"sha256 {SHA256}, {len(CONTENT)} bytes (not in the manifest yet)" in capsys.readouterr().out


def test_a_star_is_looked_up_in_the_listing(server, get):
    source, _ = get(entry_of(f"{server.url}/tiles/t_*_g.fits"))
    assert source == f"{server.url}/tiles/t_r4907p01_g.fits"
    with pytest.raises(FileNotFoundError, match=r"lists no file t_\*_z.fits"):
        get(entry_of(f"{server.url}/tiles/t_*_z.fits", sha256="0" * 64))


def mirror_with(folder, content, name="file.bin"):
    (folder / "mirror" / "set").mkdir(parents=True)
    (folder / "mirror" / "set" / name).write_bytes(content)
    return folder / "mirror"


def test_the_mirror_is_asked_first(server, get, tmp_path):
    source, path = get(entry_of(f"{server.url}/good"), mirror=mirror_with(tmp_path, CONTENT))
    assert source == str(tmp_path / "mirror/set/file.bin")
    assert server.requests == []


def test_a_wrong_mirror_copy_is_named_and_downloaded_over(server, get, tmp_path, capsys):
    wrong = CONTENT[:-1] + b"!"
    source, _ = get(entry_of(f"{server.url}/good"), mirror=mirror_with(tmp_path, wrong))
    assert source == f"{server.url}/good"
    assert f"wrong sha256: {hashlib.sha256(wrong).hexdigest()}, the manifest says {SHA256}" in capsys.readouterr().out


def test_a_wrong_mirror_copy_and_no_server_says_both(server, get, tmp_path):
    with pytest.raises(FileNotFoundError, match="mirror copy .* truncated: 3 bytes.*no such file on the server"):
        get(entry_of(f"{server.url}/missing"), mirror=mirror_with(tmp_path, b"abc"))


def test_a_star_is_looked_up_in_the_mirror(get, tmp_path):
    mirror = mirror_with(tmp_path, CONTENT, "t_r4907p01_g.fits")
    source, _ = get(entry_of("http://127.0.0.1:9/t_*_g.fits", mirror="set/t_*_g.fits"), mirror=mirror)
    assert source.endswith("t_r4907p01_g.fits")


def test_a_mirror_folder_that_is_not_there(get, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="mirror folder .*nowhere is not there; correct or empty ARMILLARY_MIRROR"
    ):
        get(entry_of("http://127.0.0.1:9/good"), mirror=tmp_path / "nowhere")


# --- the manifest itself


def test_every_manifest_entry_is_complete():
    for folder, collection in MANIFEST["collections"].items():
        assert {"source", "licence", "citation", "base_url", "files"} == set(collection)
        for facts in collection["files"].values():
            assert {"url", "bytes", "sha256"} <= set(facts) <= {"url", "bytes", "sha256", "mirror"}
            assert facts["sha256"] is None or len(facts["sha256"]) == 64
        for dataset in collection_datasets(MANIFEST, folder):
            assert all(url.startswith("https://") for url in manifest_entry(MANIFEST, dataset)["urls"])


def test_every_checksum_holds_in_the_mirror(mirror, tmp_path):
    n_checked = 0
    for folder in MANIFEST["collections"]:
        for dataset in collection_datasets(MANIFEST, folder):
            entry = manifest_entry(MANIFEST, dataset)
            if entry["sha256"]:
                source = fetch(tmp_path / dataset, entry | {"urls": []}, partial=tmp_path / "part", mirror=mirror)
                assert source == str(mirror / dataset)
                n_checked += 1
    assert n_checked >= 30


def test_a_survey_tile_is_found_by_its_name():
    entry = manifest_entry(MANIFEST, "clusters/des_dr2/DES0017-3832/DES0017-3832_g_nobkg.fits.fz")
    assert entry["urls"][0].endswith("/dr2_tiles/DES0017-3832/DES0017-3832_*_g_nobkg.fits.fz")
    assert entry["mirror"] == "clusters/des_dr2/DES0017-3832/DES0017-3832_*g_nobkg.fits.fz"
    assert entry["sha256"] is None


@pytest.mark.parametrize(
    "dataset",
    [
        "clusters/redmapper/nothing.csv",
        "clusters/des_dr2/DES0017-3832/DES0017-9999_g_nobkg.fits.fz",
        "clusters/des_dr2/DES0017-3832/DES0017-3832_q_nobkg.fits.fz",
        "stars/all.fits",
    ],
)
def test_an_unknown_data_set_lists_what_there_is(dataset):
    with pytest.raises(ValueError, match=r"no data set .* (has|collections are): \S+"):
        manifest_entry(MANIFEST, dataset)
