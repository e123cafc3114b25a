"""From settings and plugins to pipelines: the composition root."""

from streamdiff.app.wiring.checks import check
from streamdiff.app.wiring.pipelines import (
    association,
    comparison,
    injection,
    residual_gate,
    search,
    template_cover,
    template_pipeline,
    variance_rescaling,
    visit_pipeline,
)
from streamdiff.app.wiring.places import (
    catalogue,
    exposure_source,
    rooted_files,
    sky_map,
    template_store,
)
from streamdiff.app.wiring.plugins import (
    alert_formats,
    associates,
    build,
    build_chosen,
    event_decoders,
    flavours,
    plugin_labels,
    plugin_names,
    provenance,
)

__all__ = [
    "alert_formats",
    "associates",
    "association",
    "build",
    "build_chosen",
    "catalogue",
    "check",
    "comparison",
    "event_decoders",
    "exposure_source",
    "flavours",
    "injection",
    "plugin_labels",
    "plugin_names",
    "provenance",
    "residual_gate",
    "rooted_files",
    "search",
    "sky_map",
    "template_cover",
    "template_pipeline",
    "template_store",
    "variance_rescaling",
    "visit_pipeline",
]
