"""Whether work that was kept between runs is still true: one checksum of everything it was made from."""

import hashlib
import json
import os


def fingerprint(facts: dict, *, contents: list[str], stamped: list[str | None]) -> str:
    """SHA-256 of settings, of the bytes of small files (code, checkpoints), and of the names, sizes and times of large
    ones, which stand for their contents; None is a file that is missing on purpose."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in contents:
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    for path in stamped:
        stat = None if path is None else os.stat(path)
        digest.update(f"{path} {stat and (stat.st_size, stat.st_mtime_ns)}".encode())
    return digest.hexdigest()
