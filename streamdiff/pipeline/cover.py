"""The template of one science exposure, from all patches that it touches."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.difference_mask import mask_of_template
from streamdiff.imaging.outline import convex_hull
from streamdiff.imaging.skymap import Tessellation
from streamdiff.imaging.smooth_variance import high_variance
from streamdiff.model import (
    CoaddPsf,
    Exposure,
    MaskPlane,
    PsfComponent,
    Reason,
    Skip,
    Template,
    TemplateId,
    TemplateUse,
)
from streamdiff.pipeline.results import checked_warp
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import TemplateReader
from streamdiff.stages import Warper


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateCover:
    """Finds, warps and merges the coadds that cover a science exposure.

    Attributes
    ----------
    store : TemplateReader
    skymap : Tessellation
    warper : Warper
    plugin : str
        Its name, distribution and version, for messages.
    """

    store: TemplateReader
    skymap: Tessellation
    warper: Warper
    plugin: str = ""

    def cover(
        self, science: Exposure, *, name: str = "deep", version: int | None = None
    ) -> Template | Skip:
        """Return the template on the pixels of the science exposure.

        Parameters
        ----------
        science : Exposure
        name : str
            Flavour of the template.
        version : int, optional
            The newest of each patch by default.

        Returns
        -------
        Template or Skip
            NO_TEMPLATE if no patch has this version, or any; NO_OVERLAP if those
            that have one hold no data here.

        Raises
        ------
        InvalidExposureError
            If some patches are in nJy and others are not.

        Notes
        -----
        Where patches overlap they are averaged with weights variance^(-1/2). The
        variance is averaged with the same weights instead of being propagated:
        the overlapping parts are made of the same exposures.
        """
        ids = [
            TemplateId(name=name, tract=tract, patch=patch, band=science.id.band)
            for tract, patch in self.skymap.patches_touching(science.wcs, science.shape)
        ]
        merged = _Merged(science)
        n_found = 0
        for use, warp in self._warps(ids, science, version):
            n_found += 1
            merged.add(use, warp)
        if not n_found:
            wanted = "a version" if version is None else f"version {version}"
            listed = ", ".join(map(str, ids))
            return Skip(Reason.NO_TEMPLATE, f"none of {listed} has {wanted}")
        if not merged.uses:
            return Skip(
                Reason.NO_OVERLAP,
                f"{n_found} of {len(ids)} patches have a template, "
                f"but no data on {science.id}",
            )
        return merged.template()

    def _warps(
        self, ids: list[TemplateId], science: Exposure, version: int | None
    ) -> Iterator[tuple[TemplateUse, Exposure]]:
        for template_id in ids:
            number = self.store.newest(template_id) if version is None else version
            coadd = None if number is None else self.store.load(template_id, number)
            if coadd is None or number is None:
                continue
            warp = _warped(self.warper, coadd.exposure, science, self.plugin)
            covered = warp.usable(MaskPlane.NO_DATA).mean(dtype=float)
            use = TemplateUse(
                template_id=str(template_id), version=number, fraction=float(covered)
            )
            yield use, warp


def template_on_grid(
    sky: Exposure, science: Exposure, warper: Warper, plugin: str = ""
) -> Template:
    """Return one exposure as the template of another, whatever its WCS.

    Parameters
    ----------
    sky : Exposure
        The static sky.
    science : Exposure
        On whose pixels the template is to be.
    warper : Warper
    plugin : str
        Its name, distribution and version, for messages.
    """
    warp = _warped(warper, sky, science, plugin)
    return Template(
        exposure=replace(warp, mask=_mask(warp)),
        coverage=float(warp.usable(MaskPlane.NO_DATA).mean(dtype=float)),
    )


class _Merged:
    """The weighted mean of the warps added so far; one alone is kept as it is."""

    def __init__(self, science: Exposure) -> None:
        self._science = science
        self._first: _Part | None = None
        self._sums: _Sums | None = None
        self._psfs: list[PsfComponent] = []
        self.uses: list[TemplateUse] = []

    def add(self, use: TemplateUse, warp: Exposure) -> None:
        """Add a warp, if it has data here."""
        part = _Part.of(warp)
        area = convex_hull(part.known)
        if area is None:
            return
        if self._first is None:
            self._first = part
        else:
            self._require_same_unit(self._first.warp, warp)
            self._sums = self._sums or _Sums(self._first)
            self._sums.add(part)
        self.uses.append(use)
        mean_weight = float(part.weight[part.weight > 0].mean(dtype=float))
        self._psfs.append(PsfComponent(psf=warp.psf, weight=mean_weight, area=area))

    def template(self) -> Template:
        """Return what the warps make together."""
        if self._first is None:
            raise RuntimeError("no warp has been added")
        exposure = self._first.warp
        if self._sums is not None:
            mean = self._sums.mean(exposure)
            exposure = mean.with_psf(CoaddPsf(tuple(self._psfs)))
        main = max(self.uses, key=lambda use: use.fraction)
        return Template(
            exposure=replace(
                exposure, id=TemplateId.parse(main.template_id), mask=_mask(exposure)
            ),
            coverage=float(exposure.usable(MaskPlane.NO_DATA).mean(dtype=float)),
            uses=tuple(self.uses),
        )

    def _require_same_unit(self, first: Exposure, other: Exposure) -> None:
        if first.photometric != other.photometric:
            raise InvalidExposureError(
                f"template of {self._science.id}: {first.id} and {other.id} are not "
                "both in nJy: rebuild them from exposures with a zero point"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """A warp, which often has data on a part of its pixels alone.

    Attributes
    ----------
    warp : Exposure
    box : tuple of slice
        Rows and columns around all of its data.
    weight : ndarray of float32
        Of the pixels in the box: variance^(-1/2), 0 without data.
    """

    warp: Exposure
    box: tuple[slice, slice]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, warp: Exposure) -> "_Part":
        usable = warp.usable(MaskPlane.NO_DATA)
        box = _around(usable, axis=1), _around(usable, axis=0)
        image, variance = warp.image[box], warp.variance[box]
        here = usable[box] & np.isfinite(image) & np.isfinite(variance) & (variance > 0)
        weight = np.zeros(here.shape, np.float32)
        weight[here] = 1 / np.sqrt(variance[here])
        return cls(warp=warp, box=box, weight=weight)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return where there is a weight, on all pixels of the warp."""
        known = np.zeros(self.warp.shape, np.bool_)
        known[self.box] = self.weight > 0
        return known


