"""`split --by-scene`, `--by-place` and `--leaks`, and `audit-labels --against`."""

from __future__ import annotations

import csv
import json
import os
import shutil

import pytest
import rasterio
import shapely

from tests.support.tiles.attempts import Home, plain, vrt
from tests.support.tiles.made_tiles import noise, save_raster


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def scene(tmp_path):
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 4_000_000)
    return save_raster(
        tmp_path / "scenes" / "a.tif", noise((3, 240, 240)), crs="EPSG:32633", transform=transform
    )


def boxes(path):
    numbers = [list(map(int, row["tile"].rpartition("#")[2].split(","))) for row in rows_of(path)]
    return [shapely.box(c, r, c + w, r + h) for c, r, w, h in numbers]


@pytest.mark.medium
def test_lists_by_place_share_no_ground_and_can_be_read_again(run, scene, tmp_path):
    out = tmp_path / "lists"
    ran = run(
        *("split", scene, "--window", 32, "--stride", 8, "--by-place", "--output", out),
        *("--leaks", tmp_path / "leaks.csv", "--json"),
    )
    assert ran.code == 0
    assert ran.json["groups"] == 1
    total = sum(ran.json[name] for name in ("train", "val", "test", "left_out"))
    assert total == 27 * 27
    train, test = boxes(out / "train.csv"), boxes(out / "test.csv")
    assert (len(train), len(test)) == (ran.json["train"], ran.json["test"])
    assert not shapely.area(
        shapely.intersection_all([shapely.union_all(train), shapely.union_all(test)])
    )
    assert any("left out of every list" in notice for notice in ran.json["notices"])
    assert ran.json["fractions"]["test"] == pytest.approx(0.2, abs=0.05)
    assert ran.json["leaks"]["overlaps"] == 0
    assert (tmp_path / "leaks.csv").read_text().splitlines()[0] == (
        "tile,other,list,other_list,kind,similarity,overlap"
    )
    again = run("split", out / "train.csv", "--output", tmp_path / "again", "--json")
    assert again.json["train"] == round(0.7 * len(train))


def test_a_plain_split_of_overlapping_windows_says_so_and_lists_the_pairs(run, scene, tmp_path):
    ran = run(
        *("split", scene, "--window", 64, "--stride", 32, "--output", tmp_path / "lists"),
        *("--leaks", tmp_path / "leaks.csv", "--json"),
    )
    assert ran.code == 0
    assert any("--by-place" in notice for notice in ran.json["notices"])
    rows = rows_of(tmp_path / "leaks.csv")
    overlaps = [row for row in rows if row["kind"] == "overlap"]
    assert len(overlaps) == ran.json["leaks"]["overlaps"] > 0
    assert {row["similarity"] for row in overlaps} == {""}
    assert all(0 < float(row["overlap"]) < 1 for row in overlaps)
    by_list = {(e["list"], e["other_list"]): e for e in ran.json["leaks"]["lists"]}
    leaking = {row["tile"] for row in rows if (row["list"], row["other_list"]) == ("test", "train")}
    assert by_list["test", "train"]["overlaps"] == len(leaking)
    text = run(
        *("split", scene, "--window", 64, "--stride", 32, "--output", tmp_path / "lists"),
        *("--leaks", tmp_path / "leaks.csv", "--overwrite"),
    )
    assert f"{len(leaking)} overlap its tiles" in text.out


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--buffer-m", 5], "--by-place"), (["--by-place", "--buffer-m", -1], "--buffer-m")],
)
def test_options_that_make_no_sense_are_wrong_usage(run, landscape, tmp_path, options, word):
    ran = run("split", landscape, "--output", tmp_path / "lists", *options)
    assert (ran.code, ran.out) == (2, "")
    assert word in ran.err
    assert not (tmp_path / "lists").exists()


def test_tiles_without_a_place_are_refused_and_unreadable_ones_are_listed(run, scene, tmp_path):
    save_raster(tmp_path / "plain" / "a.tif", noise((3, 32, 32)))
    refused = run("split", tmp_path / "plain", "--by-place", "--output", tmp_path / "lists")
    assert refused.code == 1
    assert "no tile has a place" in refused.err
    (scene.parent / "broken.tif").write_bytes(b"no image at all")
    ran = run("split", scene.parent, "--by-place", "--output", tmp_path / "lists", "--json")
    assert ran.code == 3
    assert "broken.tif" in ran.err
    assert sum(ran.json[name] for name in ("train", "val", "test")) == 1


OWN = "[train]\nepochs = 7\n# my notes\n"


def test_a_config_file_of_the_user_is_never_lost(run, landscape, tmp_path):
    out = tmp_path / "lists"
    config = out / "config.toml"
    out.mkdir()
    config.write_text(OWN)
    refused = run("split", landscape, "--output", out)
    assert refused.code == 1
    assert "config.toml already exists" in refused.err
    assert config.read_text() == OWN
    assert [path.name for path in out.iterdir()] == ["config.toml"]
    assert run("split", landscape, "--output", out, "--overwrite").code == 0
    assert "[split]" in config.read_text()


