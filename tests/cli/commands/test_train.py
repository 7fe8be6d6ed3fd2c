from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rsretrieve.network.metadata import ModelFolder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.training.loop import TrainingLoop
from tests.support.programs import TRAINING
from tests.support.repository import DOCS
from tests.support.tiles.made_tiles import noise, save_picture

KEYS = {
    "model",
    "classes",
    "tiles",
    "epochs",
    "seconds",
    "tiles_per_second",
    "device",
    "kept_fraction",
    "relabelled_fraction",
    "kept_epoch",
    "kept_because",
}
FILES = {
    *("model.safetensors", "model.json", "network.onnx"),
    *("README.md", "history.csv", "training.png"),
}


def few(landscape, folder, per_class=4):
    """Some tiles of three classes, copied."""
    for name in ("forest", "road", "water"):
        (folder / name).mkdir(parents=True)
        for path in sorted((landscape / name).iterdir())[:per_class]:
            shutil.copy(path, folder / name)
    return folder


@pytest.mark.medium
def test_json_has_the_contract_s_keys_and_nothing_else_is_on_standard_output(
    run, landscape, tmp_path
):
    tiles = few(landscape, tmp_path / "tiles")
    model = tmp_path / "model"
    ran = run("train", tiles, "--output", model, *TRAINING, "--epochs", 2, "--json")
    assert ran.code == 0
    assert set(ran.json) - {"notices"} == KEYS  # twelve tiles teach little
    assert ran.json["model"] == str(model)
    assert ran.json["classes"] == 3
    assert ran.json["tiles"] == 12
    assert ran.json["epochs"] == 2
    assert "epoch 2/2: loss" in ran.err


def test_the_model_folder_holds_what_the_contract_says_and_no_pickle(model):
    assert {path.name for path in model.iterdir()} == FILES | {"tiles.parquet", "config.toml"}
    content = json.loads((model / "model.json").read_text())
    assert content["schema_version"] == 2
    assert content["architecture"] == {"backbone": "shufflenet_v2_x0_5", "dimensions": 128}
    assert content["preprocessing"]["size_px"] == 32
    assert content["preprocessing"]["dtype"] == "uint16"
    assert content["preprocessing"]["bands"] == [1, 2, 3, 4, 5, 6]
    assert len(content["class_names"]) == 9
    assert content["recipe"]["loss"] == "rnsl"
    with safe_open(model / "model.safetensors", framework="numpy") as file:
        assert "prototypes.weight" in file.keys()  # noqa: SIM118
    with (model / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 13)]
    tiles = pyarrow.parquet.read_table(model / "tiles.parquet").to_pydict()
    noted = {"weight", "taught_label", "area_under_margin", "quadrants", "content"}
    noted |= {"confirmed", "original_label", "logit_margin"}
    assert set(tiles) == {"tile", "label"} | noted
    assert set(tiles["weight"]) <= {0.0, 1.0}
    assert (model / "training.png").read_bytes().startswith(b"\x89PNG")


def test_refuses_to_overwrite_a_model_and_leaves_it_alone(run, landscape, model):
    before = (model / "model.json").read_bytes()
    ran = run("train", landscape, "--output", model, *TRAINING)
    assert (ran.code, ran.out) == (1, "")
    assert f"{model} already exists" in ran.err
    assert "--overwrite" in ran.err
    assert (model / "model.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "ResNet50"], "no such backbone: 'ResNet50'"),
        (["--bands", "1,7"], "bands are counted from 1 to 6"),
        (["--bands", "red,,blue"], "'red,,blue' is not a list of bands"),
        (["--bands", ""], "'' is not a list of bands"),
        (["--bands", "red,ultraviolet"], "no band named ultraviolet; they have blue, green, red"),
        (["--labels", "none"], "does not train without labels"),
        (["--size", "4"], "a size lies in 8…2048 px, not 4"),
        (["--epochs", "-1"], "epochs must be a number from 0 on"),
        (["--loss", "cross-entropy"], "'cross-entropy' is not one of"),
        (["--device", "tpu"], "no such device: 'tpu'"),
        (["--q", "0"], "0 < q ≤ 1"),
    ],
)
@pytest.mark.medium
def test_arguments_that_make_no_sense_are_wrong_usage(run, landscape, tmp_path, arguments, message):
    ran = run("train", landscape, "--output", tmp_path / "m", *TRAINING, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "m").exists()


def test_no_tiles_no_labels_one_class_and_foreign_labels_each_have_a_message(
    run, landscape, tmp_path
):
    empty, one = tmp_path / "empty", tmp_path / "one"
    empty.mkdir()
    shutil.copytree(landscape / "water", one / "water")
    labels = tmp_path / "labels.csv"
    labels.write_text("tile,label\nnowhere.tif,water\n")
    output = ["--output", tmp_path / "m", *TRAINING]

    def message(*arguments):
        ran = run("train", *arguments, *output)
        assert (ran.code, ran.out) == (1, "")
        assert "Traceback" not in ran.err
        return ran.err

    assert f"{empty}: no tiles in it" in message(empty)
    assert "no such folder or list" in message(tmp_path / "absent")
    assert "at least two classes, and there is only 'water'" in message(one)
    assert "at least two classes, and there is none at all" in message(landscape / "water")
    assert "names none of the 144 tiles" in message(landscape, "--labels", labels)


