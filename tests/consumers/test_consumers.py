"""Alerts are decoded by the clients of others, unmodified."""

import base64
import io
from uuid import uuid4

import confluent_kafka
import numpy as np
import pytest
from astropy.nddata import CCDData

from streamdiff.adapters.avro.alert import alert_record
from streamdiff.adapters.avro.container import write_alerts
from streamdiff.adapters.avro.lsst import lsst_format
from streamdiff.adapters.avro.plugin import streamdiff_alert_formats
from streamdiff.adapters.embedded import EmbeddedBroker

HOPSKOTCH = """
import json, sys, warnings
from hop.io import StartPosition, Stream

stream = Stream(auth=False, start_at=StartPosition.EARLIEST, until_eos=True)
with stream.open(sys.argv[1], "r", group_id=sys.argv[2]) as messages:
    found = [(type(m).__name__, m.content) for m in messages]
print(json.dumps([
    {
        "model": model,
        "id": record["diaSourceId"],
        "flux": record["diaSource"]["psfFlux"],
        "history": [s["diaSourceId"] for s in record["prvDiaSources"] or []],
        "cutout": len(record["cutoutScience"]),
    }
    for model, record in found
]))
"""


def test_hop_client_reads_containers_from_a_topic(environment, alerts):
    hop = environment("hop")
    container = streamdiff_alert_formats()["ocf"]()
    with EmbeddedBroker({"alerts": 1}) as broker:
        send(broker, [(container.encode(a), container.headers) for a in alerts])
        url = f"kafka://{broker.bootstrap}/alerts"
        read = hop.run(HOPSKOTCH, url, f"g{uuid4().hex}")
    expected = [alert_record(alert) for alert in alerts]
    assert read == [
        {
            "model": "AvroBlob",
            "id": record["diaSourceId"],
            "flux": record["diaSource"]["psfFlux"],
            "history": [s["diaSourceId"] for s in record["prvDiaSources"] or []],
            "cutout": len(record["cutoutScience"]),
        }
        for record in expected
    ]


def send(broker, messages):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for value, headers in messages:
        producer.produce("alerts", value, headers=list(headers.items()))
    assert producer.flush(30) == 0


FINK = """
import json, sys
from fink_client.avro_utils import AlertReader

reader = AlertReader(sys.argv[1])
table = reader.to_pandas()
print(json.dumps({
    "ids": [int(i) for i in table["diaSourceId"]],
    "fluxes": [source["psfFlux"] for source in table["diaSource"]],
    "forced": [
        [s["psfFlux"] for s in rows or []] for rows in table["prvDiaForcedSources"]
    ],
    "cutouts": [len(c) for c in table["cutoutScience"]],
}))
"""


@pytest.mark.parametrize("kept", ["a visit", "one message"])
def test_fink_client_reads_containers(environment, alerts, tmp_path, kept):
    if kept == "a visit":
        write_alerts(tmp_path / "alerts.avro", map(alert_record, alerts))
    else:
        alerts = alerts[1:2]
        message = streamdiff_alert_formats()["ocf"]().encode(alerts[0])
        (tmp_path / "alerts.avro").write_bytes(message)
    records = [alert_record(alert) for alert in alerts]
    assert environment("fink").run(FINK, tmp_path / "alerts.avro") == {
        "ids": [record["diaSourceId"] for record in records],
        "fluxes": [record["diaSource"]["psfFlux"] for record in records],
        "forced": [[-1.5] if record["diaObject"] else [] for record in records],
        "cutouts": [len(record["cutoutScience"]) for record in records],
    }


WHERE = (
    "import json, lsst.alert.packet as p; print(json.dumps(str(p.get_schema_root())))"
)

LSST = """
import base64, json, sys
from lsst.alert.packet import SchemaRegistry

registry = SchemaRegistry.all_schemas_from_filesystem(sys.argv[1])
found = []
for text in sys.argv[2:]:
    message = base64.b64decode(text)
    schema = registry.get_by_id(int.from_bytes(message[1:5], "big"))
    record = schema.deserialize(message[5:])
    found.append({
        "valid": schema.validate(record),
        "same": schema.serialize(record) == message[5:],
        "schema": schema.definition["name"],
        "id": record["diaSourceId"],
        "flux": record["diaSource"]["psfFlux"],
        "negative": record["diaSource"]["isNegative"],
        "history": [s["visit"] for s in record["prvDiaSources"] or []],
        "forced": [s["psfFlux"] for s in record["prvDiaForcedSources"] or []],
        "object": record["diaObject"] and record["diaObject"]["nDiaSources"],
        "moving": record["ssSource"] and record["ssSource"]["ssObjectId"],
        "cutout": base64.b64encode(record["cutoutDifference"]).decode(),
    })
print(json.dumps(found))
"""


@pytest.mark.parametrize("version", ["9/0", "10/0", "11/0", "11/1"])
def test_lsst_alert_packet_validates_alerts_under_its_schemas(
    environment, alerts, version
):
    lsst = environment("lsst")
    root = lsst.run(WHERE)
    form = lsst_format(folder=f"{root}/{version}")
    messages = [base64.b64encode(form.encode(a)).decode() for a in alerts[:2]]
    first, second = lsst.run(LSST, root, *messages)
    cutouts = [base64.b64decode(read.pop("cutout")) for read in (first, second)]
    common = {
        "valid": True,
        "same": True,
        "schema": f"lsst.v{version.replace('/', '_')}.alert",
    }
    ids = [alert.dia_source["diaSourceId"] for alert in alerts]
    assert first == common | {
        "id": ids[0],
        "flux": 0.0,
        "negative": False,
        "history": [],
        "forced": [],
        "object": None,
        "moving": None,
    }
    assert second == common | {
        "id": ids[1],
        "flux": 12.5,
        "negative": True,
        "history": [6],
        "forced": [-1.5],
        "object": 2,
        "moving": 77,
    }
    # warnings are errors
    stamp = CCDData.read(io.BytesIO(cutouts[1]))
    np.testing.assert_array_equal(stamp.data, alerts[1].cutout_difference.image)
    assert stamp.unit.to_string() == "nJy"


@pytest.mark.parametrize("version", ["3/0", "6/1", "7/4", "8/0"])
def test_schemas_that_require_more_are_refused_at_the_start(environment, version):
    root = environment("lsst").run(WHERE)
    with pytest.raises(ValueError, match=r"requires what alerts have not: \w+\.\w+ \("):
        lsst_format(folder=f"{root}/{version}")
