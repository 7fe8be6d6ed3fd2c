"""The map that reduces differences within classes, and what a file keeps of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.errors import ModelDamaged
from rsretrieve.network.metadata import ModelDescription, ModelFolder
from rsretrieve.network.unlabelled.class_metric import (
    METRIC_FILE,
    fit_class_metric,
    read_class_metric,
    write_class_metric,
)
from rsretrieve.network.unlabelled.principal_components import fit_projection

CLASSES = np.repeat(np.arange(4), 30)
SCALES = np.linspace(0.5, 2.0, 10)


@pytest.fixture
def features():
    """Four classes; within each, one direction varies far more than all others."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 10))
    shared = rng.normal(size=10)
    rows = centres[CLASSES] + rng.normal(size=(120, 1)) * 3 * shared
    return (rows + rng.normal(0, 0.2, (120, 10))).astype(np.float32)


def described(folder: Path, **files: str) -> ModelFolder:
    statistics = BandStatistics((1.0,), (1.0,), (0.0,), (255.0,))
    description = ModelDescription(
        backbone="resnet18",
        dimensions=4,
        preprocessing=Preprocessing(32, 1, (1,), "uint8", statistics),
        class_names=(),
        recipe={},
        training={},
        versions={},
        weights_sha256="0",
    )
    return ModelFolder(folder, replace(description, files=files))


def test_the_map_is_the_inverse_root_of_the_shrunk_covariance_within_classes(features):
    found = fit_class_metric(features, SCALES, CLASSES)
    scaled = features * SCALES
    within = np.concatenate(
        [scaled[c == CLASSES] - scaled[c == CLASSES].mean(axis=0) for c in range(4)]
    )
    covariance = within.T @ within / len(features)
    values, axes = np.linalg.eigh(covariance)
    expected = scaled @ (axes / np.sqrt(values + values.mean())) @ axes.T
    np.testing.assert_allclose(found.applied(features), expected, rtol=0.01, atol=0.02)


def test_classes_are_told_apart_better_with_it(features):
    found = fit_class_metric(features[::2], SCALES, CLASSES[::2])

    def apart(rows):
        rows = rows - rows.mean(axis=0)
        means = np.stack([rows[CLASSES[1::2] == c].mean(axis=0) for c in range(4)])
        return ((rows - means[CLASSES[1::2]]) ** 2).sum() / (rows**2).sum()

    others = features[1::2]
    assert apart(found.applied(others)) < 0.8 * apart(others * SCALES)


def test_a_folded_projection_is_that_of_mapped_features(features):
    metric = fit_class_metric(features, SCALES, CLASSES)
    mapped = metric.applied(features)
    components = fit_projection(mapped, np.ones(10), 4, 0.0)
    folded = metric.folded(components)
    np.testing.assert_allclose(
        features @ folded.weights.T + folded.biases,
        mapped @ components.weights.T + components.biases,
        atol=1e-3,
    )


def test_tiles_of_one_class_each_and_equal_tiles_give_finite_maps():
    rows = np.ones((3, 5), np.float32)
    found = fit_class_metric(rows, np.ones(5), np.array([0, 1, 2]))
    assert np.isfinite(found.applied(rows)).all()


def test_a_file_keeps_the_map(features, tmp_path):
    metric = fit_class_metric(features, SCALES, CLASSES)
    write_class_metric(tmp_path, metric)
    sealed = {METRIC_FILE: sha256_of_file(tmp_path / METRIC_FILE)}
    read = read_class_metric(described(tmp_path, **sealed))
    np.testing.assert_array_equal(read.applied(features), metric.applied(features))
    assert read_class_metric(described(tmp_path)) is None


@pytest.mark.parametrize("content", [b"nonsense", None], ids=["other", "gone"])
def test_a_changed_file_is_refused(features, tmp_path, content):
    write_class_metric(tmp_path, fit_class_metric(features, SCALES, CLASSES))
    sealed = {METRIC_FILE: sha256_of_file(tmp_path / METRIC_FILE)}
    (tmp_path / METRIC_FILE).unlink()
    if content is not None:
        (tmp_path / METRIC_FILE).write_bytes(content)
    with pytest.raises(ModelDamaged, match="metric"):
        read_class_metric(described(tmp_path, **sealed))


def test_a_sealed_file_of_something_else_is_refused(tmp_path):
    (tmp_path / METRIC_FILE).write_bytes(b"nonsense")
    sealed = {METRIC_FILE: sha256_of_file(tmp_path / METRIC_FILE)}
    with pytest.raises(ModelDamaged, match="cannot be read"):
        read_class_metric(described(tmp_path, **sealed))
