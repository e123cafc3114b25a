"""All contestants on all images, one after another."""

import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from streamdiff.app.bench.contestant import Attempt, Contestant
from streamdiff.app.bench.figures import FIGURES, better, of_exposures, of_simulation
from streamdiff.model import Exposure
from streamdiff.testing.contract.costs import fft_seconds
from streamdiff.testing.ladder import LADDER, Observed

# Compilers and caches are warm after so small a pair.
_WARM_UP_SIZE = 256
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """A pair of images that all contestants get.

    Attributes
    ----------
    name : str
    science, template : Exposure
    truth : Observed or None
        `None` where nobody knows it.
    """

    name: str
    science: Exposure
    template: Exposure
    truth: Observed | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """How one contestant did on one pair.

    Attributes
    ----------
    images, contestant : str
        Their names.
    figures : mapping of str to float
        Some of `FIGURES`.
    problem : str
        Why there is no difference; empty where there is one.
    remarks : tuple of str
        What the plugins did to the process that they may not.
    attempt : Attempt or None
    """

    images: str
    contestant: str
    figures: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    remarks: tuple[str, ...] = ()
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How often one contestant did better than another.

    Attributes
    ----------
    figure : str
    better, equal, worse : int
        Numbers of pairs of images.
    """

    figure: str
    better: int
    equal: int
    worse: int

    @property
    def verdict(self) -> str:
        """Return the comparison in a word."""
        if self.better == self.worse:
            return "as good"
        return "better" if self.better > self.worse else "worse"


def simulated(names: Sequence[str], *, size: int, seed: int) -> Iterator[Images]:
    """Yield pairs of the ladder."""
    for name in names:
        observed = LADDER[name].observe(size=size, seed=seed)
        yield Images(
            name=name,
            science=observed.science,
            template=observed.template,
            truth=observed,
        )


def bench(
    contestants: Sequence[Contestant],
    images: Iterator[Images],
    *,
    tick: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Images, tuple[Entry, ...]]]:
    """Yield how all contestants did, pair by pair.

    Parameters
    ----------
    contestants : sequence of Contestant
    images : iterator of Images
        One pair is in memory at a time.
    tick : callable
        Told what is done now.
    """
    warm = LADDER["standard"].observe(size=_WARM_UP_SIZE)
    for contestant in contestants:
        contestant.attempt(warm.science, warm.template)
    units: dict[tuple[int, int], float] = {}
    for number, pair in enumerate(images):
        shape = pair.science.shape
        unit = units.setdefault(shape, fft_seconds(shape))
        entries = []
        for contestant in contestants:
            tick(f"{pair.name}: {contestant.name}")
            # Watching memory takes time: the first pair is done twice.
            memory = {} if number else _memory(contestant, pair)
            entries.append(_entry(contestant, pair, unit, memory))
        yield pair, tuple(entries)


def compared(entries: Sequence[Entry], one: str, other: str) -> tuple[Comparison, ...]:
    """Return how one contestant did against another, figure by figure."""
    of_one = {e.images: e for e in entries if e.contestant == one}
    of_other = {e.images: e for e in entries if e.contestant == other}
    comparisons = []
    for name in FIGURES:
        signs = [
            better(name, entry.figures.get(name, float("nan")), value)
            for images, entry in of_one.items()
            if (value := of_other[images].figures.get(name, float("nan"))) is not None
            and (name in entry.figures or name in of_other[images].figures)
        ]
        if signs:
            comparisons.append(
                Comparison(
                    figure=name,
                    better=signs.count(1),
                    equal=signs.count(0),
                    worse=signs.count(-1),
                )
            )
    return tuple(comparisons)


def _entry(
    contestant: Contestant, pair: Images, unit: float, memory: Mapping[str, float]
) -> Entry:
    attempt = contestant.attempt(pair.science, pair.template)
    if isinstance(attempt, str):
        return Entry(images=pair.name, contestant=contestant.name, problem=attempt)
    if pair.truth is None:
        figures = of_exposures(attempt.difference, pair.science, attempt.sources)
    else:
        figures = of_simulation(pair.truth, attempt.difference, attempt.sources)
    return Entry(
        images=pair.name,
        contestant=contestant.name,
        figures={**figures, "fft_units": attempt.seconds / unit, **memory},
        remarks=attempt.remarks,
        attempt=attempt,
    )


def _memory(contestant: Contestant, pair: Images) -> dict[str, float]:
    tracemalloc.start()
    try:
        contestant.attempt(pair.science, pair.template)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return {"memory_planes": peak / (_FLOAT_BYTES * pair.science.image.size)}
