"""Detection of what changed: peaks of the significance.

Who comes from LSST's ``ImageDifferenceTask`` finds its options here, in all of the
configuration: what each became, or why there is none.

===============================  =======================================================
ImageDifferenceTask              here
===============================  =======================================================
subtract                         ``[pipeline] subtract``
convolveTemplate                 ``[plugins.subtract.al] direction``
doSubtract                       none: without a difference there is nothing to do
doDetection                      none: ``streamdiff subtract`` writes the difference
doMeasurement                    ``[pipeline] measure``: an empty list for none
doMerge                          none: both signs are one table
growFootprint                    ``[plugins.find.score_peaks] grow``
doDecorrelation                  ``[pipeline] decorrelate``
doSpatiallyVarying               ``[plugins.decorrelate.al] spatially_varying``
doScaleDiffimVariance            none: the score is divided by what it scatters beyond
                                 the variance; the planes are scaled before
doScaleTemplateVariance          ``[pipeline] rescale_variance``
doDipoleFitting                  ``[pipeline] measure``
doForcedMeasurement              ``[pipeline] measure``
doApCorr                         none: `aperture_flux` always corrects
doApplyFinalizedPsf              none: a PSF comes with the event, ``psf_uri``
doSkySources                     ``[pipeline] sky_sources``
doMatchSources                   ``[pipeline] match_own_stars``
diaSourceMatchRadius             ``[pipeline] match_radius_arcsec``
doSelectSources                  ``[plugins.subtract.al] candidates_from``
doSelectDcrCatalog               none: candidates that do not fit are rejected
doSelectVariableCatalog          none: candidates that do not fit are rejected
controlStepSize                  ``[plugins.subtract.al] control_step``
controlRandomSeed                none: every n-th candidate, which needs no seed
doUseRegister                    ``[pipeline] register``
doDebugRegister                  none: offsets are metrics of each visit
templateSipOrder                 ``[plugins.register.stars] max_order``
kernelSourcesFromRef             ``[plugins.subtract.al] candidates_from``
useScoreImageDetection           none: the score is what is searched, always
useGaussianForPreConvolution     none: the PSF itself is the matched filter
doPreConvolve                    ``[plugins.subtract.al] direction``
doAddCalexpBackground            ``[plugins.read.fits] restore_sky``
doAddMetrics                     none: metrics are in every visit-processed
requiredTemplateFraction         ``[pipeline] min_template_coverage``
doWriteSubtractedExp             ``[output] differences``
doWriteSources                   ``[output] differences``: the table DIASOURCES
doWriteWarpedExp                 none: ``[output] qa`` shows the template
doWriteMatchedExp                ``[output] differences``: MATCHED_TEMPLATE
doWriteScoreExp                  ``[output] differences``: SCORE
detection.thresholdValue         ``[plugins.find.score_peaks] threshold``
detection.thresholdPolarity      none: both
detection.reEstimateBackground   ``[plugins.find.score_peaks] background_box``
coaddName                        none: the event's ``template_name``
fitForBackground                 ``[plugins.subtract.al] background_order``
spatialKernelOrder               ``[plugins.subtract.al] kernel_order``
spatialBgOrder                   ``[plugins.subtract.al] background_order``
base_PeakLikelihoodFlux          none: the column ``snr`` of every DiaSource
ext_trailedSources_Naive         ``[pipeline] measure``
base_LocalPhotoCalib             ``[pipeline] measure``
base_LocalWcs                    ``[pipeline] measure``
sattle allow-list                ``[filters] min_reliability``: ask the service in a
                                 scorer of your own; LSST's is not public
===============================  =======================================================
"""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import SourceFinder
from streamdiff_detection.score_peaks import ScorePeaksFinder

__all__ = ["ScorePeaksFinder", "streamdiff_source_finders"]


@hookimpl
def streamdiff_source_finders() -> Mapping[str, Callable[..., SourceFinder]]:
    """Offer ``score_peaks``."""
    return {"score_peaks": ScorePeaksFinder}
