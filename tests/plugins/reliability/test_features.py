from dataclasses import replace

import numpy as np
import pytest

from streamdiff.model import DiaSources, MaskPlane
from streamdiff_reliability.features import features


def scaled(images, factor):
    """Return the images in another unit of flux."""

    def of(image):
        return replace(
            image,
            image=image.image * np.float32(factor),
            variance=image.variance * np.float32(factor**2),
        )

    return replace(
        images,
        difference=of(images.difference),
        science=of(images.science),
        template=of(images.template),
    )


def test_they_do_not_depend_on_the_unit_of_flux(sources, bare, images, measure):
    other = scaled(images, 1024.0)
    expected, found = (
        features(sources, images),
        features(measure(bare, other), other),
    )
    assert set(found) == set(expected)
    for name, values in found.items():
        assert values == pytest.approx(expected[name], rel=1e-3, abs=1e-3, nan_ok=True)


def test_they_do_not_know_pixel_flags(sources, images):
    flags = [c.name for c in sources.columns if c.name.startswith("pixelFlags")]
    assert flags
    flagged = DiaSources(
        sources.columns,
        {
            **sources.values,
            **{name: np.ones(len(sources), bool) for name in flags},
        },
    )
    planes = ~(MaskPlane.NO_DATA | MaskPlane(0))
    mask = np.full(images.difference.shape, planes, np.int32)
    masked = replace(
        images,
        difference=replace(images.difference, mask=mask),
        template=replace(images.template, mask=mask),
        science=replace(images.science, mask=mask),
    )
    expected, found = features(sources, images), features(flagged, masked)
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_they_tell_kinds_apart(sources, images, kind):
    found = features(sources, images)
    middle = {
        name: {what: np.median(found[name][kind == what]) for what in set(kind)}
        for name in ("sharpness", "deepest", "correlation", "template_peak")
    }
    assert middle["sharpness"]["spike"] > 2 * middle["sharpness"]["point"]
    assert middle["deepest"]["dipole"] > 0.8
    assert middle["deepest"]["point"] < 0.3
    assert middle["correlation"]["point"] > 0.9
    assert middle["template_peak"]["dipole"] > middle["template_peak"]["point"] + 1


def test_without_measurements_they_are_of_pixels_alone(bare, sources, images):
    found, expected = features(bare, images), features(sources, images)
    assert set(found) == set(expected)
    assert np.isnan(found["aperture_ratio"]).all()
    assert np.isfinite(found["sharpness"]).all()


def test_no_source_has_none(images):
    found = features(DiaSources.empty(), images)
    assert all(values.shape == (0,) for values in found.values())


def test_corners_and_holes_are_survived(bare, images):
    image, variance = images.difference.image.copy(), images.difference.variance.copy()
    mask = images.difference.mask.copy()
    image[:60, :60], variance[:60, :60] = np.nan, np.inf
    mask[:60, :60] = MaskPlane.NO_DATA
    holed = replace(
        images,
        difference=replace(
            images.difference, image=image, variance=variance, mask=mask
        ),
    )
    corners = bare.take([0, 1, 2, 3]).with_columns(
        bare.columns[:2],
        {"x": [0.0, 639.0, 30.0, 640.4], "y": [0.0, 639.0, 30.0, -0.4]},
    )
    for values in features(corners, holed).values():
        assert values.shape == (4,)
        assert not np.isinf(values).any()
