"""Subtractors that break one rule each, beside one that breaks none."""

import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import dataclass, replace

import numpy as np

from streamdiff.hookspecs import hookimpl
from streamdiff.model import (
    Convolved,
    Difference,
    FluxScale,
    MaskPlane,
    Noise,
)
from streamdiff.pipeline.stage import StageCalls
from streamdiff.ports import Finished
from streamdiff.testing import Scene

released = threading.Event()
kept = []


@dataclass(frozen=True, kw_only=True)
class Good:
    """Subtracts images of one seeing."""

    def subtract(self, science, template):
        self.misbehave(science, template)
        return self.altered(plain(science, template))

    def misbehave(self, science, template):
        """Do something that is not allowed."""

    def altered(self, difference):
        """Return something that is not allowed."""
        return difference


def plain(science, template):
    mask = science.mask | template.mask
    no_data = MaskPlane.NO_DATA.in_mask(mask)
    with np.errstate(invalid="ignore"):
        image = science.image - template.image
        variance = science.variance + template.variance
    return Difference(
        id=science.id,
        wcs=science.wcs,
        psf=science.psf,
        photometric=science.photometric,
        image=np.where(no_data, np.float32(0), image),
        variance=np.where(no_data, np.float32(np.inf), variance),
        mask=mask,
        flux_scale=FluxScale.TEMPLATE,
        kernel_sum=1.0,
        convolved=Convolved.NONE,
        noise=Noise.WHITE,
    )


class Raises(Good):
    def misbehave(self, science, template):
        raise KeyError("sigma")


class Exits(Good):
    def misbehave(self, science, template):
        sys.exit(3)


class EndsItsProcess(Good):
    def misbehave(self, science, template):
        os._exit(3)


class Hangs(Good):
    def misbehave(self, science, template):
        while True:
            time.sleep(0.01)


class Prints(Good):
    def misbehave(self, science, template):
        print("kernel sum 1.0")  # noqa: T201


class FiltersWarnings(Good):
    def misbehave(self, science, template):
        warnings.simplefilter("ignore", UserWarning)


class SeedsNumpy(Good):
    def misbehave(self, science, template):
        np.random.seed(1)  # noqa: NPY002


class UsesRandom(Good):
    def misbehave(self, science, template):
        random.random()  # noqa: S311


class SetsErrorState(Good):
    def misbehave(self, science, template):
        np.seterr(all="raise")


class HandlesSignals(Good):
    def misbehave(self, science, template):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


class SetsVariables(Good):
    def misbehave(self, science, template):
        os.environ["OMP_NUM_THREADS"] = "64"


class ChangesFolder(Good):
    def misbehave(self, science, template):
        os.chdir(tempfile.gettempdir())


class ConfiguresLogging(Good):
    def misbehave(self, science, template):
        logging.getLogger().setLevel(logging.DEBUG)


class ReplacesStdout(Good):
    def misbehave(self, science, template):
        sys.stdout = sys.__stderr__


class LeavesThread(Good):
    def misbehave(self, science, template):
        threading.Thread(target=released.wait, name="mine", daemon=True).start()


class LeavesFile(Good):
    def misbehave(self, science, template):
        kept.append(open(os.devnull))  # noqa: SIM115, PTH123


class WritesThroughPlane(Good):
    def misbehave(self, science, template):
        plane = template.image
        plane.flags.writeable = True
        plane -= 1
        plane.flags.writeable = False


class ReplacesPlane(Good):
    def misbehave(self, science, template):
        object.__setattr__(science, "variance", 2 * science.variance)


class MovesWcs(Good):
    def misbehave(self, science, template):
        science.wcs.wcs.crpix += 1


class ReturnsNothing(Good):
    def altered(self, difference):
        return None


class ReturnsExposure(Good):
    def subtract(self, science, template):
        return science


class ReturnsPart(Good):
    def altered(self, difference):
        cut = (slice(1, None), slice(None))
        return replace(
            difference,
            image=difference.image[cut],
            variance=difference.variance[cut],
            mask=difference.mask[cut],
        )


class ReturnsOther(Good):
    def altered(self, difference):
        return replace(
            difference, id=replace(difference.id, visit=difference.id.visit + 1)
        )


class ReturnsNan(Good):
    def altered(self, difference):
        image = difference.image.copy()
        image[..., :1] = np.nan
        return replace(difference, image=image)


class ReturnsNegativeVariance(Good):
    def altered(self, difference):
        return replace(difference, variance=-difference.variance)


@dataclass(frozen=True)
class Halved:
    """A PSF that sums to 0.5."""

    psf: object

    @property
    def shape(self):
        return self.psf.shape

    def centred_at(self, x, y):
        return self.psf.centred_at(x, y) / 2

    def at(self, x, y):
        return self.psf.at(x, y) / 2


class ReturnsHalfPsf(Good):
    def altered(self, difference):
        return replace(difference, psf=Halved(difference.psf))


class ForgetsVariance(Good):
    """Its variance is that of one image alone."""

    def altered(self, difference):
        return replace(difference, variance=difference.variance / 2)


class LosesFlux(Good):
    def altered(self, difference):
        return replace(difference, image=difference.image * np.float32(0.8))


class RollsDice(Good):
    def altered(self, difference):
        noise = np.random.default_rng().normal(size=difference.shape)
        return replace(difference, image=difference.image + np.float32(0.01) * noise)


class Remembers(Good):
    def misbehave(self, science, template):
        kept.append(np.zeros(100_000))


class DependsOnHashes(Good):
    def altered(self, difference):
        chance = hash("difference") % 1000
        return replace(difference, metrics={"chance": float(chance)})


class SharesState(Good):
    """Keeps what it works on in the class, where other threads see it."""

    def misbehave(self, science, template):
        type(self).science = science
        time.sleep(0.02)

    def altered(self, difference):
        return replace(difference, id=type(self).science.id)

    def subtract(self, science, template):
        self.misbehave(science, template)
        other = type(self).science
        return plain(other, template if other is science else other)


class CanNotBePickled(Good):
    def __getstate__(self):
        raise TypeError("holds a lock")


class RefusesNothing(Good):
    """Takes any value."""


def anything_goes(*, order=1):
    """Return a subtractor; its option has neither a type nor a sentence."""
    return Good()


def make_handler():
    """Return a handler that runs the subtractor which the value of a record names."""

    def handle(order):
        plugin = globals()[order.record.value.decode()]()
        calls = StageCalls(
            monotonic=time.monotonic,
            names={"subtract": "bad"},
            labels={"subtract": "bad bad-subtractors 1.2"},
        )
        sky = Scene(shape=(40, 50))
        calls("subtract", plugin.subtract, sky.observe(), sky.observe())
        return Finished(log={"pid": os.getpid()})

    return handle


@hookimpl
def streamdiff_subtractors():
    return {"good": Good, "hangs": Hangs, "ends_its_process": EndsItsProcess}
