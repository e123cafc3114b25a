"""Triplets and light curves as text, for a terminal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text

from streamdiff.app.alerts.light_curves import FluxPoint
from streamdiff.app.alerts.triplets import PANELS, Triplet

GAP = 2
# From black to white, for a terminal without colours.
_RAMP = " .:-=+*#%@"
_UNKNOWN = "?"
_HALF = "▀"
_CURVE_ROWS = 12
_SCALE_WIDTH = 11


def triplet_text(triplet: Triplet, width: int, *, colours: bool) -> Text:
    """Return the middle of three cutouts side by side, as much of it as fits.

    Parameters
    ----------
    triplet : Triplet
    width : int
        Of the terminal [characters].
    colours : bool
        Whether characters can have colours: each is two pixels then, one above the
        other. Without, a pixel is two characters, from blank for black to @ for
        white.
    """
    room = (width - GAP * (len(PANELS) - 1)) // len(PANELS)
    side = max(room if colours else room // 2, 1)
    panels = [_middle(panel.mean(axis=-1), side) for panel in triplet.panels()]
    known = [_middle(np.isfinite(getattr(triplet, name)), side) for name in PANELS]
    shades = [np.where(k, p, np.nan) for p, k in zip(panels, known, strict=True)]
    draw = _half_blocks if colours else _characters
    cell = 1 if colours else 2
    heading = "".join(
        name[: shade.shape[1] * cell].ljust(shade.shape[1] * cell + GAP)
        for name, shade in zip(PANELS, shades, strict=True)
    )
    drawn = [draw(shade) for shade in shades]
    rows = max(map(len, drawn))
    text = Text(heading.rstrip(), end="\n")
    for row in range(rows):
        text.append("\n")
        for i, lines in enumerate(drawn):
            text.append(" " * GAP if i else "")
            text.append_text(lines[row] if row < len(lines) else Text(""))
    return text


def _middle(image: NDArray[np.generic], side: int) -> NDArray[np.generic]:
    """Return the middle of an image, the first row at the top as on the sky's plot."""
    ny, nx = image.shape
    height, width = min(ny, side), min(nx, side)
    bottom, left = (ny - height) // 2, (nx - width) // 2
    return image[bottom : bottom + height, left : left + width][::-1]


def _half_blocks(shades: NDArray[np.floating]) -> list[Text]:
    colours = [[_colour(shade) for shade in row] for row in shades]
    if len(colours) % 2:  # under the last row there is nothing
        colours.append([None] * len(colours[0]))
    lines = []
    for upper, lower in zip(colours[::2], colours[1::2], strict=True):
        line = Text("")
        for above, below in zip(upper, lower, strict=True):
            line.append(_HALF, Style(color=above, bgcolor=below))
        lines.append(line)
    return lines


def _colour(shade: float) -> str | None:
    if not np.isfinite(shade):
        return "rgb(205,219,235)"  # no shade of gray: no data
    level = int(shade)
    return f"rgb({level},{level},{level})"


def _characters(shades: NDArray[np.floating]) -> list[Text]:
    return [Text("".join(map(_character, row))) for row in shades]


def _character(shade: float) -> str:
    if not np.isfinite(shade):
        return _UNKNOWN * 2
    return _RAMP[int(shade) * len(_RAMP) // 256] * 2


def curve_text(points: Sequence[FluxPoint], width: int, unit: str) -> Text:
    """Return a light curve: capitals were detected, small letters forced.

    Parameters
    ----------
    points : sequence of FluxPoint
        At least one.
    width : int
        Of the terminal [characters].
    unit : str
        Of the fluxes.
    """
    columns = max(width - _SCALE_WIDTH - 2, 1)
    times = np.array([p.midpoint_mjd_tai for p in points])
    fluxes = np.array([p.flux for p in points])
    # the line of no flux is always there
    low, high = min(fluxes.min(), 0.0), max(fluxes.max(), 0.0)
    x = _steps(times, times.min(), times.max(), columns)
    y = _steps(fluxes, low, high, _CURVE_ROWS)
    (zero,) = _steps(np.zeros(1), low, high, _CURVE_ROWS)
    grid = [["-" if row == zero else " "] * columns for row in range(_CURVE_ROWS)]
    for point, column, row in sorted(
        zip(points, x, y, strict=True), key=lambda item: not item[0].is_forced
    ):
        letter = (point.band or "o")[0]
        grid[row][column] = letter.lower() if point.is_forced else letter.upper()
    labels = {_CURVE_ROWS - 1: high, 0: low, int(zero): 0.0}
    lines = [
        f"{_label(labels.get(row)):>{_SCALE_WIDTH}} |{''.join(grid[row])}".rstrip()
        for row in reversed(range(_CURVE_ROWS))
    ]
    first, last = f"{times.min():.3f}", f"{times.max():.3f}"
    axis = f"{first}{last:>{max(columns - len(first), len(last) + 1)}}"
    title = f"flux [{unit}] by MJD TAI; capitals: detected, small letters: forced"
    return Text("\n".join([title, *lines, " " * (_SCALE_WIDTH + 2) + axis]))


def _label(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _steps(
    values: NDArray[np.float64], low: float, high: float, n: int
) -> NDArray[np.int64]:
    """Return which of n equal steps between two limits the values fall on."""
    span = high - low
    place = (values - low) / span * (n - 1) if span > 0 else np.zeros(len(values))
    return np.rint(place).astype(np.int64)
