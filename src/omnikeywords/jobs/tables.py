"""The tables of jobs. All rows of a bucket, these too, live on one server, and row-level security goes by project.

Times are whole milliseconds since 1970 UTC by the database's clock (SQLite: by the machine's). Structures are JSON as
text, written in one canonical form, so that equal ones are equal texts.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text, text

__all__ = ["job_steps", "jobs", "metadata"]

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),  # sorts by time of creation
    Column("bucket", Integer, nullable=False),
    Column("project", Text, nullable=False),
    Column("kind", Text, nullable=False),  # of saga
    Column("state", Text, nullable=False),  # job.JobState
    Column("run", Integer, nullable=False),  # 1, and one more each time that it is begun again from the start
    Column("step", Text),  # that it is at; null when all are done
    Column("pivoted", Boolean, nullable=False),  # there is no way back any more
    Column("backwards", Boolean, nullable=False),  # it compensates, or was parked while it did
    Column("attempt", BigInteger, nullable=False),  # the fence: one more with each claim
    Column("worker", Text),  # who holds it; null: nobody
    Column(
        "due_at", BigInteger
    ),  # held: end of the lease; else: not before; null: ended or parked, nobody may claim it
    Column("failed_tries", Integer, nullable=False),  # of the step it is at, since it last got on
    Column("outages", Integer, nullable=False),  # of the database, that tries met at the step it is at: the same
    Column("deaths", Integer, nullable=False),  # of workers, at the step it is at, since it last got on
    Column("input", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("progress", Text, nullable=False),  # counters by name
    Column("failure", Text),  # why it turned back: code, message, params, step
    Column("trouble", Text),  # the last failed try, or why it is parked: the same
    Column("cancel_requested", Boolean, nullable=False),
    Column("deadline_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),  # first claim of this run
    Column("updated_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("jobs_key", "project", "idempotency_key", unique=True),
    Index("jobs_project", "project", "id"),
    # What a claim looks for: few rows, whatever the number of jobs that have ended.
    Index("jobs_due", "due_at", sqlite_where=text("due_at IS NOT NULL"), postgresql_where=text("due_at IS NOT NULL")),
    Index("jobs_held", "kind", sqlite_where=text("worker IS NOT NULL"), postgresql_where=text("worker IS NOT NULL")),
    Index(
        "jobs_ended",
        "ended_at",
        sqlite_where=text("ended_at IS NOT NULL"),
        postgresql_where=text("ended_at IS NOT NULL"),
    ),
)

job_steps = Table(
    "job_steps",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("bucket", Integer, nullable=False),
    Column("project", Text, nullable=False),
    Column("position", Integer, nullable=False),  # order in which they were begun, from 1
    Column("state", Text, nullable=False),  # job.StepState
    Column("attempt", BigInteger, nullable=False),  # under which it was last written
    Column("checkpoint", Text),  # where `do` last was
    Column("undo_checkpoint", Text),  # where `undo` last was
    Column("output", Text),  # of `do`
    Column("begun_at", BigInteger, nullable=False),  # first written
    Column("done_at", BigInteger),
    Column("undone_at", BigInteger),
)
