"""Exposures in numpy's own files: a beginning."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from astropy.wcs import WCS

from streamdiff.errors import UnreadableImageError
from streamdiff.hookspecs import hookimpl
from streamdiff.model import Exposure, MaskPlane, VisitReady
from streamdiff.ports import Files
from streamdiff.stages import ExposureReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """Reads ``.npz`` files with ``image``, ``variance``, ``crval`` and ``cd``.

    Attributes
    ----------
    photometric : bool
        Whether fluxes are in nJy.
    """

    photometric: bool = True

    def read(self, event: VisitReady, files: Files) -> Exposure:
        """Return the exposure that an event announces.

        Raises
        ------
        UnreadableImageError
            If it is no such file.
        """
        content = files.fetch(event.image_uri, sha256=event.image_sha256)
        try:
            with np.load(BytesIO(content), allow_pickle=False) as arrays:
                image, variance = arrays["image"], arrays["variance"]
                crval, cd = arrays["crval"], arrays["cd"]
        except (OSError, ValueError, KeyError, TypeError, EOFError) as err:
            raise UnreadableImageError(f"{event.image_uri}: {err}") from err
        except (zipfile.BadZipFile, AttributeError) as err:
            raise UnreadableImageError(f"{event.image_uri}: no .npz file") from err
        no_data = ~np.isfinite(image)
        return Exposure(
            id=event.exposure_id,
            image=image,
            variance=variance,
            mask=np.where(no_data, np.int32(MaskPlane.NO_DATA), 0),
            wcs=_wcs(crval, cd, image.shape),
            midpoint_mjd_tai=event.midpoint_mjd_tai,
            exposure_time_s=event.exposure_time_s,
            photometric=self.photometric,
        )


def _wcs(
    crval: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    cd: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    shape: tuple[int, int],
) -> WCS:
    """Return a tangential projection around the middle of the image."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = crval
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.cd = cd
    wcs.wcs.set()
    return wcs


@hookimpl
def streamdiff_readers() -> Mapping[str, Callable[..., ExposureReader]]:
    """Offer ``mine``."""
    return {"mine": Mine}
