"""The page that the demo leaves behind."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from streamdiff.app.demo.figures import BRIGHT, snr_range
from streamdiff.app.demo.pictures import VisitImages
from streamdiff.app.demo.run import DemoResult
from streamdiff.app.demo.score import SNR_BINS, VisitScore, completeness
from streamdiff.app.pages.page import write_page
from streamdiff.app.pages.pictures import data_uri

PICTURES = 12

# Position and caption.
Place = tuple[float, float, str]
PlacesOf = Callable[[DemoResult, VisitScore], Iterator[Place]]


def write_report(path: Path, result: DemoResult, summary: str) -> None:
    """Write the page; it holds its pictures and needs no other file."""
    write_page(
        path,
        __package__,
        "report.html.j2",
        title="streamdiff demo",
        summary=summary,
        completeness=[_bin_row(result, *limits) for limits in SNR_BINS],
        visits=[_visit_row(result, score) for score in result.scores],
        galleries=list(_galleries(result)),
    )


def _bin_row(result: DemoResult, low: float, high: float) -> dict[str, object]:
    found, n = completeness(result.scores, low, high)
    return {
        "label": snr_range(low, high),
        "n": n,
        "found": found,
        "percent": f"{found / n:.1%}" if n else "",
    }


def _visit_row(result: DemoResult, score: VisitScore) -> dict[str, object]:
    found, n = completeness([score], BRIGHT)
    plugin = result.reports[score.visit].provenance.plugins.get("subtract", "")
    return {
        "visit": score.visit,
        "plugin": plugin.split(" ")[0],
        "alerts": score.n_alerts,
        "true": n,
        "found": found,
        "false": len(score.false_ids),
        "latency": f"{score.latency_s:.1f}",
    }


def _galleries(result: DemoResult) -> Iterator[dict[str, object]]:
    kinds = (("Found", _found), ("Missed", _missed), ("False", _false))
    for title, places_of in kinds:
        pictures = (
            {"uri": data_uri(images.around(x, y)), "caption": caption}
            for images, places in _by_visit(result, places_of)
            for x, y, caption in places
        )
        yield {"title": title, "pictures": list(islice(pictures, PICTURES))}


def _by_visit(
    result: DemoResult, places_of: PlacesOf
) -> Iterator[tuple[VisitImages, Iterable[Place]]]:
    for score in result.scores:
        places = list(places_of(result, score))
        if places:
            yield VisitImages.read(result.difference_file(score.visit)), places


def _found(_: DemoResult, score: VisitScore) -> Iterator[Place]:
    changes = zip(score.changes, score.found, strict=True)
    seen = (change for change, hit in changes if hit)
    for change in islice(seen, 2):
        caption = f"visit {score.visit}, {change.kind}, S/N {change.ideal_snr:.1f}"
        yield change.x, change.y, caption


def _missed(_: DemoResult, score: VisitScore) -> Iterator[Place]:
    for change, hit in zip(score.changes, score.found, strict=True):
        if not hit and abs(change.ideal_snr) >= BRIGHT:
            caption = f"visit {score.visit}, {change.kind}, S/N {change.ideal_snr:.1f}"
            yield change.x, change.y, caption


def _false(result: DemoResult, score: VisitScore) -> Iterator[Place]:
    wrong = set(score.false_ids)
    for alert in result.alerts:
        source = alert["diaSource"]
        if source["diaSourceId"] in wrong:
            caption = f"visit {score.visit}, S/N {source['snr']:.1f}"
            yield source["x"], source["y"], caption
