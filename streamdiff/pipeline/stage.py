"""The border between the host and its plugins: every call is timed and checked."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from numpy.typing import ArrayLike

from streamdiff.errors import PluginContractError, PluginFailedError, StreamdiffError
from streamdiff.model import (
    DETECTION_COLUMNS,
    Coadd,
    Column,
    DiaSources,
    Difference,
    Exposure,
    TemplateId,
)
from streamdiff.model.ids import RANK_BITS
from streamdiff.stages import Registration

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCalls:
    """Calls plugins, notes how long each took, and marks errors with their stage.

    Attributes
    ----------
    monotonic : callable
        Seconds that never go back.
    names : mapping of str to str
        Stage -> name of its plugin; a stage without a name is the host's own.
    seconds : dict of str to float
        Time per stage, so far.
    """

    monotonic: Callable[[], float]
    names: Mapping[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(
        self, stage: str, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what a plugin's method returns.

        Raises
        ------
        StreamdiffError
            Those that the plugin raises on purpose, as they are.
        PluginFailedError
            For any other error.
        """
        start = self.monotonic()
        try:
            return method(*args, **kwargs)
        except StreamdiffError as err:
            self._mark(err, stage)
            raise
        except Exception as err:
            where = traceback.extract_tb(err.__traceback__)[-1]
            who = f"{stage} plugin {self.name(stage)!r}" if self.name(stage) else stage
            failed = PluginFailedError(
                f"{who}: {type(err).__name__}: {err} "
                f"({where.name}, line {where.lineno})"
            )
            self._mark(failed, stage)
            raise failed from err
        finally:
            elapsed = self.monotonic() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed

    def name(self, stage: str) -> str:
        """Return the name of the plugin of a stage."""
        return self.names.get(stage, "")

    def _mark(self, error: StreamdiffError, stage: str) -> None:
        error.stage, error.plugin = stage, self.name(stage)


def checked_registration(plugin: str, found: object) -> Registration:
    """Return what a registrar gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no registration.
    """
    if not isinstance(found, Registration):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(found).__name__}, not Registration"
        )
    return found


def checked_warp(plugin: str, warp: object, shape: tuple[int, int]) -> Exposure:
    """Return what a warper gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no exposure of the shape that was asked for.
    """
    if not isinstance(warp, Exposure):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(warp).__name__}, not Exposure"
        )
    if warp.shape != shape:
        raise PluginContractError(
            f"plugin {plugin!r} returned a warp of {warp.id} with shape {warp.shape}; "
            f"{shape} was asked for"
        )
    return warp


def checked_coadd(plugin: str, template_id: TemplateId, coadd: object) -> Coadd:
    """Return what a coadder gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no coadd of this template.
    """
    if not isinstance(coadd, Coadd):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(coadd).__name__}, not Coadd or Skip"
        )
    if coadd.exposure.id != template_id:
        raise PluginContractError(
            f"plugin {plugin!r} returned a coadd of {coadd.exposure.id}; "
            f"{template_id} was asked for"
        )
    return coadd


def checked_difference(
    plugin: str, science: Exposure, difference: object
) -> Difference:
    """Return what a subtractor or decorrelator gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no difference of this exposure.
    """
    if not isinstance(difference, Difference):
        raise PluginContractError(
            f"plugin {plugin!r} returned {type(difference).__name__}, "
            "not Difference or Skip"
        )
    if difference.shape != science.shape or difference.id != science.id:
        raise PluginContractError(
            f"plugin {plugin!r} returned a difference of {difference.id} with shape "
            f"{difference.shape}; the science exposure is {science.id}, {science.shape}"
        )
    return difference


def checked_detections(plugin: str, found: object) -> tuple[Difference, DiaSources]:
    """Return what a source finder gave, if it keeps the contract.

    Raises
    ------
    PluginContractError
        If it is no difference with a table that has the `DETECTION_COLUMNS`, or
        there are more DiaSources than ids.
    """
    match found:
        case (Difference() as difference, DiaSources() as sources):
            missing = [c.name for c in DETECTION_COLUMNS if c.name not in sources]
            if missing:
                raise PluginContractError(
                    f"plugin {plugin!r} returned a table without columns {missing}"
                )
            if len(sources) > 1 << RANK_BITS:
                raise PluginContractError(
                    f"plugin {plugin!r} returned {len(sources)} DiaSources of "
                    f"{difference.id}, there are ids for {1 << RANK_BITS}: the "
                    "difference has failed, or the threshold is too low"
                )
            return difference, sources
        case _:
            raise PluginContractError(
                f"plugin {plugin!r} returned {type(found).__name__}, "
                "not (Difference, DiaSources)"
            )


def with_measured(
    plugin: str,
    sources: DiaSources,
    columns: Iterable[Column],
    values: Mapping[str, ArrayLike],
) -> DiaSources:
    """Return the table with the columns that a plugin measured.

    Raises
    ------
    PluginContractError
        If the values do not fit the columns that it declared, or the rows.
    """
    try:
        return sources.with_columns(columns, values)
    except (TypeError, ValueError) as err:
        raise PluginContractError(
            f"plugin {plugin!r}, {len(sources)} DiaSources: {err}"
        ) from err
