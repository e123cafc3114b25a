"""The stages of the pipeline as Protocols: what a plugin of each kind computes.

A plugin offers a factory (see `streamdiff.hookspecs`); the object that the
factory returns has the one method of its kind. Inputs are never changed. A stage
that has nothing to do returns a `streamdiff.model.Skip`; one that fails raises an
`streamdiff.errors.UnprocessableError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from streamdiff.model import (
    Alert,
    Coadd,
    Column,
    DiaObjects,
    DiaSources,
    Difference,
    Exposure,
    PreloadHint,
    Psf,
    Skip,
    TemplateId,
    TemplateUpdate,
    VisitReady,
)
from streamdiff.ports import ConsumedRecord, Files


class ExposureReader(Protocol):
    """Kind ``read``: the files of an event -> an exposure."""

    def read(self, event: VisitReady, files: Files) -> Exposure:
        """Return the exposure that an event announces.

        Its psf is `UnknownPsf` where the files hold none. Fields of the event
        win over the header.
        """
        ...


class PsfEstimator(Protocol):
    """Kind ``psf``: an exposure without a PSF -> its PSF."""

    def estimate(self, exposure: Exposure) -> Psf:
        """Return the PSF of an exposure, from its stars."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How a template must be displaced to fall on the science image.

    Attributes
    ----------
    wcs : astropy.wcs.WCS
        WCS of the science exposure, corrected to agree with the template's.
    metrics : mapping of str to float
        Measured offsets and their scatter [pixel].
    """

    wcs: WCS
    metrics: Mapping[str, float]


class Registrar(Protocol):
    """Kind ``register``: correct the astrometry of two images to each other."""

    def register(self, science: Exposure, template: Exposure) -> Registration:
        """Return the registration of a template already on the science grid."""
        ...


class Warper(Protocol):
    """Kind ``warp``: resample onto another pixel grid."""

    def warp(self, exposure: Exposure, wcs: WCS, shape: tuple[int, int]) -> Exposure:
        """Return the exposure on the pixels of another WCS.

        Flux per source is kept. Pixels without data are NO_DATA with image 0
        and infinite variance. PSF and covariance factor are updated. An exposure
        that is already on these pixels may be returned as it is.
        """
        ...


class Subtractor(Protocol):
    """Kind ``subtract``: science - template, PSFs matched."""

    def subtract(self, science: Exposure, template: Exposure) -> Difference | Skip:
        """Return the difference of two exposures on the same pixels."""
        ...


class Decorrelator(Protocol):
    """Kind ``decorrelate``: whiten the noise that matching has correlated."""

    def decorrelate(
        self, difference: Difference, science: Exposure, template: Exposure
    ) -> Difference:
        """Return the difference with white noise, its PSF updated.

        A difference whose noise is white is returned unchanged.
        """
        ...


class SourceFinder(Protocol):
    """Kind ``find``: a difference -> the positions of what changed."""

    def find(self, difference: Difference) -> tuple[Difference, DiaSources]:
        """Return the difference with its score and detection mask, and the peaks.

        The table has `DETECTION_COLUMNS`, ordered by row, then column.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """The images that measurements are made on, all on the same pixels.

    Attributes
    ----------
    difference : Difference
    science, template : Exposure
    """

    difference: Difference
    science: Exposure
    template: Exposure


class Measurer(Protocol):
    """Kind ``measure``: quantities of each DiaSource."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns that `measure` fills."""
        ...

    def measure(
        self, sources: DiaSources, images: Images
    ) -> Mapping[str, NDArray[Any]]:
        """Return one array, shape (len(sources),), per column.

        Measurers run in the order of the configuration; each sees the columns
        of those before it. A value that can not be measured is NaN.
        """
        ...


class Scorer(Protocol):
    """Kind ``score``: the reliability of each DiaSource."""

    def score(self, sources: DiaSources, images: Images) -> NDArray[np.float32]:
        """Return reliabilities in [0, 1]; shape (len(sources),)."""
        ...


# What an associator answers for a DiaSource that begins a DiaObject.
NEW_OBJECT = -1


class Associator(Protocol):
    """Kind ``associate``: DiaSources of one exposure -> DiaObjects.

    Pure matching: the host finds the known DiaObjects, names the new ones, and keeps
    all of them.
    """

    @property
    def radius_arcsec(self) -> float:
        """Return how far a DiaSource may lie from its DiaObject: 20 at most."""
        ...

    def associate(self, sources: DiaSources, objects: DiaObjects) -> NDArray[np.int64]:
        """Return a diaObjectId per DiaSource; shape (len(sources),).

        `NEW_OBJECT` where a new DiaObject begins, `streamdiff.model.NO_OBJECT` for
        none.

        Parameters
        ----------
        sources : DiaSources
            With ids and sky positions, and what was measured.
        objects : DiaObjects
            The known ones around, at least as far as the radius, by id.
        """
        ...


class Coadder(Protocol):
    """Kind ``coadd``: warps of one patch -> a coadd."""

    def coadd(self, template_id: TemplateId, warps: Sequence[Exposure]) -> Coadd | Skip:
        """Return the coadd of exposures that are all on the same pixels.

        The exposures may be more than memory holds: each is loaded when it is
        taken from the sequence, a part of its planes when that part is used, and
        costs nothing once it is let go of.
        """
        ...


class AlertFormat(Protocol):
    """Kind ``formats``: an alert -> the bytes of a message."""

    @property
    def content_type(self) -> str:
        """Return the MIME type of the message."""
        ...

    def encode(self, alert: Alert) -> bytes:
        """Return the message of one alert."""
        ...


@runtime_checkable
class HeadedFormat(AlertFormat, Protocol):
    """A format of alerts whose messages have headers of their own, besides."""

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Return the headers that readers go by, such as the schema's name."""
        ...


@runtime_checkable
class RegisteredFormat(AlertFormat, Protocol):
    """A format of alerts whose messages begin with the id of their schema."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """Return the Avro schema of the messages."""
        ...

    def with_schema_id(self, schema_id: int) -> AlertFormat:
        """Return the format with the id that a registry has given to its schema."""
        ...


class EventDecoder(Protocol):
    """A foreign message -> the events that it stands for."""

    def decode(
        self, record: ConsumedRecord
    ) -> Sequence[VisitReady | TemplateUpdate | PreloadHint]:
        """Return no, one or several events, or hints on exposures to come.

        Raises
        ------
        UndecodableError
            If the message is not of the kind that this decoder reads.
        """
        ...
