"""Who takes part: a plugin, between the stages that all have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import process_time

from streamdiff.app.wiring import build, build_chosen
from streamdiff.config import Settings
from streamdiff.errors import ConfigError, UnprocessableError
from streamdiff.model import DiaSources, Difference, Exposure, FluxScale, Skip
from streamdiff.pipeline.results import checked_detections, checked_difference
from streamdiff.pipeline.stage import StageCalls
from streamdiff.plugins import Registry
from streamdiff.stages import Decorrelator, SourceFinder, Subtractor

KINDS = ("subtract", "decorrelate", "find")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attempt:
    """What became of one pair of images.

    Attributes
    ----------
    difference : Difference
        White, on the template's scale, with its score.
    sources : DiaSources
    seconds : float
        Of the processor, for the stages that are compared.
    remarks : tuple of str
        What the plugins did to the process that they may not.
    """

    difference: Difference
    sources: DiaSources
    seconds: float
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """The stages that a pair of images goes through.

    Attributes
    ----------
    name : str
        Of the plugin in question.
    kind : str
        Its kind; its time is what counts: that of subtraction and whitening
        together, or of the search.
    subtract, decorrelate, find : plugins
    labels : mapping of str to str
        Stage -> name, distribution and version.
    """

    name: str
    kind: str
    subtract: Subtractor
    decorrelate: Decorrelator | None
    find: SourceFinder
    labels: Mapping[str, str]

    @classmethod
    def of(
        cls, settings: Settings, registry: Registry, kind: str, name: str
    ) -> "Contestant":
        """Return a plugin among the stages that a configuration chooses.

        Raises
        ------
        ConfigError
            If plugins of its kind are not compared, or an option is wrong.
        PluginError
            If there is no such plugin.
        """
        if kind not in KINDS:
            raise ConfigError(
                f"plugins of kind {kind!r} are not compared on images, only those of "
                f"{', '.join(KINDS)}; 'streamdiff plugins check {name}' works for all"
            )
        names = {k: settings.pipeline.name(k) for k in KINDS} | {kind: name}
        return cls(
            name=name,
            kind=kind,
            **{
                k: build(settings, registry, k, names[k])
                if k == kind
                else build_chosen(settings, registry, k)
                for k in KINDS
            },
            labels={k: str(registry.get(k, names[k])) for k in KINDS},
        )

    def attempt(self, science: Exposure, template: Exposure) -> Attempt | str:
        """Return what becomes of a pair of images, or why nothing does."""
        calls = StageCalls(
            monotonic=process_time,
            names={kind: text.partition(" ")[0] for kind, text in self.labels.items()},
            labels=self.labels,
        )
        try:
            found = self._difference(science, template, calls)
            if isinstance(found, Skip):
                return f"skipped: {found.reason}: {found.detail}"
            difference = found.on_scale(FluxScale.TEMPLATE)
            pair = calls("find", self.find.find, difference)
            with calls.judging("find") as plugin:
                searched, sources = checked_detections(plugin, pair, difference)
        except UnprocessableError as err:
            return f"failed: {err}"
        timed = ("find",) if self.kind == "find" else ("subtract", "decorrelate")
        return Attempt(
            # What the search has masked is left of stars all the same.
            difference=replace(searched, mask=difference.mask),
            sources=sources,
            seconds=sum(calls.seconds.get(stage, 0.0) for stage in timed),
            remarks=tuple(calls.remarks),
        )

    def _difference(
        self, science: Exposure, template: Exposure, calls: StageCalls
    ) -> Difference | Skip:
        result = calls("subtract", self.subtract.subtract, science, template)
        if isinstance(result, Skip):
            return result
        with calls.judging("subtract") as plugin:
            difference = checked_difference(plugin, science, result)
        if self.decorrelate is None:
            return difference
        white = calls(
            "decorrelate", self.decorrelate.decorrelate, difference, science, template
        )
        with calls.judging("decorrelate") as plugin:
            return checked_difference(plugin, science, white, difference)
