"""``streamdiff subtract``: one image, no Kafka."""

from pathlib import Path

import click

from streamdiff.adapters.fits.difference import encode_difference
from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.output import write_alerts, write_qa
from streamdiff.app.single import Workbench
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import ReadPath, config_option
from streamdiff.config import Settings
from streamdiff.errors import UnprocessableError
from streamdiff.pipeline.result import VisitResult


@click.command("subtract")
@click.argument("science", type=ReadPath)
@click.argument("template", type=ReadPath)
@click.option("-o", "--output", type=ReadPath, required=True, help="Difference FITS.")
@config_option
@click.option("--subtract", "name", help="Subtraction plugin to use.")
@click.option("--alerts", type=ReadPath, help="Avro container of the alerts.")
@click.option("--catalogue", type=ReadPath, help="Table of the stars on SCIENCE.")
@click.option(
    "--qa", is_flag=True, help="Also OUT_qa.png and OUT_qa.fits on the matching."
)
@json_option
def command(
    science: Path,
    template: Path,
    output: Path,
    config: Path | None,
    name: str | None,
    alerts: Path | None,
    catalogue: Path | None,
    *,
    qa: bool,
    as_json: bool,
) -> None:
    """Subtract TEMPLATE, which may have another WCS, from SCIENCE."""
    settings = _with_subtractor(read_settings(config), name)
    bench = Workbench(settings=settings, registry=find_plugins())
    result = bench.subtract(science, template, catalogue=catalogue)
    if result.products is None:
        raise UnprocessableError(
            f"{science}: skipped: {result.reason}: {result.detail}"
        )
    _write(output, result, alerts=alerts, qa=qa)
    problem = bench.problem(result.products.images.difference)
    if as_json:
        print_json(_told(output, result, problem))
    else:
        click.echo(_summary(output, result))
    if problem:
        click.echo(f"streamdiff: warning: {problem}", err=True)


def _with_subtractor(settings: Settings, name: str | None) -> Settings:
    if name is None:
        return settings
    pipeline = settings.pipeline.model_copy(update={"subtract": name})
    return settings.model_copy(update={"pipeline": pipeline})


def _write(output: Path, result: VisitResult, *, alerts: Path | None, qa: bool) -> None:
    assert result.products is not None  # noqa: S101 (for the type checker)
    products = result.products
    write_whole(
        output,
        encode_difference(
            products.images.difference,
            products.sources,
            science=products.images.science,
            matched_template=True,
            kernel=True,
        ),
    )
    if alerts is not None:
        write_alerts(alerts, result.alerts)
    if qa:
        write_qa(output.with_suffix(""), result)


def _summary(output: Path, result: VisitResult) -> str:
    assert result.products is not None  # noqa: S101 (for the type checker)
    difference = result.products.images.difference
    return (
        f"{output}: {len(result.alerts)} DiaSources, kernel sum "
        f"{difference.kernel_sum:.4f}, convolved {difference.convolved}, "
        f"{sum(result.stage_seconds.values()):.1f} s"
    )


def _told(output: Path, result: VisitResult, problem: str) -> dict[str, object]:
    assert result.products is not None  # noqa: S101 (for the type checker)
    difference = result.products.images.difference
    return {
        "output": output,
        "n_alerts": len(result.alerts),
        "n_filtered": result.n_filtered,
        "kernel_sum": difference.kernel_sum,
        "convolved": difference.convolved.value,
        "noise": difference.noise.value,
        "metrics": result.metrics,
        "stage_seconds": result.stage_seconds,
        "warning": problem or None,
    }
