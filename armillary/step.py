"""The one bridge from a Snakemake rule to a plain function.

`run` reads a rule's inputs, outputs, params, wildcards, threads and resources by the names that the
function asks for; it knows Snakemake only as an object handed to it.
"""

import importlib.metadata
import inspect
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from armillary.interruption import Interrupted

UNFINISHED = ".unfinished-"
RECORDED_PACKAGES = (
    "armillary snakemake numpy scipy pandas astropy fitsio h5py galsim colossus surveycodex ducc0 numba sep torch jax"
).split()
_terminal = sys.stderr


def run(function: Callable, snakemake) -> None:
    """Call `function` with what its rule gives, and leave outputs, log and provenance behind.

    Outputs are written under a hidden name and renamed once the function has returned, so a killed
    job leaves no half file that looks whole. Everything printed goes to the rule's `log:`; an error
    ends the job with its traceback in the log and one line on the terminal. So does work that was interrupted and
    kept, without a traceback: to the scheduler the job has failed, and Snakemake's `retries` goes on with it.
    """
    log = Path(str(snakemake.log[0])) if snakemake.log else None
    _send_prints_to(log)
    os.environ["NPROC"] = str(snakemake.threads)  # what XLA makes its pool of threads by, the whole machine without it
    started = time.monotonic()
    try:
        staged = _staged_outputs(snakemake.output)
        arguments = _arguments(function, snakemake, staged)
        function(**arguments)
        _publish(staged)
        if log is not None:
            record = _provenance(snakemake, time.monotonic() - started)
            _write_provenance(log, record)
    except BaseException as error:
        if not isinstance(error, Interrupted):
            traceback.print_exc()
        line = " ".join(str(error).split()) or type(error).__name__
        for stream in (sys.stderr, _terminal):
            print(f"Error in {snakemake.rule}: {type(error).__name__}: {line}", file=stream, flush=True)
        sys.exit(1)


def progress(items: Iterable, label: str, *, n_items: int | None = None, every_s: float = 10.0) -> Iterator:
    """Yield `items`; at most every `every_s` seconds print how many are done, the rate and the time left."""
    n_items = len(items) if n_items is None else n_items
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every_s or (done == n_items and now - started > every_s):
            last = now
            rate = done / (now - started)
            announce(f"{label}: {done}/{n_items}, {rate:.2g}/s, {(n_items - done) / rate:.0f} s left")


def announce(line: str) -> None:
    """Print a line to the log and, if there is one, to the terminal that Snakemake runs in."""
    print(line, flush=True)
    if _terminal is not sys.stderr:
        print(line, file=_terminal, flush=True)


def _send_prints_to(log: Path | None) -> None:
    """Send file descriptors 1 and 2 to the log; the terminal stays reachable for one-line messages.

    Snakemake removes a rule's log before every try. So the log is a link to a file that Snakemake does not know, in
    `all_tries/` beside it, and what earlier tries printed stays.
    """
    global _terminal
    if log is None:
        return
    kept = log.parent / "all_tries" / log.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    log.symlink_to(kept.relative_to(log.parent))
    _terminal = os.fdopen(os.dup(2), "w")
    with open(kept, "a") as stream:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    print(f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", flush=True)


def _paths(value) -> list[str] | str:
    """Snakemake's lists of files become lists of str, a single file becomes a str."""
    return [str(path) for path in value] if isinstance(value, list | tuple) else str(value)


def _plain(value):
    """Snakemake's lists of settings become plain lists, everything else stays."""
    return list(value) if isinstance(value, list | tuple) else value


def _staged_outputs(output) -> dict[str, tuple]:
    """Name of each output -> (final path or paths, hidden path or paths); the folders are made."""
    staged = {}
    for name, final in output.items():
        many = isinstance(final, list | tuple)
        finals = [Path(str(path)) for path in final] if many else [Path(str(final))]
        hidden = [path.with_name(UNFINISHED + path.name) for path in finals]
        for path in hidden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        staged[name] = (finals, hidden, many)
    return staged


def _arguments(function: Callable, snakemake, staged: dict[str, tuple]) -> dict:
    outputs = {name: [str(p) for p in hidden] if many else str(hidden[0]) for name, (_, hidden, many) in staged.items()}
    params = {name: _plain(value) for name, value in snakemake.params.items()}
    given = {
        **dict(snakemake.resources.items()),
        "threads": snakemake.threads,
        **dict(snakemake.wildcards.items()),
        **params,
        **{name: _paths(value) for name, value in snakemake.input.items()},
        **outputs,
    }
    signature = inspect.signature(function).parameters
    missing = [n for n, p in signature.items() if n not in given and p.default is inspect.Parameter.empty]
    unused = [name for name in params if name not in signature]
    if missing:
        raise TypeError(f"rule {snakemake.rule} does not give {missing}, which {function.__name__}() asks for")
    if unused:
        raise TypeError(f"rule {snakemake.rule} gives params {unused}, which {function.__name__}() does not take")
    return {name: given[name] for name in signature if name in given}


def _publish(staged: dict[str, tuple]) -> None:
    unwritten = [
        str(f) for finals, hidden, _ in staged.values() for f, h in zip(finals, hidden, strict=True) if not h.exists()
    ]
    if unwritten:
        raise FileNotFoundError(f"the step ended without writing {', '.join(unwritten[:3])}")
    for finals, hidden, _ in staged.values():
        for final, path in zip(finals, hidden, strict=True):
            os.replace(path, final)


def _provenance(snakemake, seconds: float) -> dict:
    return {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "settings": {name: _plain(value) for name, value in snakemake.params.items()},
        "inputs": [str(path) for path in snakemake.input][:50],
        "outputs": [str(path) for path in snakemake.output][:50],
        "revision": git_revision(),
        "versions": _versions(),
        "threads": snakemake.threads,
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "finished": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def git_revision() -> str:
    """`git describe --always --dirty` of the checkout this file is in, or "unknown"."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _versions() -> dict[str, str]:
    """Versions of the packages of our list that this job imported."""
    versions = {"python": sys.version.split()[0]}
    for name in RECORDED_PACKAGES:
        if name in sys.modules:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
    return versions


def _write_provenance(log: Path, record: dict) -> None:
    """`logs/step_3.log` -> `provenance/step_3.json`, beside the results of the rule set."""
    path = log.parent.parent / "provenance" / f"{log.stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(UNFINISHED + path.name)
    hidden.write_text(json.dumps(record, indent=1, default=str) + "\n")
    os.replace(hidden, path)
