"""What is slow for the first time only: done before there is work."""

import numpy as np
import structlog
from astropy.wcs import WCS

from streamdiff.model import ConstantPsf, Exposure, ExposureId
from streamdiff.stages import Warper

SIDE = 32
STAMP = 7

log = structlog.get_logger()


def warm_up(warper: Warper) -> None:
    """Warp a small image, so that the machine code of the loops is there.

    All compiled loops are those of resampling. A warper that can not take such an
    image is not refused: its error is logged.
    """
    exposure = _blank()
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
