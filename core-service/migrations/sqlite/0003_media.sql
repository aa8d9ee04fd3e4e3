-- The index of the media store. The files themselves are in the object store. Times are milliseconds since 1970.

-- One row per file. state is 'pending' (the first upload has not finished), 'ready' or 'deleting'.
CREATE TABLE media (
    key TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    -- Until then the sweeper must not remove the file: some process reads it, or has just handed out its key.
    pinned_until BIGINT NOT NULL DEFAULT 0,
    -- In state 'deleting': until then one process removes the object, and no upload of the key may begin.
    removal_lease_until BIGINT NOT NULL DEFAULT 0
);

-- The order in which the sweeper removes. With the size, the total is read from this index alone.
CREATE INDEX media_by_last_use ON media (last_used_at, key, size_bytes) WHERE state = 'ready';

CREATE INDEX media_deleting ON media (removal_lease_until) WHERE state = 'deleting';

-- One row per upload in progress. A lease that has expired belongs to a process that was killed.
CREATE TABLE media_uploads (
    id TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    lease_until BIGINT NOT NULL
);

CREATE INDEX media_uploads_by_key ON media_uploads (key, lease_until);

-- Has a row once the files that were stored before this index existed are in it.
CREATE TABLE media_imports (
    finished_at BIGINT NOT NULL
);
