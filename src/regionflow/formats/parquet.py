"""Tables of regions as Parquet files, which pandas, polars, DuckDB and datasets read column by column."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regionflow.base.errors import BadFile, UserError
from regionflow.base.files import whole

NEEDS = "needs pyarrow: pip install 'regionflow[parquet]'"
INTEGERS = ("cluster", "class", "area", "x", "y", "width", "height")
NUMBERS = ("distance", "predicted_iou", "stability_score", "score")


def write_parquet(table: Path, path: Path) -> int:
    """Write a CSV table of regions as Parquet, block by block; returns the number of rows.

    Integers and numbers have their types, all else is text; an empty cell is null. Raises UserError if pyarrow is not
    installed, BadFile, naming the table, if it is none.
    """
    try:
        import pyarrow as arrow
        from pyarrow import csv, parquet
    except ImportError:
        raise UserError(f"{path.name}: Parquet {NEEDS}") from None
    with table.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    schema = arrow.schema([(name, _type(arrow, name)) for name in names])
    convert = csv.ConvertOptions(column_types=schema, null_values=[""], strings_can_be_null=True)
    read = csv.ReadOptions(use_threads=False)
    parse = csv.ParseOptions(newlines_in_values=True)
    rows = 0
    try:
        blocks = csv.open_csv(table, read_options=read, parse_options=parse, convert_options=convert)
        with whole(path) as part, parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            for block in blocks:
                writer.write_batch(block)
                rows += block.num_rows
    except (arrow.ArrowInvalid, arrow.ArrowKeyError) as error:
        raise BadFile.damaged(table, "a table of regions", error) from error
    return rows


def check_parquet(path: Path) -> None:
    """Read a Parquet file to its end. Raises BadFile, naming it, if it is none; nothing is read without pyarrow."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        return
    try:
        with parquet.ParquetFile(path) as file:
            for _ in file.iter_batches():
                pass
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise BadFile.damaged(path, "a Parquet file", error) from error


def _type(arrow: Any, name: str) -> Any:
    types: Mapping[str, Any] = dict.fromkeys(INTEGERS, arrow.int64()) | dict.fromkeys(NUMBERS, arrow.float64())
    return types.get(name, arrow.string())
