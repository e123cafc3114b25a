"""The tables of the configuration, and the keys of each."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Table(BaseModel):
    """One table of the configuration: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeadLetterLimit(Table):
    """When to stop instead of sending everything to the dead-letter topic."""

    ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    consecutive: Count = 20


class StreamSettings(Table):
    """Where events come from and results go to."""

    transport: Literal["kafka", "embedded", "memory"] = Field(
        "kafka", description="kafka | embedded (inside this process) | memory"
    )
    brokers: str = Field("", description="host:port,... ; required for kafka")
    group: str = Field("streamdiff", min_length=1, description="consumer group")
    topic_prefix: str = Field("streamdiff.", description="first part of every topic")
    input_prefix: str = Field(
        "", description="of the topics that are read, where it is another: a shadow's"
    )
    instance: str = Field(
        "", description="name of this member, kept over restarts; empty: a new one"
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="exactly_once (on Kafka; others repeat at times) | at_least_once",
    )
    workers: Count = Field(2, description="visits in work at the same time")
    threads: Count = Field(
        1, description="threads of one visit: its images are large, or workers few"
    )
    only: Literal["all", "visits", "templates"] = Field(
        "all", description="all | visits | templates"
    )
    visit_timeout_s: Positive = Field(300, description="then its worker is killed")
    template_timeout_s: Positive = Field(1800, description="the same for a rebuild")
    drain_timeout_s: Positive = Field(60, description="time to finish on SIGTERM")
    max_attempts: Count = Field(3, description="then the event is a dead letter")
    stale_after_s: Annotated[float, Field(ge=0)] = Field(
        0, description="skip older events; 0 = never"
    )
    dead_letter_limit: DeadLetterLimit = Field(
        DeadLetterLimit(), description="stop instead of failing everything"
    )
    worker_max_events: Annotated[int, Field(ge=0)] = Field(
        500, description="then a worker is replaced by a fresh one; 0 = never"
    )
    worker_max_mib: Annotated[int, Field(ge=0)] = Field(
        0, description="the same, once it keeps more memory; 0 = no limit"
    )
    http: str = Field(
        "127.0.0.1:8080", description="/livez /readyz /metrics; empty for none"
    )
    event_decoders: tuple[str, ...] = Field(
        (), description="plugins that read foreign messages"
    )
    kafka: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,  # it may hold secrets
        description="settings of librdkafka, passed through; KEY_file reads a secret",
    )

    registry: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,  # it may hold secrets
        description="Schema Registry of the alerts: url, and settings of its client; "
        "KEY_file reads a secret",
    )

    @property
    def is_exactly_once(self) -> bool:
        """Return whether results and offsets are sent in transactions.

        The embedded broker takes them, and does not do what they mean.
        """
        return self.delivery == "exactly_once" and self.transport == "kafka"


class SkyMapSettings(Table):
    """Division of the sky into tracts and patches."""

    nside_order: Annotated[int, Field(ge=0, le=10)] = 5
    patch_pixels: Annotated[int, Field(ge=64)] = 4096
    pixel_scale_arcsec: Positive = 0.2
    overlap_pixels: Annotated[int, Field(ge=0)] = 100
    tiles: str = Field(
        "", description="FITS file, one header per patch, in place of all this"
    )


class FlavourSettings(Table):
    """How templates of one name are coadded, where it is not as all are."""

    coadd: str = Field("", description="plugin; empty for that of [pipeline]")
    options: dict[str, Any] = Field(
        default_factory=dict, description="over those in [plugins.coadd.<name>]"
    )


class StoreSettings(Table):
    """Where templates are kept."""

    uri: str = Field("", description="file:///... or s3://... ; required")
    cache_mib: Annotated[int, Field(ge=0)] = Field(
        2048, description="temporary files for loaded templates, per worker"
    )
    keep_versions: Annotated[int, Field(ge=0)] = Field(
        0, description="of each template, the newest; 0: all"
    )
    keep_retired: bool = Field(
        default=True, description="versions of retired templates, for pinned visits"
    )
    skymap: SkyMapSettings = Field(
        SkyMapSettings(), description="tracts are HEALPix pixels"
    )
    flavours: dict[str, FlavourSettings] = Field(
        default_factory=dict,
        description="by template_name: good_seeing = { options = { ... } }",
    )


