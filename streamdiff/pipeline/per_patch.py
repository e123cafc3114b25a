"""What a template-update event asks of each patch."""

from collections.abc import Sequence
from dataclasses import replace

from astropy.wcs import WCS

from streamdiff.imaging.skymap import Tessellation
from streamdiff.model import TemplateUpdate

Footprint = tuple[WCS, tuple[int, int]]


def per_patch(
    event: TemplateUpdate,
    footprints: Sequence[Footprint | None],
    skymap: Tessellation,
) -> tuple[TemplateUpdate, ...]:
    """Return one event per patch that the exposures of an event touch.

    Parameters
    ----------
    event : TemplateUpdate
    footprints : sequence of (WCS, shape) or None
        Of the event's exposures, in their order; `None` counts for every patch.
    skymap : Tessellation

    Returns
    -------
    tuple of TemplateUpdate
        Ordered by tract and patch, each with the exposures that touch it.
    """
    touched = [
        None if footprint is None else set(skymap.patches_touching(*footprint))
        for footprint in footprints
    ]
    keys = sorted(set().union(*(keys for keys in touched if keys is not None)))
    return tuple(
        replace(
            event,
            event_id=f"{event.event_id}/{tract}/{patch}",
            tract=tract,
            patch=patch,
            exposures=tuple(
                visit
                for visit, keys in zip(event.exposures, touched, strict=True)
                if keys is None or (tract, patch) in keys
            ),
        )
        for tract, patch in keys
    )
