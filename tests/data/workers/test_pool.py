"""Processes that decode: what they cannot do takes one tile along, and nothing of ours."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from multiprocessing import Pipe
from pathlib import Path

import pytest

from rsretrieve._core import paths
from rsretrieve.data.discovery.scenes import cut_scenes
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.preview import read_preview
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.data.workers import limits as limits_of_tiles
from rsretrieve.data.workers import pool, process, worker
from rsretrieve.data.workers.confinement import Policy
from rsretrieve.data.workers.pool import WorkerPool, WorkerSlot
from rsretrieve.data.workers.shared_memory import receive_reply
from rsretrieve.data.workers.worker import Worker, WorkerLost
from rsretrieve.errors import TileError
from tests.support.processes.worker_functions import (
    call_once,
    dying,
    dying_at_once,
    failing,
    greedy,
    has_loaded,
    losing_a,
    made_into_0,
    process_number,
    sleeping,
)
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, tile_at, tiles_at


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twenty readable tiles."""
    folder = tmp_path_factory.mktemp("pictures")
    return tiles_at(*(save_picture(folder / f"{i:02}.png", noise((3, 9, 9))) for i in range(20)))


@pytest.mark.medium
@pytest.mark.parametrize("count", [1, 2])
def test_a_crash_costs_one_tile_which_is_named_with_the_signal(pictures, count):
    reads = list(read_in_order(pictures, dying, count))
    assert [read.tile for read in reads] == list(pictures)
    failed = {read.tile.id: read.reason for read in reads if isinstance(read, Failure)}
    assert failed == {
        "05.png": "the decoder crashed on it (SIGSEGV)",
        "06.png": "the decoder ended while reading it (exit code 7)",
    }


@pytest.mark.slow
def test_a_tile_that_takes_too_long_is_given_up(pictures, monkeypatch):
    monkeypatch.setattr(paths, "TIME_LIMIT_S", 5.0)
    reads = list(read_in_order(pictures, sleeping, 1))
    failed = [read for read in reads if isinstance(read, Failure)]
    assert failed == [Failure(pictures[12], "not decoded within 5 s")]


def test_a_tile_that_takes_too_much_memory_is_refused_and_the_worker_lives_on(pictures):
    reads = list(read_in_order(pictures, greedy, 1))
    failed = [read for read in reads if isinstance(read, Failure)]
    assert failed == [Failure(pictures[4], "takes more than 1 GiB of memory to decode")]


@pytest.mark.medium
def test_of_a_scene_that_is_lost_again_and_again_the_rest_is_given_up(tmp_path, monkeypatch):
    scene = save_raster(tmp_path / "a.tif", noise((1, 64, 64)), tiled=True)
    other = save_raster(tmp_path / "b.tif", noise((1, 64, 64)), tiled=True)
    windows = [Window(8 * i, 8 * j, 8, 8) for j in range(8) for i in range(8)]
    tiles = [tile_at(path, window=window) for path in (scene, other) for window in windows]
    calls = []
    call = Worker.call
    monkeypatch.setattr(Worker, "call", lambda *given: calls.append(given) or call(*given))
    reads = list(read_in_order(TileSet("", tuple(tiles)), losing_a, 1))
    assert [isinstance(read, Failure) for read in reads] == [True] * 64 + [False] * 64
    assert len(calls) < 25
    assert reads[3].reason.startswith("was not read: ")


def test_workers_are_kept_until_something_they_hang_on_changes(monkeypatch):
    first = call_once(process_number, None, 10)
    assert call_once(process_number, None, 10) == first != os.getpid()
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    second = call_once(process_number, None, 10)
    assert second != first
    with pytest.raises(WorkerLost, match="SIGKILL"):
        call_once(dying_at_once, None, 10)
    assert call_once(process_number, None, 10) not in (first, second)


def test_an_error_in_a_worker_is_raised_by_the_call():
    with pytest.raises(TileError) as caught:
        call_once(failing, None, 10)
    assert (caught.value.tile_id, caught.value.reason) == ("a.png", "no good")


def test_what_cannot_be_started_is_said(monkeypatch, pictures):
    pool.POOL.close()
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(OSError, match="the process that decodes tiles did not start: /bin/true"):
        list(read_in_order(pictures, made_into_0, 1))


def test_a_system_that_refuses_to_confine_is_told(pictures, monkeypatch):
    pool.POOL.close()
    program = worker.PROGRAM.replace(
        "from rsretrieve.data.workers.process import main;",
        "from rsretrieve.data.workers import process as w; w.enter = lambda _: open('nowhere');"
        "from rsretrieve.data.workers.process import main;",
    )
    monkeypatch.setattr(worker, "PROGRAM", program)
    monkeypatch.setattr(pool, "POOL", WorkerPool())
    odd = Policy(drivers=None, readable=())
    with pytest.raises(WorkerLost, match="refuses to confine a decoder"):
        call_once(process_number, None, 10, odd)