@pytest.mark.medium
def test_a_class_of_one_tile_is_said_and_trained(run, landscape, tmp_path):
    tiles = few(landscape, tmp_path / "tiles")
    (tiles / "beach").mkdir()
    shutil.copy(min((landscape / "beach").iterdir()), tiles / "beach")
    ran = run("train", tiles, "--output", tmp_path / "m", *TRAINING, "--epochs", 1, "--json")
    assert ran.code == 0
    assert ran.json["classes"] == 4
    assert "1 classes have one training tile only ('beach')" in ran.err


@pytest.mark.medium
def test_labels_for_absent_tiles_are_said_and_the_rest_used(run, landscape, tmp_path):
    tiles = few(landscape, tmp_path / "tiles")
    named = sorted(path.relative_to(tiles).as_posix() for path in tiles.rglob("*.tif"))
    labels = tmp_path / "labels.csv"
    labels.write_text("tile,label\ngone.tif,water\n" + "".join(f"{n},x{n[0]}\n" for n in named))
    ran = run(
        *("train", tiles, "--labels", labels, "--output", tmp_path / "m", *TRAINING),
        *("--epochs", 1, "--json"),
    )
    assert ran.code == 0
    assert "names 1 tiles that are not in" in ran.err
    assert "'gone.tif'" in ran.err


