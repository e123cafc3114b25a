"""What a difference tells about the matching of its images, as FITS."""

from collections.abc import Mapping

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from streamdiff.adapters.fits.exposure import (
    CardValue,
    identity_cards,
    to_bytes,
    update_header,
)
from streamdiff.imaging.mosaic import grid_positions, kernel_mosaic
from streamdiff.model import Difference, KernelCandidates, MatchingKernel
from streamdiff.model.kernel_candidates import COLUMNS

# The kernel is shown in the middles of so many cells along either axis.
MOSAIC_CELLS = 5
_UNITS = {"x": "pix", "y": "pix"}


def encode_qa(
    difference: Difference, *, metrics: Mapping[str, float] | None = None
) -> bytes:
    """Return the tables and pictures of a matching as the bytes of a FITS file.

    Extensions, each where the difference has what it shows: the table CANDIDATES,
    one row per kernel candidate, with the cubes CANDIDATE_TARGETS and
    CANDIDATE_RESIDUALS; the table KERNEL, one row per basis kernel with the
    coefficients of its weight, Tij of T_i(u) T_j(v); KERNEL_BASIS, the basis
    kernels; KERNEL_MOSAIC, the kernel in the middles of 5 x 5 cells of the image;
    BACKGROUND, the coefficients of the differential background.

    Parameters
    ----------
    difference : Difference
    metrics : mapping of str to float, optional
        Written to the primary header, beside those of the difference.
    """
    hdus: list[fits.hdu.base.ExtensionHDU] = [_primary(difference, metrics or {})]
    if difference.kernel_candidates is not None:
        hdus += _candidates(difference.kernel_candidates)
    if difference.matching_kernel is not None:
        hdus += _kernel(difference.matching_kernel)
    if difference.background is not None:
        hdus.append(fits.ImageHDU(np.array(difference.background), name="BACKGROUND"))
    return to_bytes(hdus)


def _primary(difference: Difference, metrics: Mapping[str, float]) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU()
    cards: dict[str, CardValue] = {
        **identity_cards(difference.id),
        "CONVOLVE": str(difference.convolved),
        "KSUM": difference.kernel_sum,
    }
    update_header(hdu.header, cards)
    finite = {
        name.upper(): float(value)
        for name, value in {**difference.metrics, **metrics}.items()
        if np.isfinite(value)
    }
    update_header(hdu.header, finite)
    return hdu


def _candidates(candidates: KernelCandidates) -> list[fits.hdu.base.ExtensionHDU]:
    width = max(candidates.status.dtype.itemsize // 4, 1)
    status = fits.Column("status", f"{width}A", array=candidates.status)
    columns = [
        fits.Column(name, "D", unit=_UNITS.get(name), array=getattr(candidates, name))
        for name in COLUMNS
    ]
    hdus = [fits.BinTableHDU.from_columns([*columns, status], name="CANDIDATES")]
    for name, cube in (
        ("CANDIDATE_TARGETS", candidates.targets),
        ("CANDIDATE_RESIDUALS", candidates.residuals),
    ):
        if cube is not None and cube.size:
            hdus.append(fits.ImageHDU(np.array(cube), name=name))
    return hdus


def _kernel(kernel: MatchingKernel) -> list[fits.hdu.base.ExtensionHDU]:
    sums = kernel.basis.sum(axis=(1, 2))
    columns = [fits.Column("sum", "D", array=sums)]
    columns += [
        fits.Column(name, "D", array=values)
        for name, values in zip(
            term_names(kernel.order), kernel.coefficients.T, strict=True
        )
    ]
    mosaic = fits.ImageHDU(kernel_mosaic(kernel, MOSAIC_CELLS), name="KERNEL_MOSAIC")
    for axis, positions in zip(
        "XY", grid_positions(kernel.image_shape, MOSAIC_CELLS), strict=True
    ):
        mosaic.header.update(_places(axis, positions))
    return [
        fits.BinTableHDU.from_columns(columns, name="KERNEL"),
        fits.ImageHDU(np.array(kernel.basis), name="KERNEL_BASIS"),
        mosaic,
    ]


def term_names(order: int) -> list[str]:
    """Return Tij of the terms T_i(u) T_j(v) of a field, in their order."""
    return [f"T{d - j}{j}" for d in range(order + 1) for j in range(d + 1)]


def _places(axis: str, positions: NDArray[np.float64]) -> dict[str, tuple[float, str]]:
    """Return the cards that tell where on the image the kernels of a mosaic are."""
    return {
        f"CELL{axis}0": (positions[0], "[pix] first kernel, from 0"),
        f"CELLD{axis}": (positions[1] - positions[0], "[pix] distance of kernels"),
    }
