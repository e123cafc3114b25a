import pytest

from streamdiff.app.replay.injection import parse_injection
from streamdiff.errors import ConfigError


def test_everything_may_be_left_out():
    settings = parse_injection("")
    assert (settings.fraction, settings.n, settings.scale) == (1.0, 50, "snr")


def test_every_part_is_read():
    settings = parse_injection("n=7,mag=19.5:24,seed=3")
    assert (settings.n, settings.seed, settings.scale) == (7, 3, "mag")
    assert (settings.low, settings.high) == (19.5, 24)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m=7", "'m=7' is not understood"),
        ("snr=3", "'snr=3' is not understood"),
        ("snr=a:b", "'snr=a:b'"),
        ("n=many", "'n=many'"),
        ("n=0", "n"),
        ("snr=9:3", "snr = 9:3"),
        ("snr=0:3", "snr = 0:3"),
    ],
)
def test_what_makes_no_sense_is_named(text, told):
    with pytest.raises(ConfigError, match=f"--inject {text}: .*{told}"):
        parse_injection(text)
