"""Messages that a worker which was taken over may send instead of a reply."""

from __future__ import annotations

import json
import struct
import threading
from multiprocessing import Pipe

from rsretrieve.data.workers.shared_memory import receive_reply


def raw(content, shared=None):
    """What is received when these bytes are sent."""
    here, there = Pipe()
    sender = threading.Thread(target=there.send_bytes, args=(content,))
    sender.start()
    try:
        return receive_reply(here, shared, 10)
    finally:
        sender.join()


def message(value, parts=(), sent=b""):
    """An answer as `send_reply` would write it, of values that it would never write."""
    texts = [json.dumps(each).encode() for each in (parts, value)]
    lengths = [struct.pack("=Q", len(text)) for text in texts]
    return b"".join((*lengths, *texts, sent))
