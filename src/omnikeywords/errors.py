"""The exception tree. Each class has a stable `code`, which is what API clients and scripts may rely on.

OmniKeywordsError
├── InvalidInput            what was given cannot be used; the text says what is allowed
│   ├── InvalidKeyword          a phrase: empty, control characters only, too long
│   ├── InvalidMarket           not a language, a region or both
│   ├── InvalidOption           an argument outside its allowed values
│   ├── InvalidQuery            a search that is too long or too costly; `column` says where
│   ├── InvalidSetting          an OKF_ setting: unknown name, wrong type, out of range
│   └── TooManyKeywords         more than one call may carry
├── UnreadableExport        a file that is no keyword export, or is damaged
├── DamagedBackup           a backup that is incomplete, changed or of a newer version
├── LanguageTableMissing    the word-frequency table was never built, or is of another version
├── NotFound                nothing is known under that name, or not to whoever asks
├── Conflict                what was asked no longer fits what is there
│   ├── VersionConflict         somebody else changed it meanwhile
│   └── IdempotencyConflict     the key was used before, for something else
├── DeliveryFailed          a webhook's receiver could not be reached, or answered no success
├── LeaseLost               another worker has the job now, or it has ended
├── IndexBusy               another process writes a search index
├── NotReached              a read model is not yet as far as it was asked to be
├── UnknownEvent            an event that a newer version of the program wrote
├── SchemaOutdated          the database lacks a migration, or has one of a newer version
├── DatabaseUnavailable     the database cannot be reached or used
│   └── DatabaseFull        its disk is full
└── DatabaseBusy            the database did not get to it in time; later it may
    └── BucketMoved             the project lies on another server since a moment ago
"""

__all__ = [
    "BucketMoved",
    "Conflict",
    "DamagedBackup",
    "DatabaseBusy",
    "DatabaseFull",
    "DatabaseUnavailable",
    "DeliveryFailed",
    "IdempotencyConflict",
    "IndexBusy",
    "InvalidInput",
    "InvalidKeyword",
    "InvalidMarket",
    "InvalidOption",
    "InvalidQuery",
    "InvalidSetting",
    "LanguageTableMissing",
    "LeaseLost",
    "NotFound",
    "NotReached",
    "OmniKeywordsError",
    "SchemaOutdated",
    "TooManyKeywords",
    "UnknownEvent",
    "UnreadableExport",
    "VersionConflict",
]


class OmniKeywordsError(Exception):
    """Anything this program refuses or cannot do; `str()` is one line saying what is wrong and what to do.

    `params` holds the values named in the text, for clients that write their own.
    """

    code = "error"

    def __init__(self, message: str, **params: str | int | float | list[str] | None) -> None:
        super().__init__(message)
        self.params = params


class InvalidInput(OmniKeywordsError):
    """What was given cannot be used."""

    code = "invalid_input"


class InvalidKeyword(InvalidInput):
    """A phrase that is empty, has control characters only, or is longer than 700 bytes."""

    code = "invalid_keyword"


class InvalidMarket(InvalidInput):
    """A market that is not a language, a region (`und-BR`) or both (`pt-BR`)."""

    code = "invalid_market"


class InvalidOption(InvalidInput):
    """An argument outside its allowed values."""

    code = "invalid_option"


class InvalidQuery(InvalidInput):
    """A search that is too long or would cost too much; `params["column"]` is where, from 1."""

    code = "invalid_query"


class InvalidSetting(InvalidInput):
    """A setting with an unknown name, a wrong type or a value out of range."""

    code = "invalid_setting"


class TooManyKeywords(InvalidInput):
    """More keywords than one call may carry."""

    code = "too_many_keywords"


class UnreadableExport(OmniKeywordsError):
    """A file that is no keyword export, or is damaged."""

    code = "unreadable_export"


class DamagedBackup(OmniKeywordsError):
    """A backup that is incomplete, was changed, or that a newer version of the program wrote."""

    code = "damaged_backup"


class LanguageTableMissing(OmniKeywordsError):
    """The word-frequency table was never built here, or is of another version."""

    code = "language_table_missing"


class NotFound(OmniKeywordsError):
    """Nothing is known under that name, or not to whoever asks."""

    code = "not_found"


class Conflict(OmniKeywordsError):
    """What was asked no longer fits what is there."""

    code = "conflict"


class VersionConflict(Conflict):
    """Somebody else changed it meanwhile: read it again."""

    code = "version_conflict"


class IdempotencyConflict(Conflict):
    """The idempotency key was used before, for something else."""

    code = "idempotency_conflict"


class DeliveryFailed(OmniKeywordsError):
    """A webhook's receiver could not be reached, or answered no success."""

    code = "delivery_failed"


class LeaseLost(OmniKeywordsError):
    """Another worker has the job now, or it has ended: whoever worked at it before can write no more."""

    code = "lease_lost"


class IndexBusy(OmniKeywordsError):
    """Another process writes a search index: it goes on there."""

    code = "index_busy"


class NotReached(OmniKeywordsError):
    """A read model did not reach a position within the deadline; it goes on."""

    code = "not_reached"


class UnknownEvent(OmniKeywordsError):
    """An event that this version of the program cannot read: a newer one wrote it."""

    code = "unknown_event"


class SchemaOutdated(OmniKeywordsError):
    """The database lacks a migration, or was migrated by a newer version of the program."""

    code = "schema_outdated"


class DatabaseUnavailable(OmniKeywordsError):
    """The database cannot be reached or used."""

    code = "database_unavailable"


class DatabaseFull(DatabaseUnavailable):
    """There is no space left on the database's disk; nothing of the transaction is kept."""


class DatabaseBusy(OmniKeywordsError):
    """The database did not get to it in time; later it may."""

    code = "database_busy"


class BucketMoved(DatabaseBusy):
    """The project lies on another server since a moment ago: the same call finds it there."""
