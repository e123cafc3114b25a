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
