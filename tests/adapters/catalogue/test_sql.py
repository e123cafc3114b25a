"""Which databases are taken, and what is said of those that are not."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from streamdiff.adapters.catalogue import SqlCatalogue
from streamdiff.adapters.catalogue.migrations import VERSION, migrate, version_of
from streamdiff.errors import ConfigError, StoreUnavailableError
from streamdiff.model import VisitReady

EVENT = VisitReady(
    event_id="e",
    instrument="SimCam",
    visit=1,
    detector=0,
    band="r",
    midpoint_mjd_tai=61000.0,
    exposure_time_s=30.0,
    image_uri="memory://image",
    published_at=datetime(2026, 1, 1, tzinfo=UTC),
)
NOWHERE = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "such as sqlite:///"),
        ("sqlite://", "no database in memory"),
        ("sqlite:///:memory:", "no database in memory"),
        ("nosuch://host/name", "sqlite or postgresql"),
        ("postgresql+nosuch://host/name", "such as sqlite:///"),
    ],
)
def test_a_url_that_names_no_database_is_refused(url, message):
    with pytest.raises(ConfigError, match=message):
        SqlCatalogue(url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////no/such/folder/catalogue.db",
        "postgresql://user:secret@127.0.0.1:1/name",
    ],
)
def test_a_database_that_does_not_answer_is_retried_and_named_without_password(url):
    catalogue = SqlCatalogue(url, timeout_s=2)
    with pytest.raises(StoreUnavailableError, match="catalogue") as raised:
        catalogue.prepare()
    catalogue.close()
    assert "secret" not in str(raised.value)
    assert raised.value.reason == "store_unavailable"
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "catalogue.db"
    path.write_bytes(b"no database, but long enough to look at its header" * 30)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        SqlCatalogue(f"sqlite:///{path}").prepare()


def test_a_catalogue_of_a_newer_version_is_refused(tmp_path):
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path}/catalogue.db")
    catalogue.prepare()
    with catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE catalogue_version SET version = 99"))
    catalogue.close()
    again = SqlCatalogue(f"sqlite:///{tmp_path}/catalogue.db")
    with pytest.raises(ConfigError, match=rf"version 99, .* knows {VERSION}"):
        again.prepare()
    again.close()


def test_a_catalogue_of_an_older_version_is_brought_up_to_date(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/catalogue.db")
    steps = {
        VERSION: ["ALTER TABLE exposures ADD COLUMN first FLOAT"],
        VERSION + 1: [
            "ALTER TABLE exposures ADD COLUMN second FLOAT",
            "CREATE INDEX by_second ON exposures (second)",
        ],
    }
    with engine.begin() as connection:
        migrate(connection)
    for _ in range(2):  # the second time there is nothing to do
        with engine.begin() as connection:
            migrate(connection, version=VERSION + 2, migrations=steps)
    with engine.begin() as connection:
        assert version_of(connection) == VERSION + 2
        connection.execute(text("SELECT first, second FROM exposures"))
    engine.dispose()


def test_an_error_inside_a_transaction_undoes_it(tmp_path):
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path}/catalogue.db")
    with pytest.raises(ZeroDivisionError), catalogue.session(EVENT, NOWHERE):
        raise ZeroDivisionError
    with catalogue.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM exposures")).scalar() == 0
    catalogue.close()


def test_a_writer_that_waits_too_long_is_retried(tmp_path):
    url = f"sqlite:///{tmp_path}/catalogue.db"
    first, second = SqlCatalogue(url), SqlCatalogue(url, timeout_s=0.01)
    second.prepare()
    with (
        first.session(EVENT, NOWHERE),
        pytest.raises(StoreUnavailableError, match="locked"),
        second.session(EVENT, NOWHERE),
    ):
        pass
    for catalogue in (first, second):
        catalogue.close()
