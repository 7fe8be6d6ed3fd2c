"""`rsretrieve find`: rounds of answers, its files, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from tests.support.indexes.kinds import index_of_kinds

JSON_KEYS = {
    *("session", "index", "tiles", "examples", "answers", "evidence", "found", "confirmed"),
    *("count", "count_interval", "precision", "precision_interval", "recall", "recall_interval"),
    *("reached", "stop", "proposals"),
}
PROPOSAL_KEYS = {*("tile", "answer", "rank", "probability", "reason", "path", "crs", "lon", "lat")}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 300 tiles, of which the 60 whose id begins with 0/ are of the kind."""
    return index_of_kinds(tmp_path_factory.mktemp("kinds") / "index").folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def answer_all(path: Path, answered: Path) -> None:
    """Fill in the column `answer`, as a person would."""
    rows = rows_of(path)
    for row in rows:
        row["answer"] = "yes" if row["tile"].startswith("0/") else "no"
    with answered.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def after_two_rounds(run, kinds, tmp_path):
    """A session with twenty answers, given by files."""
    base = "find", kinds, "--session", tmp_path / "s.json", "--json"
    ran = run(*base, "--like", "0/3.tif", "--unlike", "1/3.tif", "--proposals", tmp_path / "1.csv")
    assert ran.code == 0, ran.err
    for number in (1, 2):
        answer_all(tmp_path / f"{number}.csv", tmp_path / f"a{number}.csv")
        given = "--answers", tmp_path / f"a{number}.csv"
        ran = run(*base, *given, "--proposals", tmp_path / f"{number + 1}.csv")
        assert ran.code == 0, ran.err
    return ran.json


def test_rounds_of_answers_find_the_kind(after_two_rounds, tmp_path):
    found = after_two_rounds
    assert set(found) == JSON_KEYS
    assert {frozenset(each) for each in found["proposals"]} == {frozenset(PROPOSAL_KEYS)}
    assert found["tiles"] == 300
    assert found["evidence"] == sum(found["answers"].values()) == 20
    low, high = found["count_interval"]
    assert low <= 60 <= high
    assert low <= found["count"] <= high
    assert [example["wanted"] for example in found["examples"]] == [True, False]
    assert [row["tile"] for row in rows_of(tmp_path / "3.csv")] == [
        each["tile"] for each in found["proposals"]
    ]
    assert json.loads((tmp_path / "s.json").read_text())["answers"]


def test_every_file_has_the_found_tiles(run, kinds, after_two_rounds, tmp_path):
    files = [f"--{n}" for n in ("output", "geojson", "geoparquet", "labels")]
    paths = [tmp_path / name for name in ("f.csv", "f.geojson", "f.parquet", "l.csv")]
    options = [part for pair in zip(files, paths) for part in pair]
    base = "find", kinds, "--session", tmp_path / "s.json", "--json"
    ran = run(*base, *options, "--label", "pond", "--min-probability", 0.8)
    assert ran.code == 0, ran.err
    rows = rows_of(paths[0])
    assert len(rows) == ran.json["found"]
    assert list(rows[0])[:4] == ["tile", "rank", "probability", "answer"]
    assert all(float(row["probability"]) >= 0.8 for row in rows)
    assert sum(row["answer"] == "yes" for row in rows) == ran.json["confirmed"]
    tiles = [row["tile"] for row in rows]
    features = json.loads(paths[1].read_text())["features"]
    assert [feature["properties"]["tile"] for feature in features] == tiles
    assert {feature["geometry"] for feature in features} == {None}
    table = geopandas.read_parquet(paths[2])
    assert table["tile"].tolist() == tiles
    assert "rsretrieve" in {*map(bytes.decode, parquet.read_schema(paths[2]).metadata)}
    assert "no georeference" in ran.err
    labels = {row["tile"]: row for row in rows_of(paths[3])}
    assert {labels[tile]["label"] for tile in tiles} == {"pond"}
    refused = [row for row in labels.values() if row["label"] == "not pond"]
    assert len(refused) == ran.json["answers"]["no"]
    decided = [row for row in labels.values() if row["decision"] == "choose"]
    assert len(decided) == len(refused) + ran.json["confirmed"]


def test_the_labels_are_read_as_confirmed(run, kinds, after_two_rounds, tmp_path):
    from rsretrieve.data.labels.labels import read_label_table

    base = "find", kinds, "--session", tmp_path / "s.json"
    assert run(*base, "--labels", tmp_path / "l.csv").code == 0
    table = read_label_table(tmp_path / "l.csv")
    assert table.labels["0/3.tif"] == "wanted"
    assert len(table.confirmed) == 21
    assert table.notices == ()


