"""From a science exposure and its template to what changed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from streamdiff.errors import UnprocessableError
from streamdiff.imaging.quality import quality, star_quality
from streamdiff.model import (
    DiaSources,
    Difference,
    Exposure,
    FluxScale,
    Outcome,
    Provenance,
    Reason,
    Skip,
    Template,
    TemplateUse,
    VisitReady,
)
from streamdiff.pipeline.alerts import make_alerts
from streamdiff.pipeline.cosmic_rays import CosmicRayMasking
from streamdiff.pipeline.filters import count_reasons
from streamdiff.pipeline.gate import BadDifferenceError, ResidualGate
from streamdiff.pipeline.rescale import VarianceRescaling
from streamdiff.pipeline.result import Products, VisitResult
from streamdiff.pipeline.results import checked_difference, checked_registration
from streamdiff.pipeline.search import Search
from streamdiff.pipeline.stage import StageCalls
from streamdiff.stages import Decorrelator, Images, Registrar, Subtractor

# Gives the template on the pixels of an exposure.
Cover = Callable[[Exposure], Template | Skip]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Compares an exposure with its template, stage by stage.

    Attributes
    ----------
    subtract : Subtractor
    search : Search
        For what changed.
    register : Registrar or None
    decorrelate : Decorrelator or None
    rescale : VarianceRescaling
        Of the variance planes, before the images are matched.
    cosmic_rays : CosmicRayMasking
        Of the science image, after that.
    gate : ResidualGate
        What the difference may leave of stars.
    min_template_coverage : float
        Smallest covered fraction of an image, in [0, 1].
    flux_scale : FluxScale
        Whose scale differences and their fluxes are brought to.
    provenance : Provenance
    """

    subtract: Subtractor
    search: Search
    register: Registrar | None = None
    decorrelate: Decorrelator | None = None
    rescale: VarianceRescaling = field(default_factory=VarianceRescaling)
    cosmic_rays: CosmicRayMasking = field(default_factory=CosmicRayMasking)
    gate: ResidualGate = field(default_factory=ResidualGate)
    min_template_coverage: float
    flux_scale: FluxScale
    provenance: Provenance

    def run(
        self, event: VisitReady, science: Exposure, cover: Cover, calls: StageCalls
    ) -> VisitResult:
        """Return the outcome and the alerts of one exposure.

        Planes that are replaced take memory only as long as the caller holds the
        exposure.

        Raises
        ------
        UnprocessableError
            If it fails for good.
        RetryableError
            If it may succeed a little later.
        """
        metrics: dict[str, float] = {}
        with _told_by_errors(metrics):
            covered = self._covered(science, cover, calls, metrics)
            if isinstance(covered, Skip):
                return VisitResult.skipped(event, covered, calls.seconds)
            sky, uses = covered
            del covered
            science, sky = self._prepared(science, sky, calls, metrics)
            difference = self._difference(science, sky, calls)
            if isinstance(difference, Skip):
                return VisitResult.skipped(event, difference, calls.seconds)
            metrics.update(difference.metrics)
            metrics.update(calls("quality", quality, difference, science, sky))
            images = Images(difference=difference, science=science, template=sky)
            self._require_good(event, images, uses, calls, metrics)
            products, counts = self.search.run(event, images, calls)
            return self._processed(event, products, uses, calls, {**metrics, **counts})

    def _covered(
        self,
        science: Exposure,
        cover: Cover,
        calls: StageCalls,
        metrics: dict[str, float],
    ) -> tuple[Exposure, tuple[TemplateUse, ...]] | Skip:
        """Return the template, registered, and what it is made of."""
        template = calls("template", cover, science)
        if not isinstance(template, Skip):
            template = self._covering(template)
        if isinstance(template, Skip):
            return template
        metrics["template_coverage"] = template.coverage
        if science.stars is not None:
            metrics["n_catalogue_stars"] = float(len(science.stars))
        if self.register is not None:
            template, offsets = self._registered(
                self.register, science, template, cover, calls
            )
            metrics.update(offsets)
        return template.exposure, template.uses

    def _prepared(
        self,
        science: Exposure,
        sky: Exposure,
        calls: StageCalls,
        metrics: dict[str, float],
    ) -> tuple[Exposure, Exposure]:
        """Return both exposures as they are to be matched."""
        science, sky, factors = calls("rescale", self.rescale, science, sky)
        metrics.update(factors)
        science, counted = calls("cosmic_rays", self.cosmic_rays, science)
        metrics.update(counted)
        return science, sky

    def _require_good(
        self,
        event: VisitReady,
        images: Images,
        uses: tuple[TemplateUse, ...],
        calls: StageCalls,
        metrics: Mapping[str, float],
    ) -> None:
        if problem := self.gate.problem(images.difference):
            result = VisitResult(
                event=event,
                outcome=Outcome.FAILED,
                reason=Reason.BAD_SUBTRACTION,
                detail=problem,
                metrics=dict(metrics),
                stage_seconds=dict(calls.seconds),
                templates=uses,
                products=Products(images=images, sources=DiaSources.empty()),
            )
            raise BadDifferenceError(problem, result)

    def _processed(
        self,
        event: VisitReady,
        products: Products,
        uses: tuple[TemplateUse, ...],
        calls: StageCalls,
        metrics: Mapping[str, float],
    ) -> VisitResult:
        alerts = calls(
            "alerts",
            make_alerts,
            event,
            products.sources,
            products.images,
            uses,
            self.provenance,
        )
        return VisitResult(
            event=event,
            outcome=Outcome.PROCESSED,
            detail="; ".join(calls.remarks) or None,
            alerts=alerts,
            n_filtered=count_reasons(products.filtered),
            metrics={**metrics, **products.images.difference.metrics},
            stage_seconds=dict(calls.seconds),
            templates=uses,
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
        with calls.judging("register") as plugin:
            found = checked_registration(plugin, result)
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
        with calls.judging("subtract") as plugin:
            difference = checked_difference(plugin, science, result)
        residuals = calls("quality", star_quality, difference, science)
        if self.decorrelate is not None:
            result = calls(
                "decorrelate",
                self.decorrelate.decorrelate,
                difference,
                science,
                template,
            )
            with calls.judging("decorrelate") as plugin:
                difference = checked_difference(plugin, science, result, difference)
        difference = replace(difference, metrics={**difference.metrics, **residuals})
        return difference.on_scale(self.flux_scale)


@contextmanager
def _told_by_errors(metrics: Mapping[str, float]) -> Iterator[None]:
    """Add metrics, as far as they are known, to an error."""
    try:
        yield
    except UnprocessableError as err:
        err.metrics = {**metrics, **err.metrics}
        raise