class InputSettings(Table):
    """Which files events may name."""

    roots: tuple[str, ...] = Field(
        (), description="URIs outside these are refused; none allows none"
    )
    max_image_mib: Count = Field(2048, description="larger files are refused")


class CatalogueSettings(Table):
    """Where DiaObjects and their history are kept."""

    url: str = Field(
        "sqlite:///streamdiff.db",
        description="or postgresql+psycopg://...; untouched while associate = 'none'; "
        "url_file reads it from a file",
        repr=False,  # it may hold a password
    )
    timeout_s: Positive = Field(60, description="to wait for connection and locks")
    history_days: Annotated[float, Field(ge=0)] = Field(
        365, description="how far back alerts tell of their DiaObject"
    )
    forced_photometry: bool = Field(
        default=True, description="fluxes at all known DiaObjects, of every visit"
    )
    ephemerides: str = Field(
        "",
        description="table of solar-system objects: ssObjectId, mjd_tai, ra, dec",
    )


class InjectionSettings(Table):
    """Synthetic sources, in a second run over a part of all visits."""

    fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0, description="of the visits; a visit that gets sources takes twice as long"
    )
    n: Count = Field(50, description="sources per image")
    scale: Literal["snr", "flux", "mag"] = Field(
        "snr", description="of the brightness: snr | flux | mag"
    )
    low: float = 3.0
    high: float = 30.0
    seed: int = 0


class OutputSettings(Table):
    """What is kept in files, beside the stream."""

    directory: str = Field("", description="where to; empty for nothing")
    alerts: bool = Field(default=True, description="an Avro container per visit")
    differences: bool = Field(default=False, description="a difference FITS per visit")
    qa: bool = Field(
        default=False, description="a page and tables on the matching, per visit"
    )
    filtered: bool = Field(
        default=False, description="a FITS table per visit of what [filters] dropped"
    )


class PipelineSettings(Table):
    """Which plugin does what."""

    read: str = "fits"
    psf: str = "empirical"
    register_: str = Field("none", alias="register")
    warp: str = "lanczos"
    subtract: str = "al"
    decorrelate: str = "al"
    find: str = "score_peaks"
    measure: tuple[str, ...] = (
        "psf_flux",
        "aperture_flux",
        "centroid",
        "moments",
        "dipole",
        "trail",
        "forced_flux",
        "extendedness",
        "pixel_flags",
        "local_calibration",
        "glint",
    )
    score: str = "none"
    associate: str = "none"
    coadd: str = "compare_warp"
    formats: tuple[str, ...] = ("streamdiff",)
    flux_scale: Literal["template", "science"] = Field(
        "template", description="template: light curves are on one scale | science"
    )
    min_template_coverage: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="smallest covered fraction of an image"
    )
    rescale_variance: Literal["none", "science", "template", "both"] = Field(
        "both",
        description="to the scatter of the sky: none | science | template | both",
    )
    max_variance_scale: Annotated[float, Field(gt=1)] = Field(
        10, description="planes that are wrong by more fail the visit"
    )
    mask_cosmic_rays: bool = Field(
        True, description="of the science image, before it is matched"
    )
    max_residual_mean: Positive = Field(
        0.2, description="what is left of stars, over their light; more fails the visit"
    )
    max_residual_stdev: Positive = Field(
        0.4, description="the same for its scatter from star to star"
    )
    sky_sources: Annotated[int, Field(ge=0)] = Field(
        0, description="empty places that are measured like DiaSources, for metrics"
    )
    match_radius_arcsec: Annotated[float, Field(ge=0)] = Field(
        0.5, description="of DiaSources to stars of the catalogue; 0: no matching"
    )
    match_own_stars: bool = Field(
        default=False, description="match the stars of the science image itself, too"
    )

    def name(self, kind: str) -> str:
        """Return the plugin chosen for a kind that has one plugin."""
        chosen: str = getattr(self, "register_" if kind == "register" else kind)
        return chosen


class FilterSettings(Table):
    """Which DiaSources become no alerts."""

    bad_flags: tuple[str, ...] = Field(
        (), description="columns none of which may be true, as pixelFlags_badCenter"
    )
    max_trail_rate_arcsec_s: Positive = Field(
        0.41667, description="longer trails are satellites; inf: none is"
    )
    min_science_snr: float = Field(
        float("-inf"), description="of the flux on the science image, such as -2"
    )
    min_reliability: Annotated[float, Field(ge=0, le=1)] = Field(
        0, description="of DiaSources with a score"
    )
