"""Public data sets: what the manifest says of a file, and how that file gets here, whole or not at all.

A data set is one file, named by its path, for example `clusters/redmapper/DESy3_redmapper.csv.gz`.
The manifest (resources/datasets.yaml, handed in as a dict) says under that name where the file comes
from, how long it is and what its SHA-256 is. The file is first looked for in a mirror folder that has
the same paths, then downloaded. A broken download keeps its `.part` file and goes on from there.
"""

import glob
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin

import pooch
import requests
import urllib3

CHUNK_BYTES = 1 << 16
SLOWEST_BYTES_PER_SECOND = 1024
PROGRESS_SECONDS = 5.0
PLACEHOLDERS = {"tile": r"DES\d{4}[+-]\d{4}", "band": "[grizY]"}


class _RefusedError(Exception):
    """A failure that a second try would only repeat; its cause is raised instead of it."""


# --- the manifest


def manifest_entry(manifest: dict, dataset: str) -> dict:
    """What the manifest says of one file, as a flat dict.

    manifest: {"collections": {folder: {"source", "licence", "citation", "base_url", "files"}}}.
    Keys of `files` are file names, or patterns with {tile} and {band} (the url may use the same words).
    Returns dataset, urls (none: derived data without an address), sha256 (None: not known), n_bytes (None: not known),
    mirror, licence, citation.
    Raises ValueError, naming the nearest folder's files, when the manifest has no such file.
    """
    for folder, collection in manifest["collections"].items():
        if not dataset.startswith(f"{folder}/"):
            continue
        for name, facts in collection["files"].items():
            words = _match(name, dataset.removeprefix(f"{folder}/"))
            if words is not None:
                return _entry(dataset, folder, collection, facts, words)
        known = ", ".join(collection["files"])
        raise ValueError(f"no data set {dataset!r} in resources/datasets.yaml; {folder} has: {known}")
    known = ", ".join(manifest["collections"])
    raise ValueError(f"no data set {dataset!r} in resources/datasets.yaml; its collections are: {known}")


def collection_datasets(manifest: dict, folder: str) -> list[str]:
    """Names of all files of a collection; those that stand for a family ({tile}) are left out."""
    if folder not in manifest["collections"]:
        known = ", ".join(manifest["collections"])
        raise ValueError(f"no collection {folder!r} in resources/datasets.yaml; it has: {known}")
    return [f"{folder}/{name}" for name in manifest["collections"][folder]["files"] if "{" not in name]


def _match(name: str, path: str) -> dict[str, str] | None:
    """The words that make the pattern `name` equal to `path`; None if nothing does."""
    regex, seen = "", set()
    for part in re.split(r"(\{\w+\})", name):
        word = part.strip("{}")
        if part.startswith("{"):
            regex += f"(?P={word})" if word in seen else f"(?P<{word}>{PLACEHOLDERS[word]})"
            seen.add(word)
        else:
            regex += re.escape(part)
    found = re.fullmatch(regex, path)
    return found.groupdict() if found else None


def _entry(dataset: str, folder: str, collection: dict, facts: dict, words: dict[str, str]) -> dict:
    base = collection.get("base_url", "")
    urls = facts["url"] if isinstance(facts["url"], list) else [facts["url"]]
    mirror = facts.get("mirror")
    return {
        "dataset": dataset,
        "urls": [_filled(urljoin(base, url), words) for url in urls],
        "sha256": facts["sha256"],
        "n_bytes": facts["bytes"],
        "mirror": _filled(f"{folder}/{mirror}", words) if mirror else dataset,
        "licence": collection["licence"],
        "citation": collection["citation"],
    }


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace("{" + word + "}", value)
    return text


# --- getting a file


def fetch(
    destination: str | Path,
    entry: dict,
    *,
    partial: str | Path,
    mirror: str | Path | None = None,
    timeout_seconds: float = 60.0,
    n_attempts: int = 5,
    backoff_seconds: float = 2.0,
) -> str:
    """Put the file of a manifest entry at `destination` and return where it came from.

    A file that is there already and passes its checks is left alone. `partial` keeps what a broken
    download got so far; a later call asks the server for the rest only. `timeout_seconds` bounds the
    wait for an answer and for each kilobyte per second of it. `destination` never holds half a file.

    Raises FileNotFoundError (the server has no such file), ValueError (wrong length or SHA-256, both
    named), TimeoutError (too slow), ConnectionError (no network, or cut off in the middle).
    """
    destination, partial = Path(destination), Path(partial)
    destination.parent.mkdir(parents=True, exist_ok=True)
    if destination.exists() and entry["sha256"] and not _fault(destination, entry):
        return str(destination)
    problems = []
    copy = _mirror_copy(mirror, entry["mirror"])
    if copy is not None:
        fault = _fault(copy, entry)
        if not fault:
            _copy_whole(copy, destination)
            _tell_checksum(destination, entry)
            return str(copy)
        problems.append(f"mirror copy {copy}: {fault}")
        print(f"{problems[-1]}; downloading instead", flush=True)
    if not entry["urls"] and not problems:
        raise FileNotFoundError(
            f"{entry['dataset']} is derived from public data ({entry['citation']}) and has no address of its own: "
            f"put it into a mirror folder, named by ARMILLARY_MIRROR, as {entry['mirror']}"
        )
    last = ValueError()
    for url in entry["urls"]:
        try:
            return _download(url, destination, entry, partial, timeout_seconds, n_attempts, backoff_seconds)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            last = error
    hint = "" if copy is not None else f" (a mirror folder, named by ARMILLARY_MIRROR, may hold {entry['mirror']})"
    raise type(last)("; ".join(problems) + hint)


