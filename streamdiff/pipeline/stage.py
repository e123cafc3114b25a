"""The border between the host and its plugins: every call is timed and watched.

A plugin that raises, exits, prints, or leaves a trace in the process, and one that
changes its inputs, is told by stage, name and version, and takes nothing else with
it. What it returned is judged by `streamdiff.pipeline.results`.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import structlog

from streamdiff.errors import (
    ChangedInputError,
    PluginFailedError,
    StreamdiffError,
)
from streamdiff.pipeline.inputs import InputWatch
from streamdiff.pipeline.side_effects import SideEffects, watch
from streamdiff.ports import whereabouts

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCalls:
    """Calls plugins, notes how long each took, and marks errors with their stage.

    Attributes
    ----------
    monotonic : callable
        Seconds that never go back.
    names : mapping of str to str
        Stage -> name of its plugin; a stage without a name is the host's own.
    labels : mapping of str to str
        Stage -> "name distribution version" of its plugin, for messages.
    seconds : dict of str to float
        Time per stage, so far.
    remarks : list of str
        What plugins did that they may not, though their results are good.
    """

    monotonic: Callable[[], float]
    names: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def __call__(
        self, stage: str, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what a plugin's method returns.

        Raises
        ------
        StreamdiffError
            Those that the plugin raises on purpose, as they are.
        ChangedInputError
            If it changes what it was given.
        PluginFailedError
            For any other error.
        """
        start = self.monotonic()
        try:
            if not self.name(stage):
                return method(*args, **kwargs)
            with self._watched(stage):
                inputs = InputWatch.over(args)
                result = method(*args, **kwargs)
                self._require_unchanged(stage, inputs.changed(args))
                return result
        except StreamdiffError as err:
            self._mark(err, stage)
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as err:
            failed = PluginFailedError(f"{self._who(stage)}: {_told(err)}")
            self._mark(failed, stage)
            raise failed from err
        finally:
            elapsed = self.monotonic() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed

    def name(self, stage: str) -> str:
        """Return the name of the plugin of a stage."""
        return self.names.get(stage, "")

    def label(self, stage: str) -> str:
        """Return name, distribution and version of the plugin of a stage."""
        return self.labels.get(stage) or self.name(stage)

    @contextmanager
    def judging(self, stage: str) -> Iterator[str]:
        """Give the label of a plugin, whose result is judged meanwhile.

        Errors are marked with stage and plugin.
        """
        try:
            yield self.label(stage)
        except StreamdiffError as err:
            self._mark(err, stage)
            raise

    @contextmanager
    def _watched(self, stage: str) -> Iterator[None]:
        """Tell where the work is, and what it does beside returning something."""
        effects = SideEffects()
        tell = whereabouts.get()
        tell(stage, self.label(stage))
        try:
            with watch(effects):
                yield
        finally:
            tell("", "")
            for effect in effects.found:
                self._remark(stage, effect)

    def _remark(self, stage: str, effect: str) -> None:
        self.remarks.append(f"{self._who(stage)} {effect}")
        log.warning(
            "plugin_left_traces", stage=stage, plugin=self.label(stage), effect=effect
        )

    def _require_unchanged(self, stage: str, changed: tuple[str, ...]) -> None:
        if changed:
            raise ChangedInputError(
                f"{self._who(stage)} changed its inputs: {', '.join(changed)}; "
                "return new arrays"
            )

    def _who(self, stage: str) -> str:
        return f"{stage} plugin {self.label(stage)!r}" if self.name(stage) else stage

    def _mark(self, error: StreamdiffError, stage: str) -> None:
        # The innermost stage is the one that failed.
        if not error.stage:
            error.stage, error.plugin = stage, self.name(stage)


def _told(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{where.name}, line {where.lineno}"
    return f"{type(error).__name__}: {error} ({place})"
