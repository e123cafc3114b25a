"""What a reader of the schemas relies on."""

import json
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from itertools import pairwise

import fastavro
import pytest
from fastavro.schema import load_schema
from fastavro.validation import validate

import streamdiff
from streamdiff.adapters.avro.schemas import (
    MESSAGES,
    Version,
    identify,
    latest,
    live_order_fields,
    load,
    schema_folder,
    schema_id,
)
from streamdiff.model import Action, Outcome, Reason

# Written once, when a version is released; a change is a new version.
RELEASED = {
    "1/0/streamdiff.v1_0.alert.avsc": (
        "da3ad0d1f0a60f919d59cf5111b1ddddf0eb0aaa0f990f16873a367414267b79"
    ),
    "1/0/streamdiff.v1_0.coaddInput.avsc": (
        "fba353048d9a0a54a62e926053b4332645716d62fd804bb38596da280333f8aa"
    ),
    "1/0/streamdiff.v1_0.diaForcedSource.avsc": (
        "ea5249db12a578ed11c4e21f1d96c5ad64e8ae5d157120ee8ee885fd6e7a51ae"
    ),
    "1/0/streamdiff.v1_0.diaObject.avsc": (
        "78828753d9495c14cf9c3b050138691ae83811af7b0a3bbaee5d1d05a7bc4030"
    ),
    "1/0/streamdiff.v1_0.diaSource.avsc": (
        "7731f76db7b411e1f66a790357d1ec157fbfb167fb0952056d150bd3f7dd89e5"
    ),
    "1/0/streamdiff.v1_0.loggedRecord.avsc": (
        "12f87b4ee8eabda29c8d036020e392611d02fce70c711546217d61abfac05f0f"
    ),
    "1/0/streamdiff.v1_0.outcome.avsc": (
        "563a535aa0d0a0a2c5a8e3e746d24697076198bdcb05a3ff2fae5dc69c80b2c0"
    ),
    "1/0/streamdiff.v1_0.provenance.avsc": (
        "62d2a761501bba12206f7d1fdfd081c478974bc849651a614f0d1e859e76ce0f"
    ),
    "1/0/streamdiff.v1_0.ssSource.avsc": (
        "a1f6155362b3f8451fcc3a1ecaaac5fbf1a317363a93babfba6f058ecd697d0e"
    ),
    "1/0/streamdiff.v1_0.templateAction.avsc": (
        "845e7c666071933e9b76c61b4ed21ef4efb6018fa5d487b31d8212326700aaad"
    ),
    "1/0/streamdiff.v1_0.templateRebuilt.avsc": (
        "c6184e7f157283252180fc4840132f1454bb51822eac9be54ce9bcf2ed76ad1e"
    ),
    "1/0/streamdiff.v1_0.templateUpdate.avsc": (
        "ae12e1e6f97fb6dac07346fc662c770126040d2a64096010ed89460a8ef1bc7b"
    ),
    "1/0/streamdiff.v1_0.templateUse.avsc": (
        "5a8b7bd1fb39a87fc5f7582ada857dbd45ef05925bbd6d9d35d62dea6fc84e09"
    ),
    "1/0/streamdiff.v1_0.visitProcessed.avsc": (
        "24e15661b719bd5008ef7e2ae9f658ef4b9879d3911fa87aec676c837d427ceb"
    ),
    "1/0/streamdiff.v1_0.visitReady.avsc": (
        "2606f9b009f30f4b2a0b4c26fae37da8463269fbbaebf2598900a27b0bc7cc27"
    ),
}

FILES = sorted(schema_folder().rglob("*.avsc"))
SAMPLES = sorted(schema_folder().rglob("sample_data/*.json"))

# Numbers that name something, and so have no unit.
IDENTIFIERS = {"detector", "version", "tract", "patch", "visit"} | {
    "partition",
    "offset",
}


def fields_of(schema):
    return schema["fields"] if schema["type"] == "record" else []


def bare(type_):
    """Return a field's type without the null of its union."""
    return type_[1] if isinstance(type_, list) else type_


def is_quantity(field):
    type_ = bare(field["type"])
    if isinstance(type_, dict):
        type_ = type_.get("values", type_["type"])
    is_name = field["name"] in IDENTIFIERS or field["name"].lower().endswith("id")
    is_name |= field["name"] == "template_version"
    return type_ in {"float", "double", "int", "long"} and not is_name