def test_who_stops_in_the_middle_does_not_wait(pictures):
    started = time.monotonic()
    with closing(read_in_order(pictures, sleeping, 2)) as reads:
        assert isinstance(next(reads), Read)
    assert time.monotonic() - started < 30


def test_a_slot_that_was_stopped_asks_nobody():
    slot = WorkerSlot()
    slot.stop()
    assert slot.policy is None
    with pytest.raises(WorkerLost, match="stopped"):
        slot.call(process_number, None, 10)


def test_a_slot_may_lose_its_worker_while_it_is_stopped():
    class Losing(WorkerSlot):
        """Whose thread ends its worker as soon as somebody has looked for it."""

        @property
        def _worker(self):
            found, self.there = self.there, None
            return found

        @_worker.setter
        def _worker(self, worker):
            self.there = worker

    slot, worker = Losing(), Worker()
    slot.there, slot._calling = worker, True
    slot.stop()
    worker.close()
    assert not worker.is_usable


def test_a_worker_for_scenes_has_loaded_what_it_takes_before_it_is_calls(monkeypatch):
    monkeypatch.setattr(pool, "POOL", WorkerPool())
    pool.start_for_scenes()
    assert call_once(has_loaded, "rasterio", 60)
    assert not call_once(has_loaded, "PIL", 60)
    pool.POOL.close()


def test_a_fork_leaves_our_workers_alone():
    ours = call_once(process_number, None, 10)
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.write(there, str(call_once(process_number, None, 10)).encode())
            pool.POOL.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(here, 100)) != ours
    assert call_once(process_number, None, 10) == ours
    os.close(here)
    os.close(there)


def test_workers_end_with_who_asked_however_that_ends(tmp_path):
    program = (
        "import os, signal\n"
        "from tests.support.processes.worker_functions import call_once, process_number\n"
        "print(call_once(process_number, None, 60), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.cwd(), check=False
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    status = Path("/proc", ran.stdout.strip(), "status")
    deadline = time.monotonic() + 10
    while status.exists() and "zombie" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not status.exists() or "zombie" in status.read_text()


def test_a_worker_answers_what_it_is_asked_and_knows_when_it_is_left():
    """What runs in the process, run here, where its lines are counted."""
    ours, theirs = Pipe()
    left = []
    thread = threading.Thread(
        target=process.serve, args=(theirs, None, lambda: left.append(True)), daemon=True
    )
    thread.start()
    ours.send((len, "four"))
    assert receive_reply(ours, None) == (True, 4)
    ours.send((failing, None))
    fine, error = receive_reply(ours, None)
    assert (fine, str(error)) == (False, "a.png: no good")
    ours.close()
    thread.join(10)
    assert left == [True]


def test_the_limits_of_a_worker(monkeypatch):
    limits = {}
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: limits.update({what: limit}))
    monkeypatch.setattr(limits_of_tiles, "is_limited", False)
    with limits_of_tiles.tile_limits(10):
        assert not limits  # of a process that is no worker nothing is limited
    limits_of_tiles.limit_process()
    limits_of_tiles.let_no_file_be_written()
    assert limits[resource.RLIMIT_CORE] == limits[resource.RLIMIT_FSIZE] == (0, 0)
    with limits_of_tiles.tile_limits(10_000_000):
        assert limits[resource.RLIMIT_AS][0] > limits_of_tiles.MEMORY_BYTES
        left_s, _ = signal.getitimer(signal.ITIMER_PROF)
        limits_of_tiles.allow_values(50_000_000)
        assert signal.getitimer(signal.ITIMER_PROF)[0] > left_s + 4
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_a_preview_and_a_scene_that_crash_the_decoder_are_bad_tiles(tmp_path, monkeypatch):
    def crashing(*_):
        raise WorkerLost("the decoder crashed on it (SIGSEGV)")

    path = save_picture(tmp_path / "a.png", noise((3, 9, 9)))
    monkeypatch.setattr(WorkerSlot, "call", crashing)
    with pytest.raises(TileError, match=r"a\.png: the decoder crashed on it"):
        read_preview(tile_at(path), 64)
    context = RunContext()
    two = TileSet("", (tile_at(path), Tile("b.png#0,0,8,8", str(path), None, Window(0, 0, 8, 8))))
    cut_scenes(two, WindowChoices(8), context)
    assert [bad.reason for bad in context.failures] == ["the decoder crashed on it (SIGSEGV)"]


@pytest.mark.parametrize("kind", ["device", "socket"])
def test_what_is_no_file_is_never_read(tmp_path, kind):
    import socket

    if kind == "socket":
        path = tmp_path / "a.png"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path = Path("/dev/zero")
    (read,) = read_in_order(TileSet("", (Tile("a.png", str(path)),)), made_into_0)
    assert read.reason == f"is a {kind}, not a file"