def test_the_sheet_shows_the_proposals(run, kinds, tmp_path):
    sheet = tmp_path / "s.png"
    ran = run("find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json")
    assert ran.code == 0, ran.err
    options = "--sheet", sheet, "--propose", 7
    assert run("find", kinds, "--session", tmp_path / "s.json", *options).code == 0
    with Image.open(sheet) as picture:
        assert picture.width > 5 * 128
        assert picture.height > 2 * 128


def test_the_session_lies_beside_the_output(run, kinds, tmp_path):
    output = tmp_path / "found.csv"
    assert run("find", kinds, "--like", "0/3.tif", "--output", output).code == 0
    assert (tmp_path / "found.session.json").exists()
    ran = run("find", kinds, "--output", output)
    assert ran.code == 1
    assert "--overwrite" in ran.err
    assert run("find", kinds, "--output", output, "--overwrite").code == 0


def test_answers_survive_overwrite_and_more_examples(run, kinds, after_two_rounds, tmp_path):
    base = "find", kinds, "--session", tmp_path / "s.json", "--json", "--overwrite"
    ran = run(*base, "--like", "0/9.tif", "--like", "0/3.tif")
    assert sum(ran.json["answers"].values()) == 20
    assert [each["tile"] for each in ran.json["examples"]] == ["0/3.tif", "1/3.tif", "0/9.tif"]


def test_questions_are_answered_in_the_terminal(run, kinds, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nperhaps\nno\n?\nq\n"))
    base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json"
    ran = run(*base, "--ask", "--json", "--sheet", tmp_path / "s.png")
    assert ran.code == 0, ran.err
    assert ran.json["answers"] == {"yes": 1, "no": 1, "unsure": 1}
    assert ran.err.count("wanted?") == 5
    assert (tmp_path / "s.png").exists()


def test_it_stops_asking_when_the_targets_are_reached(run, kinds, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 200))
    base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json", "--ask", "--json"
    ran = run(*base, "--target-precision", 0.2, "--target-recall", 0.01, "--propose", 12)
    assert ran.code == 0, ran.err
    assert ran.json["stop"] is True
    assert ran.json["answers"]["yes"] < 200


def test_answers_so_far_are_kept_when_the_input_ends(run, kinds, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n"))
    base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json"
    assert run(*base, "--ask").code == 0
    assert len(json.loads((tmp_path / "s.json").read_text())["answers"]) == 2


def test_each_answer_of_a_round_is_kept_at_once(run, kinds, tmp_path):
    session = tmp_path / "s.json"
    command = [sys.executable, "-m", "rsretrieve", "find", kinds, "--like", "0/3.tif", "--ask"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*command, "--session", session], text=True, **pipes) as asked:
        for number, answer in enumerate(("y", "n", "?"), 1):
            while f"{number}/10" not in asked.stderr.readline():
                pass
            asked.stdin.write(f"{answer}\n")
            asked.stdin.flush()
        while "4/10" not in asked.stderr.readline():
            pass
        asked.kill()
    content = json.loads(session.read_text())
    assert [*content["answers"].values()] == ["yes", "no", "unsure"]
    assert {*content["answers"]} < {*content["rounds"][0]}
    ran = run("find", kinds, "--session", session, "--json")
    assert ran.json["answers"] == {"yes": 1, "no": 1, "unsure": 1}
    assert sum(each["reason"] == "again" for each in ran.json["proposals"]) == 7


def test_a_vector_is_an_example(run, kinds, tmp_path):
    np.save(tmp_path / "v.npy", np.load(kinds / "embeddings.npy")[3])
    base = "find", kinds, "--session", tmp_path / "s.json", "--json"
    ran = run(*base, "--like", tmp_path / "v.npy")
    assert ran.code == 0, ran.err
    assert ran.json["proposals"][0]["tile"].startswith("0/")
    again = run(*base)
    assert again.json["proposals"] == [
        {**each, "reason": "again"} for each in ran.json["proposals"]
    ]


@pytest.mark.medium
def test_an_image_is_an_example(run, index, landscape, tmp_path):
    image = min((landscape / "beach").iterdir())
    base = "find", index, "--session", tmp_path / "s.json", "--json"
    ran = run(*base, "--like", image, "--sheet", tmp_path / "s.png")
    assert ran.code == 0, ran.err
    assert ran.json["examples"] == [{"name": str(image), "wanted": True, "tile": None}]
    assert ran.json["proposals"][0]["lon"] is not None


