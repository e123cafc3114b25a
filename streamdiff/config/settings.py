"""All settings together: what holds between tables."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from streamdiff.config.tables import (
    CatalogueSettings,
    FilterSettings,
    InjectionSettings,
    InputSettings,
    OutputSettings,
    PipelineSettings,
    StoreSettings,
    StreamSettings,
    Table,
)
from streamdiff.errors import ConfigError


class Settings(Table):
    """The whole configuration."""

    stream: StreamSettings = Field(default_factory=StreamSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    input: InputSettings = Field(default_factory=InputSettings)
    output: OutputSettings = Field(default_factory=OutputSettings)
    pipeline: PipelineSettings = Field(default_factory=PipelineSettings)
    injection: InjectionSettings = Field(default_factory=InjectionSettings)
    filters: FilterSettings = Field(default_factory=FilterSettings)
    catalogue: CatalogueSettings = Field(default_factory=CatalogueSettings)
    plugins: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _plugin_tables_have_a_kind(self) -> Self:
        unknown = sorted(set(self.plugins) - PLUGIN_TABLES)
        if unknown:
            raise ValueError(
                f"[plugins.{unknown[0]}]: kinds are {', '.join(sorted(PLUGIN_TABLES))}"
            )
        return self

    def options(self, kind: str, name: str) -> Mapping[str, Any]:
        """Return the options that the configuration gives to a plugin."""
        return self.plugins.get(kind, {}).get(name, {})

    @property
    def config_hash(self) -> str:
        """Return 16 hexadecimal digits that change with what changes results."""
        relevant = self.model_dump(
            mode="json",
            include={
                "pipeline": True,
                "filters": True,
                "plugins": True,
                "store": {"flavours"},
                "catalogue": {"history_days", "forced_photometry", "ephemerides"},
            },
        )
        text = json.dumps(relevant, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def require_brokers(self) -> None:
        """Check that a Kafka cluster is named.

        Raises
        ------
        ConfigError
            If none is.
        """
        if not self.stream.brokers:
            raise ConfigError(
                "[stream] brokers: required, such as brokers = 'host:9092'"
            )

    def require_service(self) -> None:
        """Check that the keys without a default have a value.

        Raises
        ------
        ConfigError
            If one has not.
        """
        if self.stream.transport == "kafka":
            self.require_brokers()
        if not self.store.uri:
            raise ConfigError(
                "[store] uri: required, such as uri = 'file:///var/lib/templates'"
            )


PLUGIN_TABLES = frozenset(
    {*PipelineSettings.model_fields}
    - {"flux_scale", "min_template_coverage"}
    - {"rescale_variance", "max_variance_scale", "mask_cosmic_rays"}
    - {"max_residual_mean", "max_residual_stdev", "sky_sources"}
    - {"match_radius_arcsec", "match_own_stars"}
    - {"register_"}
) | {"register", "decode"}
