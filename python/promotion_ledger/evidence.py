"""Evidence: exact bytes, named by their SHA-256, hashed here before anything is sent. Pure but for reading files."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Bytes of one message of an upload.
CHUNK = 64 * 1024

_MEDIA_TYPES = {
    ".csv": "text/csv", ".html": "text/html", ".json": "application/json", ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet", ".pdf": "application/pdf", ".png": "image/png",
    ".svg": "image/svg+xml", ".tar": "application/x-tar", ".txt": "text/plain", ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


@dataclass(frozen=True)
class Evidence:
    """Bytes that the ledger keeps: in memory (``data``) or in a file (``path``), which must not change until sent."""

    sha256: bytes
    length: int
    media_type: str
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None

    @classmethod
    def of_bytes(cls, data: bytes, media_type: str) -> Evidence:
        return cls(hashlib.sha256(data).digest(), len(data), media_type, data=data)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str], media_type: str | None = None) -> Evidence:
        """Hashes a file, in constant memory. The media type follows from the file's ending unless it is given."""
        path = Path(path)
        media_type = media_type or _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        digest, length = hashlib.sha256(), 0
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                length += len(chunk)
        return cls(digest.digest(), length, media_type, path=path)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of 64 KiB."""
        if self.data is not None:
            for start in range(0, len(self.data), CHUNK):
                yield self.data[start:start + CHUNK]
        elif self.path is not None:
            with self.path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk

    def read(self) -> bytes:
        """All of the bytes."""
        return b"".join(self.chunks())


#: What every helper takes where evidence is wanted: evidence, or a path to a file.
Source = Evidence | str | os.PathLike[str]


def evidence(source: Source) -> Evidence:
    """Evidence from a path, or as it is."""
    return source if isinstance(source, Evidence) else Evidence.of_file(source)
