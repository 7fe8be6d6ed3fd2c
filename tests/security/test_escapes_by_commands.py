"""The ways in that are commands: folders, lists, Parquet rows, items, windows, sheets and pages."""

from __future__ import annotations

import json
import shutil

import pyarrow
import pytest
from pyarrow import parquet

from tests.security.test_escapes import listening
from tests.support.tiles.attempts import Home, mrf, plain, vrt


@pytest.fixture
def home(tmp_path):
    """A user's folder, with a server that nobody may ask; after the test both are as before."""
    with listening() as (url, asked):
        made = Home.made(tmp_path / "home", url)
        before = made.state()
        yield made
        assert asked == []
        assert made.state() == before


@pytest.fixture
def names_out(home, tmp_path):
    """Names that a stranger writes where a path is expected."""
    payload = plain(tmp_path / "stranger" / "payload.tif")
    cache = payload.with_name("cache.mrf")
    cache.write_text(mrf(payload, home.folder / "profile"))
    mosaic = payload.with_name("mosaic.vrt")
    mosaic.write_text(vrt(str(cache)))
    return [
        *(f"vrt://{cache}", str(cache), str(mosaic), f"/vsisubfile/0,{cache}"),
        *(f"/vsicurl/{home.url}/a.tif", f"{home.url}/a.tif", f'ZARR:"/vsicurl/{home.url}/z"'),
    ]


@pytest.fixture
def tiles(landscape, tmp_path, home, names_out):
    """A stranger's folder: sound tiles, and some with sidecars that lead out."""
    folder = tmp_path / "tiles"
    shutil.copytree(landscape, folder)
    whole = sorted(folder.rglob("*.tif"))
    for tile, name in zip(whole, names_out):
        tile.with_name(f"{tile.name}.msk").write_text(vrt(name))
    for tile, name in zip(whole[20:], names_out):
        overview = f'<MDI key="OVERVIEW_FILE">{name.replace(chr(34), "&quot;")}</MDI>'
        tile.with_name(f"{tile.name}.aux.xml").write_text(
            f'<PAMDataset><Metadata domain="OVERVIEWS">{overview}</Metadata></PAMDataset>'
        )
    return folder


@pytest.mark.medium
def test_a_folder_its_sheet_and_its_page(run, tiles, model, tmp_path, names_out):
    index, sheet = tmp_path / "index", tmp_path / "sheet.png"
    outcome = run("index", tiles, "--model", model, "--output", index)
    assert outcome.code == 3
    for reason in ("is not a TIFF", "OVERVIEW_FILE="):
        assert outcome.err.count(reason) == len(names_out)
    first = sorted(tiles.rglob("*.tif"))[-1]
    asked = run("query", first, "--index", index, "-k", 30, "--sheet", sheet)
    assert (asked.code, sheet.exists()) == (0, True)
    page = tmp_path / "page.html"
    audited = run("audit-labels", tiles, "--model", model, "--page", page)
    assert (audited.code, page.exists()) == (3, True)
    again = run("index", tiles, "--window", 16, "--model", model, "--output", tmp_path / "windows")
    assert again.code == 3


@pytest.mark.medium
def test_a_list_and_an_item(run, model, landscape, tmp_path, names_out):
    sound = sorted(landscape.rglob("*.tif"))[:5]
    rows = [(f"t{i}", path) for i, path in enumerate([*sound, *names_out])]
    lines = [f'{name},"{str(path).replace(chr(34), chr(34) * 2)}"' for name, path in rows]
    (tmp_path / "list.csv").write_text("\n".join(["tile,path", *lines, ""]))
    outcome = run(
        "index", tmp_path / "list.csv", "--model", model, "--output", tmp_path / "i", "--json"
    )
    assert (outcome.code, outcome.json["failed"]) == (3, len(names_out))
    assert outcome.err.count("--trust-sources") >= 4
    for name in names_out:
        item = {
            **{"type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None},
            **{"properties": {"datetime": "2020-01-01T00:00:00Z"}, "links": []},
            "assets": {"data": {"href": name, "type": "image/tiff"}},
        }
        (tmp_path / "item.json").write_text(json.dumps(item))
        outcome = run("split", tmp_path / "item.json", "--window", 16, "--output", tmp_path / "l")
        assert outcome.code == 1


@pytest.mark.parametrize("window", ["", "#0,0,16,16"])
@pytest.mark.medium
def test_rows_of_embeddings_shown_in_a_sheet(run, tmp_path, names_out, window):
    ids = [f"t{i}{window}" for i in range(len(names_out))]
    vectors = [[1.0, float(i)] for i in range(len(ids))]
    table = {"id": ids, "path": names_out, "embedding": vectors}
    parquet.write_table(pyarrow.table(table), tmp_path / "e.parquet")
    source, index, sheet = tmp_path / "e.parquet", tmp_path / "index", tmp_path / "s.png"
    assert run("index", "--from-embeddings", source, "--output", index).code == 0
    outcome = run("query", "--tile", ids[0], "--index", index, "--sheet", sheet)
    assert (outcome.code, sheet.exists()) == (0, True)
