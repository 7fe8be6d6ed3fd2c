"""Files that try to get out: to read a private picture, to write to a file, to ask a server.

For every driver of GDAL that is here, and for formats whose files name others by their own ways,
each through every sidecar and name by which GDAL, or we, open a second file.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

PRIVATE, OWN, SIDE = 201, 7, 64
"""The value of private pixels (the right half of a private picture is 0, so that it shows as a
mask, too), that of every pixel of a stranger's, and a side in px."""
_BYTE = {"height": SIDE, "width": SIDE, "dtype": "uint8"}
_OVERVIEW = (
    '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{}</MDI></Metadata>'
    "</PAMDataset>"
)
_MASK_FLAGS = '<Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>'


@dataclass(frozen=True)
class Home:
    """A folder of the user that nothing on the command line names; no file in it may change.

    Attributes:
        folder: of the user.
        url: of a server on this machine that nobody may ask.
        pictures: a private picture in every format that GDAL can write here, by driver.
    """

    folder: Path
    url: str
    pictures: dict[str, Path]

    @classmethod
    def made(cls, folder: Path, url: str) -> Home:
        """A folder with private pictures, and a text file that a shell would run."""
        folder.mkdir()
        (folder / "profile").write_text("# the user's own\n")
        (folder / "private.raw").write_bytes(_private_pixels().tobytes())
        pictures = {}
        with rasterio.Env() as gdal:
            drivers = sorted(gdal.drivers())
        for name in drivers:
            path = folder / f"private_{name.replace(' ', '_')}.tif"
            if _written_as(name, path):
                pictures[name] = path
        return cls(folder, url, pictures)

    def state(self) -> dict[str, bytes]:
        """The content of every file in it."""
        return {str(p): p.read_bytes() for p in sorted(self.folder.rglob("*")) if p.is_file()}


