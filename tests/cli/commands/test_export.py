"""`rsretrieve export`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from PIL import Image

KEYS = {
    *("model", "onnx", "description", "opset", "dimensions", "size_px", "fingerprint"),
    *("bytes", "tiles", "least_cosine"),
}


@pytest.mark.slow
def test_a_model_is_written_checked_and_gives_the_embeddings_of_the_index(
    run, landscape, model, index, tmp_path
):
    path = tmp_path / "m.onnx"
    ran = run("export", model, "--onnx", path, "--json")
    assert ran.code == 0, ran.err
    assert set(ran.json) == KEYS
    assert ran.json["least_cosine"] >= 0.999
    told = json.loads((tmp_path / "m.onnx.json").read_text())
    assert told["model_fingerprint"] == ran.json["fingerprint"]
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[0] == "batch"
    # The steps that the description names, by Pillow.
    import rasterio

    from rsretrieve.index.store.folder import open_index

    store = open_index(index)
    for number, row in enumerate(store.rows[:6]):
        with rasterio.open(row.path) as dataset:
            bands = dataset.read(told["bands"]).astype(np.float32)
        side = (told["size_px"],) * 2
        small = [
            np.asarray(Image.fromarray(band).resize(side, Image.Resampling.BILINEAR))
            for band in bands
        ]
        pixels = np.rint(np.stack(small))[None].astype(np.float32)
        [vector] = session.run(["embedding"], {"pixels": pixels})[0]
        assert float(vector @ store.vectors[number]) >= 0.999
    refused = run("export", model, "--onnx", path)
    assert refused.code == 1
    assert "already exists" in refused.err
    (tmp_path / "m.onnx").unlink()
    refused = run("export", model, "--onnx", path)
    assert (refused.code, path.exists()) == (1, False)
    assert "m.onnx.json already exists" in refused.err


@pytest.mark.slow
def test_overwrite_replaces_both_files_and_the_summary_names_the_check(run, model, tmp_path):
    for name in ("m.onnx", "m.onnx.json"):
        (tmp_path / name).write_text("old")
    ran = run("export", model, "--onnx", tmp_path / "m.onnx", "--overwrite", "--opset", 20)
    assert ran.code == 0, ran.err
    assert "agrees with PyTorch" in ran.out
    assert json.loads((tmp_path / "m.onnx.json").read_text())["opset"] == 20


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("export",), 2, "MODEL"),
        (("export", "{model}"), 2, "--onnx"),
        (("export", "{model}", "--onnx", "{d}/m.bin"), 2, ".onnx"),
        (("export", "{model}", "--onnx", "-"), 2, ".onnx"),
        (("export", "{model}", "--onnx", "{d}/m.onnx", "--opset", "17"), 2, "--opset"),
        (("export", "{d}/none", "--onnx", "{d}/m.onnx"), 1, "no such folder"),
        (("export", "{d}", "--onnx", "{d}/m.onnx"), 1, "has no model"),
        (("export", "{model}", "--onnx", "{model}/m.onnx"), 1, "model folder"),
        (("export", "{index}", "--onnx", "{index}/m.onnx"), 1, "index folder"),
    ],
)
def test_wrong_arguments_are_refused_before_pytorch_loads(
    run, model, index, tmp_path, arguments, code, said
):
    places = {"model": model, "index": index, "d": tmp_path}
    ran = run(*(str(argument).format(**places) for argument in arguments))
    assert ran.code == code
    assert said in ran.err
    assert not [*tmp_path.iterdir()]


def test_a_damaged_model_is_refused(run, model, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    ran = run("export", tmp_path / "m", "--onnx", tmp_path / "m.onnx")
    assert ran.code == 1
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.medium
def test_a_name_that_is_nearly_that_of_a_shipped_model_gets_a_suggestion(run, tmp_path):
    ran = run("export", "defualt", "--onnx", tmp_path / "m.onnx")
    assert ran.code == 1
    assert "default" in ran.err
    assert not any(tmp_path.iterdir())
