"""What a plugin returned, judged before anybody uses it: cheap, whatever the size.

`streamdiff.testing.contract` judges the same, and much more.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamdiff.errors import PluginContractError
from streamdiff.model import (
    DETECTION_COLUMNS,
    Coadd,
    Column,
    DiaSources,
    Difference,
    Exposure,
    MaskPlane,
    Psf,
    TemplateId,
    UnknownPsf,
)
from streamdiff.model.ids import RANK_BITS
from streamdiff.stages import Registration

# Of the sum of a PSF: its stamp may cut off the faintest wings.
_PSF_TOLERANCE = 0.01


def checked_registration(plugin: str, found: object) -> Registration:
    """Return what a registrar gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no registration.
    """
    if not isinstance(found, Registration):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(found).__name__}, not Registration"
        )
    return found


def checked_warp(
    plugin: str, warp: object, shape: tuple[int, int], given: Exposure | None = None
) -> Exposure:
    """Return what a warper gave, if it keeps the contract.

    Parameters
    ----------
    plugin : str
    warp : object
    shape : tuple of int
        That was asked for.
    given : Exposure, optional
        What was warped; it may be returned as it is.

    Raises
    ------
    PluginContractError
        If it is no exposure of the shape that was asked for, or its pixels are no
        numbers.
    """
    if not isinstance(warp, Exposure):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(warp).__name__}, not Exposure"
        )
    if warp.shape != shape:
        raise PluginContractError(
            f"plugin {plugin!r} returned a warp of {warp.id} with shape {warp.shape}; "
            f"{shape} was asked for"
        )
    if warp is not given:
        _require_numbers(plugin, warp)
        _require_psf(plugin, warp.psf)
    return warp


def checked_coadd(plugin: str, template_id: TemplateId, coadd: object) -> Coadd:
    """Return what a coadder gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no coadd of this template.
    """
    if not isinstance(coadd, Coadd):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(coadd).__name__}, not Coadd or Skip"
        )
    if coadd.exposure.id != template_id:
        raise PluginContractError(
            f"plugin {plugin!r} returned a coadd of {coadd.exposure.id}; "
            f"{template_id} was asked for"
        )
    _require_numbers(plugin, coadd.exposure)
    _require_psf(plugin, coadd.exposure.psf)
    return coadd


def checked_difference(
    plugin: str,
    science: Exposure,
    difference: object,
    given: Difference | None = None,
) -> Difference:
    """Return what a subtractor or decorrelator gave, if it keeps the contract.

    Parameters
    ----------
    plugin : str
    science : Exposure
    difference : object
    given : Difference, optional
        What was to be whitened; it may be returned as it is.

    Raises
    ------
    PluginContractError
        If it is no difference of this exposure, or its pixels are no numbers.
    """
    if not isinstance(difference, Difference):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(difference).__name__}, "
            "not Difference or Skip"
        )
    if difference.shape != science.shape or difference.id != science.id:
        raise PluginContractError(
            f"plugin {plugin!r} returned a difference of {difference.id} with shape "
            f"{difference.shape}; the science exposure is {science.id}, {science.shape}"
        )
    if difference is not given:
        _require_numbers(plugin, difference)
        _require_psf(plugin, difference.psf)
    return difference


def checked_detections(
    plugin: str, found: object, given: Difference | None = None
) -> tuple[Difference, DiaSources]:
    """Return what a source finder gave, if it keeps the contract.

    Parameters
    ----------
    plugin : str
    found : object
    given : Difference, optional
        What was searched: planes of it need no second look.

    Raises
    ------
    PluginContractError
        If it is no difference of the same exposure with a table that has the
        `DETECTION_COLUMNS`, its pixels are no numbers, peaks are beside the image,
        or there are more DiaSources than ids.
    """
    match found:
        case (Difference() as difference, DiaSources() as sources):
            missing = [c.name for c in DETECTION_COLUMNS if c.name not in sources]
            if missing:
                raise PluginContractError(
                    f"plugin {plugin!r} returned a table without columns {missing}"
                )
            if len(sources) > 1 << RANK_BITS:
                raise PluginContractError(
                    f"plugin {plugin!r} returned {len(sources)} DiaSources of "
                    f"{difference.id}, there are ids for {1 << RANK_BITS}: the "
                    "difference has failed, or the threshold is too low"
                )
            if given is not None:
                _require_same(plugin, difference, given)
            _require_on_image(plugin, sources, difference.shape)
            return difference, sources
        case _:
            raise PluginContractError(
                f"plugin {plugin!r} returned {type(found).__name__}, "
                "not (Difference, DiaSources)"
            )


def with_measured(
    plugin: str,
    sources: DiaSources,
    columns: Iterable[Column],
    values: Mapping[str, ArrayLike],
) -> DiaSources:
    """Return the table with the columns that a plugin measured.

    Raises
    ------
    PluginContractError
        If the values do not fit the columns that it declared, or the rows.
    """
    try:
        return sources.with_columns(columns, values)
    except (TypeError, ValueError) as err:
        raise PluginContractError(
            f"plugin {plugin!r}, {len(sources)} DiaSources: {err}"
        ) from err


def checked_reliability(plugin: str, values: ArrayLike) -> NDArray[np.float32]:
    """Return what a scorer gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If a value is not in [0, 1].
    """
    try:
        scores = np.asarray(values, np.float32)
    except (TypeError, ValueError) as err:
        raise PluginContractError(f"plugin {plugin!r}: {err}") from err
    if not ((scores >= 0) & (scores <= 1)).all():
        wrong = scores[~((scores >= 0) & (scores <= 1))]
        raise PluginContractError(
            f"plugin {plugin!r} returned a reliability of {wrong[0]:g}; "
            "it is in [0, 1], also where nothing can be told"
        )
    return scores


def checked_psf(plugin: str, psf: object) -> Psf:
    """Return what a PSF estimator gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no PSF, or a stamp does not sum to 1.
    """
    if not isinstance(psf, Psf) or isinstance(psf, UnknownPsf):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(psf).__name__}, not a PSF"
        )
    _require_psf(plugin, psf)
    return psf


def checked_messages(plugin: str, messages: Iterable[object]) -> tuple[bytes, ...]:
    """Return what an alert format gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is not bytes.
    """
    checked = []
    for message in messages:
        if not isinstance(message, bytes):
            raise PluginContractError(
                f"plugin {plugin!r} returned {type(message).__name__}, not bytes"
            )
        checked.append(message)
    return tuple(checked)


def _require_same(plugin: str, difference: Difference, given: Difference) -> None:
    if difference.id != given.id or difference.shape != given.shape:
        raise PluginContractError(
            f"plugin {plugin!r} returned the difference {difference.id} with shape "
            f"{difference.shape}; it was given {given.id}, {given.shape}"
        )
    if difference.image is not given.image or difference.variance is not given.variance:
        _require_numbers(plugin, difference)


def _require_on_image(plugin: str, sources: DiaSources, shape: tuple[int, int]) -> None:
    for name, size in (("x", shape[1]), ("y", shape[0])):
        at = sources[name]
        # Also False for NaN.
        inside = np.abs(at - (size - 1) / 2) <= size / 2
        if not inside.all():
            raise PluginContractError(
                f"plugin {plugin!r} returned DiaSources beside the image of {shape}: "
                f"{name} = {at[~inside][0]:g}"
            )


def _require_numbers(plugin: str, result: Difference | Exposure) -> None:
    """Raise unless all pixels are finite, and all variances not negative.

    A sum is finite where all pixels are: one pass over memory tells, as a rule.
    """
    image, variance = result.image, result.variance
    if not image.size:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(image.sum())
    # A sum may overflow, too.
    if not is_finite and (n := np.count_nonzero(~np.isfinite(image))):
        raise PluginContractError(
            f"plugin {plugin!r} returned {n} pixels of {result.id} that are not "
            f"finite; those without data are {MaskPlane.NO_DATA.name}, 0, and of "
            "infinite variance"
        )
    if not variance.min() >= 0:
        n = np.count_nonzero(~(variance >= 0))
        raise PluginContractError(
            f"plugin {plugin!r} returned {n} pixels of {result.id} whose variance "
            "is negative or NaN"
        )


def _require_psf(plugin: str, psf: Psf) -> None:
    if isinstance(psf, UnknownPsf):
        return
    total = float(psf.centred_at(0.0, 0.0).sum())
    if not abs(total - 1) < _PSF_TOLERANCE:
        raise PluginContractError(
            f"plugin {plugin!r} returned a PSF that sums to {total:g}, not 1"
        )
