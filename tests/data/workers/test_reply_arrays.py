"""The arrays of a reply: whatever a worker sends, nothing is read or written beyond its bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from rsretrieve.data.workers.shared_memory import InvalidReply, create_shared_file, map_shared
from tests.support.processes.reply_messages import message, raw


@pytest.fixture
def shared():
    """Memory that both ends share."""
    return map_shared(create_shared_file())


def test_messages_of_the_tests_are_like_those_of_a_worker():
    assert raw(message([True, {"a": [1, None, 2.5]}])) == (True, {"a": (1, None, 2.5)})
    found = raw(message({"#array": 0}, [[-1, "<u2", [2, 1]]], b"\1\0\2\0"))
    np.testing.assert_array_equal(found, np.array([[1], [2]], np.uint16))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("O8", [200]),
        ("|O", [200]),
        (["O8", False, True], [200]),
        ({"names": ["a"], "formats": ["O"]}, [200]),
        ("V8", [200]),
        ("<U2", [200]),
        ("<M8[s]", [200]),
        ("<c16", [100]),
        ("<u8", [(32 << 20) // 8 + 1]),
        ("<u8", [1 << 61, 200]),
        ("<u8", [1 << 32, 1 << 32]),
        ("<u8", [-200]),
        ("<u8", [-1, -200]),
        ("<u8", [200.0]),
        ("<u8", [True] * 3),
        ("<u8", [1] * 70 + [200]),
        ("<u8", 200),
        ("<u8", "200"),
        (7, [200]),
        (None, [200]),
    ],
)
@pytest.mark.parametrize("start", [0, -1])
def test_an_array_of_another_kind_or_size_is_refused(shared, kind, shape, start):
    sent = struct.pack("<Q", 0x4141414141414140) * 200
    shared[: len(sent)] = sent
    with pytest.raises(InvalidReply):
        raw(message({"#array": 0}, [[start, kind, shape]], sent), shared)


@pytest.mark.parametrize("start", [-2, 1 << 40, -(1 << 40), "0", None, 1.5])
def test_an_array_that_lies_elsewhere_is_refused(shared, start):
    with pytest.raises(InvalidReply):
        raw(message({"#array": 0}, [[start, "<u8", [200]]], bytes(1600)), shared)


@pytest.mark.parametrize("start", [0, -1])
def test_one_place_is_no_more_than_one_array(shared, start):
    """Each array is a copy: a short reply would otherwise take memory without a limit."""
    parts = [[start, "|u1", [len(shared) // 2 if start == 0 else 4096]]] * 100
    with pytest.raises(InvalidReply, match="more arrays than were sent"):
        raw(message(True, parts, bytes(4096)), shared)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, [9], [1]),
        (0, [1 << 40], [0]),
        (1, [8], [1]),
        (-1, [8], [1]),
        (0, [2], [-1]),
        (0, [9], [1 << 61]),
        (0, [5], [(1 << 62) - 1]),
        (0, [3], [1 << 63]),
        (0, [2, 2], [1 << 62, 1 << 62]),
        (0, [-1], [1]),
        (0, [4], [1, 1]),
        (0.0, [4], [1]),
        (0, [1] * 40, [1] * 40),
    ],
)
def test_a_view_that_leaves_its_array_is_refused(offset, shape, strides):
    with pytest.raises(InvalidReply):
        raw(message({"#view": [0, offset, shape, strides]}, [[-1, "|u1", [8]]], bytes(8)))


def test_what_is_true_is_one_bit():
    """NumPy counts bytes, so that a larger one would have it write beyond its memory."""
    found = raw(message({"#array": 0}, [[-1, "|b1", [4]]], b"\0\1\xff\7"))
    assert found.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_a_received_array_does_not_change_with_the_memory(shared):
    shared[:1024] = bytes(1024)
    found = raw(message([{"#array": 0}, {"#view": [0, 0, [9], [1]]}], [[0, "|u1", [1024]]]), shared)
    shared[:1024] = b"x" * 1024
    assert not any(array.any() for array in found)
