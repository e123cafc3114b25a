"""What a catalogue of DiaObjects says in the end, and whether it is right."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from streamdiff.adapters.avro import wire
from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.adapters.catalogue.records import decoded
from streamdiff.adapters.catalogue.tables import (
    BANDS,
    FORCED,
    MERGES,
    OBJECTS,
    SOURCES,
)
from streamdiff.ports import ConsumedRecord

# Names are made of the DiaSource that came first, and times are those of a run.
_NAMES = {"dia_object_id", "assigned_id"}
_TIME = "timeProcessedMjdTai"
# What is told of forced sources depends on which visits came before.
_LIVE = ("forced_", "science_")
_RTOL = 1e-9
# Twice the radius in which DiaSources join DiaObjects.
_NEAR_ARCSEC = 2.0


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that a catalogue holds.

    Attributes
    ----------
    sources : mapping of int to mapping
        Everything that is known of each DiaSource, by its id.
    objects : mapping of frozenset to mapping
        What is told of each DiaObject, by the ids of its DiaSources.
    names : mapping of frozenset to int
        Their ids.
    forced : set of tuple
        DiaObject, visit and detector of each forced source.
    survivors : mapping of int to int
        Which DiaObject another one became a part of.
    """

    sources: dict
    objects: dict
    names: dict
    forced: set
    survivors: dict

    @classmethod
    def of(cls, url: str) -> "Contents":
        """Return what a catalogue holds."""
        catalogue = SqlCatalogue(url)
        with catalogue.engine.connect() as connection:
            rows = {
                table.name: [
                    dict(row) for row in connection.execute(table.select()).mappings()
                ]
                for table in (BANDS, FORCED, MERGES, OBJECTS, SOURCES)
            }
        catalogue.close()
        members = defaultdict(set)
        for row in rows[SOURCES.name]:
            members[row["dia_object_id"]].add(row["dia_source_id"])
        told = defaultdict(dict)
        for row in rows[OBJECTS.name]:
            told[row["dia_object_id"]].update(row)
        for row in rows[BANDS.name]:
            columns = {f"{row['band']}_{name}": value for name, value in row.items()}
            told[row["dia_object_id"]].update(
                {n: v for n, v in columns.items() if not n[2:].startswith(_LIVE)}
            )
        return cls(
            sources={row["dia_source_id"]: _source(row) for row in rows[SOURCES.name]},
            objects={
                frozenset(members[i]): {
                    name: value
                    for name, value in fields.items()
                    if not name.endswith("dia_object_id")
                }
                for i, fields in told.items()
            },
            names={frozenset(members[i]): i for i in told},
            forced={
                (row["dia_object_id"], row["visit"], row["detector"])
                for row in rows[FORCED.name]
            },
            survivors={
                row["absorbed_id"]: row["survivor_id"] for row in rows[MERGES.name]
            },
        )

    def now(self, dia_object_id: int) -> int:
        """Return what a DiaObject is now a part of."""
        while dia_object_id in self.survivors:
            dia_object_id = self.survivors[dia_object_id]
        return dia_object_id


def _source(row: dict) -> dict:
    (record,) = decoded([row["record"]], row["schema_version"])
    kept = {n: v for n, v in row.items() if n not in {*_NAMES, "record"}}
    return kept | {n: v for n, v in record.items() if n != _TIME}


def judge_catalogue(
    url: str, reference: str, alerts: Iterable[ConsumedRecord]
) -> list[str]:
    """Return in what a catalogue differs from that of a run without faults."""
    found, expected = Contents.of(url), Contents.of(reference)
    wrong = [
        f"DiaSource {'lost' if i in expected.sources else 'not expected'}: {i}"
        for i in found.sources.keys() ^ expected.sources.keys()
    ]
    wrong += [
        f"DiaSource {i} is another one"
        for i in found.sources.keys() & expected.sources.keys()
        if found.sources[i] != expected.sources[i]
    ]
    for here, there in _together(list(found.objects), list(expected.objects)):
        if not _may_mix(here, there, expected):
            wrong.append(
                f"DiaObjects of {[sorted(ids) for ids in here]} instead of "
                f"{[sorted(ids) for ids in there]}"
            )
    for ids in found.objects.keys() & expected.objects.keys():
        here, there = found.objects[ids], expected.objects[ids]
        wrong += [
            f"DiaObject {found.names[ids]}: {name} is {here.get(name)}, "
            f"not {there.get(name)}"
            for name in here.keys() | there.keys()
            if not _same(here.get(name), there.get(name))
        ]
    return wrong + _judge_names(found, alerts)


def _together(here: list, there: list) -> list[tuple[list, list]]:
    """Return which DiaObjects of two runs share DiaSources, where they differ."""
    mine = {i: ids for ids in here for i in ids}
    theirs = {i: ids for ids in there for i in ids}
    groups, left = [], set(here) ^ set(there)
    while left:
        group, grown = set(), {left.pop()}
        while grown:
            group |= grown
            members = {i for ids in grown for i in ids}
            grown = {own[i] for own in (mine, theirs) for i in members if i in own}
            grown -= group
        left -= group
        groups.append(
            ([i for i in group if i in here], [i for i in group if i in there])
        )
    return groups


def _may_mix(here: list, there: list, expected: Contents) -> bool:
    """Return whether it is chance which DiaObject has which DiaSource.

    It is where two lie so near to each other that the first visits decide: then each
    run has as many of them, and nothing is lost.
    """
    if len(here) != len(there) or len(there) < 2:
        return False
    ra, dec = (np.array([expected.objects[i][n] for i in there]) for n in ("ra", "dec"))
    apart = np.hypot((ra - ra[0]) * np.cos(np.radians(dec)), dec - dec[0]) * 3600
    return bool((apart < _NEAR_ARCSEC).all())


def _judge_names(found: Contents, alerts: Iterable[ConsumedRecord]) -> list[str]:
    """Return which names there are that mean nothing."""
    wrong, belongs = [], {i: found.names[ids] for ids in found.names for i in ids}
    for record in alerts:
        source = wire.decode(record.value)[1]["diaSource"]
        now = belongs.get(source["diaSourceId"])
        if found.now(source["diaObjectId"]) != now:
            wrong.append(
                f"the alert of {source['diaSourceId']} tells of DiaObject "
                f"{source['diaObjectId']}, the catalogue of {now}"
            )
    known = {*found.names.values(), *found.survivors}
    strays = {place for place in found.forced if place[0] not in known}
    return wrong + [f"forced source of nothing: {place}" for place in sorted(strays)]


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=_RTOL, atol=1e-30, equal_nan=True))
    return one == other


def tally(url: str) -> dict[str, int]:
    """Return how much a catalogue holds."""
    found = Contents.of(url)
    return {
        "dia_objects": len(found.objects),
        "dia_sources": len(found.sources),
        "forced_sources": len(found.forced),
        "merges": len(found.survivors),
    }
