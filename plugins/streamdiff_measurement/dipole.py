"""Pairs of lobes that stars leave where they are not where the template has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from streamdiff.imaging.stamps import Stamps, batches
from streamdiff.model import Column, DiaSources
from streamdiff.stages import Images
from streamdiff_measurement.dipole_lobes import Lobes
from streamdiff_measurement.dipole_pattern import (
    Candidates,
    Patterns,
    find_patterns,
    fit_patterns,
)
from streamdiff_measurement.dipole_stamps import DipoleStamps
from streamdiff_measurement.good_pixels import GoodPixels
from streamdiff_measurement.sky import (
    errors_on_sky,
    offsets_on_sky,
    tangent_jacobian,
)

_LOBES = {"Pos": "positive", "Neg": "negative"}
_COLUMNS = (
    Column("dipoleMeanFlux", "f4", "nJy", "Mean of both lobes' absolute fluxes"),
    Column("dipoleMeanFluxErr", "f4", "nJy", "Uncertainty of dipoleMeanFlux"),
    Column(
        "dipoleFluxDiff", "f4", "nJy", "Flux of the positive lobe minus the other's"
    ),
    Column("dipoleFluxDiffErr", "f4", "nJy", "Uncertainty of dipoleFluxDiff"),
    Column("dipoleLength", "f4", "arcsec", "Separation of the lobes"),
    Column("dipoleLengthErr", "f4", "arcsec", "Uncertainty of dipoleLength"),
    Column("dipoleAngle", "f4", "deg", "Bearing to the positive lobe, north to east"),
    Column("dipoleAngleErr", "f4", "deg", "Uncertainty of dipoleAngle"),
    *(
        Column(f"dipole{lobe}{name}{suffix}", dtype, unit, f"{doc} of the {sign} lobe")
        for lobe, sign in _LOBES.items()
        for name, unit, what in (
            ("Flux", "nJy", "Absolute flux"),
            ("X", "pix", "Column"),
            ("Y", "pix", "Row"),
        )
        for suffix, dtype, doc in (
            ("", "f4" if name == "Flux" else "f8", what),
            ("Err", "f4", f"Uncertainty of the {what.lower()}"),
        )
    ),
    Column("dipoleChi2", "f4", "", "Chi-squared of the lobes on the difference"),
    Column("dipoleNdata", "i4", "", "Number of pixels of the fit on the difference"),
    Column("dipoleSnr", "f4", "", "Significance of the pattern of a dipole"),
    Column("isDipole", "?", "", "Whether a dipole fits better than a point source"),
    Column("dipoleFitAttempted", "?", "", "Whether a dipole has been fitted"),
    Column("dipole_flag", "?", "", "Whether there are no lobes: none fit, or no fit"),
    Column("dipole_flag_edge", "?", "", "Whether pixels of the fit are off the image"),
)
# More at once than these would not fit into the cache.
_AT_ONCE = 64
# Below this part of a point source's power, no fit makes a dipole of a pattern.
_WORTH_A_FIT = 0.8
# What a point source explains of a dipole: 0.37 of close lobes, 0.5 of far ones.
_MAX_POINT = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Dipole(GoodPixels):
    """Joint fit of two lobes to difference, science image and template.

    Attributes
    ----------
    min_snr : float
        Least significance of a dipole [sigma].
    max_net : float
        Largest net flux of a dipole: root of the power of a point source of that
        flux, over that of the dipole.
    max_net_sigma : float
        Net fluxes within so many errors of none are not held against a dipole.
    max_separation : float
        Farthest that the lobes may be apart [sigma of the PSF].
    max_area : int
        Larger footprints are not those of a dipole, and are not fitted [pixel].
    image_weight : float
        Of science image and template in the fit, against the difference.
    exclude : tuple of str
        Mask planes whose pixels take no part.

    Notes
    -----
    A DiaSource is a dipole where the slope of the PSF, placed anywhere within a
    FWHM, leaves less of the difference than a point source does, and the net flux
    is that of a constant star. So a transient is none, whatever its host leaves:
    its own flux is the net flux.
    """

    min_snr: Annotated[float, Ge(0)] = 5.0
    max_net: Annotated[float, Ge(0)] = 0.15
    max_net_sigma: Annotated[float, Ge(0)] = 3.5
    max_separation: Annotated[float, Gt(0)] = 5.0
    max_area: Annotated[int, Ge(1)] = 1200
    image_weight: Annotated[float, Ge(0)] = 0.5

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        return _COLUMNS

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return dipoles; fluxes and lengths are NaN where no lobes fit."""
        values = _no_dipoles(len(sources))
        x, y = (np.asarray(sources[name], float) for name in "xy")
        small = np.flatnonzero(sources["footprintArea"] <= self.max_area)
        tried, found = self._candidates(images, x[small], y[small])
        tried = small[tried]
        for start in range(0, len(tried), _AT_ONCE):
            few = slice(start, start + _AT_ONCE)
            rows = tried[few]
            stamps = DipoleStamps(images, x[rows], y[rows], exclude=self.excluded)
            for name, value in self._fitted(stamps, found.take(few)).items():
                values[name][rows] = value
        values["dipole_flag"][:] = np.isnan(values["dipoleMeanFlux"])
        return values

    def _candidates(
        self, images: Images, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], Candidates]:
        """Return the rows that are worth a fit, and where to begin it."""
        rows, candidates = [], []
        for part in batches(len(x)) if len(x) else ():
            stamps = DipoleStamps(images, x[part], y[part], exclude=self.excluded)
            found = find_patterns(stamps.difference, stamps.psf, stamps.geometry.search)
            worth = np.flatnonzero(self._worth_a_fit(stamps.difference, found))
            rows.append(part.start + worth)
            candidates.append(found.take(worth))
        return np.concatenate([*rows, np.zeros(0, np.intp)]), Candidates.join(
            candidates
        )

    def _worth_a_fit(self, stamps: Stamps, found: Candidates) -> NDArray[np.bool_]:
        n_pixels = np.maximum(stamps.usable.sum(axis=(1, 2)), 1)
        noise = stamps.covariance_factor * stamps.variance.sum(axis=(1, 2)) / n_pixels
        worth = found.pattern > _WORTH_A_FIT * found.point
        worth &= found.pattern > _WORTH_A_FIT * self.min_snr**2 * noise
        return worth

    def _fitted(
        self, stamps: DipoleStamps, found: Candidates
    ) -> dict[str, NDArray[Any]]:
        """Return values of DiaSources that are worth a fit."""
        pattern = fit_patterns(stamps.difference, stamps.psf, found.centre)
        net_limit = np.maximum(self.max_net, self.max_net_sigma * pattern.net_error)
        likely = np.abs(pattern.net) <= net_limit
        likely &= (pattern.snr >= self.min_snr) & (pattern.explained > found.point)
        values = _no_dipoles(len(likely))
        values["dipoleSnr"][:] = pattern.snr
        values["dipoleFitAttempted"][:] = True
        values["dipole_flag_edge"][:] = stamps.difference.truncated
        rows = np.flatnonzero(likely)
        if rows.size:
            few = stamps.take(rows)
            lobes = self._lobes(few, pattern.take(rows))
            explained = np.fmax(pattern.explained[rows], lobes.explained)
            values["isDipole"][rows] = found.point[rows] < _MAX_POINT * explained
            for name, value in _lobe_values(lobes, few).items():
                values[name][rows] = value
        return values

    def _lobes(self, stamps: DipoleStamps, pattern: Patterns) -> Lobes:
        triplet, width = stamps.triplet(self.image_weight), stamps.geometry.sigma
        apart = self.max_separation * width
        start = _start(pattern, triplet.star_fluxes(pattern.centre), apart)
        return triplet.fit(start, reach=2 * width, max_separation=apart)


