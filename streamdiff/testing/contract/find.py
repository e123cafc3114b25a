"""The contract of source finders."""

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from streamdiff.model import DETECTION_COLUMNS, DiaSources, Difference, MaskPlane
from streamdiff.testing.contract import skies
from streamdiff.testing.contract.check import Arguments, Subject, checks_of, require
from streamdiff.testing.contract.kind import Kind
from streamdiff.testing.contract.planes import (
    require_planes,
    require_shape,
    require_type,
)
from streamdiff.testing.profiles import GaussianProfile
from streamdiff.testing.sources import PointSource

_READ = "streamdiff.stages.SourceFinder"
_SHAPE = (512, 512)
_EDGE, _STEP = 40, 48
_SNR = 30.0


def validate(subject: Subject, arguments: Arguments, result: object) -> None:  # noqa: ARG001
    """Raise unless a result is a searched difference, and a table of peaks."""
    require_type(result, tuple, _READ)
    assert isinstance(result, tuple)  # noqa: S101 - for the type checker
    require(
        len(result) == 2,
        expected="(Difference, DiaSources)",
        got=f"{len(result)} values",
        read=_READ,
    )
    difference, sources = result
    require_type(difference, Difference, _READ)
    require_type(sources, DiaSources, _READ)
    given = arguments[0]
    require_shape(difference.shape, given.shape, _READ)
    require(difference.id == given.id, expected=given.id, got=difference.id, read=_READ)
    require_planes(difference, "streamdiff.model.Difference")
    _require_score(difference)
    _require_table(sources, difference)


def _require_score(difference: Difference) -> None:
    score = difference.score
    require(
        score is not None and np.isfinite(score).all(),
        expected="a finite score, the significance at every pixel",
        got="none" if score is None else "pixels that are not finite",
        read="streamdiff.model.Difference.score",
    )


def _require_table(sources: DiaSources, difference: Difference) -> None:
    missing = [c.name for c in DETECTION_COLUMNS if c.name not in sources]
    require(
        not missing,
        expected="the columns of streamdiff.model.DETECTION_COLUMNS",
        got=f"a table without {', '.join(missing)}",
        read=_READ,
    )
    x, y = sources["x"], sources["y"]
    height, width = difference.shape
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    require(
        inside.all(),
        expected="peaks on the image",
        got=f"{np.count_nonzero(~inside)} beside it",
        read="streamdiff.model.DETECTION_COLUMNS",
    )
    order = np.lexsort((np.rint(x), np.rint(y)))
    require(
        (order == np.arange(len(order))).all(),
        expected="peaks ordered by row, then column: ids are made from the order",
        got="another order",
        read=_READ,
    )
    snr = sources["snr"]
    require(
        np.isfinite(snr).all() and (snr > 0).all(),
        expected="a finite, positive snr of either sign of change",
        got=f"{snr[~(snr > 0)][:3]}",
        read="streamdiff.model.DETECTION_COLUMNS",
    )
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    on_nothing = MaskPlane.NO_DATA.in_mask(difference.mask)[row, column]
    require(
        not on_nothing.any(),
        expected="no peak on a pixel without data",
        got=f"{np.count_nonzero(on_nothing)}",
        read=_READ,
    )


def sources_are_found_where_they_are(subject: Subject) -> Mapping[str, float]:
    """Require both signs, S/N 30, within a pixel; nearly none is missed."""
    sources = subject.once("found", lambda: KIND.result(subject, (_crowd(),)))[1]
    x, y = skies.grid(_SHAPE, _STEP, _EDGE)
    found = cKDTree(np.transpose([sources["x"], sources["y"]]).reshape(-1, 2))
    if not len(sources):
        require(False, expected=f"{len(x)} sources", got="none", read=_READ)
    away, index = found.query(np.transpose([x, y]))
    near = away < 1.5
    require(
        near.mean() > 0.95,
        expected=f"95 % of {len(x)} sources of S/N {_SNR:.0f} within 1.5 pixels",
        got=f"{np.count_nonzero(near)}",
        read=_READ,
    )
    negative = np.arange(len(x)) % 2 == 1
    right = sources["isNegative"][index][near] == negative[near]
    require(
        right.all(),
        expected="isNegative where the science image is fainter",
        got=f"{np.count_nonzero(~right)} wrong of {len(right)}",
        read="streamdiff.model.DETECTION_COLUMNS",
    )
    return {"completeness": float(near.mean())}


