"""A stack of many large warps takes the memory of few of its planes."""

import subprocess
import sys

import pytest

# Coadds 20 epochs from disk with two coadders, and prints by how many bytes per pixel
# each raised the peak of the resident memory. That of `getrusage` would include the
# process that started this one.
SCRIPT = """
import re
from pathlib import Path

import numpy as np

from streamdiff.adapters.spool import spool
from streamdiff.model import TemplateId
from streamdiff.testing import CosmicRays, Scene
from streamdiff_coadd import ClippedMeanCoadder, CompareWarpCoadder, stack

def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", status)[1])

template = TemplateId(tract=1, patch=2, band="r")
scene = Scene.star_field(shape=(1024, 1024), density_per_mpx=500, seed=1)
small = Scene(shape=(64, 64))
coadders = ClippedMeanCoadder(), CompareWarpCoadder()
for coadder in coadders:
    coadder.coadd(template, [small.observe(visit=n) for n in (1, 2, 3)])
# The share that a strip has of the memory of 4096 x 4096 pixels.
stack._STRIP_BYTES //= 16
with spool() as warps:
    for n in range(20):
        rays = (CosmicRays(n=20),)
        warps.append(scene.observe(visit=n + 1, seed=n, artifacts=rays))
    for coadder in coadders:
        Path("/proc/self/clear_refs").write_text("5")
        before = peak()
        coadd = coadder.coadd(template, warps)
        assert coadd.metrics["clipped_fraction"] > 0
        print((peak() - before) / scene.shape[0] ** 2)
"""
# 2.5 GiB for 4096 x 4096 pixels, 0.5 GiB of it for the interpreter and its libraries.
MAX_BYTES_PER_PIXEL = 2 * 2**30 / 4096**2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_epochs():
    run = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    # All planes of 20 epochs are 320 bytes per pixel.
    bytes_per_pixel = [float(line) for line in run.stdout.split()]
    assert len(bytes_per_pixel) == 2
    assert max(bytes_per_pixel) < MAX_BYTES_PER_PIXEL
