-- The running processes. lease_until is in milliseconds since 1970.
CREATE TABLE nodes (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);

-- Periodic work that one node does for all, and the node that does it.
CREATE TABLE node_duties (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    node TEXT COLLATE "C" NOT NULL
);

-- The node that generates a response which is in progress; '' before it was claimed.
ALTER TABLE responses ADD COLUMN node TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Whether a client has cancelled a response that another node generates: 0 or 1.
ALTER TABLE responses ADD COLUMN cancel_requested BIGINT NOT NULL DEFAULT 0;

-- The latest transactions of each process that writes in groups: tells whether a commit succeeded whose result was lost, also after a
-- failover to a server that does not have it. Rows are inserted, and not updated: the versions of a row that is updated with each commit
-- would slow the commits down while a foreign transaction keeps them.
CREATE TABLE commit_marks (
    -- A UUID that the process generated at its start.
    writer TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (writer, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Repeatable calls whose response is not a row of its own: those of images. Only with several nodes.
CREATE TABLE shared_calls (
    owner TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C" NOT NULL,
    -- Of the request, as hexadecimal digits.
    fingerprint TEXT COLLATE "C" NOT NULL,
    -- Names the execution: a UUID. A row that a later execution has replaced is not changed by an earlier one.
    execution TEXT COLLATE "C" NOT NULL,
    -- The node that executes the call.
    node TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    -- The response, or the error as JSON; NULL while the call runs.
    outcome BYTEA,
    -- Milliseconds since 1970.
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX shared_calls_expired ON shared_calls (expires_at);
CREATE UNIQUE INDEX shared_calls_execution ON shared_calls (execution);
