"""Charts that are read on a light page and on a dark one."""

from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Lines and letters: contrast of 4 and more with either page.
INK = "#7d8590"
_DPI = 120
_BANDS: Mapping[str, str] = MappingProxyType(
    {
        "u": "#8b6ff0",
        "g": "#2f9e63",
        "r": "#d9603b",
        "i": "#b8548f",
        "z": "#a5803a",
        "y": "#5f7f95",
    }
)
_OTHER = "#3f83d6"


def band_colour(band: str) -> str:
    """Return the colour of a band: neither too pale nor too dark for a page."""
    return _BANDS.get(band, _OTHER)


def new_chart(width_inch: float, height_inch: float) -> "tuple[Figure, Axes]":
    """Return a figure without a background, and its axes in a neutral gray."""
    # What draws no picture is not to wait for matplotlib.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width_inch, height_inch), facecolor="none")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=8)
    for line in axes.spines.values():
        line.set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def chart_png(figure: "Figure") -> bytes:
    """Return a chart as PNG."""
    buffer = BytesIO()
    figure.savefig(
        buffer, format="png", dpi=_DPI, transparent=True, metadata={"Software": None}
    )
    return buffer.getvalue()
