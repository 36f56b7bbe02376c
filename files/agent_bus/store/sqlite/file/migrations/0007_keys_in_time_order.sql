-- Keys that begin with the time, as those of `agent-bus`, then lie side by side whoever sends: a
-- commit of many senders writes one page of them instead of one for each sender.

CREATE TABLE idempotency_by_key (
    sender TEXT NOT NULL,
    key TEXT NOT NULL,
    payload_sha256 BLOB NOT NULL,
    message_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key, sender)
) WITHOUT ROWID;
INSERT INTO idempotency_by_key (sender, key, payload_sha256, message_id, created_at)
    SELECT sender, key, payload_sha256, message_id, created_at FROM idempotency;
DROP TABLE idempotency;
ALTER TABLE idempotency_by_key RENAME TO idempotency;
CREATE INDEX idempotency_age ON idempotency (created_at);
