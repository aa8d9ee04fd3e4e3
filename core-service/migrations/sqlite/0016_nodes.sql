-- The running processes, which share the database only if it is PostgreSQL. lease_until is in milliseconds since 1970.
CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
);

-- Periodic work that one node does for all, and the node that does it.
CREATE TABLE node_duties (
    name TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL
);

-- The node that generates a response which is in progress; '' before it was claimed.
ALTER TABLE responses ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- Whether a client has cancelled a response that another node generates: 0 or 1.
ALTER TABLE responses ADD COLUMN cancel_requested BIGINT NOT NULL DEFAULT 0;

-- Repeatable calls whose response is not a row of its own: those of images. Only with several nodes.
CREATE TABLE shared_calls (
    owner TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    -- Of the request, as hexadecimal digits.
    fingerprint TEXT NOT NULL,
    -- Names the execution: a UUID. A row that a later execution has replaced is not changed by an earlier one.
    execution TEXT NOT NULL,
    -- The node that executes the call.
    node TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    -- The response, or the error as JSON; NULL while the call runs.
    outcome BLOB,
    -- Milliseconds since 1970.
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
);

CREATE INDEX shared_calls_expired ON shared_calls (expires_at);
CREATE UNIQUE INDEX shared_calls_execution ON shared_calls (execution);