@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
@pytest.mark.parametrize("command", ["split", "demo"])
def test_the_file_of_config_is_an_input(run, landscape, tmp_path, command, link):
    given = tmp_path / ("mine.toml" if link else "config.toml")
    words = f'tiles = ["{landscape}"]\n' if command == "split" else ""
    given.write_text(f"# my notes\n[{command}]\n{words}seed = 3\n")
    before = given.read_text()
    if link:
        (tmp_path / "config.toml").symlink_to(given)
    ran = run(command, "--config", given, "--output", tmp_path, "--overwrite")
    assert ran.code == 1
    assert "is also the input --config" in ran.err
    assert given.read_text() == before
    assert not (tmp_path / "train.csv").exists()
    assert not (tmp_path / "tiles").exists()


def test_a_run_is_repeated_by_the_config_file_of_another_folder(run, landscape, tmp_path):
    assert run("split", landscape, "--output", tmp_path / "a", "--seed", 4).code == 0
    ran = run("split", "--config", tmp_path / "a" / "config.toml", "--output", tmp_path / "b")
    assert ran.code == 0, ran.err
    assert rows_of(tmp_path / "a" / "test.csv") == rows_of(tmp_path / "b" / "test.csv")


def test_one_bad_scene_ends_a_split_only_with_strict(run, tmp_path):
    scenes = tmp_path / "scenes"
    save_raster(scenes / "good.tif", noise((3, 96, 96)))
    whole = save_raster(scenes / "cut.tif", noise((3, 96, 96))).read_bytes()
    (scenes / "cut.tif").write_bytes(whole[:100])
    (scenes / "bad.png").write_bytes(b"no image at all")
    words = ("split", scenes, "--window", 32)
    ran = run(*words, "--output", tmp_path / "lists", "--json")
    assert ran.code == 3
    assert "bad.png" in ran.err
    assert "cut.tif" in ran.err
    assert sum(ran.json[name] for name in ("train", "val", "test")) == 9
    strict = run(*words, "--output", tmp_path / "strict", "--strict")
    assert strict.code == 1
    assert not (tmp_path / "strict").exists()


@pytest.mark.medium
def test_an_audit_reports_what_a_test_list_shares(run, landscape, model, tmp_path):
    copies = tmp_path / "copies"
    first = sorted((landscape / "beach").iterdir())[:2]
    for path in first:
        (copies / "beach").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copies / "beach" / f"copy_{path.name}")
    leaks = tmp_path / "leaks.csv"
    ran = run(
        *("audit-labels", landscape, "--model", model, "--against", copies, "--leaks", leaks),
        "--json",
    )
    assert ran.code == 0
    (counted,) = ran.json["leaks"]["lists"]
    assert (counted["list"], counted["other_list"]) == (str(landscape), str(copies))
    assert (counted["tiles"], counted["overlaps"], ran.json["leaks"]["overlaps"]) == (144, 2, 2)
    pairs = {(row["tile"], row["other"]) for row in rows_of(leaks)}
    assert {(f"beach/{p.name}", f"beach/copy_{p.name}") for p in first} <= pairs
    text = run("audit-labels", landscape, "--model", model, "--against", copies)
    assert "2 overlap its tiles" in text.out
    wrong = run("audit-labels", landscape, "--model", model, "--leaks", tmp_path / "l.csv")
    assert wrong.code == 2


def test_audited_tiles_are_not_compared_with_themselves_however_they_are_spelt(run, tmp_path):
    folder, link = tmp_path / "tiles", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    (tmp_path / "other").mkdir()
    audited = ("audit-labels", tmp_path / "other", folder, "--model", tmp_path / "model")
    spellings = (f"{folder}/", f"{tmp_path}/./tiles", f"{tmp_path}/other/../tiles", str(link))
    for spelling in (str(folder), *spellings, os.path.relpath(folder)):
        ran = run(*audited, "--against", spelling)
        assert ran.code == 2
        assert "audited TILES" in " ".join(ran.err.split())


@pytest.mark.medium
def test_lists_of_windows_by_place_are_indexed(run, model, tmp_path):
    lists, place = tmp_path / "lists", rasterio.Affine(10, 0, 500_000, 0, -10, 4_000_000)
    scene = tmp_path / "six_bands.tif"
    save_raster(scene, noise((6, 160, 160), "uint16"), crs="EPSG:32633", transform=place)
    arguments = ("split", scene, "--window", 32, "--stride", 16, "--by-place", "--output", lists)
    split = run(*arguments, "--json").json
    ran = run(
        *("index", lists / "test.csv", "--model", model, "--output", tmp_path / "index", "--json")
    )
    assert (ran.code, ran.json["tiles"]) == (0, split["test"])


@pytest.mark.medium
def test_reading_places_gets_nowhere_else(run, landscape, tmp_path):
    home = Home.made(tmp_path / "home", "http://127.0.0.1:9")
    before = home.state()
    folder = tmp_path / "tiles"
    shutil.copytree(landscape / "beach", folder)
    payload = plain(tmp_path / "stranger" / "payload.tif")
    (folder / "mosaic.tif").write_text(vrt(str(payload)))
    (tmp_path / "list.csv").write_text(
        f"tile,path\na,vrt://{payload}\nb,{folder / sorted(p.name for p in folder.iterdir())[0]}\n"
    )
    ran = run("split", folder, "--by-place", "--output", tmp_path / "lists", "--json")
    assert ran.code == 3
    assert "mosaic.tif" in ran.err
    listed = run(
        "split", tmp_path / "list.csv", "--by-place", "--output", tmp_path / "lists2", "--json"
    )
    assert listed.code == 3
    assert "--trust-sources" in listed.err
    assert home.state() == before
    assert json.loads(ran.out)["groups"] >= 1