def name_of(path):
    return path.name.split(".")[2]


@pytest.mark.parametrize("path", FILES, ids=name_of)
class TestFile:
    def test_parses_under_the_name_of_its_file(self, path):
        assert load_schema(str(path))["name"] == path.name.removesuffix(".avsc")

    def test_every_field_says_what_it_is(self, path):
        schema = json.loads(path.read_text())
        assert schema["doc"]
        assert all(field["doc"].endswith(".") for field in fields_of(schema))

    def test_every_quantity_has_its_unit_in_brackets(self, path):
        quantities = filter(is_quantity, fields_of(json.loads(path.read_text())))
        assert not [f["name"] for f in quantities if "[" not in f["doc"]]

    def test_optional_fields_are_null_by_default(self, path):
        for field in fields_of(json.loads(path.read_text())):
            if isinstance(field["type"], list):
                assert field["type"][0] == "null"
                assert len(field["type"]) == 2
                assert field["default"] is None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
class TestSample:
    def test_is_of_its_schema(self, path):
        assert validate(sample(path), load(path.stem), strict=True)

    def test_keeps_its_bytes_through_a_reader(self, path):
        message = written(sample(path), path.stem)
        again = fastavro.schemaless_reader(BytesIO(message), load(path.stem), None)
        assert written(again, path.stem) == message


def sample(path):
    """Return sample data, its times as datetimes."""
    times = {"published_at", "finished_at"}

    def restore(values):
        found = times & set(values)
        return values | {name: datetime.fromisoformat(values[name]) for name in found}

    return json.loads(path.read_text(), object_hook=restore)


def written(values, record):
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, load(record), values, strict=True)
    return buffer.getvalue()


def test_every_message_has_a_sample():
    assert set(MESSAGES) <= {path.stem for path in SAMPLES}


def test_released_files_are_never_edited():
    found = {
        path.relative_to(schema_folder()).as_posix(): checksum(path) for path in FILES
    }
    assert RELEASED.items() <= found.items()


def test_every_file_of_a_released_version_is_listed():
    files = {path.relative_to(schema_folder()).as_posix() for path in FILES}
    assert files == set(RELEASED)


def checksum(path):
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("inside", [True, False])
def test_schemas_of_the_package_come_before_the_repository_s(
    tmp_path, monkeypatch, inside
):
    package = tmp_path / "streamdiff"
    folders = [tmp_path / "schemas", *([package / "schemas"] if inside else [])]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "latest.txt").write_text("1.0\n")
    monkeypatch.setattr(streamdiff, "__file__", str(package / "__init__.py"))
    assert schema_folder() == folders[-1]


def test_an_installation_without_schemas_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(streamdiff, "__file__", str(tmp_path / "p" / "__init__.py"))
    with pytest.raises(FileNotFoundError, match="reinstall streamdiff"):
        schema_folder()


def test_ids_count_kinds_then_versions():
    ids = [schema_id(record, version=Version(1, 0)) for record in MESSAGES]
    assert ids == [100, 10_100, 20_100, 30_100, 40_100]


def test_an_id_leads_back_to_its_record():
    for record in MESSAGES:
        found = identify(schema_id(record, offset=70_000), offset=70_000)
        assert found == (record, latest())


@pytest.mark.parametrize("unknown", [0, 99, -1, 199, 50_100, 10_201, 2**31 - 1])
def test_an_unknown_id_is_no_record(unknown):
    with pytest.raises(LookupError, match=str(unknown)):
        identify(unknown)


def test_records_that_are_no_messages_have_no_id():
    with pytest.raises(LookupError, match="diaSource is no message"):
        schema_id("diaSource")


def test_an_unknown_record_is_named():
    with pytest.raises(LookupError, match=r"v1_0\.nothing\.avsc"):
        load("nothing", Version(1, 0))


def test_fields_that_depend_on_live_order_are_marked():
    assert live_order_fields("alert") == {
        "prvDiaSources",
        "prvDiaForcedSources",
        "diaObject",
        "diaSource.diaObjectId",
        "diaSource.ssObjectId",
        "diaSource.timeProcessedMjdTai",
        "diaSource.timeWithdrawnMjdTai",
        "ssSource",
    }


