"""Files of decisions that the program and the audit page read alike, or both refuse.

The tiles are a.png and b.png, the columns tile and label.
"""

from __future__ import annotations

CSV_FILES: dict[str, tuple[bytes, list[str] | None]] = {
    "as it is saved": ("tile,label,by\na.png,Zürich,Ann\n".encode(), ["Zürich"]),
    "with a mark": ("\ufefftile,label\na.png,Zürich\n".encode(), ["Zürich"]),
    "UTF-16": ("tile,label\na.png,Zürich\n".encode("utf-16"), ["Zürich"]),
    "UTF-16, big end first": (
        b"\xfe\xff" + "tile,label\na.png,Zürich\n".encode("utf-16-be"),
        ["Zürich"],
    ),
    "UTF-16 without a mark": ("tile,label\na.png,Zürich\n".encode("utf-16-le"), ["Zürich"]),
    "UTF-32": ("tile,label\na.png,Zürich\n".encode("utf-32"), ["Zürich"]),
    "UTF-32, big end first": (
        b"\0\0\xfe\xff" + "tile,label\na.png,Zürich\n".encode("utf-32-be"),
        ["Zürich"],
    ),
    "Windows-1252": ("tile,label\na.png,Zürich\n".encode("cp1252"), ["Zürich"]),
    "no Windows-1252": (b"tile,label\na.png,Z\x81rich\n", None),
    "a mark of UTF-8 and other bytes": (b"\xef\xbb\xbftile,label\na.png,Z\xfcrich\n", None),
    "UTF-16 with half a character": ("tile,label\na.png,x\n".encode("utf-16") + b"x", None),
    "two encodings": (
        "tile,label\na.png,Zürich\n".encode() + "b.png,Zürich\n".encode("cp1252"),
        None,
    ),
    "a workbook": (b"PK\x03\x04tile,label\na.png,road\n", None),
    "semicolons": (b'tile;label;"by, at"\r\na.png;road, paved;Ann\r\n', ["road, paved"]),
    "tabs": (b"tile\tlabel\na.png\troad\n", ["road"]),
    "a line that names the separator": (b"sep=|\r\ntile|label\r\na.png|a, b\r\n", ["a, b"]),
    "such a line in quotes": (b'"sep=;"\ntile;label\na.png;road\n', ["road"]),
    "a separator in a name": (b"tile,label,x;y;z\na.png,road,\n", ["road"]),
    "line ends of old Macs": (b"tile,label\ra.png,road\rb.png,sand\r", ["road", "sand"]),
    "blank lines above": (b"\n\r\n,\ntile,label\na.png,road\n", ["road"]),
    "no line end at the end": (b"tile,label\na.png,road", ["road"]),
    "blanks after separators": (b'label, tile\nroad, a.png\n"a, b", "b.png"\n', ["road", "a, b"]),
    "names in capitals": (b" Tile ,LABEL\na.png,road\n", ["road"]),
    "inches": (b'tile,label\na.png,5" pipe\nb.png,6" pipe\n', ['5" pipe', '6" pipe']),
    "quotes in quotes": (b'tile,label\na.png,"5"" pipe, ""red"""\n', ['5" pipe, "red"']),
    "a line end in quotes": (b'tile,label\na.png,"a\r\nb"\nb.png,x\n', ["a\r\nb", "x"]),
    "unusual line ends": (
        "tile,label\na.png,a\x85b\nb.png,a\u2028b\n".encode(),
        ["a\x85b", "a\u2028b"],
    ),
    "formulas": (b"tile,label\na.png,'=x\nb.png,''=y\n", ["=x", "'=y"]),
    "cells after the last column": (b"tile,label,,\na.png,road,,,,\n\n,,\n", ["road"]),
    "cut off in a cell": (b"tile,label,decision\na.png,road,choose\nb.png,ro", None),
    "cut off after the tile": (b"tile,label\na.png,road\nb.png", None),
    "a quote that is never closed": (b'tile,label\na.png,"road\nb.png,water\n', None),
    "text after a closing quote": (b'tile,label\n"a.png"x,road\n', None),
    "more cells than columns": (b"tile,label\na.png,road,water\n", None),
    "no columns": (b"a,b\n1,2\n", None),
    "a column twice": (b"tile,label,Label\na.png,road,sand\n", None),
    "nothing": (b"", None),
}
"""By name: the bytes, and the labels; None: the file is refused."""
