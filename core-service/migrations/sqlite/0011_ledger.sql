-- Amounts are millionths of a US dollar. Times are milliseconds since 1970. Periods are days '2026-11-28', months '2026-11' and
-- 'total', in UTC. The subject of a budget is 'key:NAME' or 'team:NAME'.

-- Money that is reserved and not yet settled: one row per video job in progress, and one per process and key for the allowance of
-- its chat calls and image requests.
CREATE TABLE ledger_holds (
    item TEXT NOT NULL PRIMARY KEY,
    key_name TEXT NOT NULL,
    team TEXT NOT NULL,
    amount BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The sum of the open holds of each subject, so that a create does not add them up.
CREATE TABLE ledger_reserved (
    subject TEXT NOT NULL PRIMARY KEY,
    amount BIGINT NOT NULL
);

CREATE TRIGGER ledger_holds_insert AFTER INSERT ON ledger_holds
BEGIN
    INSERT INTO ledger_reserved (subject, amount) VALUES ('key:' || NEW.key_name, NEW.amount)
        ON CONFLICT (subject) DO UPDATE SET amount = amount + NEW.amount;
    INSERT INTO ledger_reserved (subject, amount) SELECT 'team:' || NEW.team, NEW.amount WHERE NEW.team <> ''
        ON CONFLICT (subject) DO UPDATE SET amount = amount + NEW.amount;
END;

CREATE TRIGGER ledger_holds_update AFTER UPDATE OF amount ON ledger_holds
BEGIN
    UPDATE ledger_reserved SET amount = amount - OLD.amount + NEW.amount
        WHERE subject IN ('key:' || NEW.key_name, 'team:' || NEW.team);
END;

CREATE TRIGGER ledger_holds_delete AFTER DELETE ON ledger_holds
BEGIN
    UPDATE ledger_reserved SET amount = amount - OLD.amount
        WHERE subject IN ('key:' || OLD.key_name, 'team:' || OLD.team);
END;

-- What happened to money, append-only. An item has at most one entry of a kind.
CREATE TABLE ledger_entries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    item TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('hold', 'settle', 'release', 'adjust')),
    key_name TEXT NOT NULL,
    team TEXT NOT NULL,
    amount BIGINT NOT NULL,
    -- The price by which the amount was computed; empty if several were.
    price_version TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (item, kind)
);

-- What each subject has spent in each period: the sums of the entries 'settle' and 'adjust'.
CREATE TABLE ledger_spent (
    subject TEXT NOT NULL,
    period TEXT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (subject, period)
) WITHOUT ROWID;

CREATE TRIGGER ledger_entries_spend AFTER INSERT ON ledger_entries WHEN NEW.kind IN ('settle', 'adjust')
BEGIN
    INSERT INTO ledger_spent (subject, period, amount)
    SELECT subject, period, NEW.amount
    FROM (SELECT 'key:' || NEW.key_name AS subject UNION ALL SELECT 'team:' || NEW.team WHERE NEW.team <> '')
    CROSS JOIN (
        SELECT strftime('%Y-%m-%d', NEW.created_at / 1000, 'unixepoch') AS period
        UNION ALL SELECT strftime('%Y-%m', NEW.created_at / 1000, 'unixepoch')
        UNION ALL SELECT 'total'
    )
    WHERE true
    ON CONFLICT (subject, period) DO UPDATE SET amount = amount + excluded.amount;
END;

-- Calls and their cost, summed up per day.
CREATE TABLE usage_daily (
    day TEXT NOT NULL,
    key_name TEXT NOT NULL,
    team TEXT NOT NULL,
    -- 'chat', 'image' or 'video'.
    modality TEXT NOT NULL,
    model TEXT NOT NULL,
    calls BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    images BIGINT NOT NULL,
    video_millis BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (day, key_name, team, modality, model)
) WITHOUT ROWID;

-- The price of a video job, and what has become of its hold: a JSON document. NULL in jobs from before there were prices.
ALTER TABLE video_jobs ADD COLUMN charge TEXT;

-- A job that is removed with an open hold, which only an unreadable row can be, may have been billed: its hold is spent.
CREATE TRIGGER ledger_settle_removed BEFORE DELETE ON video_jobs
BEGIN
    INSERT OR IGNORE INTO ledger_entries (item, kind, key_name, team, amount, price_version, created_at)
    SELECT item, 'settle', key_name, team, amount, '', CAST(unixepoch('subsec') * 1000 AS INTEGER)
    FROM ledger_holds WHERE item = OLD.id;
    DELETE FROM ledger_holds WHERE item = OLD.id;
END;
