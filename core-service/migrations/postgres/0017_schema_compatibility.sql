-- The number of the oldest last migration with which a program can use this schema. A migration that leaves the schema usable for older
-- programs does not change it. One row.
CREATE TABLE schema_compatibility (
    oldest_migration BIGINT NOT NULL
);
INSERT INTO schema_compatibility (oldest_migration) VALUES (17);
