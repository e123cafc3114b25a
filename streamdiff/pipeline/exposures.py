"""From an event to an exposure with a PSF."""

from dataclasses import dataclass

from streamdiff.errors import PluginContractError
from streamdiff.model import Exposure, UnknownPsf, VisitReady
from streamdiff.pipeline.results import checked_psf
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import Files
from streamdiff.stages import ExposureReader, PsfEstimator


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureSource:
    """Reads the exposure of an event, and estimates its PSF where it has none.

    Attributes
    ----------
    reader : ExposureReader
    estimator : PsfEstimator
    files : Files
    """

    reader: ExposureReader
    estimator: PsfEstimator
    files: Files

    def load(self, event: VisitReady, calls: StageCalls) -> Exposure:
        """Return the exposure that an event announces.

        Raises
        ------
        UnprocessableError
            If it can not be read, or has too few stars for a PSF.
        RetryableError
            If the storage does not answer.
        """
        return self.with_psf(self.read(event, calls), calls)

    def read(self, event: VisitReady, calls: StageCalls) -> Exposure:
        """Return the exposure, its PSF unknown where the files hold none."""
        exposure = calls("read", self.reader.read, event, self.files)
        if isinstance(exposure, Exposure) and exposure.id == event.exposure_id:
            return exposure
        with calls.judging("read") as plugin:
            raise PluginContractError(
                f"{event.image_uri}: the reader returned "
                f"{getattr(exposure, 'id', type(exposure).__name__)} for the event of "
                f"{event.exposure_id} (plugin {plugin!r})"
            )

    def with_psf(self, exposure: Exposure, calls: StageCalls) -> Exposure:
        """Return the exposure with its PSF estimated, unless it has one."""
        if not isinstance(exposure.psf, UnknownPsf):
            return exposure
        psf = calls("psf", self.estimator.estimate, exposure)
        with calls.judging("psf") as plugin:
            return exposure.with_psf(checked_psf(plugin, psf))
