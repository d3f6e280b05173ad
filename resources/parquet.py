"""How the rows of a table are packed into a Parquet file.

Belongs here: encodings, sizes of row groups, what made the rows (their stamp) in the metadata.
Does not belong here: columns and rules (`pipeline.tables`), where a file lies (`resources.store`).
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.events.codes import codes_in, first_used, texts_of
from pipeline.tables import TABLES, empty
from pipeline.versions import code_version

STAMP_KEY = b"gridmotion"
_ARROW_KEY = b"ARROW:schema"  # tells readers of Arrow the types that Parquet does not have
_COMPAT = pl.CompatLevel.oldest()
# How each kind of column packs best, measured on real matches. Of what follows its neighbour closely the difference
# is kept, of what repeats a few values their places in a list, of small numbers each byte apart; zstd does the rest.
_BY_TYPE = {"int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED"}
_BY_NAME = {
    "event_id": "DELTA_BYTE_ARRAY",
    "occurred_at": "DELTA_BINARY_PACKED",
    **dict.fromkeys(("payload", "raw"), "PLAIN"),
    **dict.fromkeys(("y_mm", "round", "hp", "armor", "amount"), "BYTE_STREAM_SPLIT"),
    **dict.fromkeys(("yaw_mdeg", "pitch_mdeg"), "DICTIONARY"),
}
_BY_TABLE = {"events": dict.fromkeys(("x_mm", "z_mm"), "DICTIONARY")}  # players in turn: no value follows its neighbour
_DICTIONARY_BYTES = 131_072  # a longer list of values costs more than it saves
_ROW_GROUP = 131_072  # rows; smaller ones write lists of values too often
_ROW_GROUP_OF = {"events": 65_536, "quarantine": 16_384}  # they hold long texts
_WITH_STATISTICS = ("t_ms",)
_PACKING = {"compression": "zstd", "compression_level": 3, "dictionary_pagesize_limit": _DICTIONARY_BYTES}

LAYOUT = hashlib.sha256(
    b"\0".join(
        (
            Path(__file__).read_bytes(),
            code_version("events/codes.py", "events/codes_kernel.py").encode(),
            version("pyarrow").encode(),
        )
    )
).hexdigest()[:12]
"""Names what packs: this module, how it numbers codes, and who writes. With others the same rows may be other bytes."""


@dataclass(frozen=True)
class Stamp:
    """What made a part. Equal stamps mean equal bytes, so the part is reused.

    Attributes:
        code_version: of the pipeline source that computed it.
        config_hash: of the configuration it used.
        input_hash: of the digests of its inputs.
        model_version: of the model that decided, where one did.
        layout: how its rows are packed.
    """

    code_version: str
    config_hash: str
    input_hash: str
    model_version: str = ""
    layout: str = LAYOUT

    @classmethod
    def from_json(cls, text: bytes) -> "Stamp":
        """What `json` wrote, now or before there was a layout.

        Raises:
            TypeError: if it has other fields.
            ValueError: if it is no JSON.
        """
        return cls(**{"layout": "", **json.loads(text)})

    @property
    def json(self) -> bytes:
        """For the metadata of a file."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def write_parquet(table: str, frames: Iterable[pl.DataFrame], stamp: Stamp, file: Any) -> int:
    """Writes rows of a table as Parquet; the same rows and stamp give the same bytes, however they are cut.

    Args:
        table: its name.
        frames: its columns in its order; texts may be categorical.
        stamp: what made them, kept in the metadata.
        file: takes bytes by `write`.

    Returns:
        How many rows there were.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    encodings, required, types = _declared(table)
    count, most = 0, _ROW_GROUP_OF.get(table, _ROW_GROUP)
    writer: Any = None
    for group in _row_groups(frames, most, empty(table)):
        columns = _columns(group, encodings)
        fields = [
            pa.field(name, column.type, name not in required) for name, column in zip(encodings, columns, strict=True)
        ]
        rows = pa.table(columns, pa.schema(fields))
        writer = writer or pq.ParquetWriter(
            file,
            rows.schema,
            use_dictionary=[name for name, encoding in encodings.items() if encoding == "DICTIONARY"],
            column_encoding={name: encoding for name, encoding in encodings.items() if encoding != "DICTIONARY"},
            write_statistics=[name for name in _WITH_STATISTICS if name in encodings],
            store_schema=False,
            **_PACKING,
        )
        writer.write_table(rows, row_group_size=most)
        count += rows.num_rows
        del group, columns, rows  # before the next ones are made
    writer.add_key_value_metadata({STAMP_KEY: stamp.json, _ARROW_KEY: types})
    writer.close()
    return count


@cache
def _declared(table: str) -> tuple[dict[str, str], frozenset[str], bytes]:
    """The encoding of each column, the columns that are never null, and all their types as Arrow writes them down."""
    declared = empty(table).to_arrow(compat_level=_COMPAT).schema
    required = frozenset(name for name, column in TABLES[table].columns().items() if not column.nullable)
    encodings = {field.name: _encoding(table, field) for field in declared}
    return encodings, required, base64.b64encode(declared.serialize().to_pybytes())


def _encoding(table: str, field: Any) -> str:
    by_name = {**_BY_NAME, **_BY_TABLE.get(table, {})}
    return by_name.get(field.name, _BY_TYPE.get(str(field.type), "DICTIONARY"))


def _row_groups(frames: Iterable[pl.DataFrame], most: int, none: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows cut anew, each group full but the last; a table without rows is one group without rows."""
    held: list[pl.DataFrame] = []
    count = groups = 0
    for frame in frames:
        held.append(frame)
        count += frame.height
        while count >= most:
            rows = pl.concat(held)
            held, count = [rows[most:]], count - most
            groups += 1
            rows = rows[:most]
            yield rows
            del rows
    if count or not groups:
        yield pl.concat(held) if count else none


def _columns(rows: pl.DataFrame, encodings: dict[str, str]) -> list[Any]:
    """Columns as Arrow has them; codes become a list of values by first use and places in it.

    So the bytes depend on nothing but the rows, where codes depend on what else this process has read.
    """
    import pyarrow as pa

    schema = rows.schema
    coded = [name for name, kind in schema.items() if isinstance(kind, pl.Categorical)]
    listed = [name for name in coded if encodings[name] == "DICTIONARY"]
    numbered = {name: first_used(codes) for name, codes in zip(listed, codes_in(rows, listed), strict=True)}
    lists = texts_of([known for _, known, _ in numbered.values()], [schema[name] for name in listed])
    columns = []
    for values, encoding in zip(rows.get_columns(), encodings.values(), strict=True):
        if values.name in numbered:
            numbers, _, valid = numbered[values.name]
            buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(numbers)]
            places = pa.Array.from_buffers(pa.int32(), len(values), buffers)
            known = lists[listed.index(values.name)].to_arrow(compat_level=_COMPAT)
            columns.append(pa.DictionaryArray.from_arrays(places, known, safe=False))
        elif values.name in coded:
            columns.append(values.cast(pl.String).to_arrow(compat_level=_COMPAT))
        elif values.dtype == pl.String and encoding == "DICTIONARY":
            columns.append(values.to_arrow(compat_level=_COMPAT).dictionary_encode())
        else:
            is_text = values.dtype == pl.String
            columns.append(values.to_arrow(compat_level=pl.CompatLevel.newest() if is_text else _COMPAT))
    return columns
