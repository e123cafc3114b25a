"""Draw sources on pixels, each with the profile at its own position."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from streamdiff.model.psf import nearest_pixel
from streamdiff.testing.profiles import Profile

# Stars are drawn together in arrays of about so many pixels.
PIXELS_AT_ONCE = 1 << 19
# Beyond so many scale lengths an exponential disc has 1e-4 of its light.
DISC_REACH = 12.0


def draw_points(
    profile: Profile,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Return an image of point sources.

    Parameters
    ----------
    profile : Profile
        Sampled at pixel centres, within the stamp of its PSF.
    x, y, flux : ndarray of float64, shape (n,)
        Positions [pixel], also beyond the border, and fluxes.
    shape : tuple of int
        (height, width) of the image.
    """
    half = profile.side // 2
    height, width = shape
    near = (np.abs(x - (width - 1) / 2) < width / 2 + half) & (
        np.abs(y - (height - 1) / 2) < height / 2 + half
    )
    x, y, flux = x[near], y[near], flux[near]
    canvas = np.zeros((height + 4 * half, width + 4 * half))
    at_once = max(1, PIXELS_AT_ONCE // profile.side**2)
    for first in range(0, x.size, at_once):
        part = slice(first, first + at_once)
        _add_stamps(canvas, profile, x[part], y[part], flux[part], shape)
    border = 2 * half
    return canvas[border : border + height, border : border + width]


def _add_stamps(
    canvas: NDArray[np.float64],
    profile: Profile,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    shape: tuple[int, int],
) -> None:
    half = profile.side // 2
    column, row = (np.floor(p + 0.5).astype(int) for p in (x, y))
    steps = np.arange(-half, half + 1)
    u = (steps - (x - column)[:, np.newaxis])[:, np.newaxis, :]
    v = (steps - (y - row)[:, np.newaxis])[:, :, np.newaxis]
    xx, xy, yy = (p[:, np.newaxis, np.newaxis] for p in profile.forms(x, y, shape))
    stamps = profile.radial((xx * u + 2 * xy * v) * u + yy * v**2)
    stamps *= flux[:, np.newaxis, np.newaxis] * np.sqrt(xx * yy - xy**2)
    first = (row + half) * canvas.shape[1] + column + half
    pixel = np.add.outer(steps * canvas.shape[1], steps) + half * (canvas.shape[1] + 1)
    index = first[:, np.newaxis, np.newaxis] + pixel
    canvas += np.bincount(index.ravel(), stamps.ravel(), minlength=canvas.size).reshape(
        canvas.shape
    )


def add_disc(
    image: NDArray[np.float64],
    profile: Profile,
    position: tuple[float, float],
    flux: float,
    axes: NDArray[np.float64],
) -> None:
    """Add an exponential disc, convolved with the PSF, to an image in place.

    Parameters
    ----------
    image : ndarray of float64, shape (ny, nx)
    profile : Profile
    position : tuple of float
        (x, y) of the centre [pixel].
    flux : float
    axes : ndarray of float64, shape (2, 2)
        The columns are the major and minor scale lengths [pixel].

    Notes
    -----
    The convolution is exact: a disc of scale length h has the Fourier transform
    (1 + k**2 h**2)**(-3/2), and the PSF is a band-limited stamp.
    """
    x, y = position
    height, width = image.shape
    reach = DISC_REACH * float(np.linalg.norm(axes, 2))
    size = fft.next_fast_len(int(profile.side + 2 * reach) + 1, real=True)
    column, row = nearest_pixel(x, y)
    left, bottom = column - size // 2, row - size // 2
    if left >= width or bottom >= height or left + size <= 0 or bottom + size <= 0:
        return
    stamp = flux * _disc_stamp(
        profile.at(x, y, (height, width)).stamp(), axes, size, (x - left, y - bottom)
    )
    x0, x1 = max(left, 0), min(left + size, width)
    y0, y1 = max(bottom, 0), min(bottom + size, height)
    image[y0:y1, x0:x1] += stamp[y0 - bottom : y1 - bottom, x0 - left : x1 - left]


def _disc_stamp(
    psf: NDArray[np.float64],
    axes: NDArray[np.float64],
    size: int,
    centre: tuple[float, float],
) -> NDArray[np.float64]:
    """Return a disc of flux 1 on a square stamp, its centre at ``centre``."""
    kx = 2 * np.pi * fft.rfftfreq(size)
    ky = 2 * np.pi * fft.fftfreq(size)[:, np.newaxis]
    k2 = sum(np.square(axes[0, i] * kx + axes[1, i] * ky) for i in range(2))
    half = psf.shape[0] // 2
    shift = np.exp(-1j * (kx * (centre[0] - half) + ky * (centre[1] - half)))
    spectrum = fft.rfft2(psf, s=(size, size)) * shift * (1 + k2) ** -1.5
    stamp: NDArray[np.float64] = fft.irfft2(spectrum, s=(size, size))
    return stamp
