"""The contract of associators."""

import numpy as np
from numpy.typing import ArrayLike

from streamdiff.model import (
    DETECTION_COLUMNS,
    NO_OBJECT,
    Column,
    DiaObjects,
    DiaSources,
)
from streamdiff.stages import NEW_OBJECT
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind

_READ = "streamdiff.stages.Associator"
_MOST_ARCSEC = 20.0
_COLUMNS = (
    *DETECTION_COLUMNS,
    Column("diaSourceId", "i8", "", "Identifier"),
    Column("ra", "f8", "deg", "Right ascension"),
    Column("dec", "f8", "deg", "Declination"),
    Column("midpointMjdTai", "f8", "d", "Time"),
)
_ARCSEC = 1 / 3600


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result has a known, a new or no DiaObject per row."""
    sources, objects = arguments
    values = np.asarray(result)
    require(
        values.shape == (len(sources),) and values.dtype.kind == "i",
        expected=f"int64 identifiers of shape ({len(sources)},)",
        got=f"{values.dtype} of shape {values.shape}",
        read=_READ,
    )
    allowed = np.append(objects.dia_object_id, [NEW_OBJECT, NO_OBJECT])
    require(
        np.isin(values, allowed).all(),
        expected="ids of known DiaObjects, NEW_OBJECT, or NO_OBJECT",
        got=f"others: {values[~np.isin(values, allowed)][:3]}",
        read=_READ,
    )


def the_radius_is_one_that_the_host_looks_in(subject: Subject) -> None:
    """Require a radius above 0, of 20 arcsec at most."""
    radius = subject.built.radius_arcsec
    require(
        0 < radius <= _MOST_ARCSEC,
        expected=f"a radius_arcsec above 0, {_MOST_ARCSEC:g} at most",
        got=f"{radius:g}",
        read=f"{_READ}.radius_arcsec",
    )


def a_source_on_its_object_is_known(subject: Subject) -> None:
    """Require the id of the DiaObject where nothing else is near."""
    found = KIND.result(subject, (_sources([0.0]), _objects([0.0])))
    require(
        found[0] == 1,
        expected="the DiaObject that the DiaSource lies on, 1",
        got=str(found[0]),
        read=_READ,
    )


def a_source_far_from_all_objects_is_not_known(subject: Subject) -> None:
    """Require a new DiaObject, or none, beyond the radius."""
    away = 1.5 * subject.built.radius_arcsec
    found = KIND.result(subject, (_sources([away]), _objects([0.0])))
    require(
        found[0] in {NEW_OBJECT, NO_OBJECT},
        expected=f"NEW_OBJECT or NO_OBJECT {away:g} arcsec from the only DiaObject",
        got=str(found[0]),
        read=_READ,
    )


def the_order_of_rows_makes_no_difference(subject: Subject) -> None:
    """Require the same DiaObject for each DiaSource, whatever the order."""
    sources, objects = _crowd()
    turned = np.arange(len(sources))[::-1]
    straight = np.asarray(KIND.result(subject, (sources, objects)))
    other = np.asarray(KIND.result(subject, (sources.take(turned), objects)))
    require(
        (straight[turned] == other).all(),
        expected="the same DiaObjects, whatever the order of the rows",
        got=f"{np.count_nonzero(straight[turned] != other)} others",
        read=_READ,
    )


def _sources(offsets_arcsec: ArrayLike, first_id: int = 11) -> DiaSources:
    """Return DiaSources so far to the north of a place."""
    north = np.asarray(offsets_arcsec, float)
    n = len(north)
    values = {
        "x": np.zeros(n),
        "y": np.zeros(n),
        "snr": np.full(n, 9.0),
        "isNegative": np.zeros(n, bool),
        "bboxSize": np.full(n, 9),
        "footprintArea": np.full(n, 60),
        "diaSourceId": first_id + np.arange(n),
        "ra": np.full(n, 210.0),
        "dec": -12.0 + north * _ARCSEC,
        "midpointMjdTai": np.full(n, 61000.0),
    }
    return DiaSources(_COLUMNS, values)


def _objects(offsets_arcsec: ArrayLike) -> DiaObjects:
    """Return DiaObjects so far to the north of the same place, numbered from 1."""
    north = np.asarray(offsets_arcsec, float)
    n = len(north)
    return DiaObjects(
        dia_object_id=1 + np.arange(n),
        ra=np.full(n, 210.0),
        dec=-12.0 + north * _ARCSEC,
        weight_ee=np.full(n, 100.0),
        weight_en=np.zeros(n),
        weight_nn=np.full(n, 100.0),
        n_sources=np.full(n, 4),
        first_mjd=np.full(n, 60000.0),
        last_mjd=np.full(n, 60990.0),
    )


def _crowd() -> tuple[DiaSources, DiaObjects]:
    rng = np.random.default_rng(3)
    return _sources(rng.uniform(0, 60, 40)), _objects(rng.uniform(0, 60, 50))


def _cases() -> dict[str, Arguments]:
    return {
        "standard": _crowd(),
        "a table without rows": (_sources([]), _objects([0.0])),
        "without known DiaObjects": (_sources([0.0, 3.0]), _objects([])),
        "nothing at all": (_sources([]), _objects([])),
        "two on one DiaObject": (_sources([0.01, 0.02]), _objects([0.0])),
    }


KIND = Kind(
    name="associate",
    method="associate",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(
        the_radius_is_one_that_the_host_looks_in,
        a_source_on_its_object_is_known,
        a_source_far_from_all_objects_is_not_known,
        the_order_of_rows_makes_no_difference,
    ),
)
