"""The template of one science exposure, from all patches that it touches."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.errors import InvalidExposureError
from streamdiff.imaging.difference_mask import mask_of_template
from streamdiff.imaging.mean_of_parts import MeanOfParts
from streamdiff.imaging.moved_psf import moved_psf
from streamdiff.imaging.outline import convex_hull
from streamdiff.imaging.pixel_map import overlap
from streamdiff.imaging.resample import Planes
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
        Where patches overlap they are averaged, see `MeanOfParts`.
        """
        ids = [
            TemplateId(name=name, tract=tract, patch=patch, band=science.id.band)
            for tract, patch in self.skymap.patches_touching(science.wcs, science.shape)
        ]
        merged = _Merged(science)
        n_found = 0
        for part in self._warps(ids, science, version):
            n_found += 1
            if part is not None:
                merged.add(part)
            del part  # before the next patch is loaded
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
    ) -> Iterator["_Part | None"]:
        """Yield the part that each patch shows; `None` for one that shows none."""
        for template_id in ids:
            number = self.store.newest(template_id) if version is None else version
            coadd = None if number is None else self.store.load(template_id, number)
            if coadd is None or number is None:
                continue
            yield self._part(coadd.exposure, science, template_id, number)
            del coadd  # before the next one is loaded

    def _part(
        self, patch: Exposure, science: Exposure, template_id: TemplateId, version: int
    ) -> "_Part | None":
        box = overlap(patch.wcs, patch.shape, science.wcs, science.shape)
        if box is None:
            return None
        shape = box[0].stop - box[0].start, box[1].stop - box[1].start
        wcs = science.wcs if shape == science.shape else science.wcs.slice(box)
        warp = _warped(self.warper, patch, wcs, shape, self.plugin)
        return _Part(template_id=template_id, version=version, warp=warp, box=box)


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
    warp = _warped(warper, sky, science.wcs, science.shape, plugin)
    return Template(
        exposure=replace(warp, mask=_mask(warp)),
        coverage=float(warp.usable(MaskPlane.NO_DATA).mean(dtype=float)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """What one patch shows of a science exposure.

    Attributes
    ----------
    template_id : TemplateId
    version : int
    warp : Exposure
        The patch on rows and columns of the science exposure.
    box : tuple of slice
        These rows and columns.
    """

    template_id: TemplateId
    version: int
    warp: Exposure
    box: tuple[slice, slice]

    @property
    def origin(self) -> tuple[int, int]:
        """Return the position (x, y) of its first pixel on the science exposure."""
        return self.box[1].start, self.box[0].start


class _Merged:
    """The weighted mean of the parts added so far; one that is all is kept as it is."""

    def __init__(self, science: Exposure) -> None:
        self._science = science
        self._whole: Exposure | None = None
        self._photometric: bool | None = None
        self._exposure_time_s = np.nan
        self._mean = MeanOfParts(science.shape)
        self._psfs: list[PsfComponent] = []
        self.uses: list[TemplateUse] = []

    def add(self, part: _Part) -> None:
        """Add what a patch shows, if it has data here."""
        warp, origin = part.warp, part.origin
        added = self._mean.add(
            Planes(
                image=warp.image,
                variance=warp.variance,
                mask=warp.mask,
                covariance_factor=warp.covariance_factor,
            ),
            *part.box,
        )
        area = convex_hull(added.known)
        if area is None:
            return
        self._require_same_unit(warp)
        if not self.uses:
            self._exposure_time_s = warp.exposure_time_s
        self._whole = warp if warp.shape == self._science.shape else None
        use = TemplateUse(
            template_id=str(part.template_id),
            version=part.version,
            fraction=added.n_usable / self._science.image.size,
        )
        self.uses.append(use)
        self._psfs.append(
            PsfComponent(
                psf=moved_psf(warp.psf, *origin),
                weight=added.mean_weight,
                area=area.moved(*origin),
            )
        )

    def template(self) -> Template:
        """Return what the parts make together."""
        exposure = self._exposure()
        main = max(self.uses, key=lambda use: use.fraction)
        return Template(
            exposure=replace(
                exposure, id=TemplateId.parse(main.template_id), mask=_mask(exposure)
            ),
            coverage=float(exposure.usable(MaskPlane.NO_DATA).mean(dtype=float)),
            uses=tuple(self.uses),
        )

    def _exposure(self) -> Exposure:
        alone = len(self.uses) == 1
        if alone and self._whole is not None:
            return self._whole
        mean = self._mean.take()
        return replace(
            self._science,
            exposure_time_s=self._exposure_time_s,
            midpoint_mjd_tai=np.nan,
            photometric=bool(self._photometric),
            psf=self._psfs[0].psf if alone else CoaddPsf(tuple(self._psfs)),
            stars=None,
            image=mean.image,
            variance=mean.variance,
            mask=mean.mask,
            covariance_factor=mean.covariance_factor,
        )

    def _require_same_unit(self, warp: Exposure) -> None:
        if self._photometric not in {None, warp.photometric}:
            first = self.uses[0].template_id
            raise InvalidExposureError(
                f"template of {self._science.id}: {first} and {warp.id} are not "
                "both in nJy: rebuild them from exposures with a zero point"
            )
        self._photometric = warp.photometric


def _warped(
    warper: Warper, sky: Exposure, wcs: WCS, shape: tuple[int, int], plugin: str
) -> Exposure:
    label = plugin or type(warper).__name__
    # The time is that of the stage "template", of which this is a part.
    calls = StageCalls(
        monotonic=lambda: 0.0,
        names={"warp": label.partition(" ")[0]},
        labels={"warp": label},
    )
    warp = calls("warp", warper.warp, sky, wcs, shape)
    with calls.judging("warp"):
        return checked_warp(label, warp, shape, sky)


def _mask(exposure: Exposure) -> NDArray[np.int32]:
    """Return the planes that matter to a subtraction."""
    # The warp has left out what cosmic rays hit.
    mask = mask_of_template(exposure.mask) & ~np.int32(MaskPlane.CR)
    usable = exposure.usable(MaskPlane.NO_DATA)
    mask[high_variance(exposure.variance, usable)] |= MaskPlane.HIGH_VARIANCE
    return mask
