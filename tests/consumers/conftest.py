"""Environments of their own for the clients of others, and a visit's alerts."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from streamdiff.imaging.cutouts import cut
from streamdiff.model import Alert, Provenance, TemplateUse
from streamdiff.testing import PointSource, Scene

# What pip installs, one call after the other. Pinned: a test is not to fail since
# somebody has released something. Of what a client asks for without need to read
# alerts, such as polars or a file system of S3, nothing is installed.
PACKAGES = {
    "hop-0.13.0": ["hop-client==0.13.0 six"],
    "fink-12.3.0": ["--no-deps fink-client==12.3.0", "fastavro pandas requests"],
    "lsst-30.2026": [
        (
            "--no-deps lsst-alert-packet==30.2026.2700 lsst-resources==30.2026.4200 "
            "lsst-utils==30.2026.4300"
        ),
        "deprecated fastavro numpy psutil pyyaml requests structlog threadpoolctl",
    ],
}
INSTALL_S, RUN_S = 300, 120


@dataclass(frozen=True)
class Environment:
    """A Python with somebody else's client, and nothing of streamdiff."""

    python: Path

    def run(self, script, *arguments):
        """Return what a script prints as JSON."""
        # nothing of this environment is to leak into that one
        variables = {"HOME": str(self.python.parents[2]), "PATH": os.defpath}
        run = subprocess.run(  # noqa: S603 - our own script
            [self.python, "-c", script, *map(str, arguments)],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_S,
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)


@pytest.fixture(scope="session")
def environment():
    """Return a function: a name -> the environment, made and kept in a cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

    def make(name):
        (label,) = (known for known in PACKAGES if known.startswith(f"{name}-"))
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        folder = cache / "streamdiff" / "consumers" / f"{label}-{version}"
        if not folder.is_dir():
            install(folder, PACKAGES[label])
        return Environment(folder / "bin" / "python")

    return make


def install(folder, calls):
    """Make a virtual environment, complete or not there at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = tempfile.mkdtemp(dir=folder.parent)
    try:
        command([sys.executable, "-m", "venv", "--without-pip", work])
        for packages in calls:
            pip = [sys.executable, "-m", "pip", "--python", f"{work}/bin/python"]
            command([*pip, "install", "-q", *packages.split()])
        Path(work).rename(folder)
    except (subprocess.SubprocessError, OSError) as err:
        shutil.rmtree(work, ignore_errors=True)
        if not folder.is_dir():  # else another process was first
            pytest.skip(f"{folder.name} can not be installed: {err}")


def command(words):
    subprocess.run(  # noqa: S603 - our own arguments
        words, check=True, capture_output=True, timeout=INSTALL_S
    )


@pytest.fixture(scope="session")
def alerts():
    """Three alerts with cutouts; the last two belong to an object with history."""
    sky = Scene(sources=(PointSource(60, 50, 5e3),), shape=(100, 120))
    science = sky.observe(fwhm=3.4, noise=10, seed=1)
    return [alert(science, rank, 55.25 + 5 * rank, 50.5) for rank in range(3)]


def alert(exposure, rank, x, y):
    stamp = cut(exposure, x, y, 31)
    source = {
        "diaSourceId": (7 << 8 | 3) << 14 | rank,
        "visit": 7,
        "detector": 3,
        "band": "r",
        "midpointMjdTai": 61105.125,
        "ra": 63.25 + rank / 1000,
        "dec": -47.5,
        "x": x,
        "y": y,
        "psfFlux": 12.5 * rank,
        "psfFluxErr": np.float32(2.5),
        "psfNdata": 961,
        "isNegative": rank == 1,
        "bboxSize": 9,
        "diaObjectId": 5 if rank else None,
    }
    earlier = {**source, "diaSourceId": 11, "visit": 6, "midpointMjdTai": 61100.5}
    forced = {
        "diaForcedSourceId": 21,
        "diaObjectId": 5,
        "ra": 63.25,
        "dec": -47.5,
        "visit": 6,
        "detector": 3,
        "midpointMjdTai": 61100.5,
        "psfFlux": -1.5,
    }
    dia_object = {
        "diaObjectId": 5,
        "validityStartMjdTai": 61105.125,
        "ra": 63.25,
        "dec": -47.5,
        "nDiaSources": 2,
        "r_psfFluxNdata": 2,
    }
    moving = {
        "diaSourceId": source["diaSourceId"],
        "ssObjectId": 77,
        "eclLambda": 182.5,
        "eclBeta": 9.25,
        "galLon": 283.75,
        "galLat": 69.25,
        "ephOffset": 0.125,
    }
    return Alert(
        event_id="e",
        dia_source=source,
        cutout_difference=stamp,
        cutout_science=stamp,
        cutout_template=stamp if rank else None,
        templates=(TemplateUse(template_id="d/1/2/r", version=7, fraction=0.5),),
        provenance=Provenance(config_hash="c0ffee", software_version="1.0"),
        dia_object=dia_object if rank else None,
        prv_dia_sources=(earlier,) if rank else (),
        prv_dia_forced_sources=(forced,) if rank else (),
        ss_source=moving if rank == 1 else None,
    )
