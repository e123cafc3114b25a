"""What the service keeps in files, beside the stream."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import container_bytes
from streamdiff.adapters.fits.difference import encode_difference
from streamdiff.adapters.fits.qa import encode_qa
from streamdiff.adapters.fits.table import encode_table
from streamdiff.adapters.mapped_images import MappedImages, write_images
from streamdiff.adapters.whole_file import write_whole
from streamdiff.model import Alert, ExposureId, Outcome
from streamdiff.pipeline.recovery import Recovery
from streamdiff.pipeline.result import VisitResult

RECOVERY_SUFFIX = "_injected.csv"
IMAGES_SUFFIX = ".images"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """Writes alerts, differences and QA pages of each visit into a folder.

    Of a visit with injected sources there is a table of these. Of a visit that failed
    for its difference, there are difference and page.

    Attributes
    ----------
    directory : Path or None
        `None` to write nothing.
    alerts, differences, qa, filtered : bool
        What is written.
    images : bool
        Whether there is what forced photometry needs, for somebody who reads and
        removes it at once.
    """

    directory: Path | None
    alerts: bool
    differences: bool
    qa: bool = False
    filtered: bool = False
    images: bool = False

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
        processed = result.outcome is Outcome.PROCESSED
        if self.filtered and processed:
            content = encode_table(result.products.filtered, "FILTERED")
            write_whole(stem.with_name(f"{stem.name}_filtered.fits"), content)
        if self.alerts and processed:
            write_alerts(stem.with_name(f"{stem.name}.avro"), result.alerts)
        if result.recovery is not None:
            path = stem.with_name(f"{stem.name}{RECOVERY_SUFFIX}")
            write_whole(path, _table(result.recovery))
        if self.differences:
            content = encode_difference(
                result.products.images.difference,
                result.products.sources,
                science=result.products.images.science,
                matched_template=True,
            )
            write_whole(stem.with_name(f"{stem.name}.fits"), content)
        if self.qa:
            write_qa(stem, result)
        if self.images and processed:
            kept = MappedImages(
                difference=result.products.images.difference,
                science=result.products.images.science,
                processed_mjd_tai=result.processed_mjd_tai,
            )
            write_images(stem.with_name(f"{stem.name}{IMAGES_SUFFIX}"), kept)


def _table(recovery: Recovery) -> bytes:
    """Return the injected sources as CSV, one per row."""
    columns = recovery.columns()
    text = StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(columns)
    rows.writerows(zip(*(c.tolist() for c in columns.values()), strict=True))
    return text.getvalue().encode()


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


def write_qa(stem: Path, result: VisitResult) -> tuple[Path, Path]:
    """Write the tables and the page about the matching of a visit.

    Parameters
    ----------
    stem : Path
        Beginning of the names: ``<stem>_qa.fits`` and ``<stem>_qa.png``.
    result : VisitResult
        Processed.

    Raises
    ------
    ValueError
        If the visit was skipped.
    StoreUnavailableError
        If they can not be written.
    """
    # A worker that draws no pages is not to wait for matplotlib.
    from streamdiff.app.qa.page import qa_page  # noqa: PLC0415

    if result.products is None:
        raise ValueError(f"{result.event.event_id}: a skipped visit has no QA page")
    images = result.products.images
    tables, page = (
        stem.with_name(f"{stem.name}_qa.{kind}") for kind in ("fits", "png")
    )
    write_whole(tables, encode_qa(images.difference, metrics=result.metrics))
    write_whole(page, qa_page(images, metrics=result.metrics))
    return tables, page
