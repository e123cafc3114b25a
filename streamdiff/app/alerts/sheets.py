"""Pages of the alerts that were lost and are new, as PNG files."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.alerts.reading import AlertSource, Record
from streamdiff.app.alerts.result import AlertName, Comparison
from streamdiff.app.alerts.triplets import PANELS, Triplet

# Triplets on a page: 6 rows of 2.
_ROWS, _TRIPLETS_PER_ROW = 6, 2
PER_PAGE = _ROWS * _TRIPLETS_PER_ROW
_GAP = 0.3
_DPI = 90
_PANEL_INCH = 1.6


def write_sheets(
    folder: Path, found: Comparison, source_a: AlertSource, source_b: AlertSource
) -> tuple[Path, ...]:
    """Write pages with the triplets of all alerts that were lost or are new.

    Parameters
    ----------
    folder : Path
        Gets ``lost_001.png`` and so on, and ``new_001.png`` and so on; the pages of
        an earlier comparison are removed.
    found : Comparison
    source_a, source_b : AlertSource
        What was compared; the cutouts are read once more.

    Raises
    ------
    StoreUnavailableError
        If the pages can not be written.
    UndecodableError, UnreadableImageError
        If alerts, or cutouts, can not be read any more.
    """
    for kind in ("lost", "new"):
        for old in folder.glob(f"{kind}_[0-9][0-9][0-9].png"):
            old.unlink()
    return (
        *_write_kind(folder, "lost", found.lost, source_a),
        *_write_kind(folder, "new", found.new, source_b),
    )


def _write_kind(
    folder: Path, kind: str, names: Sequence[AlertName], source: AlertSource
) -> Iterator[Path]:
    # In the order of the source, so that one page is in memory at a time.
    by_place = {name.place: name for name in names}
    n_pages = -(-len(names) // PER_PAGE)
    items: list[tuple[AlertName, Record]] = []
    page = 0
    for place, record in source.fetch(by_place):
        items.append((by_place[place], record))
        if len(items) == PER_PAGE or page * PER_PAGE + len(items) == len(names):
            page += 1
            path = folder / f"{kind}_{page:03d}.png"
            title = (
                f"{kind}: {len(names)} alerts, page {page} of {n_pages} "
                f"({', '.join(PANELS)})"
            )
            write_whole(path, _sheet(title, items))
            items.clear()
            yield path


def _sheet(title: str, items: Sequence[tuple[AlertName, Record]]) -> bytes:
    # an empty column between the triplets
    widths = [1.0] * len(PANELS) + [_GAP, *([1.0] * len(PANELS))]
    rows = -(-len(items) // _TRIPLETS_PER_ROW)
    height = rows * (_PANEL_INCH + 0.35) + 0.5
    figure = Figure(figsize=(sum(widths) * _PANEL_INCH + 0.4, height))
    figure.subplots_adjust(
        left=0.02,
        right=0.98,
        bottom=0.1 / height,
        top=1 - 0.85 / height,
        wspace=0.06,
        hspace=0.22,
    )
    figure.suptitle(title, fontsize=11, y=1 - 0.12 / height, va="top")
    grid = figure.subplots(rows, len(widths), squeeze=False, width_ratios=widths)
    for axes in grid.ravel():
        axes.set_axis_off()
    triplets = np.delete(grid, len(PANELS), axis=1).reshape(-1, len(PANELS))
    for axes, (name, record) in zip(triplets, items, strict=False):
        _draw(list(axes), name, record)
    buffer = BytesIO()
    # the same page has the same bytes, whatever made it
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Sequence[Axes], name: AlertName, record: Record) -> None:
    """Draw the panels of one alert, with what it is over the middle of them."""
    panels = Triplet.of(record).panels()
    for ax, panel in zip(axes, panels, strict=True):
        ax.imshow(panel, origin="lower", interpolation="nearest")
    axes[1].set_title(_caption(name), fontsize=8, pad=3)


def _caption(name: AlertName) -> str:
    visit, detector = name.exposure
    snr = "" if name.snr is None else f", S/N {name.snr:.1f}"
    return f"{visit}/{detector}{snr}\n{name.ra:.5f} {name.dec:+.5f}"
