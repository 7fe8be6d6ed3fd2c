"""TensorBoard events of a training."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from rsretrieve.errors import MissingPackage
from rsretrieve.export import event_log
from rsretrieve.export.event_log import EventLog, numbered
from rsretrieve.progress import EpochFinished, StageStarted


def epoch(number, accuracy=0.5):
    return EpochFinished(
        **{"epoch": number, "epochs": 3, "learning_rate": 0.1, "loss": 1 / number},
        **{"kept_fraction": 0.9, "relabelled_fraction": 0.0, "temperature": 0.1},
        **{"validation_accuracy": accuracy, "seconds": 1.0, "tiles_per_second": 10.0},
    )


MADE = []


class Writer:
    """In place of TensorBoard's."""

    def __init__(self, folder):
        self.folder, self.scalars, self.closed = folder, [], False
        MADE.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def writers(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(event_log, "require_tensorboard", lambda: None)
    MADE.clear()
    return MADE


def test_every_epoch_is_written_and_every_event_passed_on(writers, tmp_path):
    heard = []
    with EventLog(tmp_path / "logs", "mine", heard.append) as log:
        for event in (StageStarted("reading"), epoch(1), epoch(2, None)):
            log.listen(event)
    assert len(heard) == 3
    (writer,) = writers
    assert writer.closed
    assert writer.folder == str(tmp_path / "logs" / "mine")
    assert ("loss", 1.0, 1) in writer.scalars
    assert ("loss", 0.5, 2) in writer.scalars
    assert ("validation_accuracy", 0.5, 1) in writer.scalars
    assert not any(name in ("epoch", "epochs") for name, _, _ in writer.scalars)
    assert not any(value is None for _, value, _ in writer.scalars)


def test_a_second_run_has_a_folder_of_its_own(writers, tmp_path):
    for _ in range(2):
        with EventLog(tmp_path, "mine", lambda event: None) as log:
            log.listen(epoch(1))
    assert [writer.folder for writer in writers] == [str(tmp_path / n) for n in ("mine", "mine-2")]
    assert numbered(tmp_path / "mine") == tmp_path / "mine-3"


def test_without_a_folder_nothing_is_written(writers, tmp_path):
    with EventLog(None, "mine", lambda event: None) as log:
        log.listen(epoch(1))
    assert writers == []


def test_a_missing_tensorboard_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(event_log.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="tensorboard is not installed"):
        EventLog(tmp_path, "mine", lambda event: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.medium
def test_tensorboard_reads_what_is_written(tmp_path):
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    with EventLog(tmp_path, "mine", lambda event: None) as log:
        log.listen(epoch(1))
        log.listen(epoch(2))
    read = events.EventAccumulator(str(tmp_path / "mine")).Reload()
    assert [(one.step, one.value) for one in read.Scalars("loss")] == [(1, 1.0), (2, 0.5)]
