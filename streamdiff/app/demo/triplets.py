"""One picture of what the demo found: a change of each kind."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.demo.pictures import SIDE, VisitImages
from streamdiff.app.demo.run import DemoResult
from streamdiff.app.demo.score import VisitScore
from streamdiff.testing import TrueChange

TRIPLETS = "triplets.png"
_PANELS = ("science", "template", "difference", "score")
# What is neither faint nor saturates its panels.
_SNR = 30.0
_BACKGROUND = "#fbfbfa"


def write_triplets(path: Path, result: DemoResult) -> None:
    """Write a picture: a row for a found change of each kind, a column for each image.

    Raises
    ------
    StoreUnavailableError
        If it can not be written.
    """
    rows = list(_rows(result))
    size = 6.4, 0.3 + 1.6 * len(rows)
    figure = Figure(figsize=size, layout="constrained", facecolor=_BACKGROUND)
    grid = figure.subplots(len(rows), len(_PANELS), squeeze=False)
    for axes, (score, change) in zip(grid, rows, strict=True):
        images = VisitImages.read(result.difference_file(score.visit))
        for panel, pixels in zip(axes, images.panels(change.x, change.y), strict=True):
            panel.imshow(pixels, origin="lower")
            panel.set(xticks=[], yticks=[])
        label = f"{change.kind}, S/N {abs(change.ideal_snr):.0f}"
        axes[0].set_ylabel(label, fontsize=9)
    if rows:
        for panel, name in zip(grid[0], _PANELS, strict=True):
            panel.set_title(name, fontsize=10)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def _rows(result: DemoResult) -> Iterator[tuple[VisitScore, TrueChange]]:
    """Yield the found change of each kind whose S/N is nearest to a good one."""
    found = [
        (score, change)
        for score in result.scores
        for change, hit in zip(score.changes, score.found, strict=True)
        if hit and _is_inside(change, result.survey.shape)
    ]
    for kind in sorted({change.kind for _, change in found}):
        of_kind = [pair for pair in found if pair[1].kind == kind]
        yield min(of_kind, key=lambda pair: abs(abs(pair[1].ideal_snr) - _SNR))


def _is_inside(change: TrueChange, shape: tuple[int, int]) -> bool:
    """Return whether a stamp around a change lies on the image."""
    ny, nx = shape
    return SIDE < change.x < nx - SIDE and SIDE < change.y < ny - SIDE
