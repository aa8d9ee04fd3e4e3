-- Endpoints that clients created. event_types is a comma-separated list. Times are milliseconds since 1970.
CREATE TABLE webhook_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    url TEXT NOT NULL,
    event_types TEXT NOT NULL,
    name TEXT NOT NULL,
    secret TEXT NOT NULL,
    previous_secret TEXT,
    -- Until then, deliveries have a signature of the previous secret as well.
    previous_secret_until BIGINT,
    created_at BIGINT NOT NULL
);

CREATE INDEX webhook_endpoints_owner ON webhook_endpoints (owner, id);

-- How attempts at an endpoint went, also at one of the configuration. An endpoint without a row has never failed.
CREATE TABLE webhook_endpoint_states (
    endpoint_id TEXT NOT NULL PRIMARY KEY,
    failing_since BIGINT,
    -- Set while the endpoint is disabled.
    disabled_reason TEXT
);

-- One row per event and endpoint.
CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    event_created_at BIGINT NOT NULL,
    video_id TEXT NOT NULL,
    -- 'callback' for the callback_url of a video.
    endpoint_id TEXT NOT NULL,
    -- The owner of the endpoint. NULL for an endpoint of the configuration, whose deliveries only administrators see.
    owner TEXT,
    url TEXT NOT NULL,
    -- Deliveries of one lane share a limit on attempts in flight.
    lane TEXT NOT NULL,
    is_test BIGINT NOT NULL,
    -- 'pending', 'succeeded' or 'failed'.
    state TEXT NOT NULL,
    -- The number of attempts of the present schedule. A redelivery starts it again.
    attempt BIGINT NOT NULL,
    -- The newest attempts, as a JSON array.
    attempts TEXT NOT NULL,
    due_at BIGINT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    UNIQUE (event_id, endpoint_id)
);

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at, id, lease_until, lane) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (lease_until) WHERE state = 'pending' AND lease_until > 0;
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_video ON webhook_deliveries (video_id, id);
CREATE INDEX webhook_deliveries_completed ON webhook_deliveries (completed_at) WHERE state <> 'pending';

-- The last job event that was turned into deliveries; one row. Events from before this table are not sent.
CREATE TABLE webhook_outbox (
    sequence BIGINT NOT NULL
);

INSERT INTO webhook_outbox (sequence)
SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'job_events'), 0);
