-- The first schema. Times are milliseconds since 1970-01-01 UTC. Migrations only ever add
-- (expand-only), so that the release before can still read the file after a roll-back.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE agent (
    name TEXT PRIMARY KEY,
    node TEXT,                       -- NULL: the operator
    registered_at INTEGER NOT NULL,
    retired_at INTEGER,
    last_seen_at INTEGER
) WITHOUT ROWID;

CREATE TABLE group_member (
    group_name TEXT NOT NULL,
    agent TEXT NOT NULL,
    PRIMARY KEY (group_name, agent)
) WITHOUT ROWID;

CREATE TABLE node_token (
    node TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (node, sha256)
) WITHOUT ROWID;

-- Counters kept in the same transaction as what they count, so that no read has to count rows.
CREATE TABLE mailbox (
    agent TEXT PRIMARY KEY,
    unread INTEGER NOT NULL DEFAULT 0,
    unfetched INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,
    received_seq INTEGER NOT NULL DEFAULT 0,   -- reports of the watcher reach up to here
    accepted_seq INTEGER NOT NULL DEFAULT 0,
    archived_seq INTEGER NOT NULL DEFAULT 0    -- a cursor before this one may miss read messages
) WITHOUT ROWID;

-- pk is the seq of the message's first delivery: messages and deliveries share one order.
CREATE TABLE message (
    pk INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    thread_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT,
    body TEXT NOT NULL,
    data TEXT,                       -- a JSON object, as text
    rank INTEGER NOT NULL,           -- 0 urgent, 1 high, 2 normal
    reply_to TEXT,
    hops INTEGER NOT NULL,           -- depth of replies since the operator's last message
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    open_count INTEGER NOT NULL,     -- deliveries neither read nor expired
    closed_at INTEGER                -- when open_count became 0: retention starts here
);
CREATE INDEX message_sender ON message (sender, pk);
CREATE INDEX message_thread ON message (thread_id, pk);
CREATE INDEX message_closed ON message (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX message_expiry ON message (expires_at)
    WHERE expires_at IS NOT NULL AND open_count > 0;

-- AUTOINCREMENT: the seq of an archived delivery must never come again.
CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    message_pk INTEGER NOT NULL,
    agent TEXT NOT NULL,
    sender TEXT NOT NULL,
    rank INTEGER NOT NULL,
    pushed_at INTEGER,
    received_at INTEGER,
    accepted_at INTEGER,
    wake_failed_at INTEGER,
    wake_failure TEXT,
    escalated_at INTEGER,
    overdue_at INTEGER,
    fetched_at INTEGER,              -- the first time; last_fetched_at is the latest
    last_fetched_at INTEGER,
    fetch_count INTEGER NOT NULL DEFAULT 0,
    read_at INTEGER,
    expired_at INTEGER
);
CREATE INDEX delivery_unread ON delivery (agent, rank, seq)
    WHERE read_at IS NULL AND expired_at IS NULL;
CREATE INDEX delivery_inbox ON delivery (agent, rank, seq);
CREATE INDEX delivery_agent ON delivery (agent, seq);
CREATE INDEX delivery_pair ON delivery (agent, sender, seq);
CREATE INDEX delivery_message ON delivery (message_pk, agent);

CREATE TABLE idempotency (
    sender TEXT NOT NULL,
    key TEXT NOT NULL,
    payload_sha256 BLOB NOT NULL,
    message_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (sender, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Read messages live on here, out of the way of the indexes above.
CREATE TABLE archive_message (
    pk INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    thread_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT,
    body TEXT NOT NULL,
    data TEXT,
    rank INTEGER NOT NULL,
    reply_to TEXT,
    hops INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    archived_at INTEGER NOT NULL
);
CREATE INDEX archive_message_sender ON archive_message (sender, pk);
CREATE INDEX archive_message_thread ON archive_message (thread_id, pk);
CREATE INDEX archive_message_age ON archive_message (archived_at);

CREATE TABLE archive_delivery (
    seq INTEGER PRIMARY KEY,
    message_pk INTEGER NOT NULL,
    agent TEXT NOT NULL,
    sender TEXT NOT NULL,
    rank INTEGER NOT NULL,
    pushed_at INTEGER,
    received_at INTEGER,
    accepted_at INTEGER,
    wake_failed_at INTEGER,
    wake_failure TEXT,
    escalated_at INTEGER,
    overdue_at INTEGER,
    fetched_at INTEGER,              -- the first time; last_fetched_at is the latest
    last_fetched_at INTEGER,
    fetch_count INTEGER NOT NULL,
    read_at INTEGER,
    expired_at INTEGER
);
CREATE INDEX archive_delivery_agent ON archive_delivery (agent, seq);
CREATE INDEX archive_delivery_pair ON archive_delivery (agent, sender, seq);
CREATE INDEX archive_delivery_message ON archive_delivery (message_pk, agent);

INSERT INTO agent (name, registered_at) VALUES ('operator', 0);
INSERT INTO mailbox (agent) VALUES ('operator');
