"""Taking back that DiaObjects were found to be one."""

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from streamdiff.adapters.catalogue.tables import MERGES, SOURCES


def undo_merges(connection: Connection, which: ColumnElement[bool]) -> set[int]:
    """Forget some merges, and return the DiaObjects that are to be made anew.

    Each DiaSource goes back to the DiaObject that it was assigned to, or to what
    that is a part of by the merges that are left.
    """
    chosen = connection.execute(select(MERGES).where(which)).fetchall()
    if not chosen:
        return set()
    edges = _connected(connection, {row.absorbed_id for row in chosen})
    gone = {row.absorbed_id for row in chosen}
    left = {a: b for a, b in edges.items() if a not in gone}
    connection.execute(delete(MERGES).where(which))
    touched = set[int]()
    for assigned in edges.keys() | set(edges.values()):
        before, now = _root(edges, assigned), _root(left, assigned)
        touched |= {before, now}
        if now != before:
            connection.execute(
                update(SOURCES)
                .where(
                    SOURCES.c.dia_object_id == before,
                    SOURCES.c.assigned_id == assigned,
                )
                .values(dia_object_id=now)
            )
    return touched


def _connected(connection: Connection, ids: set[int]) -> dict[int, int]:
    """Return the merges, absorbed to survivor, that have to do with some ids."""
    known = set[int]()
    edges = dict[int, int]()
    while ids - known:
        known |= ids
        touching = or_(MERGES.c.absorbed_id.in_(ids), MERGES.c.survivor_id.in_(ids))
        for row in connection.execute(select(MERGES).where(touching)):
            edges[row.absorbed_id] = row.survivor_id
            ids = ids | {row.absorbed_id, row.survivor_id}
    return edges


def _root(edges: dict[int, int], dia_object_id: int) -> int:
    while dia_object_id in edges:
        dia_object_id = edges[dia_object_id]
    return dia_object_id
