"""Field six: evaluation snapshots by content, and tables of a lake by a manifest that names content by digest."""
from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from ..evidence import Evidence, Source, evidence
from ..promotion import Dataset

if TYPE_CHECKING:
    import pandas


def file(path: Source, *, snapshot_id: str, definition: Source, kind: str = "file", keep_copy: bool = True) -> Dataset:
    """A snapshot that lies in one file (Parquet, CSV): CONTENT."""
    snapshot = evidence(path)
    return Dataset(snapshot.sha256, "content", kind, snapshot_id, evidence(definition), snapshot if keep_copy else None)


def frame(data: pandas.DataFrame, *, snapshot_id: str, definition: Source, keep_copy: bool = True) -> Dataset:
    """A data frame, as CSV with every digit of every number: CONTENT. The same values give the same digest."""
    text = data.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%dT%H:%M:%S.%f%z")
    snapshot = Evidence.of_bytes(text.encode(), "text/csv")
    return Dataset(snapshot.sha256, "content", "csv_export", snapshot_id, evidence(definition),
                   snapshot if keep_copy else None)


def query(connection: Any, sql: str, *, snapshot_id: str, keep_copy: bool = True) -> Dataset:
    """A slice of a warehouse, exported as CSV through a DB-API connection: CONTENT; the statement is its definition.

    Without ORDER BY a warehouse may return the same rows in another order, so such a statement is refused.
    """
    if "order by" not in " ".join(sql.lower().split()):
        raise ValueError("the statement has no ORDER BY: the same slice could get another digest")
    cursor = connection.cursor()
    cursor.execute(sql)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column[0] for column in cursor.description])
    while rows := cursor.fetchmany(10_000):
        writer.writerows(rows)
    snapshot = Evidence.of_bytes(out.getvalue().encode(), "text/csv")
    definition = Evidence.of_bytes((sql.strip() + "\n").encode(), "application/sql")
    return Dataset(snapshot.sha256, "content", "warehouse_export", snapshot_id, definition,
                   snapshot if keep_copy else None)


def delta(path: str | os.PathLike[str], version: int, *, definition: Source) -> Dataset:
    """One version of a Delta table: MANIFEST. Its data files are hashed here: the table's own log has no digests."""
    from deltalake import DeltaTable

    table = DeltaTable(os.fspath(path), version=version)
    if "deletionVectors" in str(table.protocol()):
        raise ValueError(f"{path} may use deletion vectors: rows of its files may not be rows of the table; compact it")
    files = {os.path.relpath(local(uri), path): local(uri) for uri in table.file_uris()}
    facts = {"format": "delta", "version": version, "table_id": str(table.metadata().id)}
    return manifest(files, facts, kind="delta", snapshot_id=f"{table.metadata().id}@{version}", definition=definition)


def iceberg(table: Any, snapshot: int | None = None, *, definition: Source) -> Dataset:
    """One snapshot of an Iceberg table (pyiceberg): MANIFEST. Data and delete files are hashed here."""
    chosen = table.snapshot_by_id(snapshot) if snapshot is not None else table.current_snapshot()
    if chosen is None:
        raise ValueError("the table has no such snapshot")
    files: dict[str, Path] = {}
    for task in table.scan(snapshot_id=chosen.snapshot_id).plan_files():
        for one in [task.file, *task.delete_files]:
            files[one.file_path] = local(one.file_path)
    facts = {"format": "iceberg", "snapshot": chosen.snapshot_id, "table_id": str(table.metadata.table_uuid)}
    name = f"{table.metadata.table_uuid}@{chosen.snapshot_id}"
    return manifest(files, facts, kind="iceberg", snapshot_id=name, definition=definition)


def manifest(files: Mapping[str, Path], facts: Mapping[str, object], *, kind: str, snapshot_id: str,
             definition: Source) -> Dataset:
    """A dataset of many files: the digest is over a manifest of their names, lengths and SHA-256, sorted by name."""
    document = {**facts, "files": [{"name": name, "length": path.stat().st_size, "sha256": _hashed(path)}
                                   for name, path in sorted(files.items())]}
    copy = Evidence.of_bytes(canonical(document), "application/json")
    return Dataset(copy.sha256, "manifest", kind, snapshot_id, evidence(definition), copy)


def local(uri: str) -> Path:
    """The path of a file: URI; other stores are read through a mount or a download."""
    parts = urlparse(uri)
    if parts.scheme not in ("", "file"):
        raise ValueError(f"{uri} is not on this machine; download the table, or mount it, and freeze the copy")
    return Path(unquote(parts.path) if parts.scheme else uri)


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _hashed(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        for chunk in _pieces(opened):
            digest.update(chunk)
    return digest.hexdigest()


def _pieces(opened: Any) -> Iterable[bytes]:
    while chunk := opened.read(1 << 20):
        yield chunk
