"""The packet that is published for one DiaSource."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamdiff.model.events import Provenance, TemplateUse
from streamdiff.model.exposure import Exposure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alert:
    """A DiaSource with its surroundings and what made it.

    Attributes
    ----------
    event_id : str
        The visit-ready event.
    dia_source : mapping of str to value
        One row of `DiaSources`, plus the fields of the exposure; `None` where
        a value is missing.
    dia_object : mapping of str to value, or None
        Summary of the DiaObject that the DiaSource belongs to.
    prv_dia_sources : tuple of mapping of str to value
        Earlier DiaSources of the DiaObject, by time.
    prv_dia_forced_sources : tuple of mapping of str to value
        Fluxes forced at the position of the DiaObject, by time.
    ss_source : mapping of str to value, or None
        The DiaSource as a known object of the solar system.
    cutout_difference, cutout_science, cutout_template : Exposure or None
        Stamps centred on the DiaSource, each with its own local WCS and PSF;
        parts outside the image are NO_DATA.
    templates : tuple of TemplateUse
    provenance : Provenance
    photometric : bool
        Whether fluxes are in nJy; in image units otherwise.
    """

    event_id: str
    dia_source: Mapping[str, Any]
    cutout_difference: Exposure | None
    cutout_science: Exposure | None
    cutout_template: Exposure | None
    templates: tuple[TemplateUse, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    photometric: bool = True
    dia_object: Mapping[str, Any] | None = None
    prv_dia_sources: tuple[Mapping[str, Any], ...] = ()
    prv_dia_forced_sources: tuple[Mapping[str, Any], ...] = ()
    ss_source: Mapping[str, Any] | None = None
