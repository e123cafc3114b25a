"""Exposures as the pipeline would have found them, and catalogues to keep them in."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest

from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.adapters.catalogue.tables import METADATA
from streamdiff.model import Column, DiaSources, VisitReady, dia_source_ids
from streamdiff.pipeline.alerts import IDENTITY_COLUMNS, SKY_COLUMNS
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.stage import StageCalls
from streamdiff_association.nearest import Nearest

MEASURED = tuple(
    Column(name, "f8", "", "")
    for name in ("x", "y", "raErr", "decErr", "psfFlux", "psfFluxErr", "scienceFlux")
)
ERROR = 0.1 / 3600


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found on an exposure: an event, its DiaSources, and their rows."""

    event: VisitReady
    sources: DiaSources

    @property
    def records(self):
        columns = {c.name: self.sources[c.name].tolist() for c in self.sources.columns}
        listed = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in listed]


@pytest.fixture(scope="session")
def found():
    """Return what is found at positions [arcsec from (10, 0)] on an exposure."""

    def make(*places, visit=1, detector=0, band="r", mjd=None, flux=100.0, **changes):
        mjd = 61000.0 + visit if mjd is None else mjd
        event = VisitReady(
            event_id=f"{visit}/{detector}",
            instrument=changes.pop("instrument", "SimCam"),
            visit=visit,
            detector=detector,
            band=band,
            midpoint_mjd_tai=mjd,
            exposure_time_s=30.0,
            image_uri="memory://image",
            published_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        n = len(places)
        east, north = np.array(places, float).reshape(n, 2).T
        y, x = np.round(north / 0.2), np.round(east / 0.2)
        values = {
            "diaSourceId": dia_source_ids(event.exposure_id, x, y),
            "visit": np.full(n, visit),
            "detector": np.full(n, detector),
            "band": np.full(n, band),
            "midpointMjdTai": np.full(n, mjd),
            "ra": (10 + east / 3600) % 360,
            "dec": north / 3600,
            "x": x,
            "y": y,
            "raErr": np.full(n, ERROR),
            "decErr": np.full(n, ERROR),
            "psfFlux": np.full(n, flux),
            "psfFluxErr": np.ones(n),
            "scienceFlux": np.full(n, flux),
        }
        columns = (*IDENTITY_COLUMNS, *SKY_COLUMNS, *MEASURED)
        return Found(event=event, sources=DiaSources(columns, values | changes))

    return make


@pytest.fixture(scope="session")
def calls():
    return StageCalls(monotonic=time.monotonic, names={"associate": "nearest"})


@pytest.fixture
def run(calls):
    """Associate what was found."""

    def make(association, found, **options):
        return association.run(found.event, found.sources, calls, **options)

    return make


@pytest.fixture
def open_catalogue():
    """Open a catalogue by its URL; it is closed at the end."""
    opened = []

    def make(url, **options):
        opened.append(SqlCatalogue(url, **options))
        return opened[-1]

    yield make
    for catalogue in opened:
        catalogue.close()


@pytest.fixture
def catalogue(tmp_path, open_catalogue):
    return open_catalogue(f"sqlite:///{tmp_path}/catalogue.db")


@pytest.fixture
def association(catalogue):
    return Association(catalogue=catalogue, associator=Nearest())


@pytest.fixture(params=["sqlite", "postgres"])
def any_url(request, tmp_path):
    """Give the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalogue.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture(scope="session")
def content():
    """Return all that a catalogue holds, by table; rows in the order of their keys."""

    def make(catalogue):
        with catalogue.engine.connect() as connection:
            return {
                table.name: sorted(
                    (tuple(row) for row in connection.execute(table.select())), key=repr
                )
                for table in METADATA.sorted_tables
                if table.name != "exposures"
            }

    return make
