"""JSON messages of others."""

import json
from typing import Any

from streamdiff.errors import UndecodableError
from streamdiff.ports import ConsumedRecord


def read_object(record: ConsumedRecord) -> dict[str, Any]:
    """Return the JSON object that a record holds.

    Raises
    ------
    UndecodableError
        If it holds none.
    """
    try:
        found = json.loads(record.value or b"")
    except (ValueError, RecursionError) as err:
        raise UndecodableError(f"no JSON: {err!s:.200}") from err
    if not isinstance(found, dict):
        raise UndecodableError(f"JSON of a {type(found).__name__}, not of an object")
    return found
