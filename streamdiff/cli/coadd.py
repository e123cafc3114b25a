"""``streamdiff coadd``: exposures -> one template, no Kafka."""

from pathlib import Path

import click

from streamdiff.adapters.fits.coadd import encode_coadd
from streamdiff.adapters.whole_file import write_whole
from streamdiff.app.environment import find_plugins, read_settings
from streamdiff.app.single import Workbench
from streamdiff.cli.json_output import json_option, print_json
from streamdiff.cli.options import ReadPath, config_option
from streamdiff.model import Coadd, TemplateId


@click.command("coadd")
@click.argument("exposures", type=ReadPath, nargs=-1, required=True)
@click.option("-o", "--output", type=ReadPath, required=True, help="Coadd FITS.")
@click.option("--wcs-like", "like", type=ReadPath, help="Its WCS; else the first's.")
@click.option("--band", default="unknown", help="Band of the coadd.")
@config_option
@json_option
def command(
    exposures: tuple[Path, ...],
    output: Path,
    like: Path | None,
    band: str,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Coadd EXPOSURES on the pixels of one of them."""
    bench = Workbench(settings=read_settings(config), registry=find_plugins())
    try:
        template_id = TemplateId(tract=0, patch=0, band=band)
    except ValueError as err:
        raise click.BadParameter(str(err), param_hint="--band") from err
    coadd = bench.coadd(exposures, template_id, like)
    write_whole(output, encode_coadd(coadd))
    if as_json:
        print_json(_told(output, coadd))
        return
    accepted = sum(item.accepted for item in coadd.inputs)
    click.echo(f"{output}: {accepted} of {len(coadd.inputs)} exposures")


def _told(output: Path, coadd: Coadd) -> dict[str, object]:
    inputs = [
        {
            "visit": item.id.visit,
            "detector": item.id.detector,
            "weight": item.weight,
            "accepted": item.accepted,
            "reason": item.reason,
        }
        for item in coadd.inputs
    ]
    return {"output": output, "inputs": inputs, "metrics": coadd.metrics}
