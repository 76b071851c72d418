"""Work is told to stop by SIGTERM and, in a Slurm job, by the clock."""

import os
import signal

import pytest

from armillary.interruption import orderly_stop


def test_sigterm_is_a_reason_and_nothing_else_while_it_is_heeded():
    before = signal.getsignal(signal.SIGTERM)
    with orderly_stop(60) as why_stop:
        assert why_stop() == ""
        os.kill(os.getpid(), signal.SIGTERM)
        assert why_stop() == "asked to end by SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("minutes", "seconds_left"), [(60, 120), (10, 60), (1, 6)])
def test_a_slurm_job_stops_before_its_time_is_over(minutes, seconds_left, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("armillary.interruption.time.monotonic", lambda: now[0])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with orderly_stop(minutes) as why_stop:
        now[0] += 60 * minutes - seconds_left - 1
        assert why_stop() == ""
        now[0] += 2
        assert why_stop() == f"the {minutes} minutes asked for are nearly over"


def test_outside_of_slurm_nobody_looks_at_the_clock(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with orderly_stop(0) as why_stop:
        assert why_stop() == ""
