"""What a worker does with memory while nobody needs it."""

import os
import platform
import subprocess
import sys
from multiprocessing import Pipe

import pytest

from streamdiff.adapters import worker_process
from streamdiff.adapters.worker_process import next_of, worker_environment

# Half of the planes are let go of: the heap can not shrink from its end.
_KEEPS_MEMORY = """
import re
from pathlib import Path
import numpy as np
from streamdiff.adapters.worker_process import give_back_memory

def mib():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\\s*(\\d+)", status)[1]) >> 10

planes = [np.ones(1 << 21) for _ in range(10)]
full = mib()
del planes[::2]
kept = mib()
give_back_memory()
print(full, kept, mib())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's malloc")
def test_memory_is_kept_for_the_next_visit_and_given_back_by_a_process_that_waits():
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _KEEPS_MEMORY],
        env={**os.environ, **worker_environment(1)},
        capture_output=True,
        text=True,
        check=True,
    )
    full, kept, given_back = map(int, done.stdout.split())
    # five planes of 16 MiB, and what else a process may need meanwhile
    assert kept > full - 10
    assert given_back < kept - 70


def test_what_comes_at_once_finds_the_memory_in_place(monkeypatch):
    asked = []
    monkeypatch.setattr(worker_process, "give_back_memory", lambda: asked.append(1))
    receiving, sending = Pipe()
    sending.send("order")
    assert next_of(receiving) == "order"
    assert not asked


def test_a_process_that_waits_gives_memory_back(monkeypatch):
    receiving, sending = Pipe()
    monkeypatch.setattr(worker_process, "IDLE_S", 0)
    monkeypatch.setattr(
        worker_process, "give_back_memory", lambda: sending.send("late")
    )
    assert next_of(receiving) == "late"


def test_a_closed_pipe_ends_the_wait(monkeypatch):
    receiving, sending = Pipe()
    monkeypatch.setattr(worker_process, "IDLE_S", 0)
    sending.close()
    with pytest.raises(EOFError):
        next_of(receiving)
