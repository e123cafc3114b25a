"""The page: which panels a difference has, and where they stand."""

from collections.abc import Callable, Mapping
from io import BytesIO
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streamdiff.app.qa import candidate_panels, image_panels, kernel_panels
from streamdiff.stages import Images

Panel = Callable[[Axes], None]

_COLUMNS, _SIDE_INCH, _HEAD_INCH = 3, 4.2, 1.3
_DPI = 80
# Of the metrics those that tell most about the matching, as far as there are any.
_HEADLINES = (
    "n_kernel_candidates",
    "kernel_spatial_rms_median",
    "condition_number",
    "difference_footprint_ratio_mean",
    "score_std",
    "science_variance_scale",
    "template_variance_scale",
    "difference_limiting_magnitude",
    "difference_limiting_flux",
)


def qa_page(images: Images, *, metrics: Mapping[str, float] | None = None) -> bytes:
    """Return a page about one difference as PNG.

    Parameters
    ----------
    images : Images
        Panels about the kernel and its candidates are there if the difference has
        them.
    metrics : mapping of str to float, optional
        Of the visit; the difference's own are known.
    """
    panels = _panels(images)
    rows = -(-len(panels) // _COLUMNS)
    height = rows * _SIDE_INCH + _HEAD_INCH
    figure = Figure(figsize=(_COLUMNS * _SIDE_INCH * 1.1, height))
    # Fixed margins: a layout that measures every label takes seconds.
    figure.subplots_adjust(
        left=0.05,
        right=0.97,
        bottom=0.5 / height,
        top=1 - _HEAD_INCH / height,
        wspace=0.2,
        hspace=0.2,
    )
    headline = _headline(images, {**images.difference.metrics, **(metrics or {})})
    figure.suptitle(headline, fontsize="medium", y=1 - 0.2 / height, va="top")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        panel(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    buffer = BytesIO()
    # the same page has the same bytes, whatever made it
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _panels(images: Images) -> list[Panel]:
    panels = list(image_panels.panels(images))
    kernel, candidates = (
        images.difference.matching_kernel,
        images.difference.kernel_candidates,
    )
    if kernel is not None:
        panels += kernel_panels.panels(kernel)
    if candidates is not None and len(candidates):
        panels += candidate_panels.panels(candidates, images)
    return panels


def _headline(images: Images, metrics: Mapping[str, float]) -> str:
    difference = images.difference
    known = [name for name in _HEADLINES if isfinite(metrics.get(name, float("nan")))]
    values = [f"{name} {metrics[name]:.4g}" for name in known]
    lines = [", ".join(values[i : i + 3]) for i in range(0, len(values), 3)]
    title = (
        f"{difference.id}: convolved {difference.convolved}, "
        f"kernel sum {difference.kernel_sum:.4f}, noise {difference.noise}"
    )
    return "\n".join([title, *lines])
