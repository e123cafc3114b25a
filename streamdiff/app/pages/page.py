"""HTML pages that hold their pictures and need no other file."""

from importlib.resources import files
from pathlib import Path

import jinja2

from streamdiff.adapters.whole_file import write_whole

_TEMPLATE, _STYLE = ".html.j2", "style.css"


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
    environment = page_environment(package)
    page = environment.get_template(template).render(values)
    write_whole(path, page.encode("utf-8"))


def page_environment(package: str) -> jinja2.Environment:
    """Return what makes pages of the templates of a package, and of those here.

    Text is escaped, whatever the names of the templates; a name that has no value is
    an error.
    """
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([_loader(package), _loader(__package__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style_sheet() -> str:
    """Return the style of all pages."""
    return files(__package__).joinpath(_STYLE).read_text(encoding="utf-8")


def _loader(package: str) -> jinja2.DictLoader:
    """Return the templates of a package, wherever it is installed."""
    return jinja2.DictLoader(
        {
            file.name: file.read_text(encoding="utf-8")
            for file in files(package).iterdir()
            if file.name.endswith((_TEMPLATE, _STYLE))
        }
    )
