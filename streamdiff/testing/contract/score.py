"""The contract of scorers."""

import numpy as np

from streamdiff.testing.contract import measure
from streamdiff.testing.contract.check import Arguments, Subject, require
from streamdiff.testing.contract.kind import Kind

_READ = "streamdiff.stages.Scorer"


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result has a reliability in [0, 1] per row."""
    values = np.asarray(result)
    require(
        values.shape == (len(arguments[0]),) and values.dtype.kind == "f",
        expected=f"floating-point reliabilities of shape ({len(arguments[0])},)",
        got=f"{values.dtype} of shape {values.shape}",
        read=_READ,
    )
    require(
        ((values >= 0) & (values <= 1)).all(),
        expected="reliabilities in [0, 1], also of what can not be told",
        got=f"{values[~((values >= 0) & (values <= 1))][:3]}",
        read=_READ,
    )


# Measurements come and go with the configuration: a scorer has to do without.
KIND = Kind(
    name="score",
    method="score",
    read=_READ,
    cases=measure.KIND.cases,
    validate=validate,
)
