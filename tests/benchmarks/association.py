"""How long association takes, and whether crashes do it harm.

``python tests/benchmarks/association.py visit``: a visit of 10,000 DiaSources against
1,000,000 DiaObjects. ``nights``: 30 nights, 200 objects with known light curves on two
detectors that overlap, each in a process of its own that dies at random. Both take
``--database sqlite`` or ``postgres``, for which a server is started.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from sqlalchemy import select

from streamdiff.adapters.avro.schemas import load
from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.adapters.catalogue.columns import inserted
from streamdiff.adapters.catalogue.records import encoded, written_version
from streamdiff.adapters.catalogue.tables import BANDS, OBJECTS, SOURCES
from streamdiff.imaging.sky_pixels import finest_pixels, sky_pixels
from streamdiff.model import (
    BandStatistics,
    Column,
    DiaObjects,
    DiaSources,
    SourceRows,
    VisitReady,
    dia_source_ids,
)
from streamdiff.pipeline.association import Association
from streamdiff.pipeline.stage import StageCalls
from streamdiff.testing.postgres_server import PostgresServer
from streamdiff_association.nearest import Nearest

CONSOLE = Console()
ERROR = 0.1 / 3600
DTYPES = {"long": "i8", "int": "i4", "float": "f4", "double": "f8", "boolean": "?"}


def event_of(visit, detector, mjd, band="r"):
    return VisitReady(
        event_id=f"{visit}/{detector}",
        instrument="SimCam",
        visit=visit,
        detector=detector,
        band=band,
        midpoint_mjd_tai=mjd,
        exposure_time_s=30.0,
        image_uri="memory://image",
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def columns():
    """Return all columns that a DiaSource may have, as measurers fill them."""
    found = []
    for field in load("diaSource")["fields"]:
        kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
        if field["name"] not in {"diaObjectId", "ssObjectId"}:
            found.append(Column(field["name"], DTYPES.get(kind, "U"), "", ""))
    return tuple(found)


COLUMNS = columns()


def sources_of(event, ra, dec, flux, flux_error=1.0):
    n, rng = len(ra), np.random.default_rng(event.visit)
    rank = np.arange(n)
    values = {
        c.name: np.full(n, event.band)
        if c.dtype == "U"
        else rng.normal(0, 100, n).astype(c.dtype)
        for c in COLUMNS
    }
    values |= {
        "diaSourceId": dia_source_ids(event.exposure_id, rank, rank),
        "visit": np.full(n, event.visit),
        "detector": np.full(n, event.detector),
        "midpointMjdTai": np.full(n, event.midpoint_mjd_tai),
        "ra": ra,
        "dec": dec,
        "raErr": ERROR / np.cos(np.radians(dec)),
        "decErr": np.full(n, ERROR),
        "ra_dec_Cov": np.zeros(n),
        "psfFlux": flux,
        "psfFluxErr": np.full(n, flux_error),
    }
    return DiaSources(COLUMNS, values)


def calls():
    return StageCalls(monotonic=time.monotonic)


def fill(catalogue, ra, dec, n_epochs):
    """Put DiaObjects at positions, each with some DiaSources; return their ids."""
    rng, all_ids = np.random.default_rng(1), 1 + finest_pixels(ra, dec)
    one = event_of(1, 0, 60000.0)
    record = encoded(sources_of(one, ra[:1], dec[:1], np.ones(1)))[0]
    parts_of_sky = max(len(all_ids) // 50_000, 1)
    for chosen in np.array_split(np.argsort(all_ids), parts_of_sky):
        ids, n, parts = all_ids[chosen], len(chosen), []
        for epoch in range(n_epochs):
            values = {name: np.zeros(n) for name in SourceRows.names()}
            values |= {
                "dia_source_id": (1 << 50) * (epoch + 1) + chosen,
                "dia_object_id": ids,
                "midpoint_mjd_tai": np.full(n, 60000.0 + epoch),
                "band": np.full(n, "r"),
                "ra": ra[chosen] + rng.normal(0, ERROR, n),
                "dec": dec[chosen] + rng.normal(0, ERROR, n),
                "ra_err": np.full(n, ERROR),
                "dec_err": np.full(n, ERROR),
                "psf_flux": rng.normal(100, 1, n),
                "psf_flux_err": np.ones(n),
            }
            parts.append(SourceRows(**values))
        rows = SourceRows.joined(parts)
        objects = DiaObjects.of_sources(rows)
        with catalogue.engine.begin() as connection:
            inserted(
                connection,
                SOURCES,
                rows,
                assigned_id=rows.dia_object_id.tolist(),
                schema_version=[written_version()] * len(rows),
                record=[record] * len(rows),
            )
            pixels = sky_pixels(objects.ra, objects.dec).tolist()
            inserted(connection, OBJECTS, objects, pixel=pixels)
            inserted(connection, BANDS, BandStatistics.of_sources(rows))
    return all_ids


def visit(url, options):
    """Time visits of a field with a twentieth of all DiaObjects."""
    rng, n = np.random.default_rng(2), options.objects
    side, field = np.sqrt(n / 10_000), np.sqrt(n / 200_000)
    ra, dec = rng.uniform(100, 100 + side, n), rng.uniform(-side / 2, side / 2, n)
    catalogue = SqlCatalogue(url)
    catalogue.prepare()
    start = time.perf_counter()
    ids = fill(catalogue, ra, dec, options.epochs)
    if catalogue.engine.dialect.name == "postgresql":
        with catalogue.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("VACUUM ANALYZE")
    CONSOLE.print(f"{n} DiaObjects put in {time.perf_counter() - start:.0f} s")
    inside = np.flatnonzero((ra < 100 + field) & (np.abs(dec) < field / 2))
    association = Association(catalogue=catalogue, associator=Nearest())
    for repeat in range(options.repeats):
        chosen = rng.choice(inside, options.sources, replace=False)
        new = rng.random(options.sources) < 0.05
        place = np.stack([ra[chosen], dec[chosen]])
        place += rng.normal(0, ERROR, place.shape) + np.where(new, 5 / 3600, 0)
        event = event_of(10 + repeat, 0, 60100.0 + repeat)
        flux = rng.normal(100, 1, options.sources)
        table = sources_of(event, *place, flux)
        start, cpu = time.perf_counter(), time.process_time()
        found = association.run(event, table, calls())
        elapsed, own = time.perf_counter() - start, time.process_time() - cpu
        earlier = sum(len(h.dia_sources) for h in found.histories.values())
        right = np.mean(found.dia_object_ids[~new] == ids[chosen[~new]])
        CONSOLE.print(
            f"visit {repeat}: {elapsed:.2f} s, {own:.2f} s of them here; "
            f"{found.metrics['n_associated']:.0f} joined, "
            f"{found.metrics['n_new_dia_objects']:.0f} new, {right:.2%} as they were; "
            f"{earlier} earlier DiaSources told"
        )
    catalogue.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    CONSOLE.print(f"peak memory {peak:.0f} MiB")


N_NIGHTS, N_OBJECTS, N_SHARED = 30, 200, 40
_DYING = 9


@dataclass(frozen=True, kw_only=True)
class Dying:
    """An associator whose process ends when it is asked."""

    radius_arcsec: float = 1.0

    def associate(self, sources, objects):
        os._exit(_DYING)


def seen_on(night, detector):
    """Return which objects a detector sees in a night, and their fluxes."""
    rng = np.random.default_rng((night, detector))
    half = N_OBJECTS // 2
    first, last = ((0, half + N_SHARED), (half, N_OBJECTS))[detector]
    ids = np.arange(first, last)
    ids = ids[rng.random(len(ids)) < 0.8]
    flux = 1000 + 300 * np.sin(night / 3 + ids) + rng.normal(0, 5, len(ids))
    return ids, flux


def attempt(url, night, detector, fate):
    """Associate one exposure, in a process that may die before, inside, or after."""
    ids, flux = seen_on(night, detector)
    # Another template moves all sources, and hides some.
    rng = np.random.default_rng((night, detector, fate == "after"))
    event = event_of(night, detector, 61000.0 + night, "gr"[night % 2])
    ra = 10 + (ids % 20) * 30 / 3600 + rng.normal(0, ERROR, len(ids))
    dec = (ids // 20) * 30 / 3600 + rng.normal(0, ERROR, len(ids))
    if fate == "after":
        keep = rng.random(len(ids)) < 0.9
        ra, dec, flux = ra[keep], dec[keep], flux[keep]
    if fate == "before":
        os._exit(_DYING)
    associator = Dying() if fate == "inside" else Nearest()
    association = Association(catalogue=SqlCatalogue(url), associator=associator)
    association.run(event, sources_of(event, ra, dec, flux, 5.0), calls())
    os._exit(_DYING if fate == "after" else 0)


def nights(url, _options):
    """Simulate nights with crashes, and judge what the catalogue says of them."""
    catalogue = SqlCatalogue(url)
    catalogue.prepare()
    catalogue.close()
    context, rng = multiprocessing.get_context("fork"), np.random.default_rng(3)
    n_died = 0
    for night in range(1, N_NIGHTS + 1):
        waiting = {
            detector: [*rng.choice(["before", "inside", "after"], rng.integers(3)), ""]
            for detector in (0, 1)
        }
        while waiting:
            running = {
                detector: context.Process(
                    target=attempt, args=(url, night, detector, fates[0])
                )
                for detector, fates in waiting.items()
            }
            for process in running.values():
                process.start()
            for detector, process in running.items():
                process.join()
                n_died += process.exitcode == _DYING
                if process.exitcode not in {0, _DYING}:
                    raise SystemExit(f"a worker failed: {process.exitcode}")
                del waiting[detector][0]
            waiting = {d: fates for d, fates in waiting.items() if fates}
    CONSOLE.print(f"{2 * N_NIGHTS} exposures, {n_died} deaths")
    judge(catalogue)


def judge(catalogue):
    """Say what is wrong, if anything is."""
    event = event_of(999, 0, 62000.0)
    with catalogue.session(event, np.zeros(0, np.int64)) as session:
        wanted = select(OBJECTS.c.dia_object_id)
        ids = np.array(session.connection.execute(wanted).scalars().all(), np.int64)
        rows, kept = session.sources_of(ids), session.statistics_of(ids)
        objects = session.objects_of(ids)
    truth = {i: set() for i in range(N_OBJECTS)}
    for night in range(1, N_NIGHTS + 1):
        for detector in (0, 1):
            for i, flux in zip(*seen_on(night, detector), strict=True):
                truth[i].add((night, detector, round(float(flux), 3)))
    column = np.rint((rows.ra - 10) * 3600 / 30).astype(int)
    number = column + 20 * np.rint(rows.dec * 3600 / 30).astype(int)
    found = {i: set() for i in range(N_OBJECTS)}
    names = {i: set() for i in range(N_OBJECTS)}
    for i, row in zip(number.tolist(), range(len(rows)), strict=True):
        source = int(rows.dia_source_id[row])
        flux = round(float(rows.psf_flux[row]), 3)
        found[i].add((source >> 22, (source >> 14) & 255, flux))
        names[i].add(int(rows.dia_object_id[row]))
    complete = sum(
        {(n, d) for n, d, _ in found[i]} == {(n, d) for n, d, _ in truth[i]}
        for i in truth
    )
    worst = max(difference(kept, row, rows) for row in range(len(kept)))
    CONSOLE.print(
        f"{len(objects)} DiaObjects of {N_OBJECTS}; "
        f"{sum(len(n) == 1 for n in names.values())} objects have one name; "
        f"{complete} have all of their history; {len(rows)} DiaSources of "
        f"{sum(map(len, truth.values()))}; statistics are off by {worst:.1e} at most"
    )


def difference(kept, row, rows):
    """Return by how much statistics are off from those of all fluxes at once."""
    mine = (rows.dia_object_id == kept.dia_object_id[row]) & (
        rows.band == kept.band[row]
    )
    order = np.lexsort((rows.dia_source_id[mine], rows.midpoint_mjd_tai[mine]))
    mine = np.flatnonzero(mine)[order]
    flux, time_ = rows.psf_flux[mine], rows.midpoint_mjd_tai[mine]
    weight = rows.psf_flux_err[mine] ** -2
    step = np.diff(time_)
    slopes = np.diff(flux)[step > 0] / step[step > 0]
    expected = {
        "n": flux.size,
        "mean": flux.mean(),
        "squares": flux.var() * flux.size,
        "weight": weight.sum(),
        "weighted_mean": np.average(flux, weights=weight),
        "minimum": flux.min(),
        "maximum": flux.max(),
        "max_slope": slopes.max(),
        "first_mjd": time_[0],
        "last_mjd": time_[-1],
    }
    return max(abs(getattr(kept, n)[row] / v - 1) for n, v in expected.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["visit", "nights"])
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=1, help="DiaSources per object")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/catalogue.db"
        if options.database == "postgres":
            url = stack.enter_context(PostgresServer()).url
        {"visit": visit, "nights": nights}[options.what](url, options)


if __name__ == "__main__":
    main()
