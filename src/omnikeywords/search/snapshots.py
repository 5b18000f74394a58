"""Snapshots of indexes: what another machine begins with, so that it need not build what one has built.

    <bucket>/<position>-<number>/    segments, records, `manifest.json` with position, note, format and model version
    <bucket>/latest                  the name of the newest

A snapshot is one commit. Segments never change, so they are copied while the index is written; a merge may take one
away meanwhile, and then it is begun again. Whoever loads one follows the catalogue from there, as after a restart.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import msgspec
import tantivy

from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.errors import OmniKeywordsError
from omnikeywords.ops import get_logger
from omnikeywords.search.index import FORMAT, RECORDS, current, marker_of, new_build, publish

__all__ = ["load", "take"]

_KEPT = 2  # the newest, and the one before, which somebody may be loading
_TRIES = 5
_LATEST = "latest"
_MANIFEST = "manifest.json"
_log = get_logger("omnikeywords.search")


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot holds."""

    format: str
    model_version: str
    position: int  # of the log
    changes: int  # number of the last note that is in it
    files: dict[str, str]  # by name: BLAKE2b


def take(folder: Path, into: Path) -> Path | None:
    """Copy the index of a bucket as of its last commit; None where it has none.

    Raises OSError where there is no room, or the folder cannot be written.
    """
    for _ in range(_TRIES):
        build = current(folder)
        if build is None:
            return None
        try:
            return _copy(build, into)
        except FileNotFoundError:  # merged away meanwhile
            continue
    raise OmniKeywordsError(f"the search index {folder} changes too quickly to be copied: try again")


def _copy(build: Path, into: Path) -> Path:
    meta = (build / "meta.json").read_bytes()
    segments = [segment["segment_id"].replace("-", "") for segment in json.loads(meta)["segments"]]
    making = into / f".making-{os.getpid()}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        # Records are appended before the commit that names them, so all that `meta` needs are in the file now.
        names = [path.name for path in build.iterdir() if path.name.split(".")[0] in segments]
        for name in (*names, RECORDS):
            shutil.copyfile(build / name, making / name)
        (making / "meta.json").write_bytes(meta)
        (making / ".managed.json").write_text(json.dumps([*names, "meta.json"]))
        marker = marker_of(tantivy.Index.open(str(making)).searcher())
        digests = {path.name: _digest(path) for path in making.iterdir() if path.is_file()}
        manifest = Manifest(FORMAT, marker.model_version, marker.position, marker.changes, digests)
        (making / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
        done = into / f"{marker.position}-{marker.changes}"
        shutil.rmtree(done, ignore_errors=True)
        making.rename(done)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    new = into / f"{_LATEST}.new"
    new.write_text(done.name)
    new.replace(into / _LATEST)
    others = sorted(
        (path for path in into.iterdir() if path.is_dir() and path != done), key=lambda p: p.stat().st_mtime
    )
    for old in others[: -(_KEPT - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    return done


def load(of: Path, folder: Path) -> bool:
    """Begin an index with the newest snapshot of its bucket; returns whether there was one that can be used.

    One that is damaged, or of another format or version of the analysis, is passed over.
    """
    try:
        source = of / (of / _LATEST).read_text()
        manifest = msgspec.json.decode((source / _MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return False
    if (manifest.format, manifest.model_version) != (FORMAT, MODEL_VERSION):
        return False
    build = new_build(folder)
    try:
        build.mkdir(parents=True)
    except FileExistsError:  # another process began at this moment
        return False
    try:
        for name, digest in manifest.files.items():
            shutil.copyfile(source / name, build / name)
            if _digest(build / name) != digest:
                raise OSError(f"{name} is damaged")
    except OSError as error:
        shutil.rmtree(build, ignore_errors=True)
        _log.warning("a snapshot of a search index cannot be used", snapshot=str(source), reason=str(error))
        return False
    publish(build)
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
