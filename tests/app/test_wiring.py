import pytest
from structlog.testing import capture_logs

from streamdiff import __version__
from streamdiff.app import wiring
from streamdiff.app.environment import find_plugins
from streamdiff.app.wiring import checks
from streamdiff.config import from_tree
from streamdiff.errors import ConfigError, PluginError
from streamdiff_coadd import MeanCoadder

STORE = {"store": {"uri": "memory://templates"}}


@pytest.fixture(scope="module")
def registry():
    return find_plugins()


def settings(tree=None):
    return from_tree(STORE | (tree or {}))


def test_the_defaults_are_complete(registry):
    with capture_logs() as logs:
        wiring.check(settings(), registry)
    assert logs == []


def test_columns_that_alerts_have_no_field_for_are_told(registry, monkeypatch):
    fields = {"x", "y"}
    monkeypatch.setattr(
        checks, "unmapped", lambda columns: tuple(set(columns) - fields)
    )
    with capture_logs() as logs:
        wiring.check(settings({"pipeline": {"measure": ["glint"]}}), registry)
    (log,) = logs
    assert log["measurer"] == "glint"
    assert log["columns"] == ("glint_trail",)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"pipeline": {"subtract": "ai"}}, "did you mean 'al'"),
        ({"pipeline": {"read": "none"}}, "no plugin 'none' of kind 'read'"),
        ({"pipeline": {"measure": ["psf_flux", "psf_fluxx"]}}, "'psf_flux'"),
        ({"pipeline": {"formats": ["xml"]}}, "xml"),
        ({"stream": {"event_decoders": ["s3_hints"]}}, "s3_hints"),
        ({"plugins": {"subtract": {"hotpants": {}}}}, "hotpants"),
    ],
)
def test_a_plugin_that_is_not_there_is_named(registry, tree, told):
    with pytest.raises(PluginError, match=told):
        wiring.check(settings(tree), registry)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"subtract": {"al": {"kernel_ordr": 1}}}, r"\[plugins.subtract.al\] kernel_o"),
        ({"warp": {"lanczos": {"order": 9}}}, r"\[plugins.warp.lanczos\] order: .*9"),
        (
            {"coadd": {"mean": {"no_such_key": 1}}},
            r"\[plugins.coadd.mean\] no_such_key",
        ),
    ],
)
def test_a_bad_option_is_refused_also_of_a_plugin_that_is_not_chosen(
    registry, tree, told
):
    with pytest.raises(ConfigError, match=told):
        wiring.check(settings({"plugins": tree}), registry)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"store": {"uri": "gopher://x"}}, "gopher"),
        ({"input": {"roots": ["/data/../etc"]}}, r"\[input\] roots"),
        (
            {"store": STORE["store"] | {"skymap": {"patch_pixels": 150}}},
            r"\[store.skymap\] overlap_pixels .* got 100 of 150",
        ),
    ],
)
def test_places_that_make_no_sense_are_refused(registry, tree, told):
    with pytest.raises(ConfigError, match=told):
        wiring.check(settings(tree), registry)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("pixelFlags_badCentre", "pixelFlags_badCenter"),
        ("rubbish", "its measurer is not chosen"),
    ],
)
def test_a_flag_that_nothing_measures_is_refused(registry, flag, told):
    with pytest.raises(ConfigError, match=f"bad_flags: no column '{flag}' .*{told}"):
        wiring.check(settings({"filters": {"bad_flags": [flag]}}), registry)


def test_filters_are_those_of_the_configuration(registry):
    rules = {
        "bad_flags": ["centroid_flag"],
        "max_trail_rate_arcsec_s": 0.3,
        "min_science_snr": -2,
        "min_reliability": 0.5,
    }
    chosen = settings({"filters": rules})
    made = wiring.search(chosen, registry).filters
    assert made.bad_flags == ("centroid_flag",)
    assert (made.max_trail_rate, made.min_science_snr) == (0.3, -2)
    assert made.min_reliability == 0.5
    assert chosen.config_hash != settings().config_hash


