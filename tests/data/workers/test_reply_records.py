"""What else a worker may send: records with other fields, other values, a part, or without end."""

from __future__ import annotations

import os
import pickle
import struct
from multiprocessing import Pipe

import pytest

from rsretrieve.data.workers.shared_memory import InvalidReply, receive_reply
from tests.support.processes.reply_messages import message, raw


class Innocent:
    """A class that no answer has, whose pickle calls a function."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickle_is_no_answer(tmp_path):
    folder = tmp_path / "made"
    for answer in (Innocent(folder), [1, {"a": Innocent(folder)}], (True, 4)):
        for content in (pickle.dumps(answer), pickle.dumps(((), pickle.dumps(answer)))):
            with pytest.raises(InvalidReply):
                raw(content)
    assert not folder.exists()


RING = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "record",
    [
        ["Place", "EPSG:4326", [0, 0, 1], RING, None],
        ["Place", 7, [0, 0, 1, 1], RING, None],
        ["Place", "EPSG:4326", [0, 0, 1, float("nan")], RING, None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], [], None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], RING[:-1], None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], [[0.0, 1.0]] * 6, None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], [*RING, float("nan"), 0.0], None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], ["a", "b"] * 4, None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], [1e300, 0.0] * 4, None],
        ["Place", "EPSG:4326", [0, 0, 1, 1], RING, [RING]],
        ["Place", "EPSG:4326", [0, 0, 1, 1], RING],
        ["AcquisitionTime", 2, 1, "given"],
        ["AcquisitionTime", 1, 2, "rumour"],
        ["Packing", [0.0], [0.0]],
        ["Packing", [1.0], []],
        ["Packing", ["1"], [0.0]],
        ["ReadFailure", 7, False],
        ["ReadFailure", "a", "b"],
        ["SceneFacts", 1, "2", [1, 1], None, None, False],
        ["SceneFacts", 1, -2, [1, 1], None, None, False],
        ["SceneFacts", 1, 2, [1, 1], None, [[True]], False],
        ["BandFacts", 1, 1, 1, "uint8", "names", [1.0], [0.0]],
        ["RawTile", {"#array": 0}, None, "a place", None, [], None],
        ["RawTile", [[1]], None, None, None, [], None],
        ["Tile", "a", "b"],
        ["system", "ls"],
        ["__class__"],
        [["Place"]],
        [],
        7,
    ],
)
def test_a_record_with_other_fields_is_refused(record):
    with pytest.raises(InvalidReply):
        raw(message({"#record": record}, [[-1, "|u1", [1, 1, 1]]], b"x"))


@pytest.mark.parametrize(
    "value",
    [{"#error": "a"}, {"#error": [1, 2]}, {"#else": []}, {"#array": 1}, {"#array": "a"}]
    + [{"#view": []}, {"#scalar": -9}, {"#array": {"#array": 0}}],
)
def test_an_unknown_kind_of_value_is_refused(value):
    with pytest.raises(InvalidReply):
        raw(message(value, [[-1, "|u1", [1]]], b"x"))


@pytest.mark.parametrize(
    "content",
    [b"", b"x", bytes(16), struct.pack("=QQ", 1 << 62, 1 << 62), struct.pack("=QQ", 0, 70 << 20)]
    + [message(1)[:-1] + b"]", struct.pack("=QQ", 2, 200_000) + b"[]" + b"[" * 200_000]
    + [struct.pack("=QQ", 2, 9000) + b"[]" + b"9" * 9000],
)
def test_an_answer_that_is_no_json_is_refused(content):
    with pytest.raises(InvalidReply):
        raw(content)


def test_a_half_sent_answer_is_not_waited_for():
    for begun in (b"\0", struct.pack("!i", 1000), struct.pack("!i", 1000) + b"x", b"\xff" * 4):
        here, there = Pipe()
        os.write(there.fileno(), begun)
        with pytest.raises(TimeoutError):
            receive_reply(here, None, 0.2)
        there.close()
        with pytest.raises((EOFError, ConnectionError)):
            receive_reply(here, None, 10)


@pytest.mark.parametrize(
    "size",
    [struct.pack("!i", -1) + struct.pack("!Q", size) for size in (1 << 40, 3 << 30, (1 << 64) - 1)]
    + [struct.pack("!i", -2), struct.pack("!i", (1 << 31) - 1)],
)
def test_an_endless_answer_is_not_begun(size):
    here, there = Pipe()
    os.write(there.fileno(), size)
    with pytest.raises(TimeoutError, match="bytes"):
        receive_reply(here, None, 60)
