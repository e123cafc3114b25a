"""Every option of LSST's ImageDifferenceTask has a counterpart, or a reason why not."""

import re
from functools import cache

import pytest

import streamdiff_detection
from streamdiff.app.environment import find_plugins
from streamdiff.config import Settings

# All that its documentation lists, and the plugins of measurement that it adds.
OPTIONS = """
subtract convolveTemplate doSubtract doDetection doMeasurement doMerge growFootprint
doDecorrelation doSpatiallyVarying doScaleDiffimVariance doScaleTemplateVariance
doDipoleFitting doForcedMeasurement doApCorr doApplyFinalizedPsf doSkySources
doMatchSources diaSourceMatchRadius doSelectSources doSelectDcrCatalog
doSelectVariableCatalog controlStepSize controlRandomSeed doUseRegister doDebugRegister
templateSipOrder kernelSourcesFromRef useScoreImageDetection
useGaussianForPreConvolution doPreConvolve doAddCalexpBackground doAddMetrics
requiredTemplateFraction doWriteSubtractedExp doWriteSources doWriteWarpedExp
doWriteMatchedExp doWriteScoreExp detection.thresholdValue detection.thresholdPolarity
detection.reEstimateBackground coaddName fitForBackground spatialKernelOrder
spatialBgOrder base_PeakLikelihoodFlux ext_trailedSources_Naive base_LocalPhotoCalib
base_LocalWcs
"""
ROW = re.compile(r"^(\S.*?)  +(\S.*)$")
KEY = re.compile(r"``\[(\S+)\] (\w+)``")


def rows():
    """Return what each option became."""
    lines = streamdiff_detection.__doc__.splitlines()
    _, title, last = (n for n, line in enumerate(lines) if line.startswith("==="))
    matches = (ROW.match(line) for line in lines[title + 1 : last])
    return dict(match.groups() for match in matches if match)


def test_every_option_is_listed():
    assert set(OPTIONS.split()) <= set(rows())


@pytest.mark.parametrize(("option", "became"), rows().items())
def test_what_it_became_exists(option, became):
    if became.startswith("none: "):
        assert len(became) > len("none: ")
        return
    table, key = KEY.match(became).groups()
    assert key in keys(table), f"{option}: [{table}] has no {key}"


@cache
def registry():
    return find_plugins()


def keys(table):
    if table.startswith("plugins."):
        _, kind, name = table.split(".")
        return registry().get(kind, name).options.model_fields
    settings = Settings.model_fields[table].annotation
    return {field.alias or name for name, field in settings.model_fields.items()}
