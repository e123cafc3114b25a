"""The real pipeline, changed on purpose: the comparison names what changed."""

from dataclasses import dataclass, field, replace

import pytest

from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.fits.exposure import encode_exposure
from streamdiff.app.alerts.comparison import Rules, compare
from streamdiff.app.alerts.fields import Group
from streamdiff.app.alerts.reading import MemoryAlerts
from streamdiff.app.alerts.tolerances import Tolerance
from streamdiff.app.environment import find_plugins
from streamdiff.app.single import Workbench
from streamdiff.config import from_tree
from streamdiff.model import Column
from streamdiff.testing import PointSource, Scene

SKY = Scene.star_field(shape=(200, 200), density_per_mpx=1500, seed=4)
# From what is just above the threshold to what is plain.
NEW_STARS = [
    PointSource(30 + 35 * (n % 5), 30 + 35 * (n // 5), 225 + 12 * n) for n in range(25)
]
SCALE = 1.01


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A measurer that has the scale of fluxes wrong."""

    columns: tuple[Column, ...] = field(
        default=(
            Column("psfFlux", "f4", "nJy", ""),
            Column("psfFluxErr", "f4", "nJy", ""),
        ),
        init=False,
    )

    def measure(self, sources, images):
        return {c.name: sources[c.name] * SCALE for c in self.columns}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changed")
    exposures = {
        "science": SKY.add(*NEW_STARS).observe(fwhm=3.2, seed=1, visit=7),
        "template": SKY.observe(fwhm=2.6, seed=2, visit=2),
    }
    paths = [folder / f"{name}.fits" for name in exposures]
    for path, exposure in zip(paths, exposures.values(), strict=True):
        path.write_bytes(encode_exposure(exposure))
    return paths


@pytest.fixture(scope="module")
def registry():
    known = find_plugins()
    scaled = replace(known.get("measure", "psf_flux"), name="scaled", factory=Scaled)
    return replace(known, plugins=known.plugins | {("measure", "scaled"): scaled})


@pytest.fixture(scope="module")
def alerts_of(files, registry):
    """Return a function: configuration -> the alerts that it gives."""

    def run(tree):
        bench = Workbench(settings=from_tree(tree), registry=registry)
        return [alert_record(alert) for alert in bench.subtract(*files).alerts]

    return run


@pytest.fixture(scope="module")
def usual(alerts_of):
    return alerts_of({})


def source(records):
    return MemoryAlerts(records=records)


def position(record):
    return record["diaSource"]["ra"], record["diaSource"]["dec"]


def ids(records):
    return [record["diaSourceId"] for record in records]


def differing_by_position(records, others):
    """Return the fields that differ, by id, of DiaSources at the same place."""
    there = {position(r): r for r in others}
    differing = {}
    for record in records:
        source = record["diaSource"]
        other = there.get(position(record))
        if other is None:
            continue
        fields = {
            f"diaSource.{name}"
            for name in source.keys() - {"diaSourceId"}
            if source[name] != other["diaSource"][name]
        } | {n for n in record if n.startswith("cutout") and record[n] != other[n]}
        if fields:
            differing[record["diaSourceId"]] = fields
    return differing


def test_a_higher_threshold_loses_exactly_what_is_below_it(usual, alerts_of):
    strict = alerts_of({"plugins": {"find": {"score_peaks": {"threshold": 6.0}}}})
    found = compare(source(usual), source(strict))
    kept = {position(r) for r in strict}
    lost = [r for r in usual if position(r) not in kept]
    assert [name.dia_source_id for name in found.lost] == ids(lost)
    assert len(lost) > 4
    # The peak decides, and snr is that of the flux: near each other, not the same.
    assert max(r["diaSource"]["snr"] for r in lost) < 6.5
    assert not found.new
    assert found.completeness.p_value == pytest.approx(2 / 2 ** len(lost))
    assert {
        c.a.dia_source_id: set(c.fields) for c in found.changed
    } == differing_by_position(usual, strict)
    # Footprints are what exceeds the threshold; fluxes are what they were.
    names = {d.field for d in found.fields[Group.MEASURED]}
    assert "diaSource.footprintArea" in names
    assert not {f"diaSource.{name}" for name in ("psfFlux", "snr", "ra", "x")} & names
    assert not found.fields[Group.RANKED]
    (hash_,) = found.fields[Group.PROVENANCE]
    assert hash_.field == "provenance.config_hash"


def test_a_flux_scale_is_found_in_every_alert_and_in_no_other_field(usual, alerts_of):
    measure = [*from_tree({}).pipeline.measure, "scaled"]
    scaled = alerts_of({"pipeline": {"measure": measure}})
    found = compare(source(usual), source(scaled))
    assert len(found.changed) == found.counts.n_either == len(usual)
    fields = ("diaSource.psfFlux", "diaSource.psfFluxErr")
    assert {c.fields for c in found.changed} == {fields}
    for difference in found.fields[Group.MEASURED]:
        assert difference.median_ratio == pytest.approx(SCALE, rel=1e-6)
    tolerant = Rules(tolerances=(Tolerance.parse("psfFlux*=0.0101rel"),))
    assert compare(source(usual), source(scaled), tolerant).is_same


def test_a_repetition_is_the_same(usual, alerts_of):
    assert compare(source(usual), source(alerts_of({}))).is_same
