"""Backups of the embedded set-up: a folder each, made while everything goes on, and put back when nothing does.

    okf-backup-20260131T120000Z/
      catalogue.sqlite3       the database as it was at that moment; catalogue.sqlite3.zst where it was compressed
      manifest.json           by which program, of which schema and model, how far its log goes, sizes and checksums

A backup is written under another name beside its place and renamed when it is whole, so what bears the name of a backup
is one. A restore prepares everything beside the database and puts it in its place by one rename.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from omnikeywords import __version__
from omnikeywords.analysis import MODEL_VERSION
from omnikeywords.analysis.frequency import FrequencyTable, default_table_path
from omnikeywords.db import Database, connect
from omnikeywords.errors import (
    Conflict,
    DamagedBackup,
    DatabaseUnavailable,
    InvalidOption,
    NotFound,
    OmniKeywordsError,
    SchemaOutdated,
)
from omnikeywords.in_use import alone, lock_file, locked, settle
from omnikeywords.jobs import crash_point, declare_crash_points

__all__ = [
    "Backup",
    "Manifest",
    "Progress",
    "Restored",
    "Stored",
    "find_backups",
    "last_taken",
    "make_backup",
    "open_backup",
    "restore",
    "verify",
]

FORMAT = 1  # of a backup's folder and manifest

_NAME = re.compile(r"okf-backup-\d{8}T\d{6}Z")
_PARTIAL = ".okf-backup-"  # what is being written, or being deleted
_DATABASE = "catalogue.sqlite3"
_COMPRESSED = "catalogue.sqlite3.zst"
_MANIFEST = "manifest.json"
_BASE_BACKUP = re.compile(r"base-\d{8}T\d{6}Z")  # one of PostgreSQL's, as docs/backup.md names them
_BLOCK = 1 << 20
_SYNC = 32 * _BLOCK

Progress = Callable[[str, int, int], None]  # stage, done, of

declare_crash_points(
    {
        "restore.unpacked": "a backup is unpacked beside the database",
        "restore.prepared": "it is ready to be put in the database's place",
        "restore.aside": "the database that was there is kept under another name too",
        "restore.in_place": "it is in the database's place",
    }
)


class Stored(msgspec.Struct, frozen=True):
    """A file, as it should be."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    program: str  # version that made it
    taken_at: datetime  # what was committed before then is in it
    schema: str  # revision
    model_version: str  # of that program
    keywords_model_versions: tuple[str, ...]  # by which the keywords in it were analysed
    projects: int
    keywords: int
    positions: dict[str, int]  # by bucket: its last event
    followed: dict[str, int]  # by bucket: the last event that is in the read models
    database: Stored
    compressed: Stored | None = None  # the file that is there in place of it


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is there."""

    path: Path
    manifest: Manifest

    @property
    def stored(self) -> Stored:
        """The file that it keeps the database in."""
        return self.manifest.compressed or self.manifest.database


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    backup: Backup
    database: Path
    aside: Path | None  # where the database is that was there
    migrated: tuple[str, ...]  # migrations applied
    behind: int  # events that the read models had not held yet
    rebuilt: bool  # the read models were made anew, by another model


def _silent(stage: str, done: int, of: int) -> None:
    pass


def make_backup(
    database: Database,
    folder: Path,
    *,
    keep: int | None = None,
    compress: bool = False,
    progress: Progress = _silent,
) -> tuple[Backup, list[Path]]:
    """Back up a SQLite database into a new folder in `folder`, while others read and write it.

    The copy is checked as `verify` does. With `keep` only so many backups stay, the newest; returns the backup and
    those that were deleted.

    Raises NotFound where there is nothing to back up, Conflict while another backup goes to the same folder,
    InvalidOption, DatabaseUnavailable, DatabaseBusy, OSError.
    """
    from omnikeywords.catalog import snapshot

    if keep is not None and keep < 1:
        raise InvalidOption(f"{keep} backups cannot be kept: give 1 or more", keep=keep)
    source = database.path
    if source is None:
        raise InvalidOption(f"{database.shown_url} is no SQLite database: see docs/backup.md")
    if not source.exists():
        raise NotFound(f"there is no database at {str(source)!r} yet: nothing to back up", path=str(source))
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    turn = Conflict(f"another backup is being written to {str(folder)!r}: wait for it", path=str(folder))
    with locked(folder / f"{_PARTIAL}lock", turn):
        _clear_partial(folder)
        _check_room(folder, source.stat().st_size)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
        try:
            place = _free_place(folder)
            copied = partial / _DATABASE
            taken_at = snapshot.copy(database, copied, lambda done, of: progress("copying", done, of))
            progress("checking", 0, 1)
            found = snapshot.problems(copied)
            if found:
                raise DatabaseUnavailable(
                    f"the database at {str(source)!r} is damaged: {found[0]}: nothing was backed up and no backup was "
                    "deleted: restore the last one",
                    path=str(source),
                )
            progress("checking", 1, 1)
            state = snapshot.examine(copied)
            if state.schema is None:
                raise NotFound(f"the database at {str(source)!r} is empty: nothing to back up", path=str(source))
            stored = Stored(_DATABASE, copied.stat().st_size, _sha256(copied, "checksum", progress))
            compressed = None
            if compress:
                packed = partial / _COMPRESSED
                _compress(copied, packed, progress)
                compressed = Stored(_COMPRESSED, packed.stat().st_size, _sha256(packed, "checksum", _silent))
                copied.unlink()
            manifest = Manifest(
                format=FORMAT,
                program=__version__,
                taken_at=taken_at,
                schema=state.schema,
                model_version=MODEL_VERSION,
                keywords_model_versions=state.model_versions,
                projects=state.projects,
                keywords=state.keywords,
                positions={str(bucket): position for bucket, position in state.positions.items()},
                followed={str(bucket): position for bucket, position in state.followed.items()},
                database=stored,
                compressed=compressed,
            )
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            _write_synced(partial / _MANIFEST, text + b"\n")
            _sync(partial)
            partial.rename(place)
            _sync(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        made = Backup(place, manifest)
        return made, _delete_oldest(folder, keep) if keep is not None else []


def find_backups(folder: Path) -> list[Path]:
    """The backups in a folder, the oldest first."""
    try:
        there = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return there


def last_taken(folder: Path) -> datetime | None:
    """When the newest backup in a folder was taken, a base backup of PostgreSQL being one too; None where none is.

    One that cannot be read is none.
    """
    times = []
    for path in reversed(find_backups(folder)):
        try:
            times.append(open_backup(path).manifest.taken_at)
            break
        except (DamagedBackup, NotFound):
            continue
    for path in folder.glob("base-*"):
        if _BASE_BACKUP.fullmatch(path.name):
            times.append(datetime.strptime(f"{path.name}+0000", "base-%Y%m%dT%H%M%SZ%z"))
    return max(times, default=None)


def open_backup(path: Path) -> Backup:
    """A backup by its folder; only its manifest is read.

    Raises NotFound where there is none, DamagedBackup where its manifest cannot be read.
    """
    path = path.absolute()
    if path.name == _MANIFEST:
        path = path.parent
    try:
        text = (path / _MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        there = find_backups(path)
        if there:
            raise NotFound(
                f"{str(path)!r} holds {_count(len(there), 'backup')}: name one of them, the newest is {there[-1].name}"
            ) from None
        raise NotFound(f"{str(path)!r} is no backup: name a folder as okf-backup-20260131T120000Z") from None
    try:
        said = msgspec.json.decode(text)
        newer = isinstance(said, dict) and isinstance(said.get("format"), int) and said["format"] > FORMAT
        if newer:
            raise DamagedBackup(f"backup {str(path)!r} was made by a newer version: update this program")
        manifest = msgspec.convert(said, Manifest)
    except msgspec.MsgspecError as error:
        raise DamagedBackup(f"backup {str(path)!r} has a damaged {_MANIFEST}: {error}: use another backup") from error
    backup = Backup(path, manifest)
    if backup.stored.name != (_COMPRESSED if manifest.compressed else _DATABASE):
        raise DamagedBackup(f"backup {str(path)!r} has a damaged {_MANIFEST}: file {backup.stored.name!r}")
    return backup


def verify(backup: Backup, progress: Progress = _silent) -> None:
    """Read a backup through: checksums, every page of the database, a log without gaps, and what the manifest says.

    Raises DamagedBackup, OSError.
    """
    if not backup.manifest.compressed:
        _check_file(backup, backup.path / backup.stored.name, backup.stored, progress)
        _check_database(backup, backup.path / backup.stored.name, progress)
        return
    with tempfile.TemporaryDirectory(prefix="okf-verify-") as folder:
        unpacked = Path(folder) / _DATABASE
        _unpack(backup, unpacked, progress)
        _check_database(backup, unpacked, progress)


def restore(
    backup: Backup,
    to: Path,
    *,
    language_table: Path | None = None,
    brands: tuple[str, ...] = (),
    force: bool = False,
    progress: Progress = _silent,
) -> Restored:
    """Put a backup in the place of a SQLite database, verified, at this version's schema, its read models caught up.

    What is there is kept beside it, and only touched with `force`. Until everything is ready nothing is changed.

    Raises Conflict where a database is there, or where somebody has it open; DamagedBackup; SchemaOutdated where a
    newer version made the backup; LanguageTableMissing where keywords must be analysed; OSError.
    """
    to = to.absolute()
    if to.is_dir():
        raise InvalidOption(f"cannot restore to {str(to)!r}: it is a folder; name a file in it", path=str(to))
    if to.exists() and not force:
        raise Conflict(
            f"database {str(to)!r} is there: give --force to replace it (it is kept beside the new one), "
            "or another file with --to",
            path=str(to),
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    with alone(to):
        staged = to.with_name(f".{to.name}.restoring")
        _clear_staged(staged)
        try:
            _check_room(to.parent, backup.manifest.database.bytes)
            _unpack(backup, staged, progress)
            crash_point("restore.unpacked")
            _check_database(backup, staged, progress)
            migrated, behind, rebuilt = _bring_up_to_date(backup, staged, language_table, brands, progress)
            _own_as(to if to.exists() else to.parent, staged)
            _sync(staged)
            crash_point("restore.prepared")
            aside = _swap(staged, to)
            crash_point("restore.in_place")
        finally:
            _clear_staged(staged)
    return Restored(backup, to, aside, migrated, behind, rebuilt)


# ---- steps of a backup


def _clear_partial(folder: Path) -> None:
    """Delete what a backup that was killed left behind; nobody else writes here now."""
    for path in folder.glob(f"{_PARTIAL}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _free_place(folder: Path) -> Path:
    """Where a backup of this second goes; one of the next second where there is one of this."""
    while True:
        place = folder / f"okf-backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        if not place.exists():
            return place
        time.sleep(0.05)


def _delete_oldest(folder: Path, keep: int) -> list[Path]:
    oldest = find_backups(folder)[:-keep]
    for path in oldest:
        # Under a name that is no backup's first: what is half deleted must not look like one.
        doomed = path.rename(folder / f"{_PARTIAL}deleted-{path.name}")
        shutil.rmtree(doomed)
    return oldest


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OmniKeywordsError(
            f"{str(folder)!r} has {free / 1e6:,.0f} MB free and {needed / 1e6:,.0f} MB are needed: make room",
            free=free,
            needed=needed,
        )


def _compress(source: Path, target: Path, progress: Progress) -> None:
    import pyarrow as pa

    size = source.stat().st_size
    with source.open("rb") as file, pa.output_stream(str(target), compression="zstd") as out:
        done = 0
        while block := file.read(_BLOCK):
            out.write(block)
            done += len(block)
            progress("compressing", done, size)
    _sync(target)


# ---- what both do


def _sha256(path: Path, stage: str, progress: Progress) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        done = 0
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(stage, done, size)
    return digest.hexdigest()


def _check_file(backup: Backup, path: Path, expected: Stored, progress: Progress) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise DamagedBackup(f"backup {str(backup.path)!r} lacks {expected.name}: use another backup") from None
    if size != expected.bytes or _sha256(path, "checksum", progress) != expected.sha256:
        raise _changed(backup, expected.name)


def _unpack(backup: Backup, to: Path, progress: Progress) -> None:
    """Write the database of a backup to a file, and see to it that every byte is right."""
    stored = backup.path / backup.stored.name
    if backup.manifest.compressed:
        _check_file(backup, stored, backup.stored, progress)
    expected = backup.manifest.database
    digest = hashlib.sha256()
    done = synced = 0
    try:
        source = _reader(backup, stored)
    except FileNotFoundError:
        raise DamagedBackup(f"backup {str(backup.path)!r} lacks {stored.name}: use another backup") from None
    with source, to.open("xb") as target:
        while block := source.read(_BLOCK):
            target.write(block)
            digest.update(block)
            done += len(block)
            if done - synced >= _SYNC:
                target.flush()
                os.fsync(target.fileno())
                synced = done
            progress("unpacking" if backup.manifest.compressed else "copying", done, expected.bytes)
    if done != expected.bytes or digest.hexdigest() != expected.sha256:
        raise _changed(backup, expected.name)


def _reader(backup: Backup, path: Path) -> IO[bytes]:
    if not backup.manifest.compressed:
        return path.open("rb")
    import pyarrow as pa

    stream: IO[bytes] = pa.input_stream(str(path), compression="zstd")
    return stream


def _check_database(backup: Backup, path: Path, progress: Progress) -> None:
    """The database of a backup is whole, and what its manifest says."""
    from omnikeywords.catalog import snapshot

    progress("checking", 0, 1)
    found = snapshot.problems(path)
    if found:
        raise DamagedBackup(f"backup {str(backup.path)!r} is damaged: {found[0]}: use another backup")
    state, said = snapshot.examine(path), backup.manifest
    if {str(bucket): position for bucket, position in state.positions.items()} != said.positions:
        raise DamagedBackup(f"backup {str(backup.path)!r} holds other events than its manifest says")
    if state.schema != said.schema:
        raise DamagedBackup(f"backup {str(backup.path)!r} has schema {state.schema}, not {said.schema}")
    progress("checking", 1, 1)


def _changed(backup: Backup, name: str) -> DamagedBackup:
    return DamagedBackup(f"backup {str(backup.path)!r} is damaged: {name} was changed: use another backup")


# ---- steps of a restore


def _bring_up_to_date(
    backup: Backup, staged: Path, language_table: Path | None, brands: tuple[str, ...], progress: Progress
) -> tuple[tuple[str, ...], int, bool]:
    """Migrations applied, events that the read models lacked, whether they were made anew."""
    from omnikeywords.catalog.migrate import migrate
    from omnikeywords.workflows import Workflows

    said = backup.manifest
    behind = sum(position - said.followed.get(bucket, 0) for bucket, position in said.positions.items())
    other_model = any(version != MODEL_VERSION for version in said.keywords_model_versions)
    if other_model or behind:
        # Without it no keyword could be analysed, and followers would go on without what they cannot digest.
        FrequencyTable.load(language_table or default_table_path())
    database = connect(f"sqlite:///{staged}")
    try:
        try:
            applied = migrate(database).applied
        except SchemaOutdated as error:
            raise SchemaOutdated(
                f"backup {str(backup.path)!r} is at schema {said.schema}, which this version does not know: "
                "update this program",
                revision=said.schema,
            ) from error
        if other_model:
            Workflows(database, language_table, brands).rebuild(lambda done, of: progress("analysing", done, of))
        elif behind:
            progress("analysing", 0, behind)
            Workflows(database, language_table, brands).catch_up()
            progress("analysing", behind, behind)
    finally:
        database.close()
    if not settle(staged):
        raise OmniKeywordsError(f"the restored database {str(staged)!r} cannot be read: try again")
    return applied, behind, other_model


def _swap(staged: Path, to: Path) -> Path | None:
    """Put a file in the place of a database that nobody has open; returns where the old one is kept."""
    aside = None
    if to.exists():
        aside = to.with_name(f"{to.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        number = 1
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{aside.name.partition('~')[0]}~{number}")
        settle(to)
        try:
            os.link(to, aside)
        except OSError:  # a file system without links
            to.rename(aside)
        # What could not be brought into a damaged file goes with it: beside another file it would be poison.
        for suffix in ("-wal", "-journal"):
            beside = to.with_name(to.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
    crash_point("restore.aside")
    for suffix in ("-wal", "-journal", "-shm"):
        to.with_name(to.name + suffix).unlink(missing_ok=True)
    staged.replace(to)
    _sync(to.parent)
    return aside


def _clear_staged(staged: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        staged.with_name(staged.name + suffix).unlink(missing_ok=True)
    lock_file(staged).unlink(missing_ok=True)


def _own_as(model: Path, staged: Path) -> None:
    """The service may run as somebody else than whoever restores."""
    if model.is_file():
        shutil.copymode(model, staged)
    if os.geteuid() == 0:
        owner = model.stat()
        os.chown(staged, owner.st_uid, owner.st_gid)


def _write_synced(path: Path, text: bytes) -> None:
    with path.open("xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
