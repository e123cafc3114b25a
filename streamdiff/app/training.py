"""Examples of reliability: simulated fields through the real pipeline."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context

import numpy as np
import structlog
from numpy.typing import NDArray

from streamdiff.app.environment import find_plugins
from streamdiff.app.wiring import build_chosen, comparison, plugin_names
from streamdiff.config import Settings, from_tree
from streamdiff.errors import UnprocessableError
from streamdiff.model import DiaSources, Exposure, Template, VisitReady
from streamdiff.model.psf import fwhm
from streamdiff.pipeline.stage import StageCalls
from streamdiff.plugins import Registry
from streamdiff.stages import Images
from streamdiff.testing import Profile
from streamdiff_reliability.features import features
from streamdiff_reliability.fields import CAMERA, TrainingField
from streamdiff_reliability.model import ReliabilityModel
from streamdiff_reliability.train import Examples, train

log = structlog.get_logger(__name__)

# Within this of a change is its DiaSource [FWHM], at least [pixel]; up to the other,
# what is found belongs to it and is no example of anything.
_MATCH_FWHM, _MATCH_PIXELS, _AROUND_FWHM = 0.5, 1.5, 4.0
# Measured over true flux; a point source holds a part of a trail.
_LEAST_FLUX, _LEAST_OF_TRAIL, _MOST_FLUX = 0.5, 0.2, 1.6
# An estimate of the PSF that is so much too wide has failed.
_MOST_WIDTH = 1.6
# Seeds of held-out fields begin here.
_HELD_OUT = 1 << 16
# All that a finder would sort out is there to learn from.
_PLAIN_FINDER = {
    "reject": ["NO_DATA", "EDGE"],
    "min_width": 0,
    "reject_trails": False,
    "wing_fwhm": 0,
    "wing_growth": 0,
    "relative_noise": 0,
}
_ANYTHING = 1e6
# A kernel of few stars is quick, and leaves something to learn from.
_QUICK_MATCH = {"max_stars": 50, "kernel_order": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """Makes a model of reliability.

    Attributes
    ----------
    seed : int
    n_fields, n_held_out : int
        Fields to learn from, and others to judge by.
    processes : int
        How many fields are simulated at once.
    """

    seed: int
    n_fields: int
    n_held_out: int
    processes: int = 1

    def train(self, version: str, tell: Callable[[int], None]) -> ReliabilityModel:
        """Return a model.

        Parameters
        ----------
        version : str
            What the model is called.
        tell : callable
            Called after each field with how many are done.

        Raises
        ------
        ConfigError
            If scikit-learn is not installed.
        """
        first = self.seed * self.n_fields
        learnt = [TrainingField(seed=first + i) for i in range(self.n_fields)]
        held_out = [
            TrainingField(seed=_HELD_OUT + self.seed * self.n_held_out + i)
            for i in range(self.n_held_out)
        ]
        examples: tuple[list[Examples], list[Examples]] = ([], [])
        for done, found in enumerate(self._in_parallel([*learnt, *held_out]), 1):
            if found is not None:
                examples[done > self.n_fields].append(found)
            tell(done)
        if not all(examples):
            raise UnprocessableError("training: no field could be subtracted")
        return train(
            *(Examples.join(parts) for parts in examples),
            version=version,
            seed=self.seed,
        )

    def _in_parallel(
        self, fields: Sequence[TrainingField]
    ) -> Iterator[Examples | None]:
        """Yield the examples of fields in their order."""
        if self.processes == 1:
            yield from map(examples_of, fields)
            return
        with ProcessPoolExecutor(
            self.processes, mp_context=get_context("spawn")
        ) as pool:
            yield from pool.map(examples_of, fields)


def examples_of(field: TrainingField) -> Examples | None:
    """Return the DiaSources of a field, told apart by the truth.

    There are none of a field that can not be subtracted.
    """
    try:
        sources, images = found_on(field, find_plugins())
    except UnprocessableError as err:
        log.warning("field_left_out", seed=field.seed, reason=str(err))
        return None
    ny, nx = images.difference.shape
    width = fwhm(images.difference.psf.centred_at((nx - 1) / 2, (ny - 1) / 2))
    is_real, belongs = matched(sources, field, width)
    known = is_real | ~belongs
    values = {name: v[known] for name, v in features(sources, images).items()}
    return Examples(values=values, is_real=is_real[known])


def found_on(field: TrainingField, registry: Registry) -> tuple[DiaSources, Images]:
    """Return what the pipeline finds on a field.

    Raises
    ------
    UnprocessableError
        If the field can not be subtracted.
    """
    settings = training_settings()
    calls = StageCalls(monotonic=time.monotonic, names=plugin_names(settings))
    estimator = build_chosen(settings, registry, "psf")
    science, template = (
        exposure.with_psf(calls("psf", estimator.estimate, exposure))
        for exposure in (field.science(), field.template())
    )
    for exposure, profile in (
        (science, field.science_profile),
        (template, field.template_profile),
    ):
        _check_width(exposure, profile)
    result = comparison(settings, registry).run(
        _event(science, field),
        science,
        lambda _: Template(exposure=template, coverage=1.0),
        calls,
    )
    if result.products is None:
        raise UnprocessableError(f"{field}: {result.reason}: {result.detail}")
    return result.products.sources, result.products.images


def _check_width(exposure: Exposure, profile: Profile) -> None:
    """Refuse an exposure whose estimated PSF is not its own."""
    ny, nx = exposure.shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    estimated = fwhm(exposure.psf.centred_at(x, y))
    true = fwhm(profile.psf(exposure.shape).centred_at(x, y))
    if estimated > _MOST_WIDTH * true:
        raise UnprocessableError(
            f"{exposure.id}: the PSF was estimated {estimated:.1f} px wide, "
            f"it is {true:.1f}"
        )


def training_settings() -> Settings:
    """Return the configuration that examples are made with."""
    return from_tree(
        {
            "store": {"uri": "file:///"},
            # What a bad match leaves of stars is what there is to learn from most.
            "pipeline": {
                "max_residual_mean": _ANYTHING,
                "max_residual_stdev": _ANYTHING,
                "mask_cosmic_rays": False,
            },
            "plugins": {
                "find": {"score_peaks": _PLAIN_FINDER},
                "subtract": {"al": _QUICK_MATCH},
            },
        }
    )


def matched(
    sources: DiaSources, field: TrainingField, width: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether DiaSources are changes, and whether they are near one.

    What is at the place of a change and has another flux is an artifact beside it.

    Parameters
    ----------
    sources : DiaSources
        With ``psfFlux``, on the scale of the template.
    field : TrainingField
    width : float
        FWHM of the difference [pixel].
    """
    x, y = field.places()
    offsets = sources["x"][:, np.newaxis] - x, sources["y"][:, np.newaxis] - y
    distance = np.hypot(*offsets)
    near = distance.min(axis=1, initial=np.inf) < _AROUND_FWHM * width
    ratio = sources["psfFlux"][:, np.newaxis] / field.fluxes
    least = np.where(field.is_trail, _LEAST_OF_TRAIL, _LEAST_FLUX)
    here = distance < max(_MATCH_FWHM * width, _MATCH_PIXELS)
    same = here & (ratio > least) & (ratio < _MOST_FLUX)
    return np.asarray(same.any(axis=1)), np.asarray(near)


def _event(exposure: Exposure, field: TrainingField) -> VisitReady:
    return VisitReady(
        event_id=str(exposure.id),
        instrument=CAMERA.instrument,
        visit=field.visit,
        detector=CAMERA.detector,
        band=exposure.id.band,
        midpoint_mjd_tai=exposure.midpoint_mjd_tai,
        exposure_time_s=exposure.exposure_time_s,
        image_uri="file:///simulated",
        published_at=datetime.fromtimestamp(0, UTC),
    )