def detections_are_marked_in_the_mask(subject: Subject) -> None:
    """Require DETECTED or DETECTED_NEGATIVE under every peak."""
    difference, sources = subject.once(
        "found", lambda: KIND.result(subject, (_crowd(),))
    )
    planes = MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE
    row, column = (np.rint(sources[name]).astype(int) for name in ("y", "x"))
    marked = planes.in_mask(difference.mask)[row, column]
    require(
        marked.all(),
        expected="DETECTED or DETECTED_NEGATIVE at every peak",
        got=f"{np.count_nonzero(~marked)} of {len(marked)} without",
        read="streamdiff.model.MaskPlane",
    )


def noise_is_not_taken_for_sources(subject: Subject) -> Mapping[str, float]:
    """Require few peaks in white noise of a quarter of a megapixel.

    Notes
    -----
    At 5 sigma a megapixel has some 0.3 of them, at 4 sigma 23.
    """
    difference, sources = subject.once(
        "noise", lambda: KIND.result(subject, (skies.of_white_noise(_SHAPE),))
    )
    per_mpx = 1e6 * len(sources) / difference.image.size
    require(
        per_mpx < 100,
        expected="fewer than 100 false positives per megapixel of white noise",
        got=f"{per_mpx:.0f}",
        read=f"{_READ}: a threshold of 5 sigma",
    )
    return {"false_positives_per_mpx": per_mpx}


def the_score_is_in_units_of_its_noise(subject: Subject) -> Mapping[str, float]:
    """Require std(score) = 1 in white noise.

    Notes
    -----
    The filter leaves some 1e4 independent values, which know it to 0.7 %.
    """
    difference, _ = subject.once(
        "noise", lambda: KIND.result(subject, (skies.of_white_noise(_SHAPE),))
    )
    inner = slice(_EDGE, -_EDGE)
    spread = float(difference.score[inner, inner].std())
    require(
        0.9 < spread < 1.1,
        expected="a score whose standard deviation is 1 in blank sky",
        got=f"{spread:.3f}",
        read="streamdiff.model.Difference.score; streamdiff.imaging.significance",
    )
    return {"snr_std": spread}


def _crowd() -> Difference:
    """Return a difference with sources of both signs on a grid."""
    stamp = GaussianProfile(fwhm=skies.FWHM).stamp()
    flux = _SNR * skies.NOISE / np.sqrt(np.square(stamp).sum())
    x, y = skies.grid(_SHAPE, _STEP, _EDGE)
    signs = np.where(np.arange(len(x)) % 2 == 1, -1.0, 1.0)
    return skies.of_white_noise(
        _SHAPE,
        sources=tuple(
            PointSource(u, v, sign * flux)
            for u, v, sign in zip(x, y, signs, strict=True)
        ),
    )


def _cases() -> dict[str, Arguments]:
    pairs = {
        name: skies.pair(shape, skies.FWHM) for name, shape in skies.SHAPES.items()
    }
    pairs["without data here and there"] = skies.spoilt()
    pairs["without any data"] = skies.masked()
    return {name: (skies.images_of(pair).difference,) for name, pair in pairs.items()}


KIND = Kind(
    name="find",
    method="find",
    read=_READ,
    cases=_cases,
    validate=validate,
    checks=checks_of(
        sources_are_found_where_they_are,
        detections_are_marked_in_the_mask,
        noise_is_not_taken_for_sources,
        the_score_is_in_units_of_its_noise,
    ),
)