def _private_pixels() -> NDArray[np.uint8]:
    pixels = np.zeros((1, SIDE, SIDE), np.uint8)
    pixels[..., : SIDE // 2] = PRIVATE
    return pixels


def _written_as(driver: str, path: Path) -> bool:
    """Write a private picture in a format; whether GDAL can, and reads it back."""
    try:
        with rasterio.open(path, "w", driver=driver, count=1, **_BYTE) as dataset:
            dataset.write(_private_pixels())
            dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")  # it may serve as a mask
        with rasterio.open(path) as dataset:
            return bool(dataset.read(1)[:, : SIDE // 4].mean() > PRIVATE - 20)
    except Exception:  # it cannot write, or not such a picture, or under another name
        return False


def plain(path: Path, **metadata: str) -> Path:
    """A harmless tile of a stranger's; `metadata` is of the domain of overviews."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", count=1, **_BYTE) as dataset:
        dataset.write(np.full((1, SIDE, SIDE), OWN, np.uint8))
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")
        if metadata:
            dataset.update_tags(ns="OVERVIEWS", **metadata)
    return path


def picture(path: Path, driver: str) -> Path:
    """A stranger's picture, without a mask."""
    path.parent.mkdir(parents=True)
    with rasterio.open(path, "w", driver, count=3, **_BYTE) as dataset:
        dataset.write(np.full((3, SIDE, SIDE), OWN, np.uint8))
    return path


def vrt(source: str) -> str:
    """A mosaic of one source."""
    return (
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}">{_MASK_FLAGS}'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="0">'
        f"{source}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def mrf(payload: Path, target: Path) -> str:
    """A cache that GDAL writes into `target` while it reads."""
    return (
        f"<MRF_META><CachedSource><Source>{payload}</Source></CachedSource><Raster>"
        f'<Size x="{SIDE}" y="{SIDE}" c="1"/><PageSize x="{SIDE}" y="{SIDE}" c="1"/>'
        f"<Compression>NONE</Compression><DataFile>{target}</DataFile>"
        f"<IndexFile>{target.parent / 'x.idx'}</IndexFile></Raster></MRF_META>"
    )


def texts(home: Home, payload: Path) -> dict[str, str]:
    """Files of formats that name a second file, or a server, by what they are."""
    raw, url = home.folder / "private.raw", home.url
    up = f"../../../{home.folder.name}/private.raw"
    return {
        "cached_MRF": mrf(payload, home.folder / "profile"),
        "VRT_http": vrt(f"/vsicurl/{url}/vrt.tif"),
        "VRT_raw": vrt(str(home.pictures["GTiff"])).replace("SimpleSource", "ComplexSource"),
        "VRT_RAW_BAND": (
            f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><VRTRasterBand dataType="Byte" '
            f'band="1" subClass="VRTRawRasterBand"><SourceFilename>{raw}</SourceFilename>'
            "<ImageOffset>0</ImageOffset></VRTRasterBand></VRTDataset>"
        ),
        "WMS": (
            f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/wms</ServerUrl></Service><DataWindow>'
            "<SizeX>64</SizeX><SizeY>64</SizeY><TileLevel>0</TileLevel></DataWindow><BandsCount>1"
            f"</BandsCount><Cache><Path>{home.folder}</Path></Cache></GDAL_WMS>"
        ),
        "WCS": f"<WCS_GDAL><ServiceURL>{url}/wcs?</ServiceURL></WCS_GDAL>",
        "WMTS": f"<GDAL_WMTS><GetCapabilitiesUrl>{url}/wmts</GetCapabilitiesUrl></GDAL_WMTS>",
        "PDS": (
            "PDS_VERSION_ID = PDS3\nRECORD_BYTES = 64\nFILE_RECORDS = 64\n"
            f'^IMAGE = ("{up}", 1)\nOBJECT = IMAGE\nLINES = 64\nLINE_SAMPLES = 64\n'
            "SAMPLE_TYPE = UNSIGNED_INTEGER\nSAMPLE_BITS = 8\nEND_OBJECT = IMAGE\nEND\n"
        ),
        "PDS4": (
            '<Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1"><File_Area_Observational>'
            f"<File><file_name>{up}</file_name></File><Array_2D_Image><local_identifier>i"
            "</local_identifier><offset unit=\"byte\">0</offset><axes>2</axes><Element_Array>"
            "<data_type>UnsignedByte</data_type></Element_Array><Axis_Array><axis_name>Line"
            "</axis_name><elements>64</elements><sequence_number>1</sequence_number></Axis_Array>"
            "<Axis_Array><axis_name>Sample</axis_name><elements>64</elements><sequence_number>2"
            "</sequence_number></Axis_Array></Array_2D_Image></File_Area_Observational>"
            "</Product_Observational>"
        ),
        "ISIS3": (
            f'Object = IsisCube\n  Object = Core\n    ^Core = {up}\n    StartByte = 1\n'
            "    Format = BandSequential\n    Group = Dimensions\n      Samples = 64\n"
            "      Lines = 64\n      Bands = 1\n    End_Group\n    Group = Pixels\n"
            "      Type = UnsignedByte\n      ByteOrder = Lsb\n      Base = 0.0\n"
            "      Multiplier = 1.0\n    End_Group\n  End_Object\nEnd_Object\nEnd\n"
        ),
        "ILWIS": f"[Ilwis]\nType=Map\n[Map]\nSize=64 64\n[MapStore]\nData={raw}\nType=Byte\n",
        "OZI": f"OziExplorer Map Data File Version 2.2\na\n{raw}\n1 ,Map Code,\n",
        "PAux": f"AuxilaryTarget: {raw}\nRawDefinition: 64 64 1\nChanDefinition-1: 8U 0 1 64\n",
        "DIMAP": f'<Dimap_Document><DATA_FILE_PATH href="{raw}"/></Dimap_Document>',
        "STACIT": json.dumps(
            {
                "type": "FeatureCollection",
                "stac_version": "1.0.0",
                "features": [{"type": "Feature", "stac_version": "1.0.0", "assets": {"a": {
                    "href": f"{url}/stac.tif"}}}],
            }
        ),
        "kerchunk": json.dumps({".zgroup": '{"zarr_format":2}', "a/0.0": [f"{url}/chunk", 0, 9]}),
    }  # fmt: skip


def names(home: Home) -> dict[str, str]:
    """Names by which GDAL opens a file, a part of one, or a server, for every driver it has."""
    picture = home.pictures["GTiff"]
    found = {
        "vsicurl": f"/vsicurl/{home.url}/a.tif",
        "vsicurl_streaming": f"/vsicurl_streaming/{home.url}/a.tif",
        "http": f"{home.url}/http.tif",
        "zarr": f'ZARR:"/vsicurl/{home.url}/a.zarr"',
        "vrt": f"vrt://{picture}",
        "vrt_http": f"vrt:///vsicurl/{home.url}/a.tif",
        "subfile": f"/vsisubfile/0,{picture}",
        "plain": str(picture),
        "gtiff_dir": f"GTIFF_DIR:1:{picture}",
        "derived": f"DERIVED_SUBDATASET:LOGAMPLITUDE:{picture}",
        "wms": f"WMS:{home.url}/wms?",
        "tar": f"/vsitar/{picture}",
    }
    with rasterio.Env() as gdal:
        for name in sorted(gdal.drivers()):
            found[f"{name}_name"] = f'{name}:"{home.pictures.get(name, picture)}"'
            found[f"{name}_url"] = f'{name.upper()}:"/vsicurl/{home.url}/{name}"'
    return found


def files_by_driver(home: Home, payload: Path) -> dict[str, str | Path]:
    """What a stranger may put into a file: texts, and links to the user's own pictures."""
    mosaics = {f"VRT_{name}": vrt(str(path)) for name, path in home.pictures.items()}
    named = {f"text_{name}": text for name, text in texts(home, payload).items()}
    return {**named, **mosaics, **home.pictures}


def made_attempts(root: Path, home: Home) -> list[Path]:
    """Write a folder a way and a driver, each with a tile `a.tif`; return these tiles.

    Nothing in them but names leads out of `root`.
    """
    payload = root / "payload.tif"
    plain(payload)
    made: list[Path] = []
    for name, content in files_by_driver(home, payload).items():
        for suffix in (".msk", ".ovr", ".MSK", ".OVR"):
            tile = plain(root / f"{name}{suffix}" / "a.tif")
            _put(tile.with_name(f"a.tif{suffix}"), content)
            made.append(tile)
        for image, driver in (("a.png", "PNG"), ("a.jpg", "JPEG")):  # which Pillow reads alone
            tile = picture(root / f"{name}_{driver}" / image, driver)
            _put(tile.with_name(f"{image}.msk"), content)
            made.append(tile)
        tile = root / f"{name}_tile" / "a.tif"
        tile.parent.mkdir()
        if isinstance(content, str):  # else it is a link of a tile, which is followed as it was
            _put(tile, content)
            made.append(tile)
        beside = plain(root / f"{name}_beside" / "a.tif")
        _put(beside.with_name("b.dat"), content)
        beside.with_name("a.tif.aux.xml").write_text(_OVERVIEW.format(beside.with_name("b.dat")))
        made.append(beside)
        nested = plain(root / f"{name}_nested" / "a.tif")
        _put(nested.with_name("b.dat"), content)
        nested.with_name("a.tif.ovr").write_text(vrt(str(nested.with_name("b.dat"))))
        made.append(nested)
        deep = plain(root / f"{name}_deep" / "a.tif")
        shutil.copy(deep, deep.with_name("a.tif.ovr"))
        _put(deep.with_name("a.tif.ovr.ovr"), content)
        made.append(deep)
    for name, text in names(home).items():
        folder = root / f"{name.replace(' ', '_')}_named"
        tile = plain(folder / "a.tif")
        tile.with_name("a.tif.aux.xml").write_text(_OVERVIEW.format(text.replace('"', "&quot;")))
        made += [tile, plain(folder / "inside" / "a.tif", OVERVIEW_FILE=text)]
        masked = plain(folder / "of_mask" / "a.tif")
        plain(masked.with_name("a.tif.msk"), OVERVIEW_FILE=text)
        made.append(masked)
    return made


def _put(path: Path, content: str | Path) -> None:
    if isinstance(content, str):
        path.write_text(content)
    else:
        path.symlink_to(content)
