"""LSST's assertions on coadds, re-created: AssembleCoadd and CompareWarp."""

from dataclasses import replace
from functools import cache

import numpy as np

from streamdiff.model import MaskPlane, TemplateId
from streamdiff.testing import CosmicRays, GaussianProfile, Scene
from streamdiff_coadd import CompareWarpCoadder, MeanCoadder

TEMPLATE = TemplateId(tract=1, patch=2, band="r")
SHAPE = (301, 201)


@cache
def epochs():
    """Return 10 epochs of 37 stars on a level sky, of seeing 1.5 to 3 px in sigma."""
    rng = np.random.default_rng(5)
    scene = Scene.star_field(shape=SHAPE, density_per_mpx=37e6 / np.prod(SHAPE), seed=5)
    warps = []
    for epoch, sigma in enumerate(np.linspace(1.5, 3.0, 10)):
        warp = scene.observe(
            visit=epoch + 1,
            seed=epoch,
            profile=GaussianProfile(fwhm=2.355 * sigma),
            noise=rng.uniform(1, 5),
            artifacts=(CosmicRays(n=2),),
        )
        mask = np.array(warp.mask)
        mask[epoch * 20 :, :3] |= MaskPlane.NO_DATA
        mask[40, 50 : 50 + epoch] |= MaskPlane.SAT
        warps.append(replace(warp, image=warp.image + np.float32(314.592), mask=mask))
    return warps


def batch_mean(warps, inputs, used):
    """Return the mean of all warps and its variance, at once and in float64."""
    weights = np.array([i.weight for i in inputs])[:, np.newaxis, np.newaxis] * used
    images, noise = (
        np.where(used, np.array(planes, float), 0)
        for planes in ([w.image for w in warps], [w.variance for w in warps])
    )
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights * images).sum(axis=0) / total
        variance = (weights**2 * noise).sum(axis=0) / total**2
    return mean, variance, total == 0


def test_the_running_mean_is_the_mean_of_all_at_once():
    coadd = MeanCoadder(input_map=True).coadd(TEMPLATE, epochs())
    used = np.array([coadd.uses(n) for n in range(10)])
    mean, variance, empty = batch_mean(epochs(), coadd.inputs, used)
    exposure = coadd.exposure
    np.testing.assert_allclose(exposure.image[~empty], mean[~empty], rtol=0, atol=1e-3)
    # Twenty roundings of float32, 6e-8 each, add up like a walk at random.
    np.testing.assert_allclose(exposure.variance[~empty], variance[~empty], rtol=1e-6)
    np.testing.assert_array_equal(empty, MaskPlane.NO_DATA.in_mask(exposure.mask))


def test_the_flags_of_the_running_mean_are_those_of_all_at_once():
    coadd = MeanCoadder(input_map=True).coadd(TEMPLATE, epochs())
    sat = MaskPlane.SAT
    lost = np.array([sat.in_mask(w.mask) for w in epochs()])
    offered = np.array([w.usable(MaskPlane.NO_DATA) for w in epochs()]) | lost
    weights = np.array([i.weight for i in coadd.inputs])[:, np.newaxis, np.newaxis]
    expected = (weights * lost).sum(axis=0) > 0.1 * (weights * offered).sum(axis=0)
    assert expected.any()
    np.testing.assert_array_equal(sat.in_mask(coadd.exposure.mask), expected)
    rejected = MaskPlane.REJECTED.in_mask(coadd.exposure.mask)
    np.testing.assert_array_equal(rejected, lost.any(axis=0))


def test_compare_warp_is_the_mean_without_the_artifacts():
    compared = CompareWarpCoadder(input_map=True).coadd(TEMPLATE, epochs())
    assert compared.metrics["clipped_fraction"] > 0
    cleaned = [
        replace(w, mask=np.where(compared.uses(n), w.mask, w.mask | MaskPlane.BAD))
        for n, w in enumerate(epochs())
    ]
    # The weights are those of the pixels before any was clipped.
    mean = _mean_of_weights(cleaned, epochs())
    np.testing.assert_array_equal(compared.exposure.image, mean.exposure.image)
    np.testing.assert_array_equal(compared.exposure.variance, mean.exposure.variance)
    np.testing.assert_array_equal(compared.n_image, mean.n_image)


def _mean_of_weights(cleaned, offered):
    """Return the mean of the pixels of one stack, with the weights of another."""

    class Given(MeanCoadder):
        def fill(self, mean, stack):
            for item, warp in zip(stack.inputs, cleaned, strict=True):
                mean.add(item, clipped=MaskPlane.BAD.in_mask(warp.mask))

    return Given().coadd(TEMPLATE, offered)


def test_the_input_map_shows_where_one_epoch_is_missing():
    warps = [Scene(shape=SHAPE).observe(visit=n + 1, seed=n) for n in range(10)]
    mask = np.array(warps[6].mask)
    box = np.s_[50:150, 30:130]
    mask[box] |= MaskPlane.BAD
    warps[6] = replace(warps[6], mask=mask)
    coadd = MeanCoadder(input_map=True).coadd(TEMPLATE, warps)
    for number in range(10):
        missing = ~coadd.uses(number)
        expected = np.zeros(SHAPE, bool)
        expected[box] = number == 6
        np.testing.assert_array_equal(missing, expected)
