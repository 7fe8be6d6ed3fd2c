"""Run a function in several connected processes, as `torchrun` would start them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# The server imports PyTorch once, and forks: a process of its own takes seconds to start.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["rsretrieve.training.train"])
LIMIT_S = 120.0


def in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call `work(processes, *arguments)` in several processes.

    Args:
        count: how many.
        work: a function of a module.
        arguments: what it takes besides; picklable.

    Returns:
        What it returned in each process, or the exception that it raised there.
    """
    port = free_port()
    pipes = [_SERVER.Pipe(duplex=False) for _ in range(count)]
    started = []
    call = pickle.dumps((work, arguments))
    for rank, (_, theirs) in enumerate(pipes):
        place = (rank, count, port)
        process = _SERVER.Process(target=_run, args=(theirs, place, call))
        process.start()
        started.append(process)
        theirs.close()
    results = [_received(ours) for ours, _ in pipes]
    for process in started:
        process.join(LIMIT_S)
    return results


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _received(pipe: Connection) -> Any:
    if not pipe.poll(LIMIT_S):
        return TimeoutError("a process has not answered")
    try:
        return pickle.loads(pipe.recv_bytes())
    except EOFError:
        return ChildProcessError("a process ended without an answer")


def _run(pipe: Connection, place: tuple[int, int, int], call: bytes) -> None:
    rank, count, port = place
    os.environ |= {
        **{"RANK": str(rank), "LOCAL_RANK": str(rank)},
        **{"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
    }
    import torch

    from rsretrieve.training.parallel.process_group import training_processes

    torch.set_num_threads(1)
    try:
        work, arguments = pickle.loads(call)
        answer = work(training_processes(torch.device("cpu")), *arguments)
    except Exception as error:
        answer = error
    # Not `send`: PyTorch would share the memory of tensors with a process that ends here.
    pipe.send_bytes(pickle.dumps(answer))
