"""From a difference to DiaSources: found, measured, judged, sorted out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources, VisitReady
from streamdiff.pipeline.alerts import identified
from streamdiff.pipeline.filters import Filters
from streamdiff.pipeline.match_stars import StarMatching
from streamdiff.pipeline.result import Products
from streamdiff.pipeline.results import (
    checked_detections,
    checked_reliability,
    with_measured,
)
from streamdiff.pipeline.sky_sources import (
    SkySources,
    sky_metrics,
    with_sky_sources,
)
from streamdiff.pipeline.stage import StageCalls
from streamdiff.stages import Images, Measurer, Scorer, SourceFinder

RELIABILITY = Column("reliability", "f4", "", "Machine score: 0 bogus, 1 real")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Searches a difference, stage by stage.

    Attributes
    ----------
    find : SourceFinder
    measure : mapping of str to Measurer
        By name, in the order in which they run.
    score : Scorer or None
    match : StarMatching
    filters : Filters
        What is kept becomes alerts.
    sky_sources : SkySources
        They are measured and scored, but by themselves: rows of glints, say, are
        sought among DiaSources alone.
    """

    find: SourceFinder
    measure: Mapping[str, Measurer]
    score: Scorer | None = None
    match: StarMatching = field(default_factory=StarMatching)
    filters: Filters = field(default_factory=Filters)
    sky_sources: SkySources = field(default_factory=SkySources)

    def run(
        self, event: VisitReady, images: Images, calls: StageCalls
    ) -> tuple[Products, Mapping[str, float]]:
        """Return what was found, and metrics of matched stars and of the sky.

        Raises
        ------
        UnprocessableError, RetryableError
            If a stage fails.
        """
        found = calls("find", self.find.find, images.difference)
        with calls.judging("find") as plugin:
            difference, sources = checked_detections(plugin, found, images.difference)
        images = replace(images, difference=difference)
        sources = self._judged(sources, images, calls)
        sources, counts = calls("match", self.match, sources, images.science)
        sources = identified(event, sources, difference.wcs)
        kept, dropped = calls(
            "filter", self.filters, sources, images.science.exposure_time_s
        )
        sky = calls("sky_sources", self.sky_sources.place, difference)
        if len(sky):
            sky = self._judged(sky, images, calls)
            counts = {**counts, **sky_metrics(sky)}
            dropped = with_sky_sources(dropped, event, sky, difference.wcs)
        return Products(images=images, sources=kept, filtered=dropped), counts

    def _judged(
        self, sources: DiaSources, images: Images, calls: StageCalls
    ) -> DiaSources:
        return self._scored(self._measured(sources, images, calls), images, calls)

    def _measured(
        self, sources: DiaSources, images: Images, calls: StageCalls
    ) -> DiaSources:
        for name, measurer in self.measure.items():
            stage = f"measure.{name}"
            columns, values = calls(stage, _measured, measurer, sources, images)
            with calls.judging(stage) as plugin:
                sources = with_measured(plugin, sources, columns, values)
        return sources

    def _scored(
        self, sources: DiaSources, images: Images, calls: StageCalls
    ) -> DiaSources:
        if self.score is None:
            return sources
        values = calls("score", self.score.score, sources, images)
        with calls.judging("score") as plugin:
            values = checked_reliability(plugin, values)
            return with_measured(
                plugin, sources, (RELIABILITY,), {RELIABILITY.name: values}
            )


def _measured(
    measurer: Measurer, sources: DiaSources, images: Images
) -> tuple[tuple[Column, ...], Mapping[str, NDArray[Any]]]:
    """Return columns and values, both of them the plugin's."""
    return measurer.columns, measurer.measure(sources, images)
