"""``streamdiff help``: what is not about one command alone."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import click


@click.command("help")
@click.argument("words", nargs=-1, metavar="[TOPIC]")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> int:
    """Explain a topic or a command; without one, name them."""
    name = " ".join(words)
    if name in TOPICS:
        click.echo("\n".join(TOPICS[name][1]()))
        return 0
    program = ctx.find_root()
    if not words:
        click.echo(program.get_help())
        click.echo("\nTopics of streamdiff help:")
        for topic, (text, _) in TOPICS.items():
            click.echo(f"  {topic:12}  {text}")
        return 0
    click.echo(_help_of(words, program))
    return 0


def _help_of(words: tuple[str, ...], program: click.Context) -> str:
    """Return the help of a command, named by its words."""
    context = program
    for word in words:
        group = context.command
        found = (
            group.get_command(context, word) if isinstance(group, click.Group) else None
        )
        if found is None:
            known = ", ".join(TOPICS)
            raise click.UsageError(
                f"there is no topic or command {' '.join(words)!r}; topics are {known}"
            )
        context = click.Context(found, info_name=word, parent=context)
    return context.get_help()


def _reasons() -> Iterator[str]:
    from streamdiff.model import Reason  # noqa: PLC0415 (numpy takes a while)

    yield "The reason of an event that was skipped or failed, in visit-processed and"
    yield "template-rebuilt. A failed event is a dead letter, too."
    yield ""
    for reason in Reason:
        yield f"  {reason.value:32}{reason.outcome.value}"


def _topics() -> Iterator[str]:
    from streamdiff.app.topics import topics_of  # noqa: PLC0415
    from streamdiff.config import Settings  # noqa: PLC0415

    topics = topics_of(Settings())
    yield "Topics by default; [stream] topic_prefix is the first part of their names."
    yield ""
    for name, text in (
        (topics.visit_ready, "in: an exposure is there"),
        (topics.template_update, "in: exposures are to join or leave templates"),
        (topics.alerts(0, ""), "out: one alert per DiaSource, in the first format"),
        (topics.alerts(1, "FORMAT"), "out: the same in any other format"),
        (topics.visit_processed, "out: one report per exposure"),
        (topics.template_rebuilt, "out: one report per template"),
        (topics.dead_letter, "out: events that were given up, as they were"),
    ):
        yield f"  {name:32}{text}"


def _environment() -> Iterator[str]:
    for name, text in (
        ("STREAMDIFF__SECTION__KEY", "overrides [section] key of the configuration"),
        ("STREAMDIFF_DISABLE_PLUGINS", "distributions whose plugins are left out"),
        ("NUMBA_CACHE_DIR", "where compiled code is kept"),
        ("OMP_NUM_THREADS", "overrides [stream] threads for linear algebra"),
        ("NO_COLOR", "any value: no colours"),
        ("_STREAMDIFF_COMPLETE", "see: streamdiff help completion"),
    ):
        yield f"  {name:32}{text}"


def _exit_codes() -> Iterator[str]:
    yield "  0    all is well"
    yield "  1    something failed, differs, or is not well"
    yield "  2    the call, the configuration or a plugin can not be meant"
    yield "  130  interrupted"


def _completion() -> Iterator[str]:
    yield "The shell completes commands and options after this line, best kept in its"
    yield "start-up file:"
    yield ""
    yield '  bash  eval "$(_STREAMDIFF_COMPLETE=bash_source streamdiff)"'
    yield '  zsh   eval "$(_STREAMDIFF_COMPLETE=zsh_source streamdiff)"'
    yield "  fish  _STREAMDIFF_COMPLETE=fish_source streamdiff | source"


# Name -> what it is about, and its lines.
TOPICS: Mapping[str, tuple[str, Callable[[], Iterator[str]]]] = MappingProxyType(
    {
        "topics": ("Names of the topics, and what they carry.", _topics),
        "reasons": ("Why events are skipped or fail.", _reasons),
        "environment": ("Variables of the environment.", _environment),
        "exit-codes": ("What the program returns.", _exit_codes),
        "completion": ("How the shell completes commands.", _completion),
    }
)
