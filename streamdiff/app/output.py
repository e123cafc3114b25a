"""What the service keeps in files, beside the stream."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import container_bytes
from streamdiff.adapters.fits.difference import encode_difference
from streamdiff.adapters.whole_file import write_whole
from streamdiff.model import Alert, ExposureId
from streamdiff.pipeline.result import VisitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """Writes alerts and differences of each visit into a folder.

    Attributes
    ----------
    directory : Path or None
        `None` to write nothing.
    alerts, differences : bool
        What is written.
    """

    directory: Path | None
    alerts: bool
    differences: bool

    def keep(self, result: VisitResult) -> None:
        """Write the files of one visit; writing them again changes nothing.

        Raises
        ------
        StoreUnavailableError
            If the folder can not be written to.
        """
        if self.directory is None or result.products is None:
            return
        stem = self.directory / file_stem(result.event.exposure_id)
        if self.alerts:
            write_alerts(stem.with_name(f"{stem.name}.avro"), result.alerts)
        if self.differences:
            content = encode_difference(
                result.products.images.difference,
                result.products.sources,
                matched_template=True,
            )
            write_whole(stem.with_name(f"{stem.name}.fits"), content)


def file_stem(exposure_id: ExposureId) -> str:
    """Return the name of an exposure's files, without their extension."""
    parts = (exposure_id.instrument, exposure_id.visit, exposure_id.detector)
    return "_".join(str(part).replace("/", "-") for part in parts)


def write_alerts(path: Path, alerts: Iterable[Alert]) -> None:
    """Write an Avro container, as a whole or not at all.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    write_whole(path, container_bytes(map(alert_record, alerts)))