@pytest.mark.parametrize("kind", ["register", "score", "associate"])
def test_a_kind_can_be_left_out(registry, kind):
    chosen = settings({"pipeline": {kind: "none"}})
    assert wiring.build_chosen(chosen, registry, kind) is None
    assert kind not in wiring.provenance(chosen, registry).plugins


def test_a_plugin_of_the_name_none_is_one_like_others(registry):
    chosen = settings({"pipeline": {"decorrelate": "none"}})
    assert wiring.build_chosen(chosen, registry, "decorrelate") is not None
    assert wiring.provenance(chosen, registry).plugins["decorrelate"].startswith("none")


def test_options_reach_the_plugin(registry):
    chosen = settings({"plugins": {"warp": {"lanczos": {"order": 3}}}})
    assert wiring.build_chosen(chosen, registry, "warp").order == 3


def test_provenance_has_the_version_of_each_plugin_and_the_configuration(registry):
    made = wiring.provenance(settings(), registry)
    assert made.plugins["subtract"] == f"al streamdiff {__version__}"
    assert made.plugins["measure"].startswith(f"psf_flux streamdiff {__version__}, ")
    assert made.config_hash == settings().config_hash
    assert made.software_version == __version__


def test_every_stage_has_a_name_for_messages(registry):
    names = wiring.plugin_names(settings())
    assert names["read"] == "fits"
    assert names["measure.psf_flux"] == "psf_flux"


def test_a_flavour_has_the_options_of_the_coadder_and_its_own(registry):
    made = wiring.flavours(
        settings(
            {
                "store": STORE["store"]
                | {
                    "flavours": {
                        "sharp": {"options": {"best_fraction": 0.3}},
                        "quick": {"coadd": "mean"},
                    }
                },
                "plugins": {"coadd": {"compare_warp": {"threshold": 7.5}}},
            }
        ),
        registry,
    )
    assert (made["sharp"].best_fraction, made["sharp"].threshold) == (0.3, 7.5)
    assert isinstance(made["quick"], MeanCoadder)


def test_a_wrong_option_of_a_flavour_is_named(registry):
    flavours = {"sharp": {"options": {"best_fraction": 3}}}
    wrong = settings({"store": STORE["store"] | {"flavours": flavours}})
    with pytest.raises(ConfigError, match=r"store.flavours.sharp\].*best_fraction"):
        wiring.check(wrong, registry)


def associating(tmp_path, **catalogue):
    url = f"sqlite:///{tmp_path}/catalogue.db"
    return settings(
        {"pipeline": {"associate": "nearest"}, "catalogue": {"url": url} | catalogue}
    )


def test_association_is_that_of_the_configuration(registry, tmp_path):
    table = tmp_path / "moving.csv"
    table.write_text("ssObjectId,mjd_tai,ra,dec\n5,61000,10,20\n5,61001,10,20\n")
    chosen = associating(
        tmp_path,
        history_days=30,
        forced_photometry=False,
        ephemerides=str(table),
    )
    wiring.check(chosen, registry)
    made = wiring.association(chosen, registry, wiring.catalogue(chosen))
    assert (made.history_days, made.forced_photometry) == (30, False)
    assert made.ephemerides.ss_object_id.tolist() == [5, 5]
    assert made.associator.radius_arcsec == 1
    assert (
        wiring.provenance(chosen, registry).plugins["associate"].startswith("nearest")
    )
    assert chosen.config_hash != associating(tmp_path).config_hash
    assert not (tmp_path / "catalogue.db").exists()


@pytest.mark.parametrize(
    ("catalogue", "message"),
    [
        ({"url": "nowhere"}, r"\[catalogue\] url"),
        ({"ephemerides": "/no/such.csv"}, r"\[catalogue\] ephemerides: /no/such.csv"),
    ],
)
def test_a_catalogue_that_can_not_be_is_told_at_start(
    registry, tmp_path, catalogue, message
):
    with pytest.raises(ConfigError, match=message):
        wiring.check(associating(tmp_path, **catalogue), registry)
    wiring.check(settings({"catalogue": catalogue}), registry)  # nothing associates


def test_a_visit_pipeline_associates_if_it_is_told_to(registry, tmp_path):
    assert not wiring.associates(settings())
    assert wiring.associates(associating(tmp_path))
