"""From a science exposure and its template to what changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from streamdiff.imaging.quality import quality, star_quality
from streamdiff.model import (
    Column,
    DiaSources,
    Difference,
    Exposure,
    FluxScale,
    Outcome,
    Provenance,
    Reason,
    Skip,
    Template,
    VisitReady,
)
from streamdiff.pipeline.alerts import identified, make_alerts
from streamdiff.pipeline.rescale import VarianceRescaling
from streamdiff.pipeline.result import Products, VisitResult
from streamdiff.pipeline.stage import (
    StageCalls,
    checked_detections,
    checked_difference,
    checked_registration,
    with_measured,
)
from streamdiff.stages import (
    Associator,
    Decorrelator,
    Images,
    Measurer,
    Registrar,
    Scorer,
    SourceFinder,
    Subtractor,
)

RELIABILITY = Column("reliability", "f4", "", "Machine score: 0 bogus, 1 real")
OBJECT_ID = Column("diaObjectId", "i8", "", "Identifier of the DiaObject; 0: none")

# Gives the template on the pixels of an exposure.
Cover = Callable[[Exposure], Template | Skip]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Compares an exposure with its template, stage by stage.

    Attributes
    ----------
    subtract : Subtractor
    find : SourceFinder
    measure : mapping of str to Measurer
        By name, in the order in which they run.
    register : Registrar or None
    decorrelate : Decorrelator or None
    score : Scorer or None
    associate : Associator or None
    rescale : VarianceRescaling
        Of the variance planes, before the images are matched.
    min_template_coverage : float
        Smallest covered fraction of an image, in [0, 1].
    flux_scale : FluxScale
        Whose scale differences and their fluxes are brought to.
    provenance : Provenance
    """

    subtract: Subtractor
    find: SourceFinder
    measure: Mapping[str, Measurer]
    register: Registrar | None = None
    decorrelate: Decorrelator | None = None
    score: Scorer | None = None
    associate: Associator | None = None
    rescale: VarianceRescaling = field(default_factory=VarianceRescaling)
    min_template_coverage: float
    flux_scale: FluxScale
    provenance: Provenance

    def run(
        self, event: VisitReady, science: Exposure, cover: Cover, calls: StageCalls
    ) -> VisitResult:
        """Return the outcome and the alerts of one exposure.

        Raises
        ------
        UnprocessableError
            If it fails for good.
        RetryableError
            If it may succeed a little later.
        """
        template = calls("template", cover, science)
        if not isinstance(template, Skip):
            template = self._covering(template)
        if isinstance(template, Skip):
            return VisitResult.skipped(event, template, calls.seconds)
        metrics = {"template_coverage": template.coverage}
        if science.stars is not None:
            metrics["n_catalogue_stars"] = float(len(science.stars))
        if self.register is not None:
            template, offsets = self._registered(
                self.register, science, template, cover, calls
            )
            metrics.update(offsets)
        science, sky, factors = calls(
            "rescale", self.rescale, science, template.exposure
        )
        metrics.update(factors)
        difference = self._difference(science, sky, calls)
        if isinstance(difference, Skip):
            return VisitResult.skipped(event, difference, calls.seconds)
        products = self._products(event, science, sky, difference, calls)
        difference = products.images.difference
        metrics.update(calls("quality", quality, difference, science, sky))
        alerts = calls(
            "alerts",
            make_alerts,
            event,
            products.sources,
            products.images,
            template.uses,
            self.provenance,
        )
        return VisitResult(
            event=event,
            outcome=Outcome.PROCESSED,
            alerts=alerts,
            metrics=metrics | dict(difference.metrics),
            stage_seconds=dict(calls.seconds),
            templates=template.uses,
            products=products,
        )

    def _covering(self, template: Template) -> Template | Skip:
        if template.coverage >= self.min_template_coverage:
            return template
        return Skip(
            Reason.INSUFFICIENT_TEMPLATE_COVERAGE,
            f"the template covers {template.coverage:.1%} of the image, "
            f"{self.min_template_coverage:.1%} are required",
        )

    def _registered(
        self,
        registrar: Registrar,
        science: Exposure,
        template: Template,
        cover: Cover,
        calls: StageCalls,
    ) -> tuple[Template, Mapping[str, float]]:
        """Return the template warped anew, onto the corrected WCS."""
        result = calls("register", registrar.register, science, template.exposure)
        found = checked_registration(calls.name("register"), result)
        if found.wcs is science.wcs:
            return template, found.metrics
        moved = calls("template", cover, replace(science, wcs=found.wcs))
        if isinstance(moved, Skip):
            return template, found.metrics
        exposure = replace(moved.exposure, wcs=science.wcs)
        return replace(moved, exposure=exposure), found.metrics

    def _difference(
        self, science: Exposure, template: Exposure, calls: StageCalls
    ) -> Difference | Skip:
        result = calls("subtract", self.subtract.subtract, science, template)
        if isinstance(result, Skip):
            return result
        difference = checked_difference(calls.name("subtract"), science, result)
        residuals = calls("quality", star_quality, difference, science)
        if self.decorrelate is not None:
            result = calls(
                "decorrelate",
                self.decorrelate.decorrelate,
                difference,
                science,
                template,
            )
            difference = checked_difference(calls.name("decorrelate"), science, result)
        difference = replace(difference, metrics={**difference.metrics, **residuals})
        return difference.on_scale(self.flux_scale)

    def _products(
        self,
        event: VisitReady,
        science: Exposure,
        template: Exposure,
        difference: Difference,
        calls: StageCalls,
    ) -> Products:
        found = calls("find", self.find.find, difference)
        difference, sources = checked_detections(calls.name("find"), found)
        images = Images(difference=difference, science=science, template=template)
        sources = self._scored(self._measured(sources, images, calls), images, calls)
        sources = identified(event, sources, difference.wcs)
        return Products(images=images, sources=self._associated(sources, images, calls))

    def _measured(
        self, sources: DiaSources, images: Images, calls: StageCalls
    ) -> DiaSources:
        for name, measurer in self.measure.items():
            values = calls(f"measure.{name}", measurer.measure, sources, images)
            sources = with_measured(name, sources, measurer.columns, values)
        return sources

    def _scored(
        self, sources: DiaSources, images: Images, calls: StageCalls
    ) -> DiaSources:
        if self.score is None:
            return sources
        values = calls("score", self.score.score, sources, images)
        return with_measured(
            calls.name("score"), sources, (RELIABILITY,), {"reliability": values}
        )

    def _associated(
        self, sources: DiaSources, images: Images, calls: StageCalls
    ) -> DiaSources:
        if self.associate is None:
            return sources
        values = calls("associate", self.associate.associate, sources, images)
        return with_measured(
            calls.name("associate"), sources, (OBJECT_ID,), {OBJECT_ID.name: values}
        )
