import gzip
import hashlib
import io

import numpy as np
import pytest
from data_files import idx_bytes
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.data.idx import idx_sha256, open_gzip, read_idx
from ocm_tf.errors import UserError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
CONTENT = idx_bytes(IMAGES)


def read(content, rank=3):
    return read_idx(io.BytesIO(content), "file", rank, len(content))


def test_reads_what_was_written():
    array, sha256 = read(CONTENT)
    np.testing.assert_array_equal(array, IMAGES)
    assert array.dtype == np.uint8
    assert sha256 == hashlib.sha256(CONTENT).hexdigest() == idx_sha256(IMAGES)


def test_header_by_hand():
    array, _ = read(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), rank=1)
    assert array.tolist() == [7, 8, 9]


def test_reads_gzip_of_unknown_length():
    array, sha256 = read_idx(open_gzip(io.BytesIO(gzip.compress(CONTENT))), "file.gz", 3)
    np.testing.assert_array_equal(array, IMAGES)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()


@given(st.integers(0, len(CONTENT) - 1))
def test_every_truncation_is_one_clear_error(length):
    with pytest.raises(UserError, match=r"^file .*(cut short|not an IDX file)"):
        read(CONTENT[:length])
    # Without a known length the end of the stream must be noticed instead.
    with pytest.raises(UserError, match=r"^file "):
        read_idx(io.BytesIO(CONTENT[:length]), "file", 3)


@given(st.integers(0, len(gzip.compress(CONTENT)) - 1))
def test_every_truncation_of_gzip_is_one_clear_error(length):
    with pytest.raises(UserError, match=r"^file.gz "):
        read_idx(open_gzip(io.BytesIO(gzip.compress(CONTENT)[:length])), "file.gz", 3)


@given(st.binary(max_size=64), st.sampled_from([1, 3]))
def test_any_bytes_give_an_array_or_a_user_error(content, rank):
    try:
        array, _ = read(content, rank)
    except UserError:
        return
    assert array.ndim == rank
    assert idx_bytes(array) == content


@given(st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3))
def test_a_header_that_claims_too_much_costs_no_memory(sizes):
    header = bytes((0, 0, 8, 3)) + b"".join(size.to_bytes(4, "big") for size in sizes)
    for num_bytes in (len(header) + 5, None):
        try:
            array, _ = read_idx(io.BytesIO(header + b"12345"), "file", 3, num_bytes)
        except UserError:
            continue
        assert array.size == 5


def test_trailing_bytes_are_refused():
    with pytest.raises(UserError, match="too long"):
        read(CONTENT + b"x")
    with pytest.raises(UserError, match="too long"):
        read_idx(io.BytesIO(CONTENT + b"x"), "file", 3)


def test_wrong_rank_and_wrong_type_are_refused():
    with pytest.raises(UserError, match="must begin with bytes 00000801, found 00000803"):
        read(CONTENT, rank=1)
    with pytest.raises(UserError, match="must begin with"):
        read(bytes((0, 0, 13, 3)) + CONTENT[4:])  # floats