def _fault(path: Path, entry: dict) -> str:
    """What is wrong with a file, in words; empty if it is what the manifest says."""
    n_bytes = path.stat().st_size
    if entry["n_bytes"] is not None and n_bytes != entry["n_bytes"]:
        kind = "truncated" if n_bytes < entry["n_bytes"] else "too long"
        return f"{kind}: {n_bytes} bytes, the manifest says {entry['n_bytes']}"
    if entry["sha256"] is None:
        return ""
    found = pooch.file_hash(str(path), alg="sha256")
    return "" if found == entry["sha256"] else f"wrong sha256: {found}, the manifest says {entry['sha256']}"


def _mirror_copy(mirror: str | Path | None, pattern: str) -> Path | None:
    """The file of the mirror folder that the manifest means; a `*` in the pattern takes the last match."""
    if not mirror:
        return None
    if not Path(mirror).is_dir():
        raise FileNotFoundError(
            f"mirror folder {mirror} is not there; correct or empty ARMILLARY_MIRROR and resources: mirror:"
        )
    found = sorted(glob.glob(glob.escape(str(mirror)) + "/" + pattern))
    return Path(found[-1]) if found else None


def _copy_whole(source: Path, destination: Path) -> None:
    unfinished = destination.with_name(f"{destination.name}.copying")
    shutil.copyfile(source, unfinished)
    os.replace(unfinished, destination)


def _tell_checksum(path: Path, entry: dict) -> None:
    if entry["sha256"] is None:
        found = pooch.file_hash(str(path), alg="sha256")
        print(
            f"{entry['dataset']}: sha256 {found}, {path.stat().st_size} bytes (not in the manifest yet)",
            flush=True,
        )


def _download(url, destination, entry, partial, timeout_seconds, n_attempts, backoff_seconds) -> str:
    """Download one url with several tries, check it, and only then put it in its place."""

    def downloader(url: str, output_file: str, _pooch) -> None:
        _download_resumed(url, partial, timeout_seconds, n_attempts, backoff_seconds)
        _check_download(url, partial, entry)
        os.replace(partial, output_file)
        _tag_file(partial).unlink(missing_ok=True)

    url = _resolve(url, timeout_seconds, n_attempts, backoff_seconds)
    partial.parent.mkdir(parents=True, exist_ok=True)
    unfinished = f"{destination.name}.unfinished"
    pooch.get_logger().setLevel("ERROR")
    found = pooch.retrieve(url, entry["sha256"], fname=unfinished, path=destination.parent, downloader=downloader)
    os.replace(found, destination)
    _tell_checksum(destination, entry)
    return url


def _check_download(url: str, partial: Path, entry: dict) -> None:
    """Raise ValueError, and throw the part away, when the whole of what the server sent is not the file."""
    fault = _fault(partial, entry)
    if fault:
        partial.unlink()
        _tag_file(partial).unlink(missing_ok=True)
        raise ValueError(f"{url}: {fault}")


def _resolve(url: str, timeout_seconds: float, n_attempts: int, backoff_seconds: float) -> str:
    """A url whose last part has a `*` becomes the one link of its folder's listing that matches."""
    folder, _, pattern = url.rpartition("/")
    if "*" not in pattern:
        return url

    def listing() -> str:
        with _answer(f"{folder}/", {}, timeout_seconds) as response:
            return response.text

    regex = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
    links = re.findall(r'href="([^"?]+)"', _persist(f"{folder}/", listing, n_attempts, backoff_seconds))
    names = sorted({name for link in links if regex.fullmatch(name := unquote(link).rpartition("/")[2])})
    if not names:
        raise FileNotFoundError(f"{folder}/ lists no file {pattern}")
    return f"{folder}/{names[-1]}"


def _persist(url: str, action, n_attempts: int, backoff_seconds: float):
    """Call `action` until it works, up to `n_attempts` times, waiting twice as long after each failure."""
    for attempt in range(1, n_attempts + 1):
        try:
            return action()
        except _RefusedError as refusal:
            raise refusal.__cause__ from None
        except (requests.RequestException, OSError) as error:
            problem = _in_words(url, error)
        if attempt < n_attempts:
            wait = backoff_seconds * 2 ** (attempt - 1)
            print(f"{problem}; try {attempt + 1} of {n_attempts} in {wait:.0f} s", flush=True)
            time.sleep(wait)
    raise type(problem)(f"{problem} (after {n_attempts} tries)")


