"""The contract of associators."""

import numpy as np

from streamdiff.testing.contract import measure
from streamdiff.testing.contract.check import Arguments, Subject, require
from streamdiff.testing.contract.kind import Kind

_READ = "streamdiff.stages.Associator"


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result has a diaObjectId per row, or 0."""
    values = np.asarray(result)
    require(
        values.shape == (len(arguments[0]),) and values.dtype.kind == "i",
        expected=f"int64 identifiers of shape ({len(arguments[0])},)",
        got=f"{values.dtype} of shape {values.shape}",
        read=_READ,
    )
    require(
        (values >= 0).all(),
        expected="identifiers, or 0 for none",
        got="negative ones",
        read=_READ,
    )


KIND = Kind(
    name="associate",
    method="associate",
    read=_READ,
    cases=measure.KIND.cases,
    validate=validate,
)
