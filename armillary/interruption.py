"""When work must stop and keep what it has: its scheduler asked it to, or the time it was given is nearly over."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator

MARGIN_SECONDS = 120.0  # of the time asked for, left for the last step, its checkpoint and slow disks


class Interrupted(Exception):
    """The work stopped half-way and is kept: the same command goes on with it."""


@contextlib.contextmanager
def orderly_stop(minutes: float) -> Iterator[Callable[[], str]]:
    """Yield a function that says why to stop now, "" as long as there is no reason; ask it once a step.

    SIGTERM is what Slurm sends some time before it kills a job: at the time limit, on scancel, on preemption and when
    it puts a job back into the queue. In a Slurm job the other reason is that all but MARGIN_SECONDS (of short jobs a
    tenth) of the `minutes` asked for are over, so that little depends on how long the site waits after its SIGTERM.
    """
    asked = []
    seconds = 60 * minutes - min(MARGIN_SECONDS, 6 * minutes)
    end = time.monotonic() + seconds if "SLURM_JOB_ID" in os.environ else math.inf

    def why_stop() -> str:
        if asked:
            return "asked to end by SIGTERM"
        return f"the {minutes:g} minutes asked for are nearly over" if time.monotonic() > end else ""

    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield why_stop
    finally:
        signal.signal(signal.SIGTERM, before)
