"""What is slow for the first time only: done before there is work."""

import numpy as np
import structlog
from astropy.wcs import WCS

from streamdiff.imaging.compact import convolve_compact
from streamdiff.imaging.difference_mask import dilate_mask
from streamdiff.imaging.interpolate import dilate_by_disc, fill_unusable
from streamdiff.model import ConstantPsf, Exposure, ExposureId
from streamdiff.stages import Warper

SIDE = 32
STAMP = 7

log = structlog.get_logger()


def warm_up(warper: Warper) -> None:
    """Warp, fill, dilate and convolve a small image, so that the machine code is there.

    Every visit takes these loops. A warper that can not take such an image is not
    refused: its error is logged.
    """
    exposure = _blank()
    fill_unusable(exposure.image, np.eye(SIDE, dtype=bool))
    dilate_by_disc(np.eye(SIDE, dtype=bool), 1.0)
    dilate_mask(exposure.mask, 1.0)
    convolve_compact(exposure.variance, np.ones((1, 1, 3, 3)))
    target = exposure.wcs.deepcopy()
    target.wcs.crpix += 0.5
    try:
        warper.warp(exposure, target, exposure.shape)
    except Exception:
        log.exception("warm_up_failed")


def _blank() -> Exposure:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -1e-4, 1e-4
    wcs.wcs.crpix = SIDE / 2, SIDE / 2
    stamp = np.zeros((STAMP, STAMP))
    stamp[STAMP // 2, STAMP // 2] = 1
    return Exposure(
        id=ExposureId(instrument="warm-up", visit=0, detector=0, band="none"),
        image=np.zeros((SIDE, SIDE), np.float32),
        variance=np.ones((SIDE, SIDE), np.float32),
        mask=np.zeros((SIDE, SIDE), np.int32),
        psf=ConstantPsf(stamp),
        wcs=wcs,
        midpoint_mjd_tai=0.0,
        exposure_time_s=0.0,
    )
