-- The guide's table and indexes; README.md says what had to be repaired.
CREATE TABLE keywords (
    id         BIGINT NOT NULL,
    keyword    VARCHAR(255),
    region     VARCHAR(10),
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

CREATE TABLE keywords_2024 PARTITION OF keywords FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');

CREATE INDEX idx_keywords_text ON keywords USING gin (to_tsvector('english', keyword));
CREATE INDEX idx_keywords_created_at ON keywords (created_at DESC);
CREATE INDEX idx_keywords_region ON keywords (region, created_at DESC);
