"""Mutated events and files: each has an outcome or is a dead letter, none is fatal.

``STREAMDIFF_FUZZ=2000,500`` asks for so many events and files, instead of a few.
"""

import os
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mutate import mutate, mutate_header

from streamdiff.adapters.avro.events import encode_event
from streamdiff.model import Reason

EVENTS, FILES = map(int, os.environ.get("STREAMDIFF_FUZZ", "300,60").split(","))
SEED = int(os.environ.get("STREAMDIFF_FUZZ_SEED", "1"))


@pytest.mark.timeout(3600)
def test_mutated_events_are_answered(target):
    random = Random(SEED)  # noqa: S311 - mutations, no secrets
    good = encode_event(target.event())
    told = Counter(str(target.ask(mutate(good, random))) for _ in range(EVENTS))
    print(told)  # noqa: T201 - shown with -s
    assert told["undecodable"] > EVENTS / 4
    assert Reason.INTERNAL not in told
    assert told.total() == EVENTS


@pytest.mark.timeout(3600)
def test_mutated_files_are_answered(target):
    random = Random(SEED)  # noqa: S311 - mutations, no secrets
    told = Counter()
    for number in range(FILES):
        spoil = mutate if number % 3 == 0 else mutate_header
        told[str(target.ask_about_file(spoil(target.good, random)))] += 1
    print(told)  # noqa: T201 - shown with -s
    assert told[Reason.UNREADABLE_IMAGE] > 0
    assert told[Reason.INVALID_EXPOSURE] > 0
    assert Reason.INTERNAL not in told
    assert Reason.PLUGIN_ERROR not in told
    assert told.total() == FILES
