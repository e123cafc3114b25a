"""HTML pages that hold their pictures and need no other file."""

from importlib.resources import files
from pathlib import Path

import jinja2

from streamdiff.adapters.whole_file import write_whole

_BASE = "base.html.j2"


def write_page(path: Path, package: str, template: str, **values: object) -> None:
    """Write a page, as a whole or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    package, template : str
        Package that holds the template, and its name in there; it extends
        ``base.html.j2``, which wants a `title`.
    **values : object
        What the template names. Text is escaped.

    Raises
    ------
    StoreUnavailableError
        If the page can not be written.
    """
    sources = {
        _BASE: _source(__package__, _BASE),
        template: _source(package, template),
    }
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template(template).render(values)
    write_whole(path, page.encode("utf-8"))


def _source(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
