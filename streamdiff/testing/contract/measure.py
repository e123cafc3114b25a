"""The contract of measurers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import DETECTION_COLUMNS, DiaSources
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import (
    Arguments,
    ContractError,
    NotApplicableError,
    Subject,
    checks_of,
    require,
)
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import require_columns
from streamdiff.testing.scene import Scene

_READ = "streamdiff.stages.Measurer"
_SHAPE = (512, 512)
# A flux that has no error of the same name, with this after it, is not judged.
_ERROR = "Err"
_FLUX_UNIT = "nJy"
# Fewer values tell little of a scatter.
_FEW = 40
_REFINED = frozenset({"x", "y", "snr"})


def validate(subject: Subject, arguments: Arguments, result: object) -> None:
    """Raise unless a result has one array per column, one value per row."""
    sources = arguments[0]
    columns = subject.built.columns
    require_columns(columns, f"{_READ}.columns")
    require(
        isinstance(result, Mapping) and set(result) == {c.name for c in columns},
        expected=f"a mapping with {', '.join(c.name for c in columns)}",
        got=", ".join(result) if isinstance(result, Mapping) else type(result).__name__,
        read=_READ,
    )
    assert isinstance(result, Mapping)  # noqa: S101 - for the type checker
    for column in columns:
        values = np.asarray(result[column.name])
        require(
            values.shape == (len(sources),),
            expected=f"{column.name} of shape ({len(sources)},)",
            got=f"shape {values.shape}",
            read=_READ,
        )
        require(
            values.dtype.kind != "f" or not np.isinf(values).any(),
            expected=f"a finite {column.name}, or NaN where it can not be measured",
            got=f"{np.count_nonzero(np.isinf(values))} infinite values",
            read=_READ,
        )
    try:
        sources.with_columns(columns, result)
    except (TypeError, ValueError) as err:
        raise ContractError(
            expected="values of the types that the columns declare",
            got=str(err),
            read=_READ,
        ) from err


def the_footprint_of_a_source_stays_its_finders(subject: Subject) -> None:
    """Require that no column replaces those of the source finder, but some.

    Position and significance may be measured anew.
    """
    names = {column.name for column in subject.built.columns}
    taken = names & {column.name for column in DETECTION_COLUMNS} - _REFINED
    require(
        not taken,
        expected="other columns than the source finder's, but x, y, snr",
        got=", ".join(sorted(taken)),
        read="streamdiff.model.DETECTION_COLUMNS",
    )


def the_order_of_rows_makes_no_difference(subject: Subject) -> None:
    """Require that each row is measured for what it is, not for where it stands."""
    sources, images = _cases()["standard"]
    turned = np.arange(len(sources))[::-1]
    straight = KIND.result(subject, (sources, images))
    other = KIND.result(subject, (sources.take(turned), images))
    for name, values in straight.items():
        require(
            _close(np.asarray(values)[turned], np.asarray(other[name])),
            expected="the same values, whatever the order of the rows",
            got=f"others in {name}",
            read=_READ,
        )


def fluxes_of_blank_sky_scatter_by_their_errors(
    subject: Subject,
) -> Mapping[str, float]:
    """Require pulls of standard deviation 1 for each flux that has an error.

    Notes
    -----
    144 places know it to 6 %, and fluxes of wide apertures share pixels.
    """
    science = Scene(shape=_SHAPE).observe(fwhm=skies.FWHM, noise=skies.NOISE, seed=8)
    template = Scene(shape=_SHAPE).observe(
        fwhm=skies.FWHM, noise=skies.TEMPLATE_NOISE, seed=9
    )
    sources = skies.sources_at(*skies.grid(_SHAPE, 39, 40))
    images = skies.images_of((science, template))
    measured = KIND.result(subject, (sources, images))
    fluxes = [
        column.name
        for column in subject.built.columns
        if column.unit == _FLUX_UNIT
        and f"{column.name}{_ERROR}" in measured
        and np.isfinite(_pulls(measured, column.name)).sum() >= _FEW
    ]
    if not fluxes:
        raise NotApplicableError(
            "it measures no flux with an error, or not of blank sky"
        )
    spreads = {name: float(np.nanstd(_pulls(measured, name))) for name in fluxes}
    for name, spread in spreads.items():
        require(
            0.75 < spread < 1.25,
            expected=f"{name} to scatter by {name}{_ERROR} in blank sky",
            got=f"{spread:.2f} times that",
            read=f"{_READ}; streamdiff.imaging.point_source",
        )
    return {f"{name}_pull_std": spread for name, spread in spreads.items()}


def _pulls(measured: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    errors = np.asarray(measured[f"{name}{_ERROR}"], float)
    pulls: NDArray[np.float64] = np.asarray(measured[name], float) / errors
    return pulls


def _close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True))
    return bool((one == other).all())


def _cases() -> dict[str, Arguments]:
    images = skies.images_of(skies.pair(template_fwhm=skies.FWHM))
    x, y = skies.grid(skies.STANDARD, 22, 4)
    spoilt = skies.images_of(skies.spoilt())
    tiny = skies.images_of(skies.pair(skies.SHAPES["tiny"], skies.FWHM))
    blank = skies.images_of(skies.masked())
    corners = np.array([0.0, 159, 0, 159]), np.array([0.0, 0, 159, 159])
    return {
        "standard": (skies.sources_at(x, y), images),
        "a table without rows": (DiaSources.empty(), images),
        "one row": (skies.sources_at(x[:1], y[:1], negative=True), images),
        "in the corners of the image": (skies.sources_at(*corners), images),
        "without data here and there": (skies.sources_at(x, y), spoilt),
        "tiny": (skies.sources_at(np.array([4.0]), np.array([3.0])), tiny),
        "without any data": (skies.sources_at(x, y), blank),
    }


KIND = Kind(
    name="measure",
    method="measure",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(
        the_footprint_of_a_source_stays_its_finders,
        the_order_of_rows_makes_no_difference,
        fluxes_of_blank_sky_scatter_by_their_errors,
    ),
)
