"""Keys of random streams: what is drawn for one purpose says nothing about what is drawn for another."""

import zlib
from collections.abc import Sequence

import numpy as np

# one for everything that is drawn; a name is part of every result, so it is never changed
PURPOSES = (
    "masks",
    "sketches",
    "haze",
    "images",
    "foreground",
    "weights",
    "patches",
    "training noise",
    "samples",
    "sample patches",
    "check noise",
    "sweep sketches",
    "sweep noise",
    "sweep windows",
    "cellpose",
    "bootstrap",
)


def hash_name(name: str) -> int:
    """Return a number for a name, the same on every machine and in every run (unlike `hash`)."""
    return zlib.crc32(name.encode())


def stream_key(seed: int, organism: str, purpose: str) -> list[int]:
    """Make the key of a random stream, for `numpy.random.default_rng`.

    Numbers may follow it, such as that of a volume or of a step; within a purpose always as many, since numpy fills
    short keys up with zeros.

    Parameters
    ----------
    seed : int
        Of the configuration.
    organism : str
        Its name.
    purpose : str
        What is drawn, one of `PURPOSES`.

    Raises
    ------
    ValueError
        If the purpose is none of these.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"{purpose!r} is no purpose of a random stream")
    return [seed, hash_name(organism), hash_name(purpose)]


def stream_seed(key: Sequence[int]) -> int:
    """Make a seed of 32 bits from a key, for generators that take a single number."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])
