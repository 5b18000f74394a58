"""The catalogue: facts, followers and read models."""

import sqlalchemy as sa
from alembic import op

revision = "0001_catalogue"
down_revision = None
phase = "pre"

_KEYWORD_PARTITIONS = 16
_BY_PROJECT = ("events", "projects", "imports", "keywords", "marks", "observations", "rejects", "uploads")


def upgrade() -> None:
    """Make the tables; on PostgreSQL in partitions, each row to be seen by its project alone."""
    op.create_table(
        "buckets",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_buckets")),
    )
    op.create_table(
        "events",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.String(length=160), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("schema_version", sa.SmallInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "position", name=op.f("pk_events")),
        sa.UniqueConstraint(
            "bucket", "project", "stream", "version", name=op.f("uq_events_bucket_project_stream_version")
        ),
    )
    op.create_index(
        "uq_events_idempotency_key",
        "events",
        ["bucket", "project", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "followers",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "model", name=op.f("pk_followers")),
    )
    op.create_table(
        "imports",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("tool", sa.String(length=64), nullable=True),
        sa.Column("market", sa.String(length=16), nullable=True),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("period_end", sa.Date(), nullable=True),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("bucket", "project", "import_id", name=op.f("pk_imports")),
    )
    op.create_index(
        op.f("ix_imports_bucket_project_started_at"), "imports", ["bucket", "project", "started_at"], unique=False
    )
    op.create_table(
        "keywords",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=26), autoincrement=False, nullable=False),
        sa.Column("keyword", sa.Text(), nullable=False),
        sa.Column("normalized", sa.Text(), nullable=False),
        sa.Column("market", sa.String(length=16), nullable=True),
        sa.Column("language", sa.String(length=3), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("question", sa.String(length=8), nullable=True),
        sa.Column("intent", sa.String(length=16), nullable=False),
        sa.Column("funnel", sa.String(length=16), nullable=False),
        sa.Column("modifiers", sa.Text(), nullable=True),
        sa.Column("branded", sa.Boolean(), nullable=False),
        sa.Column("local", sa.Boolean(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=True),
        sa.Column("popularity", sa.Float(), nullable=True),
        sa.Column("difficulty", sa.Float(), nullable=True),
        sa.Column("opportunity", sa.Float(), nullable=True),
        sa.Column("source", sa.String(length=160), nullable=True),
        sa.Column("volume", sa.BigInteger(), nullable=True),
        sa.Column("cpc", sa.Float(), nullable=True),
        sa.Column("competition", sa.Float(), nullable=True),
        sa.Column("clicks", sa.BigInteger(), nullable=True),
        sa.Column("impressions", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.Float(), nullable=True),
        sa.Column("observed", sa.Text(), nullable=True),
        sa.Column("rows", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("corrected", sa.Text(), nullable=True),
        sa.Column("near_duplicate_of", sa.Text(), nullable=True),
        sa.Column("near_duplicate_reason", sa.String(length=32), nullable=True),
        sa.Column("model_version", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "id", name=op.f("pk_keywords")),
        postgresql_partition_by="HASH (bucket)",
    )
    op.create_table(
        "uploads",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "import_id", "part", name=op.f("pk_uploads")),
    )
    op.create_table(
        "rejects",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "import_id", "number", name=op.f("pk_rejects")),
    )
    op.create_table(
        "marks",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=26), autoincrement=False, nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("corrected", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "id", name=op.f("pk_marks")),
    )
    op.create_table(
        "observations",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("import_id", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("row", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("period_end", sa.Date(), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("volume", sa.BigInteger(), nullable=True),
        sa.Column("cpc", sa.Float(), nullable=True),
        sa.Column("clicks", sa.BigInteger(), nullable=True),
        sa.Column("impressions", sa.BigInteger(), nullable=True),
        sa.Column("ctr", sa.Float(), nullable=True),
        sa.Column("position", sa.Float(), nullable=True),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", "import_id", "row", "recorded_at", name=op.f("pk_observations")),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    op.create_table(
        "parked",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "model", "position", name=op.f("pk_parked")),
    )
    op.create_table(
        "projects",
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("market", sa.String(length=16), nullable=True),
        sa.Column("brands", sa.Text(), nullable=False),
        sa.Column("weights", sa.Text(), nullable=False),
        sa.Column("home_region", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "project", name=op.f("pk_projects")),
    )

    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()


def _on_postgresql() -> None:
    for columns in (("normalized", "id"), ("volume", "id"), ("market", "created_at")):
        name = "_".join(("ix_keywords_bucket_project", *columns))
        keys = [sa.text("volume DESC NULLS LAST") if column == "volume" else column for column in columns]
        op.create_index(name, "keywords", ["bucket", "project", *keys])
    for i in range(_KEYWORD_PARTITIONS):
        op.execute(
            f"CREATE TABLE keywords_{i:02} PARTITION OF keywords "
            f"FOR VALUES WITH (MODULUS {_KEYWORD_PARTITIONS}, REMAINDER {i})"
        )
    op.execute("CREATE TABLE observations_default PARTITION OF observations DEFAULT")
    # The program's own role may not make tables: it may ask for the months that are coming.
    op.execute(
        """
        CREATE FUNCTION okf_make_partitions(first date, months integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE
            month timestamp := date_trunc('month', first::timestamp);
            until timestamp;
            name text;
            made integer := 0;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('okf_make_partitions'));
            FOR i IN 1 .. months LOOP
                until := month + interval '1 month';
                name := format('observations_%s', to_char(month, 'YYYYMM'));
                IF to_regclass(name) IS NULL THEN
                    -- Made apart and then attached: readers and writers of other months go on meanwhile.
                    EXECUTE format('CREATE TABLE %I (LIKE observations INCLUDING ALL)', name);
                    -- Nothing may come in between while rows of this month leave the default partition.
                    LOCK TABLE observations_default IN ACCESS EXCLUSIVE MODE;
                    EXECUTE format(
                        'WITH moved AS (DELETE FROM observations_default WHERE recorded_at >= %L AND recorded_at < %L '
                        'RETURNING *) INSERT INTO %I SELECT * FROM moved',
                        month AT TIME ZONE 'UTC', until AT TIME ZONE 'UTC', name
                    );
                    EXECUTE format(
                        'ALTER TABLE observations ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                        name, month AT TIME ZONE 'UTC', until AT TIME ZONE 'UTC'
                    );
                    made := made + 1;
                END IF;
                month := until;
            END LOOP;
            RETURN made;
        END
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION okf_make_partitions FROM PUBLIC")
    op.execute("SELECT okf_make_partitions((now() AT TIME ZONE 'UTC')::date, 4)")
    for table in _BY_PROJECT:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            # Asked for once a statement, not for every row.
            f"CREATE POLICY by_project ON {table} "
            "USING ((SELECT current_setting('okf.project', true)) IN (project, '*'))"
        )
