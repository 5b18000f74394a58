"""The tables of the catalogue. They are made by the migrations; a test holds these definitions equal to their sum.

All rows of a bucket lie on one server, so `bucket` leads every key. `events` are the facts; `projects`, `imports`,
`keywords` and `observations` are read models, made from the facts and able to be made again.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

__all__ = [
    "api_keys",
    "buckets",
    "erasures",
    "events",
    "followers",
    "homes",
    "imports",
    "keyword_listed",
    "keywords",
    "marks",
    "metadata",
    "moves",
    "observations",
    "parked",
    "placement",
    "projects",
    "rejects",
    "servers",
    "uploads",
    "webhooks",
]

# Names of constraints and indexes must be the same everywhere, or a migration could not name them.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_Time = DateTime(timezone=True)
_ONLY_ON_POSTGRESQL = {"only_on": "postgresql"}  # an index that SQLite does not have


def _key(name: str, kind: object) -> Column[object]:
    return Column(name, kind, primary_key=True, autoincrement=False)  # type: ignore[arg-type]


# ---- facts

buckets = Table(
    "buckets",
    metadata,
    _key("bucket", Integer),
    Column("head", BigInteger, nullable=False),  # position of the last event; its row is what writers queue for
    Column("state", String(16), nullable=False, server_default="home"),  # home | arriving | departed
)

events = Table(
    "events",
    metadata,
    _key("bucket", Integer),
    _key("position", BigInteger),  # 1, 2, 3, ... without gaps, in the order of commits
    Column("project", String(64), nullable=False),
    Column("stream", String(160), nullable=False),  # what it is about, as import/i1abc
    Column("version", BigInteger, nullable=False),  # 1, 2, 3, ... within the stream
    Column("type", String(64), nullable=False),
    Column("schema_version", SmallInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # JSON
    Column("data", LargeBinary),  # rows: an Arrow stream, compressed
    Column("actor", String(160), nullable=False),
    Column("idempotency_key", String(255)),
    Column("fingerprint", LargeBinary),  # of what was appended under that key
    Column("recorded_at", _Time, nullable=False),
    UniqueConstraint("bucket", "project", "stream", "version"),
    Index(
        "uq_events_idempotency_key",
        "bucket",
        "project",
        "idempotency_key",
        unique=True,
        sqlite_where=Column("idempotency_key").isnot(None),
        postgresql_where=Column("idempotency_key").isnot(None),
    ),
)

# What is gone although it is not erased yet: all of it that stands below a position.
erasures = Table(
    "erasures",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("stream", String(160)),  # empty: all of the project
    Column("position", BigInteger, nullable=False),  # of the event that deleted it
)

# What was uploaded, until it is imported: where every process that may import it can read it.
uploads = Table(
    "uploads",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("import_id", String(32)),
    _key("part", Integer),  # 0, 1, 2, ...
    Column("data", LargeBinary, nullable=False),
)

# ---- followers: read models and how far they have come

followers = Table(
    "followers",
    metadata,
    _key("bucket", Integer),
    _key("model", String(64)),
    Column("position", BigInteger, nullable=False),  # of the last event that is wholly in the model
    Column("attempts", Integer, nullable=False),  # at the next event, in vain
    Column("model_version", String(64)),  # what its analyses were made with
    Column("updated_at", _Time, nullable=False),
    Column("changes", BigInteger, nullable=False, server_default=text("0")),  # number of the last of keyword_changes
)

parked = Table(
    "parked",
    metadata,
    _key("bucket", Integer),
    _key("model", String(64)),
    _key("position", BigInteger),
    Column("error", Text, nullable=False),
    Column("parked_at", _Time, nullable=False),
)

# ---- read models

projects = Table(
    "projects",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    Column("version", BigInteger, nullable=False),  # of its stream
    Column("market", String(16)),
    Column("brands", Text, nullable=False),  # JSON list
    Column("weights", Text, nullable=False),  # JSON object, those that differ from the defaults
    Column("home_region", String(64)),
    Column("created_at", _Time, nullable=False),
    Column("changed_at", _Time, nullable=False),
)

imports = Table(
    "imports",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("import_id", String(32)),
    Column("job_id", Text, nullable=False),  # by which it came
    Column("state", String(16), nullable=False),  # running | completed | withdrawn
    Column("reason", Text),  # why it was withdrawn
    Column("name", Text),
    Column("tool", String(64)),
    Column("market", String(16)),
    Column("period_start", Date),
    Column("period_end", Date),
    # Digest of what was uploaded, with market and days as asked; SQLite keeps to no length, so it was left as it was.
    Column("content", String(64).with_variant(String(128), "postgresql"), nullable=False),
    Column("rows", BigInteger, nullable=False),  # kept so far
    Column("skipped", BigInteger, nullable=False),
    Column("started_at", _Time, nullable=False),
    Column("ended_at", _Time),
    Index(None, "bucket", "project", "started_at"),
    Index(None, "bucket", "project", "content"),
)

rejects = Table(
    "rejects",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("import_id", String(32)),
    _key("number", BigInteger),  # 0, 1, 2, ... of the import
    Column("line", BigInteger),
    Column("reason", Text, nullable=False),
)

# What a filter or an order may ask for, and what was observed. The rest of a keyword object is a pure function of these
# and is made when it is asked for.
keywords = Table(
    "keywords",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("id", String(26)),
    Column("keyword", Text, nullable=False),  # as its leading observation has it
    Column("normalized", Text, nullable=False),
    Column("market", String(16)),
    Column("language", String(3), nullable=False),
    Column("words", Integer, nullable=False),
    Column("question", String(8)),
    Column("intent", String(16), nullable=False),
    Column("funnel", String(16), nullable=False),
    Column("modifiers", Text),  # types, each with a space on both sides
    Column("branded", Boolean, nullable=False),
    Column("local", Boolean, nullable=False),
    Column("year", SmallInteger),
    Column("popularity", Float),
    Column("difficulty", Float),
    Column("opportunity", Float),
    Column("source", String(160)),
    Column("volume", BigInteger),
    Column("cpc", Float),
    Column("competition", Float),
    Column("clicks", BigInteger),
    Column("impressions", BigInteger),
    Column("position", Float),
    Column("observed", Text),  # JSON: what was observed and has no column
    Column("rows", Text, nullable=False),  # its observations, as import/row, by space
    Column("tags", Text),  # JSON list
    Column("corrected", Text),  # JSON: field to what a person says it is; its column says so too
    Column("near_duplicate_of", Text),
    Column("near_duplicate_reason", String(32)),
    Column("model_version", String(64), nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("updated_at", _Time, nullable=False),
)

# True of every row. An index WHERE this is so is used by whoever asks for it, which lists do; a look-up by id is left
# with the key. Where PostgreSQL has counted no rows yet all indexes look alike to it, and it went through a whole
# project by another for each id.
keyword_listed = keywords.c.words >= literal_column("0")

# SQLite writes a page for each new key of an index that is not in the order of arrival, so it has none of these.
_ONLY_FOR_LISTS: Any = {"postgresql_where": keyword_listed, "info": _ONLY_ON_POSTGRESQL}
_of_project = (keywords.c.bucket, keywords.c.project)
Index("ix_keywords_listed_by_normalized", *_of_project, keywords.c.normalized, keywords.c.id, **_ONLY_FOR_LISTS)
Index("ix_keywords_listed_by_market", *_of_project, keywords.c.market, keywords.c.created_at, **_ONLY_FOR_LISTS)
Index(
    "ix_keywords_listed_by_volume",
    *_of_project,
    text("volume DESC NULLS LAST"),  # as lists show it
    keywords.c.id,
    **_ONLY_FOR_LISTS,
)

# What people say of keywords: it stays when imports come and go.
marks = Table(
    "marks",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("id", String(26)),
    Column("tags", Text, nullable=False),  # JSON list
    Column("corrected", Text, nullable=False),  # JSON: field to what a person says it is
    Column("version", BigInteger, nullable=False),  # of the keyword's stream
)

observations = Table(
    "observations",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("import_id", String(32)),
    _key("row", BigInteger),  # of the import, from 0
    _key("recorded_at", _Time),
    Column("id", String(26), nullable=False),  # of the keyword
    Column("period_start", Date),
    Column("period_end", Date),
    Column("source", String(64)),
    Column("volume", BigInteger),
    Column("cpc", Float),
    Column("clicks", BigInteger),
    Column("impressions", BigInteger),
    Column("ctr", Float),
    Column("position", Float),
    Column("rest", Text, nullable=False),  # JSON: every other column that has a value
)

# Which keywords were written last, for models that are made of `keywords` and not of events.
keyword_changes = Table(
    "keyword_changes",
    metadata,
    _key("bucket", Integer),
    _key("number", BigInteger),  # `changes` of the follower
    Column("project", String(64), nullable=False),
    Column("ids", Text),  # by space; null: all of the project
)

# ---- whom to tell: settings, neither facts nor made from facts

webhooks = Table(
    "webhooks",
    metadata,
    _key("bucket", Integer),
    _key("project", String(64)),
    _key("id", String(32)),
    Column("url", Text, nullable=False),
    # Readable: each delivery is signed with it, and a digest of a key signs nothing.
    Column("secret", Text, nullable=False),
    Column("events", Text, nullable=False),  # JSON list of webhooks.WebhookEvent
    Column("created_at", _Time, nullable=False),
)

# ---- whom to let in: of no bucket, as a key may be for several projects

api_keys = Table(
    "api_keys",
    metadata,
    _key("id", String(16)),
    Column("name", String(100), nullable=False),
    Column("hash", LargeBinary, nullable=False),  # of the whole key; the key itself is nowhere
    Column("scope", String(8), nullable=False),  # keys.Scope
    Column("projects", Text, nullable=False),  # JSON list; empty: all, those of the future too
    Column("created_by", String(160), nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time),
    Column("revoked_at", _Time),
    Column("last_used_at", _Time),  # to about a minute
)

# ---- where buckets lie, where there are several servers; kept on the first of them

servers = Table(
    "servers",
    metadata,
    _key("name", String(64)),
    Column("region", String(64), nullable=False),
    Column("region_number", Integer, nullable=False),  # its buckets are those from 256 times this on
    Column("added_at", _Time, nullable=False),
)

# Buckets that do not lie on the first server.
placement = Table(
    "placement",
    metadata,
    _key("bucket", Integer),
    Column("server", String(64), nullable=False),
)

# Projects that are not in the bucket which their name gives: of another region, or in a bucket of their own.
homes = Table(
    "homes",
    metadata,
    _key("project", String(64)),
    Column("bucket", Integer, nullable=False),
)

# Every move of a bucket there ever was.
moves = Table(
    "moves",
    metadata,
    _key("id", String(32)),
    Column("bucket", Integer, nullable=False),
    Column("source", String(64), nullable=False),
    Column("target", String(64), nullable=False),
    Column("actor", String(160), nullable=False),
    Column("reason", Text),  # why it was let out of its region
    Column("state", String(16), nullable=False),  # running | completed
    Column("started_at", _Time, nullable=False),
    Column("ended_at", _Time),
)