def _around(usable: NDArray[np.bool_], *, axis: int) -> slice:
    """Return from where to where there is a usable pixel, whatever is along an axis."""
    places = np.flatnonzero(usable.any(axis=axis))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0)


class _Sums:
    """Weighted sums of the planes of warps on the same pixels."""

    def __init__(self, first: _Part) -> None:
        shape = first.warp.shape
        self._image, self._variance, self._power, self._weight = (
            np.zeros(shape, np.float32) for _ in range(4)
        )
        self._mask = np.zeros(shape, np.int32)
        self.add(first)

    def add(self, part: _Part) -> None:
        """Add the planes of a warp."""
        warp, box, weight = part.warp, part.box, part.weight
        here = weight > 0
        self._weight[box] += weight
        self._image[box] += weight * np.where(here, warp.image[box], np.float32(0))
        variance = weight * np.where(here, warp.variance[box], np.float32(0))
        self._variance[box] += variance
        factor = warp.covariance_factor
        inside = factor[box] if isinstance(factor, np.ndarray) else np.float32(factor)
        self._power[box] += variance * inside
        self._mask[box] |= np.where(here, warp.mask[box], np.int32(0))

    def mean(self, first: Exposure) -> Exposure:
        """Return the weighted means, on the grid of the first warp."""
        empty = self._weight <= 0
        total = np.where(empty, np.float32(1), self._weight)
        mask = np.where(empty, np.int32(MaskPlane.NO_DATA), self._mask)
        variance = np.where(empty, np.float32(np.inf), self._variance / total)
        factor = np.ones(total.shape, np.float32)
        np.divide(self._power, self._variance, out=factor, where=~empty)
        return replace(
            first,
            image=np.asarray(self._image / total, np.float32),
            variance=variance,
            mask=mask,
            covariance_factor=factor,
        )


def _warped(warper: Warper, sky: Exposure, science: Exposure, plugin: str) -> Exposure:
    label = plugin or type(warper).__name__
    # The time is that of the stage "template", of which this is a part.
    calls = StageCalls(
        monotonic=lambda: 0.0,
        names={"warp": label.partition(" ")[0]},
        labels={"warp": label},
    )
    warp = calls("warp", warper.warp, sky, science.wcs, science.shape)
    with calls.judging("warp"):
        return checked_warp(label, warp, science.shape, sky)


def _mask(exposure: Exposure) -> NDArray[np.int32]:
    """Return the planes that matter to a subtraction."""
    # The warp has left out what cosmic rays hit.
    mask = mask_of_template(exposure.mask) & ~np.int32(MaskPlane.CR)
    usable = exposure.usable(MaskPlane.NO_DATA)
    mask[high_variance(exposure.variance, usable)] |= MaskPlane.HIGH_VARIANCE
    return mask
