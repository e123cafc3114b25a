"""The pages on the kinds of plugins, written from the code that they are about."""

import inspect
from collections.abc import Iterator

from streamdiff import hookspecs, stages
from streamdiff.app.new_plugin import SKELETONS, skeleton
from streamdiff.plugins import KINDS, Registry, protocol_of
from streamdiff.testing.contract import checks

_CONVENTIONS = """\
Arrays are [y, x]; pixel (0, 0) is the centre of the first. Planes are float32 and
read-only: return new ones. Fluxes are nJy unless `photometric` is False, variances
their squares. A set mask bit is special; which planes exclude a pixel is an explicit
list, such as streamdiff.model.UNUSABLE. A PSF has odd sides and sums to 1.

Return a streamdiff.model.Skip where there is nothing to do; raise an
UnprocessableError of streamdiff.errors where the event can not be processed, a
RetryableError where it may be a little later. Anything else that is raised fails the
event in the plugin's name."""


def page(kind: str, registry: Registry) -> str:
    """Return the page on a kind: protocol, options, units, rules, an example.

    Parameters
    ----------
    kind : str
        One of `streamdiff.plugins.KINDS`.
    registry : Registry
        Whose plugins are named.
    """
    return "\n".join(_lines(kind, registry)) + "\n"


def _lines(kind: str, registry: Registry) -> Iterator[str]:
    protocol, hook = protocol_of(kind), KINDS[kind]
    yield f"# Plugins of kind {kind}"
    yield f"\n{inspect.getdoc(protocol)}\n"
    yield f"Offered by the hook `{hook}`: {inspect.getdoc(getattr(hookspecs, hook))}"
    yield f"Installed: {', '.join(registry.names(kind)) or 'none'}."
    yield f"\n## streamdiff.stages.{protocol.__name__}\n"
    yield from (f"    {line}" for line in _source(protocol))
    yield f"\n## Conventions\n\n{_CONVENTIONS}"
    yield (
        "\n## Options\n\nOptions are the keyword parameters of the factory, as a rule "
        "the fields of a frozen dataclass:\ntypes from annotations, ranges from "
        "annotated_types, sentences and [units] from the docstring.\nUsers set them in "
        f"`[plugins.{kind}.NAME]`; `streamdiff plugins show NAME` prints them."
    )
    yield f"\n## Rules that `streamdiff plugins check NAME --kind {kind}` checks\n"
    for check in checks(kind):
        yield f"- {check.title}: {(inspect.getdoc(check.run) or '').splitlines()[0]}"
    if kind in SKELETONS:
        yield f"\n## A beginning: `streamdiff plugins new {kind} mine FOLDER`\n"
        yield f"```python\n{skeleton(kind, 'mine')}```"


def _source(protocol: type) -> list[str]:
    return inspect.getsource(getattr(stages, protocol.__name__)).rstrip().splitlines()