def test_the_seed_of_a_new_session_chooses_other_tiles(run, kinds, tmp_path):
    tiles = []
    for seed in (0, 1):
        base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / f"{seed}.json"
        ran = run(*base, "--seed", seed, "--json")
        tiles.append([each["tile"] for each in ran.json["proposals"]])
    assert tiles[0] != tiles[1]


def test_few_answers_are_said_to_be_too_few(run, kinds, tmp_path):
    base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json"
    ran = run(*base)
    assert "too few" in ran.out
    assert run(*base, "--json").json["count"] is None


def test_nothing_is_proposed_where_nothing_is_asked_for(run, kinds, tmp_path):
    base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json"
    ran = run(*base, "--propose", 0, "--json")
    assert ran.json["proposals"] == []
    ran = run(*base, "--propose", 0, "--ask")
    assert ran.code == 2


def test_the_summary_is_on_standard_error_where_the_output_is_not(run, kinds, tmp_path):
    base = "find", kinds, "--like", "0/3.tif", "--session", tmp_path / "s.json"
    ran = run(*base, "--output", "-")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].startswith("tile,rank,probability")
    assert "look at these next" in ran.err


REFUSED = [  # options, the exit code, words of the message
    (["--session", "{d}/s.json", "--like", "0/3.tif", "--label", " "], 2, "--label"),
    ([], 2, "--session"),
    (["--output", "-", "--like", "0/3.tif"], 2, "--session"),
    (["--session", "{d}/s.json"], 1, "--like"),
    (["--session", "{d}/s.json", "--unlike", "1/3.tif"], 1, "--like"),
    (["--session", "{d}/s.json", "--like", "nowhere.tif"], 1, "nowhere.tif"),
    (["--session", "{d}/s.json", "--like", "0/3.tif@2"], 2, "weight"),
    (["--session", "{d}/bad.json", "--like", "0/3.tif"], 1, "no find session"),
    (["--session", "{d}/index/s.json", "--like", "0/3.tif"], 1, "index folder"),
    (["--session", "{d}/a.csv", "--answers", "{d}/a.csv", "--like", "0/3.tif"], 1, "--answers"),
    (["--session", "{d}/s.json", "--output", "{d}/s.json", "--like", "0/3.tif"], 2, "same file"),
    (["--session", "{d}/s.json", "--answers", "{d}/no.csv", "--like", "0/3.tif"], 1, "no.csv"),
    (["--session", "{d}/s.json", "--answers", "{d}/a.csv", "--like", "0/3.tif"], 1, "perhaps"),
    (["--output", "{d}/index/f.csv", "--like", "0/3.tif"], 1, "index folder"),
    (
        ["--session", "{d}/s.json", "--geojson", "{d}/x", "--labels", "{d}/x", "--like", "0/3.tif"],
        2,
        "same file",
    ),
]


@pytest.mark.parametrize(("options", "code", "words"), REFUSED)
def test_what_cannot_be_done_is_refused(run, kinds, tmp_path, options, code, words):
    shutil.copytree(kinds, tmp_path / "index")
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "a.csv").write_text("tile,answer\n0/1.tif,perhaps\n")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    given = [option.format(d=tmp_path) for option in options]
    ran = run("find", tmp_path / "index", *given, "--overwrite")
    assert (ran.code, words in ran.err) == (code, True), ran.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_the_highest_seed_is_that_of_other_commands(run, kinds, tmp_path):
    session = ("find", kinds, "--session", tmp_path / "s.json")
    assert run(*session, "--like", "0/3.tif", "--seed", (1 << 62) + 1).code == 2
    assert run(*session, "--like", "0/3.tif", "--seed", 1 << 62).code == 0
    assert run(*session).code == 0  # the session can be read


def test_another_seed_and_another_index_are_refused(run, kinds, after_two_rounds, tmp_path):
    ran = run("find", kinds, "--session", tmp_path / "s.json", "--seed", 5)
    assert (ran.code, "seed" in ran.err) == (2, True)
    content = json.loads((tmp_path / "s.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps({**content, "model_fingerprint": "other"}))
    ran = run("find", kinds, "--session", tmp_path / "s.json")
    assert (ran.code, "another model" in ran.err) == (1, True)
