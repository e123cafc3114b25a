"""The nouns of difference imaging and of its event stream, all frozen."""

from streamdiff.model.alert import Alert
from streamdiff.model.aperture_corrections import ApertureCorrections
from streamdiff.model.area import Area
from streamdiff.model.band_statistics import BandStatistics
from streamdiff.model.catalogue_rows import NO_OBJECT, ForcedRows, SourceRows
from streamdiff.model.coadd import Coadd, CoaddInput
from streamdiff.model.coadd_psf import CoaddPsf, PsfComponent
from streamdiff.model.dia_objects import DiaObjects
from streamdiff.model.dia_sources import DETECTION_COLUMNS, Column, DiaSources
from streamdiff.model.difference import Convolved, Difference, FluxScale, Noise
from streamdiff.model.events import (
    Action,
    Provenance,
    TemplateRebuilt,
    TemplateUpdate,
    TemplateUse,
    VisitProcessed,
    VisitReady,
)
from streamdiff.model.exposure import Exposure
from streamdiff.model.ids import ExposureId, TemplateId, dia_source_ids
from streamdiff.model.kernel import MatchingKernel
from streamdiff.model.kernel_candidates import CandidateStatus, KernelCandidates
from streamdiff.model.mask import NO_PLANES, UNUSABLE, MaskPlane
from streamdiff.model.outcomes import Outcome, Reason, Skip
from streamdiff.model.preload_hint import PreloadHint
from streamdiff.model.psf import ConstantPsf, Psf, UnknownPsf
from streamdiff.model.star_list import StarList
from streamdiff.model.template import Template
from streamdiff.model.varying_psf import GridPsf, PolynomialPsf

__all__ = [
    "DETECTION_COLUMNS",
    "NO_OBJECT",
    "NO_PLANES",
    "UNUSABLE",
    "Action",
    "Alert",
    "ApertureCorrections",
    "Area",
    "BandStatistics",
    "CandidateStatus",
    "Coadd",
    "CoaddInput",
    "CoaddPsf",
    "Column",
    "ConstantPsf",
    "Convolved",
    "DiaObjects",
    "DiaSources",
    "Difference",
    "Exposure",
    "ExposureId",
    "FluxScale",
    "ForcedRows",
    "GridPsf",
    "KernelCandidates",
    "MaskPlane",
    "MatchingKernel",
    "Noise",
    "Outcome",
    "PolynomialPsf",
    "PreloadHint",
    "Provenance",
    "Psf",
    "PsfComponent",
    "Reason",
    "Skip",
    "SourceRows",
    "StarList",
    "Template",
    "TemplateId",
    "TemplateRebuilt",
    "TemplateUpdate",
    "TemplateUse",
    "UnknownPsf",
    "VisitProcessed",
    "VisitReady",
    "dia_source_ids",
]
