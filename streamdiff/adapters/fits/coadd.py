"""Coadds as multi-extension FITS: an exposure, and what it was made of.

::

    N_IMAGE     number of inputs of every pixel
    INPUTS      table, one row per exposure; AREA holds the vertices (x, y) of the
                part that it covers [pixel, from 0], filled up with NaN
    INPUT_PSF   one extension per component of the PSF, like PSF of an exposure;
                EXTVER is the row of INPUTS, from 1. For readers that do not know
                them, PSF samples their mean
    INPUT_MAP, ARTIFACT_MAP   on request: which inputs each pixel has, and which are
                left out of it as artifacts; bit i % 8 of plane i // 8 is input i
    APERTURE_CORRECTION       on request: on a grid, as the PSF of an exposure
"""

from collections.abc import Mapping

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from streamdiff.adapters.fits.exposure import (
    CardValue,
    exposure_hdus,
    exposure_of,
    primary_hdu,
    to_bytes,
)
from streamdiff.adapters.fits.extensions import Extension, quiet, read_extensions
from streamdiff.adapters.fits.planes import (
    grid_cards,
    grid_nodes,
    image_hdu,
    psf_hdu,
    read_psf,
)
from streamdiff.model import (
    ApertureCorrections,
    Area,
    Coadd,
    CoaddInput,
    CoaddPsf,
    ExposureId,
    PsfComponent,
)

N_IMAGE, INPUTS, INPUT_PSF, AREA = "N_IMAGE", "INPUTS", "INPUT_PSF", "AREA"
INPUT_MAP, ARTIFACT_MAP = "INPUT_MAP", "ARTIFACT_MAP"
APERTURE_CORRECTION, _RADIUS = "APERTURE_CORRECTION", "APRADIUS"
_METRIC = "METRIC "


def encode_coadd(
    coadd: Coadd, *, cards: Mapping[str, CardValue] | None = None
) -> bytes:
    """Return a coadd as the bytes of a FITS file.

    Parameters
    ----------
    coadd : Coadd
    cards : mapping of str to value, optional
        More cards for the primary header.
    """
    exposure = coadd.exposure
    hdus = [
        primary_hdu(exposure, cards),
        *exposure_hdus(exposure),
        image_hdu(N_IMAGE, coadd.n_image, exposure.wcs),
        _inputs_hdu(coadd),
        *_psf_hdus(coadd),
    ]
    maps = {INPUT_MAP: coadd.input_map, ARTIFACT_MAP: coadd.artifact_map}
    hdus += [fits.ImageHDU(m, name=name) for name, m in maps.items() if m is not None]
    if coadd.aperture_corrections is not None:
        hdus.append(_corrections_hdu(coadd.aperture_corrections))
    return to_bytes(hdus)


def decode_coadd(content: bytes, uri: str = "coadd") -> Coadd:
    """Return the coadd that `encode_coadd` has written.

    Raises
    ------
    UnreadableImageError, TooLargeError
        If this is no complete FITS file.
    InvalidExposureError
        If an extension or keyword is missing or breaks a rule.
    """
    extensions = read_extensions(content, uri)
    table = extensions.require(INPUTS)
    exposure, inputs = exposure_of(extensions), _inputs(table)
    components = [
        _component(extension, inputs)
        for extension in extensions.all
        if extension.name == INPUT_PSF
    ]
    if components:
        exposure = exposure.with_psf(CoaddPsf(tuple(components)))
    return Coadd(
        exposure=exposure,
        n_image=extensions.require(N_IMAGE).pixels().astype(np.int32),
        inputs=inputs,
        metrics={
            keyword.removeprefix(_METRIC).lower(): float(value)
            for keyword, value in table.header.items()
            if keyword.startswith(_METRIC)
        },
        input_map=_bits(extensions[INPUT_MAP]),
        artifact_map=_bits(extensions[ARTIFACT_MAP]),
        aperture_corrections=_corrections(extensions[APERTURE_CORRECTION]),
    )


def _bits(extension: Extension | None) -> NDArray[np.uint8] | None:
    return None if extension is None else extension.pixels(3).astype(np.uint8)


def _corrections_hdu(corrections: ApertureCorrections) -> fits.ImageHDU:
    hdu = fits.ImageHDU(np.array(corrections.values), name=APERTURE_CORRECTION)
    hdu.header[_RADIUS] = (corrections.radius, "[pix] of the circle")
    hdu.header.extend(grid_cards(corrections.x, corrections.y))
    return hdu


