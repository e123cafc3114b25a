"""The skeleton of a FITS file, checked against its length before it is parsed.

A header can promise any amount of data. Nothing is allocated, and no library
asked, before the promises have been compared with the bytes that are there
(FITS Standard 4.0, sections 3.3 and 4.4.1).
"""

import zlib
from itertools import count
from math import prod

from streamdiff.errors import TooLargeError, UnreadableImageError

BLOCK = 2880
_CARD = 80
_GZIP = b"\x1f\x8b"
_MAX_INFLATED = 1 << 32
# Compressed sky rarely shrinks more than tenfold; a bomb shrinks a thousandfold.
_MAX_COMPRESSION = 200
_MIN_COMPRESSED_LIMIT = 1 << 24
_BITPIX = (8, 16, 32, 64, -32, -64)


def inflate(content: bytes, uri: str) -> bytes:
    """Return the bytes of a file, decompressed if they are gzipped.

    Raises
    ------
    UnreadableImageError
        If the stream is corrupt or ends early.
    TooLargeError
        If the file grows out of proportion.
    """
    if not content.startswith(_GZIP):
        return content
    limit = min(_MAX_INFLATED, _proportionate(content))
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = stream.decompress(content, limit)
    except zlib.error as err:
        raise UnreadableImageError(f"{uri}: the gzip stream is corrupt: {err}") from err
    if stream.unconsumed_tail:
        raise TooLargeError(f"{uri}: inflates to more than {limit} bytes")
    if not stream.eof:
        raise UnreadableImageError(f"{uri}: the gzip stream ends early")
    return inflated


def check_structure(content: bytes, uri: str) -> None:
    """Check that every HDU is complete.

    Raises
    ------
    UnreadableImageError
        If this is no FITS file, or it ends before its headers say it does.
    TooLargeError
        If a compressed image is out of proportion to the file.
    """
    if not content.startswith(b"SIMPLE  ="):
        raise UnreadableImageError(
            f"{uri}: not a FITS file: {len(content)} bytes that do not begin with "
            "the keyword SIMPLE"
        )
    offset = 0
    for extension in count():
        where = f"{uri}, extension {extension}"
        cards, start = _header(content, offset, where)
        size = _data_size(cards, where)
        if start + size > len(content):
            raise UnreadableImageError(
                f"{where}: truncated: the header promises {size} bytes of data, the "
                f"file holds {len(content) - start}"
            )
        _check_compressed(cards, content, where)
        offset = start + -(-size // BLOCK) * BLOCK
        # Whatever follows the last HDU is to be ignored (section 3.6).
        if not content.startswith(b"XTENSION", offset):
            return


def _header(content: bytes, offset: int, where: str) -> tuple[dict[str, str], int]:
    """Return the values of a header as they are written, and where its data begin."""
    cards: dict[str, str] = {}
    for start in range(offset, len(content) - _CARD + 1, _CARD):
        card = content[start : start + _CARD]
        keyword = card[:8].rstrip()
        if keyword == b"END":
            blocks = -(-(start + _CARD - offset) // BLOCK)
            return cards, offset + blocks * BLOCK
        if card[8:10] == b"= ":
            text = card[10:].decode("ascii", "replace").split("/")[0]
            cards.setdefault(keyword.decode("ascii", "replace"), text.strip())
    raise UnreadableImageError(f"{where}: the header has no END")


def _data_size(cards: dict[str, str], where: str) -> int:
    """Return the number of bytes of an HDU's data (Eq. 1 of the FITS Standard)."""
    bitpix = _integer(cards, "BITPIX", where)
    if bitpix not in _BITPIX:
        raise UnreadableImageError(f"{where}: BITPIX must be in {_BITPIX}, is {bitpix}")
    n_axes = _integer(cards, "NAXIS", where)
    if not 0 <= n_axes <= 999:
        raise UnreadableImageError(f"{where}: NAXIS must be in 0..999, is {n_axes}")
    sides = [_integer(cards, f"NAXIS{i + 1}", where) for i in range(n_axes)]
    extra = _integer(cards, "PCOUNT", where, 0)
    groups = _integer(cards, "GCOUNT", where, 1)
    if extra < 0 or groups < 0 or any(side < 0 for side in sides):
        raise UnreadableImageError(f"{where}: NAXISn, PCOUNT, GCOUNT must not be < 0")
    return abs(bitpix) // 8 * groups * (extra + prod(sides)) if sides else 0


def _check_compressed(cards: dict[str, str], content: bytes, where: str) -> None:
    if cards.get("ZIMAGE") != "T":
        return
    n_axes = min(_integer(cards, "ZNAXIS", where), 9)
    sides = [_integer(cards, f"ZNAXIS{i + 1}", where) for i in range(n_axes)]
    size = abs(_integer(cards, "ZBITPIX", where)) // 8 * prod(sides)
    if size > _proportionate(content):
        raise TooLargeError(
            f"{where}: ZNAXISn: {len(content)} bytes can not hold an image of {sides}"
        )


def _proportionate(content: bytes) -> int:
    return max(_MAX_COMPRESSION * len(content), _MIN_COMPRESSED_LIMIT)


def _integer(
    cards: dict[str, str], keyword: str, where: str, default: int | None = None
) -> int:
    text = cards.get(keyword)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError as err:
        raise UnreadableImageError(
            f"{where}: {keyword} must be an integer, is {text!r}"
        ) from err
