-- What goes out by webhooks. Times are steady ms, but those called `..._at` in `webhook`.

-- Deliveries that were read or became overdue, noted with their stamps; taken by the next feed.
CREATE TABLE webhook_stamp (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,              -- read, overdue
    seq INTEGER NOT NULL,
    agent TEXT NOT NULL,
    at INTEGER NOT NULL
);

-- One event for one webhook, until it is delivered or given up.
CREATE TABLE webhook_event (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    kind TEXT NOT NULL,              -- message, read, overdue
    seq INTEGER NOT NULL,            -- the delivery's
    at INTEGER,                      -- when it happened; NULL: when the message was created
    attempts INTEGER NOT NULL DEFAULT 0,
    queued_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL
);
CREATE INDEX webhook_event_due ON webhook_event (webhook, next_at, pk);
CREATE INDEX webhook_event_age ON webhook_event (webhook, queued_at, pk);

CREATE TABLE webhook (
    name TEXT PRIMARY KEY,
    pending INTEGER NOT NULL DEFAULT 0,    -- its events, counted in the same transaction
    delivered INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,       -- given up after three days
    dropped INTEGER NOT NULL DEFAULT 0,    -- there was no room
    failures INTEGER NOT NULL DEFAULT 0,   -- rounds in a row
    held_until INTEGER NOT NULL DEFAULT 0, -- steady ms: no attempt before
    succeeded_at INTEGER,
    failed_at INTEGER,
    error TEXT,
    disabled_at INTEGER,                   -- the receiver said that it is gone
    lost_at INTEGER                        -- when an event was given up or dropped last
) WITHOUT ROWID;
