-- Stored responses of the Responses API. Times are milliseconds since 1970.
CREATE TABLE responses (
    id TEXT NOT NULL PRIMARY KEY,
    -- The name of the API key that created it; empty without keys.
    owner TEXT NOT NULL,
    -- 'queued', 'in_progress', 'completed', 'incomplete', 'failed' or 'cancelled'. The last four are final.
    status TEXT NOT NULL,
    -- Whether it was created with `background`: 0 or 1.
    background BIGINT NOT NULL,
    -- The response that it continues. That one may have been deleted since.
    previous_id TEXT,
    created_at BIGINT NOT NULL,
    -- When it was created, or continued for the last time. It expires some time after that.
    used_at BIGINT NOT NULL,
    -- The request id of the call that created it.
    request_id TEXT NOT NULL,
    -- The request as it was received; empty once the response is final.
    request TEXT NOT NULL,
    -- The response object.
    response TEXT NOT NULL,
    -- JSON arrays of items.
    input_items TEXT NOT NULL,
    output_items TEXT NOT NULL,
    -- The length of the texts above and of the events, in bytes.
    size_bytes BIGINT NOT NULL,
    -- The identity of a repeatable call, as of video jobs.
    idempotency_key TEXT,
    fingerprint TEXT
);

CREATE UNIQUE INDEX responses_key ON responses (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX responses_active ON responses (created_at, id) WHERE status IN ('queued', 'in_progress');
CREATE INDEX responses_final ON responses (used_at, id) WHERE status NOT IN ('queued', 'in_progress');

-- The events of responses that were created with `background`.
CREATE TABLE response_events (
    response_id TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    -- From 0, without gaps.
    sequence_number BIGINT NOT NULL,
    type TEXT NOT NULL,
    -- The event as a JSON object.
    data TEXT NOT NULL,
    PRIMARY KEY (response_id, sequence_number)
);

-- The sum of responses.size_bytes; one row.
CREATE TABLE response_totals (
    size_bytes BIGINT NOT NULL
);

INSERT INTO response_totals (size_bytes) VALUES (0);