def _no_dipoles(n: int) -> dict[str, NDArray[Any]]:
    values = {c.name: np.zeros(n, c.dtype) for c in _COLUMNS}
    for value in values.values():
        if value.dtype.kind == "f":
            value[:] = np.nan
    return values


def _start(
    pattern: Patterns, flux: NDArray[np.float64], max_separation: float
) -> NDArray[np.float64]:
    """Return two lobes about the middle of a pattern, of a star's mean flux."""
    moment = np.linalg.norm(pattern.moment, axis=1)
    mean = np.maximum(np.nan_to_num(flux.mean(axis=1)), moment / max_separation)
    half = np.nan_to_num(pattern.moment / (2 * mean[:, np.newaxis]))
    return np.stack(
        [
            np.column_stack([np.nan_to_num(mean), pattern.centre + way * half])
            for way in (1, -1)
        ],
        axis=1,
    )


def _lobe_values(lobes: Lobes, stamps: DipoleStamps) -> dict[str, NDArray[Any]]:
    positive, negative = lobes.lobes.swapaxes(0, 1)
    middle = (positive + negative)[:, 1:].T / 2 + stamps.pixel
    jacobian = tangent_jacobian(stamps.wcs, middle[0], middle[1])
    dx, dy = (positive - negative)[:, 1:].T
    # Fluxes are the first and fourth parameters; the others are positions.
    minus = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    of_minus = minus @ lobes.covariance @ minus.T
    plus = np.abs(minus[0])
    length, angle = offsets_on_sky(jacobian, dx, dy)
    length_error, angle_error = errors_on_sky(jacobian, dx, dy, of_minus[:, 1:, 1:])
    return {
        **_values_of_each(lobes, stamps),
        "dipoleMeanFlux": (positive + negative)[:, 0] / 2,
        "dipoleMeanFluxErr": np.sqrt(plus @ lobes.covariance @ plus) / 2,
        "dipoleFluxDiff": (positive - negative)[:, 0],
        "dipoleFluxDiffErr": np.sqrt(of_minus[:, 0, 0]),
        "dipoleLength": length,
        "dipoleLengthErr": length_error,
        "dipoleAngle": angle,
        "dipoleAngleErr": angle_error,
        "dipoleChi2": lobes.chi2,
        "dipoleNdata": stamps.difference.usable.sum(axis=(1, 2)),
    }


def _values_of_each(lobes: Lobes, stamps: DipoleStamps) -> dict[str, NDArray[Any]]:
    """Return flux and position of each lobe, on the image."""
    error = np.sqrt(np.einsum("nii->in", lobes.covariance))
    origin = np.concatenate([np.zeros((1, len(lobes.lobes))), stamps.pixel])
    values = {}
    for i, lobe in enumerate(_LOBES):
        for j, name in enumerate(("Flux", "X", "Y")):
            values[f"dipole{lobe}{name}"] = lobes.lobes[:, i, j] + origin[j]
            values[f"dipole{lobe}{name}Err"] = error[3 * i + j]
    return values
