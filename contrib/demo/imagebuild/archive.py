"""OCI archives: layers and a configuration in, one tar file out (image-spec: image-layout.md, config.md).

The tar also carries docker's manifest.json over the same blobs, as ``docker save`` writes it, so that
``skopeo copy oci-archive:``, ``podman load`` and ``docker load`` all read the one file.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .layers import TIMESTAMP, Layer, digest
from .recipes import PATH, Recipe

KEY_ANNOTATION = "io.ctr.demo.key"
_INDEX = "index.json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def reference(recipe: Recipe) -> str:
    """The name the image has after loading."""
    return f"localhost/{recipe.name}:latest"


def image_config(recipe: Recipe, layers: Sequence[Layer], architecture: str) -> dict[str, object]:
    """The OCI image configuration; *architecture* is Go's name ('amd64', 'arm64')."""
    created = datetime.fromtimestamp(TIMESTAMP, UTC).isoformat().replace("+00:00", "Z")
    config: dict[str, object] = {
        "Env": [f"{name}={value}" for name, value in (("PATH", PATH), *recipe.environment)],
        "Cmd": list(recipe.command),
        "WorkingDir": recipe.working_dir,
        "Labels": {"org.opencontainers.image.title": recipe.name},
    }
    if recipe.entrypoint:
        config["Entrypoint"] = list(recipe.entrypoint)
    if recipe.ports:
        config["ExposedPorts"] = {port: {} for port in recipe.ports}
    if recipe.volumes:
        config["Volumes"] = {volume: {} for volume in recipe.volumes}
    if recipe.stop_signal:
        config["StopSignal"] = recipe.stop_signal
    return {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "created_by": "contrib/demo/build"} for _ in layers],
    }


def write(path: Path, recipe: Recipe, layers: Sequence[Layer], architecture: str, key: str) -> None:
    """Write the archive to *path*, complete or not at all; *key* is kept for `read_key`."""
    config = _json(image_config(recipe, layers, architecture))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [_descriptor(_LAYER_TYPE, layer.blob) for layer in layers],
        }
    )
    name = reference(recipe)
    annotations = {
        "org.opencontainers.image.ref.name": name,
        "io.containerd.image.name": name,
        KEY_ANNOTATION: key,
    }
    index = {"schemaVersion": 2, "manifests": [_descriptor(_MANIFEST_TYPE, manifest) | {"annotations": annotations}]}
    blobs = {_blob_path(digest(blob)): blob for blob in (config, manifest, *(layer.blob for layer in layers))}
    docker = [
        {
            "Config": _blob_path(digest(config)),
            "RepoTags": [name],
            "Layers": [_blob_path(layer.digest) for layer in layers],
        }
    ]
    files = {
        _INDEX: _json(index),  # first, so that read_key reads little
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "manifest.json": _json(docker),
        **dict(sorted(blobs.items())),
    }
    _write_tar(path, files)


def read_key(path: Path) -> str | None:
    """The key that *path* was written with; None when there is no such archive, or it is not one of ours."""
    try:
        with tarfile.open(path) as tar:
            first = tar.next()
            content = tar.extractfile(first) if first is not None and first.name == _INDEX else None
            if content is None:
                return None
            key = json.load(content)["manifests"][0]["annotations"][KEY_ANNOTATION]
    except (OSError, tarfile.TarError, ValueError, LookupError, TypeError):
        return None
    return key if isinstance(key, str) else None


def _write_tar(path: Path, files: dict[str, bytes]) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(data), 0o644, TIMESTAMP
                tar.addfile(info, io.BytesIO(data))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def _blob_path(value: str) -> str:
    return "blobs/" + value.replace(":", "/")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
