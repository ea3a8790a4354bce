"""Reading of IDX files, the format of MNIST and its relatives.

A file is the bytes `0 0 8 rank`, then `rank` big-endian 32-bit sizes, then one byte for each value.
"""

import gzip
import hashlib
import math
import zlib
from typing import BinaryIO

import numpy as np

from ocm_tf.errors import UserError

# MNIST's largest file has 47 million values; a header that claims far more is damaged or hostile.
MAX_VALUES = 2**30
_CHUNK = 2**20


def read_idx(
    stream: BinaryIO | gzip.GzipFile, name: str, rank: int, num_bytes: int | None = None
) -> tuple[np.ndarray, str]:
    """Reads one IDX file of unsigned bytes, checking its header before any memory is taken.

    Args:
        stream: a binary file open for reading, at its start, already decompressed or a `gzip.GzipFile`.
        name: the name to call the file by in errors.
        rank: the rank the array must have: 3 for images, 1 for labels.
        num_bytes: the length of the stream where it is known beforehand (not for gzip).

    Returns:
        array: uint8 array of that rank.
        sha256: hexadecimal SHA-256 of the whole decompressed file.

    Raises:
        UserError: if the file is cut short, too long, not an IDX file, or not of that rank.
    """
    try:
        return _read_idx(stream, name, rank, num_bytes)
    except (EOFError, OSError, zlib.error) as error:  # what gzip raises on damage, and disks on theirs
        raise UserError(f"{name} cannot be read ({error}): fetch or copy the file again") from error


def _read_idx(stream, name, rank, num_bytes):
    header = stream.read(4 + 4 * rank)
    magic = bytes((0, 0, 8, rank))
    if header[:4] != magic[: len(header[:4])] or len(header) < 4:
        raise UserError(
            f"{name} is not an IDX file of rank {rank}: it must begin with bytes {magic.hex()}, "
            f"found {header[:4].hex() or 'nothing'}"
        )
    if len(header) < 4 + 4 * rank:
        raise UserError(f"{name} is cut short inside its header: fetch or copy the file again")
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4))
    num_values = math.prod(shape)
    if num_values > MAX_VALUES:
        raise UserError(f"{name} claims shape {shape}, more than {MAX_VALUES} values: the file is damaged")
    if num_bytes is not None and num_bytes != len(header) + num_values:
        raise _wrong_length(name, shape, num_values, num_bytes - len(header))
    # In pieces, so that a false header costs no more memory than the stream really has to give.
    payload = bytearray()
    while piece := stream.read(min(_CHUNK, num_values + 1 - len(payload))):
        payload += piece
    if len(payload) != num_values:
        raise _wrong_length(name, shape, num_values, len(payload))
    digest = hashlib.sha256(header)
    digest.update(payload)
    return np.frombuffer(payload, np.uint8).reshape(shape), digest.hexdigest()


def _wrong_length(name, shape, expected, found):
    fault = "cut short" if found < expected else "too long"
    found = f"{found}" if found <= expected else f"more than {expected}"
    return UserError(
        f"{name} is {fault}: shape {shape} needs {expected} bytes after the header, found {found}; "
        "fetch or copy the file again"
    )


def open_gzip(stream: BinaryIO) -> gzip.GzipFile:
    """Opens a compressed binary stream for reading."""
    return gzip.GzipFile(fileobj=stream, mode="rb")


def idx_sha256(array: np.ndarray) -> str:
    """Computes the SHA-256 that an array would have as an IDX file.

    Args:
        array: uint8 array of any rank below 256.

    Returns:
        sha256: hexadecimal digest.
    """
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    digest = hashlib.sha256(bytes((0, 0, 8, array.ndim)) + sizes)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