def _corrections(extension: Extension | None) -> ApertureCorrections | None:
    if extension is None:
        return None
    values = extension.pixels().astype(float)
    x, y = grid_nodes(extension, values.shape)
    radius = extension.number(_RADIUS)
    if radius is None:
        raise extension.invalid("must be the radius of a circle", _RADIUS)
    return ApertureCorrections(radius=radius, values=values, x=x, y=y)


def _inputs_hdu(coadd: Coadd) -> fits.BinTableHDU:
    """Return one row per input; the metrics are cards of the header."""
    ids = [item.id for item in coadd.inputs]
    columns = [
        _column("INSTRUMENT", [i.instrument for i in ids]),
        fits.Column("VISIT", "K", array=[i.visit for i in ids]),
        fits.Column("DETECTOR", "J", array=[i.detector for i in ids]),
        _column("BAND", [i.band for i in ids]),
        fits.Column("WEIGHT", "D", array=[item.weight for item in coadd.inputs]),
        fits.Column("ACCEPTED", "L", array=[item.accepted for item in coadd.inputs]),
        _column("REASON", [item.reason or "" for item in coadd.inputs]),
        _area_column([item.area for item in coadd.inputs]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name=INPUTS)
    metrics = {
        f"{_METRIC}{name}": float(value)
        for name, value in coadd.metrics.items()
        if np.isfinite(value)
    }
    with quiet():
        for name, value in metrics.items():
            hdu.header[f"HIERARCH {name}"] = value
    return hdu


def _column(name: str, texts: list[str]) -> fits.Column:
    # FITS knows ASCII only.
    ascii_texts = [t.encode("ascii", "replace").decode() for t in texts]
    width = max([1, *map(len, ascii_texts)])
    return fits.Column(name, f"{width}A", array=np.array(ascii_texts, f"U{width}"))


def _area_column(areas: list[Area | None]) -> fits.Column:
    n_vertices = max([3, *(len(area.vertices) for area in areas if area)])
    values = np.full((len(areas), n_vertices, 2), np.nan)
    for row, area in zip(values, areas, strict=True):
        if area is not None:
            row[: len(area.vertices)] = area.vertices
    layout = {"format": f"{2 * n_vertices}D", "dim": f"(2, {n_vertices})"}
    return fits.Column(AREA, array=values, unit="pix", **layout)


def _area(vertices: NDArray[np.float64]) -> Area | None:
    known = [(float(x), float(y)) for x, y in vertices if np.isfinite([x, y]).all()]
    return Area(tuple(known)) if known else None


def _psf_hdus(coadd: Coadd) -> list[fits.ImageHDU]:
    """Return the components of a PSF; none of one that has no components."""
    exposure = coadd.exposure
    if not isinstance(exposure.psf, CoaddPsf):
        return []
    hdus = []
    accepted = [row for row, item in enumerate(coadd.inputs, 1) if item.accepted]
    for row, component in zip(accepted, exposure.psf.components, strict=True):
        hdu = psf_hdu(component.psf, exposure.shape)
        if hdu is not None:
            hdu.name, hdu.ver = INPUT_PSF, row
            hdus.append(hdu)
    return hdus


def _component(extension: Extension, inputs: tuple[CoaddInput, ...]) -> PsfComponent:
    row = extension.number("EXTVER")
    if row is None or row not in range(1, len(inputs) + 1):
        raise extension.invalid(f"must be a row of {INPUTS}, is {row}", "EXTVER")
    item = inputs[int(row) - 1]
    if item.area is None or not item.weight > 0:
        raise extension.invalid(f"{item.id} has no {AREA} or no WEIGHT in {INPUTS}")
    return PsfComponent(psf=read_psf(extension), weight=item.weight, area=item.area)


def _inputs(table: Extension) -> tuple[CoaddInput, ...]:
    try:
        names = table.hdu.columns.names
        return tuple(
            CoaddInput(
                id=ExposureId(
                    instrument=str(row["INSTRUMENT"]),
                    visit=int(row["VISIT"]),
                    detector=int(row["DETECTOR"]),
                    band=str(row["BAND"]),
                ),
                weight=float(row["WEIGHT"]),
                accepted=bool(row["ACCEPTED"]),
                reason=str(row["REASON"]) or None,
                area=_area(row[AREA]) if AREA in names else None,
            )
            for row in table.hdu.data
        )
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise table.invalid(f"is no table of inputs: {err}") from err