def _in_words(url: str, error: Exception) -> OSError:
    """A library's network error as one plain sentence that names the url."""
    if isinstance(error, requests.Timeout | TimeoutError):
        return TimeoutError(f"{url}: {error if type(error) is TimeoutError else 'no answer in time'}")
    if isinstance(error, requests.ConnectionError):
        return ConnectionError(f"{url}: no connection to the server; is there a network?")
    return ConnectionError(f"{url}: {error}")


def _download_resumed(url: str, partial: Path, timeout_seconds: float, n_attempts: int, backoff_seconds: float) -> None:
    """Download into `partial`, each try going on where the one before was cut off."""
    _persist(url, lambda: _download_rest(url, partial, timeout_seconds), n_attempts, backoff_seconds)


def _download_rest(url: str, partial: Path, timeout_seconds: float) -> None:
    """One request for what `partial` lacks; raises ConnectionError if the server sends less than it said."""
    n_done = partial.stat().st_size if partial.exists() else 0
    tag = _tag_file(partial)
    headers = {"Accept-Encoding": "identity"}
    if n_done and tag.exists():  # If-Range: a file that changed since is sent anew, from its start
        headers |= {"Range": f"bytes={n_done}-", "If-Range": tag.read_text()}
    with _answer(url, headers, timeout_seconds) as response:
        if response.status_code == 416:  # nothing is left to send: all is here, or the file shrank
            if response.headers.get("Content-Range", "").endswith(f"/{n_done}"):
                return
            partial.unlink()
            raise ConnectionError("the server does not have the rest of this file; beginning again")
        resumed = response.status_code == 206
        n_done = n_done if resumed else 0
        _remember_tag(tag, response)
        n_total = n_done + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        with open(partial, "ab" if resumed else "wb") as stream:
            for chunk in _chunks(response, n_done, n_total, timeout_seconds):
                stream.write(chunk)
                n_done += len(chunk)
    if n_total is not None and n_done < n_total:
        raise ConnectionError(f"cut off after {n_done} of {n_total} bytes")


def _tag_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.tag")


def _remember_tag(tag: Path, response: requests.Response) -> None:
    """Keep what identifies this version of the remote file; without it a download is never resumed."""
    etag = response.headers.get("ETag", "")
    version = response.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
    if version:
        tag.write_text(version)
    else:
        tag.unlink(missing_ok=True)


def _answer(url: str, headers: dict, timeout_seconds: float) -> requests.Response:
    """The server's answer, its body not yet read; only a missing or forbidden file is final."""
    response = requests.get(url, headers=headers, stream=True, timeout=timeout_seconds)
    status = response.status_code
    if status in (200, 206, 416):
        return response
    response.close()
    sentence = f"{url}: the server answers {status} ({response.reason})"
    if status in (404, 410):
        raise _RefusedError from FileNotFoundError(f"{url}: no such file on the server ({status})")
    if 400 <= status < 500 and status not in (408, 429):
        raise _RefusedError from PermissionError(sentence)
    raise ConnectionError(f"the server answers {status} ({response.reason})")


def _chunks(response: requests.Response, n_done: int, n_total: int | None, timeout_seconds: float) -> Iterator[bytes]:
    """Pieces of the body as they come; raises TimeoutError when less than a kilobyte a second comes."""
    first, started = n_done, time.monotonic()
    checked, n_checked, told = started, n_done, started
    while n_total is None or n_done < n_total:
        try:
            chunk = response.raw.read1(CHUNK_BYTES)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimeoutError(f"stalled after {n_done} of {n_total} bytes") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ConnectionError(f"cut off after {n_done} of {n_total} bytes") from error
        if not chunk:
            return
        n_done += len(chunk)
        yield chunk
        now = time.monotonic()
        if now - checked >= timeout_seconds:
            rate = (n_done - n_checked) / (now - checked)
            if rate < SLOWEST_BYTES_PER_SECOND:
                raise TimeoutError(f"too slow: {rate:.0f} bytes a second, {n_done} of {n_total} bytes so far")
            checked, n_checked = now, n_done
        if now - told >= PROGRESS_SECONDS:
            told = now
            _tell_progress(n_done, n_total, (n_done - first) / (now - started))


def _tell_progress(n_done: int, n_total: int | None, bytes_per_second: float) -> None:
    whole = "?" if n_total is None else f"{n_total / 1e6:.1f}"
    left = "" if n_total is None else f", {(n_total - n_done) / bytes_per_second:.0f} s left"
    print(
        f"{n_done / 1e6:.1f} of {whole} MB, {bytes_per_second / 1e6:.2f} MB/s{left}",
        file=sys.stderr,
        flush=True,
    )
