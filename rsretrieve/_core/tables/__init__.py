"""Tables: CSV and Parquet are read row by row, and CSV is written."""

from rsretrieve._core.tables.any_table import (
    TABLE_SUFFIXES,
    columns_of,
    encoding_notices,
    header_of_csv,
    read_table,
    require_columns,
)
from rsretrieve._core.tables.csv_file import Row
from rsretrieve._core.tables.csv_writer import write_csv
from rsretrieve._core.tables.parquet_file import PARQUET_SUFFIXES
from rsretrieve._core.tables.parquet_limits import refuse_bombs
from rsretrieve._core.tables.parquet_stream import open_parquet

__all__ = [
    "PARQUET_SUFFIXES",
    "TABLE_SUFFIXES",
    "Row",
    "columns_of",
    "encoding_notices",
    "header_of_csv",
    "open_parquet",
    "read_table",
    "refuse_bombs",
    "require_columns",
    "write_csv",
]
