"""Calls of the hooks that only look on."""

from dataclasses import dataclass

import pluggy
import structlog

from streamdiff.model import Outcome, TemplateRebuilt, VisitProcessed, VisitReady
from streamdiff.pipeline.side_effects import SideEffects, watch
from streamdiff.ports import whereabouts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Observers:
    """Tells plugins what happens; an observer that fails is logged, never fatal.

    Attributes
    ----------
    manager : pluggy.PluginManager
    """

    manager: pluggy.PluginManager

    def visit_started(self, event: VisitReady) -> None:
        """Tell that work on a visit begins."""
        self._tell("streamdiff_visit_started", event=event)

    def visit_ended(self, event: VisitReady, report: VisitProcessed) -> None:
        """Tell how a visit ended."""
        failed = report.outcome is Outcome.FAILED
        hook = "streamdiff_visit_failed" if failed else "streamdiff_visit_finished"
        self._tell(hook, event=event, report=report)

    def template_rebuilt(self, report: TemplateRebuilt) -> None:
        """Tell how a rebuild ended."""
        self._tell("streamdiff_template_rebuilt", report=report)

    def _tell(self, hook: str, **facts: object) -> None:
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            wanted = {name: facts[name] for name in implementation.argnames}
            effects = SideEffects()
            plugin = implementation.plugin_name
            whereabouts.get()(hook, plugin)
            try:
                with watch(effects):
                    implementation.function(**wanted)
            except KeyboardInterrupt:
                raise
            except BaseException:
                # Also one that wants the process to exit.
                log.exception("observer_failed", hook=hook, plugin=plugin)
            finally:
                whereabouts.get()("", "")
            for effect in effects.found:
                log.warning(
                    "plugin_left_traces", stage=hook, plugin=plugin, effect=effect
                )
