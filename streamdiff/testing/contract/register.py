"""The contract of registrars."""

from collections.abc import Mapping

import numpy as np
from astropy.wcs import WCS

from streamdiff.model import Exposure
from streamdiff.stages import Registration
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import (
    Arguments,
    ContractError,
    Subject,
    checks_of,
    require,
)
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import require_type

_READ = "streamdiff.stages.Registrar"
_SHAPE = (400, 400)
_SHIFT = (0.4, -0.7)


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a registration of finite numbers."""
    require_type(result, Registration, _READ)
    assert isinstance(result, Registration)  # noqa: S101 - for the type checker
    require_type(result.wcs, WCS, f"{_READ}, Registration.wcs")
    shape = arguments[0].shape
    corners = result.wcs.all_pix2world([0, shape[1] - 1], [0, shape[0] - 1], 0)
    require(
        result.wcs.has_celestial and np.isfinite(corners).all(),
        expected="a celestial WCS of the whole image",
        got="one without, or with positions that are not finite",
        read="streamdiff.stages.Registration",
    )
    wrong = [n for n, v in result.metrics.items() if not np.isfinite(float(v))]
    require(
        not wrong,
        expected="finite metrics: leave out what can not be told",
        got=", ".join(wrong),
        read="streamdiff.stages.Registration.metrics",
    )


def aligned_images_stay_where_they_are(subject: Subject) -> Mapping[str, float]:
    """Require a correction below 0.05 pixels where there is nothing to correct."""
    science, template = skies.pair(_SHAPE)
    return {"offset_pixel": _require_offset(subject, science, template, (0.0, 0.0))}


def a_shift_is_found(subject: Subject) -> Mapping[str, float]:
    """Require a common shift of all stars to be corrected to 0.05 pixels."""
    science, template = skies.pair(_SHAPE)
    sky = skies.field(_SHAPE)
    moved = sky.observe(
        fwhm=skies.SHARP_FWHM,
        noise=skies.TEMPLATE_NOISE,
        seed=2,
        wcs=sky.dithered_wcs(dx=_SHIFT[0], dy=_SHIFT[1]),
    )
    shifted = Exposure(
        id=template.id,
        image=moved.image,
        variance=moved.variance,
        mask=moved.mask,
        psf=moved.psf,
        wcs=science.wcs,
    )
    return {"offset_pixel": _require_offset(subject, science, shifted, _SHIFT)}


def _require_offset(
    subject: Subject, science: Exposure, template: Exposure, shift: tuple[float, float]
) -> float:
    """Raise unless the corrected WCS looks where the template's stars are."""
    found = KIND.result(subject, (science, template)).wcs
    y, x = np.mgrid[50:350:100, 50:350:100].reshape(2, -1).astype(float)
    # A star of the science image at (x, y) is at (x, y) + shift on the template.
    world = science.wcs.all_pix2world(x + shift[0], y + shift[1], 0)
    nominal = found.all_pix2world(x, y, 0)
    pixels = [np.array(science.wcs.all_world2pix(*w, 0)) for w in (world, nominal)]
    error = float(np.hypot(*(pixels[0] - pixels[1])).max())
    if error < 0.05:
        return error
    raise ContractError(
        expected=f"a WCS that looks {shift} pixels further, to 0.05 pixels",
        got=f"one that is off by {error:.2f} pixels",
        read=_READ,
    )


KIND = Kind(
    name="register",
    method="register",
    read=_READ,
    cases=skies.exposures,
    validate=validate,
    checks=checks_of(aligned_images_stay_where_they_are, a_shift_is_found),
)
