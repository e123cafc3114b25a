"""Mutations of bytes, by chance."""

from random import Random

NASTY = (
    *(bytes([n]) for n in (0, 1, 0x7F, 0x80, 0xFF)),
    b"\xff" * 9,
    b"\xfe\xff\xff\xff\x0f",
    b"\x00" * 80,
    b"NaN",
    b"-1",
    b"1E400",
    b"99999999999999999999",
    b"END" + b" " * 77,
    b"../../",
)


def flip(content: bytes, random: Random) -> bytes:
    spoiled = bytearray(content)
    for _ in range(random.randint(1, 8)):
        spoiled[random.randrange(len(spoiled))] ^= 1 << random.randrange(8)
    return bytes(spoiled)


def cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))]


def insert(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + random.choice(NASTY) + content[place:]


def overwrite(content: bytes, random: Random) -> bytes:
    nasty = random.choice(NASTY)
    place = random.randrange(len(content))
    return content[:place] + nasty + content[place + len(nasty) :]


def repeat(content: bytes, random: Random) -> bytes:
    first, last = sorted(random.randrange(len(content)) for _ in range(2))
    return content[:last] + content[first:last] + content[last:]


def drop(content: bytes, random: Random) -> bytes:
    first, last = sorted(random.randrange(len(content)) for _ in range(2))
    return content[:first] + content[last:]


MUTATIONS = (flip, cut, insert, overwrite, repeat, drop)


def mutate(content: bytes, random: Random) -> bytes:
    """Return content with one to three mutations."""
    for _ in range(random.randint(1, 3)):
        if content:
            content = random.choice(MUTATIONS)(content, random)
    return content


def mutate_header(content: bytes, random: Random) -> bytes:
    """Return a FITS file whose mutations are among its cards, where it hurts."""
    cards = [n for n in range(0, len(content), 80) if content[n + 8 : n + 10] == b"= "]
    for _ in range(random.randint(1, 3)):
        start = random.choice(cards)
        card = mutate(content[start : start + 80], random)[:80].ljust(80)
        content = content[:start] + card + content[start + 80 :]
    return content
