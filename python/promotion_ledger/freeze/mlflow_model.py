"""Field one from an MLflow model: one digest over all its files, the same by run, by registry and in a copied registry.

The artefact is a tar whose bytes follow from names and contents alone: members sorted, no times, no owners. What a
registry adds when it hands a model out (``registered_model_meta``) is no part of the model and is left out. The ledger
reads the model's signature out of the tar, so the features of the profile count as *extracted*.
"""
from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evidence import Evidence
from ..promotion import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Written by registries beside the model, not by whoever made it.
_NOT_THE_MODEL = {"registered_model_meta"}


def directory(path: str | os.PathLike[str]) -> Evidence:
    """The artefact of a model directory: a tar that has the same bytes wherever the same files lie."""
    root = Path(path)
    files = {file.relative_to(root).as_posix(): file for file in root.rglob("*") if file.is_file() or file.is_symlink()}
    if links := sorted(name for name, file in files.items() if file.is_symlink()):
        raise ValueError(f"{root} holds links, whose targets could change: {', '.join(links)}")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files.keys() - _NOT_THE_MODEL):
            data = files[name].read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return Evidence.of_bytes(out.getvalue(), "application/x-tar")


def model_version(client: MlflowClient, name: str, version: str, *, registry_uri: str) -> ModelVersion:
    """A concrete version of a registered model, downloaded and frozen. ``registry_uri``: as it shall stand in the event."""
    if not version.isdigit():
        raise ValueError(f"{version!r} is no version number of MLflow; an alias or a stage can move")
    return ModelVersion.of_artifact(
        directory(_download(client, client.get_model_version_download_uri(name, version))),
        registry_uri=registry_uri, name=name, version=version,
    )


def _download(client: Any, uri: str) -> str:
    from mlflow.artifacts import download_artifacts

    return str(download_artifacts(artifact_uri=uri, dst_path=tempfile.mkdtemp(prefix="promotion-ledger-"),
                                  tracking_uri=client.tracking_uri))
