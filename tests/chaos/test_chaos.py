"""A short run of `run.py`: one fault of each of the quick kinds."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.mark.kafka
def test_everything_arrives_once_and_in_order(kafka_jars, tmp_path):
    from run import Chaos  # noqa: PLC0415 - its modules lie beside this one

    chaos = Chaos(
        seed=3,
        visits=14,
        consumers=2,
        workers=1,
        faults=("kill_consumer", "kill_worker", "restart_broker"),
        pause_s=1.0,
        limit_s=400,
        misbehaving=(),
    )
    assert chaos.run(tmp_path) == []
    assert sorted(chaos.report["faults"]) == sorted(chaos.faults)
    assert chaos.report["poison"] == 1
