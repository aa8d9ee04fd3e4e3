-- API keys that administrators created at run time. Times are milliseconds since 1970.
CREATE TABLE api_keys (
    -- Also the owner of what the key creates. The row stays after a revocation, so that no other key gets the name.
    name TEXT NOT NULL PRIMARY KEY,
    -- Grows by one with every change.
    revision BIGINT NOT NULL,
    -- The SHA-256 digest of the secret, and its last characters; NULL after a revocation.
    digest BLOB,
    hint TEXT,
    -- The secret before the last rotation, which is valid until then.
    previous_digest BLOB,
    previous_hint TEXT,
    previous_until BIGINT,
    team TEXT NOT NULL,
    admin BIGINT NOT NULL,
    -- As in the settings; NULL for their default.
    on_disconnect TEXT,
    -- A JSON document.
    limits TEXT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    revoked_at BIGINT
);

-- The key of the administrator who resolved a hold; empty for entries that calls and jobs made.
ALTER TABLE ledger_entries ADD COLUMN author TEXT NOT NULL DEFAULT '';