FIELDS = {
    "visitReady": (
        "event_id instrument visit detector band physical_filter midpoint_mjd_tai "
        "exposure_time_s image_uri mask_uri variance_uri psf_uri image_sha256 "
        "template_name template_version published_at catalogue_uri"
    ),
    "templateUpdate": (
        "event_id template_name tract patch band action exposures published_at"
    ),
    "visitProcessed": (
        "event_id instrument visit detector band outcome reason detail n_alerts "
        "n_filtered metrics stage_seconds templates plugins config_hash "
        "software_version attempts finished_at"
    ),
    "templateRebuilt": (
        "event_id template_id version outcome reason n_epochs inputs metrics "
        "software_version finished_at"
    ),
    "alert": (
        "diaSourceId diaSource prvDiaSources prvDiaForcedSources diaObject "
        "cutoutDifference cutoutScience cutoutTemplate provenance ssSource"
    ),
    "provenance": (
        "event_id templates plugins config_hash software_version flux_unit photometric"
    ),
    "templateUse": "template_id version fraction",
    "coaddInput": "visit detector weight accepted reason instrument",
}


@pytest.mark.parametrize("record", FIELDS)
def test_names_and_their_order_are_the_contract(record):
    assert [f["name"] for f in load(record)["fields"]] == FIELDS[record].split()


def test_enumerations_are_those_of_the_model():
    assert load("outcome")["symbols"] == list(Outcome)
    assert load("templateAction")["symbols"] == list(Action)


@pytest.mark.parametrize("record", ["visitProcessed", "templateRebuilt"])
def test_every_reason_is_documented(record):
    (field,) = [f for f in load(record)["fields"] if f["name"] == "reason"]
    assert [reason for reason in Reason if reason not in field["doc"]] == []


def breaking_changes(old, new):
    """Return what keeps readers of one minor version from reading the other."""
    before = {f["name"]: f for f in old["fields"]}
    after = {f["name"]: f for f in new["fields"]}
    common = before.keys() & after.keys()
    changed = [n for n in common if before[n]["type"] != after[n]["type"]]
    removed = sorted(before.keys() - after.keys())
    bare_additions = [
        n for n, f in after.items() if n not in before and "default" not in f
    ]
    return sorted(changed) + removed + bare_additions


def minor_steps():
    """Yield pairs of files of one record in successive minor versions."""
    by_record = {}
    for path in FILES:
        major, minor = map(int, path.parts[-3:-1])
        by_record.setdefault((name_of(path), major), []).append((minor, path))
    for versions in by_record.values():
        ordered = [path for _, path in sorted(versions)]
        yield from pairwise(ordered)


def test_minor_versions_only_add_fields_with_defaults():
    for old, new in minor_steps():
        old_schema, new_schema = (json.loads(p.read_text()) for p in (old, new))
        if old_schema["type"] == "record":
            assert breaking_changes(old_schema, new_schema) == [], new.name
        else:
            assert new_schema["symbols"] == old_schema["symbols"], new.name


VISIT_READY = json.loads(
    next(p for p in FILES if name_of(p) == "visitReady").read_text()
)
ADDED = {"name": "seeing_arcsec", "type": ["null", "double"], "default": None}


def with_fields(fields):
    return VISIT_READY | {"fields": fields}


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ([*VISIT_READY["fields"], ADDED], []),
        (VISIT_READY["fields"][1:], ["event_id"]),
        ([*VISIT_READY["fields"], {"name": "new", "type": "int"}], ["new"]),
        (
            [{"name": "event_id", "type": "long"}, *VISIT_READY["fields"][1:]],
            ["event_id"],
        ),
    ],
    ids=["added with a default", "removed", "added without", "another type"],
)
def test_changes_that_break_readers_are_noticed(fields, broken):
    assert breaking_changes(VISIT_READY, with_fields(fields)) == broken


@pytest.mark.parametrize("writer_is_new", [True, False])
def test_readers_of_one_minor_version_read_the_other(writer_is_new):
    old = fastavro.parse_schema(VISIT_READY)
    new = fastavro.parse_schema(with_fields([*VISIT_READY["fields"], ADDED]))
    writer, reader = (new, old) if writer_is_new else (old, new)
    value = sample(next(p for p in SAMPLES if p.stem == "visitReady"))
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, writer, value)
    buffer.seek(0)
    expected = value if writer_is_new else value | {"seeing_arcsec": None}
    assert fastavro.schemaless_reader(buffer, writer, reader) == expected