def test_weights_that_cannot_be_downloaded_say_what_to_do_offline(
    run, landscape, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("urllib.request.urlopen", _refuse)
    monkeypatch.setattr("torch.hub.urlopen", _refuse)
    ran = run(
        *("train", landscape, "--output", tmp_path / "m", "--size", 32),
        *("--backbone", "shufflenet_v2_x0_5", "--weights", "imagenet"),
    )
    assert (ran.code, ran.out) == (1, "")
    assert "ImageNet weights of shufflenet_v2_x0_5 could not be downloaded" in ran.err
    assert "--weights FILE" in ran.err
    assert "--weights none" in ran.err


def _refuse(*_, **__):
    from urllib.error import URLError

    raise URLError("no network here")


@pytest.mark.slow
def test_an_interrupted_training_says_how_to_go_on_and_goes_on_to_the_same_weights(
    run, landscape, tmp_path
):
    tiles = few(landscape, tmp_path / "tiles", per_class=6)
    arguments = ["train", str(tiles), *TRAINING, "--epochs", "6", "--seed", "3"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(*arguments, "--output", whole).code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "rsretrieve", *arguments, "--output", str(broken)],
        stderr=subprocess.PIPE,
        text=True,
        # Whatever is started in the background of a shell inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    checkpoint = tmp_path / ".broken.unfinished" / "checkpoint.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert not broken.exists()
    refused = run(*arguments, "--output", broken)
    assert refused.code == 1
    assert "an unfinished training" in refused.err
    assert run(*arguments, "--output", broken, "--resume").code == 0
    one, other = (folder / "model.safetensors" for folder in (whole, broken))
    assert one.read_bytes() == other.read_bytes()
    assert not checkpoint.parent.exists()


@pytest.mark.medium
def test_after_ctrl_c_is_said_what_is_kept_and_no_more(run, landscape, tmp_path, monkeypatch):
    whole = TrainingLoop.run_epoch

    def interrupted_in(epoch, *choices):
        def until(training, number):
            if number + 1 == epoch:
                raise KeyboardInterrupt
            return whole(training, number)

        monkeypatch.setattr(TrainingLoop, "run_epoch", until)
        ran = run(
            "train", tiles, "--output", tmp_path / "model", *TRAINING, "--epochs", 3, *choices
        )
        assert ran.code == 130, ran.err
        error, hint = ran.err[ran.err.index("error:") :].splitlines()
        assert error == "error: interrupted"
        return hint

    tiles = few(landscape, tmp_path / "tiles")
    assert "nothing is kept" in interrupted_in(1)
    assert "repeat the command with --resume" in interrupted_in(2)
    unchanged = interrupted_in(1, "--overwrite")
    assert "no epoch was finished" in unchanged
    assert "earlier unfinished training is unchanged" in unchanged
    assert "repeat the command with --resume" in interrupted_in(2, "--resume")
    assert "repeat the command with --resume" in interrupted_in(2, "--overwrite")


@pytest.mark.medium
def test_resume_without_anything_to_resume_says_so(run, landscape, tmp_path):
    ran = run("train", landscape, "--output", tmp_path / "m", *TRAINING, "--resume")
    assert ran.code == 1
    assert "no unfinished training to resume" in ran.err


@pytest.mark.medium
@pytest.mark.parametrize(
    ("batch_size", "code", "said"),
    [
        ("auto", 0, "batches of 64 tiles are split into micro-batches of at most 7"),
        ("64", 1, "error: out of memory (CUDA out of memory)"),
    ],
)
def test_a_step_that_does_not_fit_in_memory(
    run, landscape, tmp_path, monkeypatch, batch_size, code, said
):
    as_before = EmbeddingNetwork.forward

    def greedy(network, tiles):
        if network.training and len(tiles) > 7:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return as_before(network, tiles)

    monkeypatch.setattr(EmbeddingNetwork, "forward", greedy)
    tiles = few(landscape, tmp_path / "tiles", per_class=5)
    ran = run(
        "train", tiles, "--val", tiles, "--output", tmp_path / "model", *TRAINING,
        *("--epochs", 1, "--batch-size", batch_size),
    )  # fmt: skip
    assert ran.code == code, ran.err
    assert said in ran.err
    assert ("--batch-size auto" in ran.err) == (code == 1)


def test_a_batch_size_that_is_no_number_is_wrong_usage(run, landscape, tmp_path):
    ran = run("train", landscape, "--output", tmp_path / "model", "--batch-size", "large")
    assert ran.code == 2
    assert "expected a whole number or auto, not 'large'" in ran.err


def test_the_block_of_the_page_embeds_a_tile_in_other_programs(model):
    page = (DOCS / "scale" / "network.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    size = ModelFolder.read(model).description.preprocessing
    shape = (1, len(size.bands), size.size_px, size.size_px)
    names: dict[str, Any] = {}
    exec(block.replace("models/mine", str(model)).replace("(1, 3, 64, 64)", str(shape)), names)
    assert names["embedding"].shape == (ModelFolder.read(model).description.dimensions,)
    assert np.linalg.norm(names["embedding"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--freeze-backbone",), ("--epochs", 0)])
def test_a_backbone_of_timm_that_is_not_trained_is_an_ordinary_model(
    run, landscape, tmp_path, options
):
    import timm

    tiles, model, index = few(landscape, tmp_path / "tiles"), tmp_path / "m", tmp_path / "i"
    torch.manual_seed(0)
    weights = timm.create_model("test_efficientnet").state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    start = ("--backbone", "timm/test_efficientnet", "--weights", tmp_path / "w.safetensors")
    sizes = ("--size", 32, "--dimensions", 8, "--epochs", 2, "--batch-size", 4)
    ran = run("train", tiles, "--output", model, *start, *sizes, *options, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["epochs"] == (0 if "--epochs" in options else 2)
    assert ", not trained" in (model / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in model.iterdir()} >= FILES
    assert "timm" in json.loads((model / "model.json").read_text(encoding="utf-8"))["versions"]
    assert run("index", tiles, "--model", model, "--output", index).code == 0
    found = run("query", next((tiles / "water").iterdir()), "--index", index, "-k", 1, "--json")
    assert found.json["queries"][0]["hits"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert run("audit-labels", tiles, "--model", model).code == 0


@pytest.mark.medium
def test_bands_may_be_named_as_the_files_name_them(run, landscape, tmp_path):
    tiles = few(landscape, tmp_path / "tiles")
    ran = run(
        *("train", tiles, "--output", tmp_path / "m", *TRAINING),
        *("--epochs", "1", "--bands", "NIR,red,2"),
    )
    assert ran.code == 0
    content = json.loads((tmp_path / "m" / "model.json").read_text())
    assert content["preprocessing"]["bands"] == [4, 3, 2]


@pytest.mark.slow
def test_a_training_may_start_from_a_model_that_ships(run, tmp_path):
    for name in ("a", "b"):
        for number in range(4):
            values = noise((3, 40, 40), seed=number + (50 if name == "b" else 0))
            save_picture(tmp_path / "tiles" / name / f"{number}.png", values)
    ran = run(
        *("train", tmp_path / "tiles", "--output", tmp_path / "m", "--weights", "default"),
        *("--freeze-backbone", "--epochs", "1", "--size", "64", "--json"),
    )
    assert ran.code == 0, ran.err
    content = json.loads((tmp_path / "m" / "model.json").read_text())
    assert content["architecture"]["backbone"].startswith("levels-")
    assert any("tensors matched" in text for text in ran.json["notices"])


@pytest.mark.medium
def test_16_bit_tiles_may_be_divided_as_reflectance_and_others_not(run, landscape, tmp_path):
    tiles = few(landscape, tmp_path / "tiles")
    divided = ("--epochs", "1", "--normalise-by", "reflectance")
    ran = run("train", tiles, "--output", tmp_path / "m", *TRAINING, *divided)
    assert ran.code == 0
    statistics = json.loads((tmp_path / "m" / "model.json").read_text())["preprocessing"]
    assert statistics["statistics"]["mean"] == [0.0] * 6
    assert statistics["statistics"]["deviation"] == [10_000.0] * 6
    for name in ("a", "b"):
        save_picture(tmp_path / "rgb" / name / "0.png", noise((3, 32, 32)))
    ran = run("train", tmp_path / "rgb", "--output", tmp_path / "n", *TRAINING, *divided)
    assert ran.code == 2
    assert "uint8 are not normalised as reflectance" in " ".join(ran.err.split())
