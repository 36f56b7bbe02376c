-- The tables of the SQLite store, with the same names and columns. Times are milliseconds since
-- 1970-01-01 UTC. Migrations only ever add (expand-only), so that hubs of the release before can
-- go on while the others are upgraded.
-- COLLATE "C": names and ids are compared by their bytes, whatever the database's own collation.

CREATE TABLE meta (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- One row. Each batch of a hub updates it first, and so has the lock until its commit is
-- replicated: the order of commits is the order of pos and of seq, without gaps.
CREATE TABLE head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    pos bigint NOT NULL,             -- the number of the newest batch
    seq bigint NOT NULL,             -- the newest seq ever given
    term bigint NOT NULL             -- the timeline of the primary; 0: none has been noted yet
) WITH (fillfactor = 10);

-- What each batch did, for the listeners of the other hubs; kept for some minutes.
CREATE TABLE change (
    pos bigint PRIMARY KEY,
    hub text NOT NULL,
    batch bigint NOT NULL,           -- the hub's own number: it finds its batch by it again
    at bigint NOT NULL,
    facts text NOT NULL              -- a JSON list, in the order of the commit
);

CREATE TABLE agent (
    name text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C",           -- NULL: the operator
    registered_at bigint NOT NULL,
    retired_at bigint,
    last_seen_at bigint
);

CREATE TABLE group_member (
    group_name text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    PRIMARY KEY (group_name, agent)
);

CREATE TABLE node_token (
    node text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    PRIMARY KEY (node, sha256)
);

-- Counters kept in the same transaction as what they count, so that no read has to count rows.
CREATE TABLE mailbox (
    agent text COLLATE "C" PRIMARY KEY,
    unread bigint NOT NULL DEFAULT 0,
    unfetched bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    received_seq bigint NOT NULL DEFAULT 0,   -- reports of the watcher reach up to here
    accepted_seq bigint NOT NULL DEFAULT 0,
    archived_seq bigint NOT NULL DEFAULT 0    -- a cursor before this one may miss read messages
) WITH (fillfactor = 50);                     -- room for new versions of a row on its own page

-- pk is the seq of the message's first delivery: messages and deliveries share one order.
CREATE TABLE message (
    pk bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    thread_id text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    subject text,
    body text NOT NULL,
    data text,                       -- a JSON object, as text
    rank bigint NOT NULL,            -- 0 urgent, 1 high, 2 normal
    reply_to text COLLATE "C",
    hops bigint NOT NULL,            -- depth of replies since the operator's last message
    created_at bigint NOT NULL,
    expires_at bigint,
    open_count bigint NOT NULL,      -- deliveries neither read nor expired
    closed_at bigint                 -- when open_count became 0: retention starts here
);
CREATE INDEX message_sender ON message (sender, pk);
CREATE INDEX message_thread ON message (thread_id, pk);
CREATE INDEX message_closed ON message (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX message_expiry ON message (expires_at)
    WHERE expires_at IS NOT NULL AND open_count > 0;

CREATE TABLE delivery (
    seq bigint PRIMARY KEY,
    message_pk bigint NOT NULL,
    agent text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    rank bigint NOT NULL,
    pushed_at bigint,
    received_at bigint,
    accepted_at bigint,
    wake_failed_at bigint,
    wake_failure text,
    escalated_at bigint,
    overdue_at bigint,
    fetched_at bigint,               -- the first time; last_fetched_at is the latest
    last_fetched_at bigint,
    fetch_count bigint NOT NULL DEFAULT 0,
    read_at bigint,
    expired_at bigint
) WITH (fillfactor = 75);            -- hops are stamped one after the other: room on the same page
CREATE INDEX delivery_unread ON delivery (agent, rank, seq)
    WHERE read_at IS NULL AND expired_at IS NULL;
CREATE INDEX delivery_inbox ON delivery (agent, rank, seq);
CREATE INDEX delivery_agent ON delivery (agent, seq);
CREATE INDEX delivery_pair ON delivery (agent, sender, seq);
CREATE INDEX delivery_message ON delivery (message_pk, agent);

CREATE TABLE idempotency (
    sender text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    payload_sha256 bytea NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (sender, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Read messages live on here, out of the way of the indexes above.
CREATE TABLE archive_message (
    pk bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    thread_id text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    subject text,
    body text NOT NULL,
    data text,
    rank bigint NOT NULL,
    reply_to text COLLATE "C",
    hops bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    archived_at bigint NOT NULL
);
CREATE INDEX archive_message_sender ON archive_message (sender, pk);
CREATE INDEX archive_message_thread ON archive_message (thread_id, pk);
CREATE INDEX archive_message_age ON archive_message (archived_at);

CREATE TABLE archive_delivery (
    seq bigint PRIMARY KEY,
    message_pk bigint NOT NULL,
    agent text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    rank bigint NOT NULL,
    pushed_at bigint,
    received_at bigint,
    accepted_at bigint,
    wake_failed_at bigint,
    wake_failure text,
    escalated_at bigint,
    overdue_at bigint,
    fetched_at bigint,
    last_fetched_at bigint,
    fetch_count bigint NOT NULL,
    read_at bigint,
    expired_at bigint
);
CREATE INDEX archive_delivery_agent ON archive_delivery (agent, seq);
CREATE INDEX archive_delivery_pair ON archive_delivery (agent, sender, seq);
CREATE INDEX archive_delivery_message ON archive_delivery (message_pk, agent);

-- The operator's page: sessions, which outlive a restart of a hub, and what was done by hand.
CREATE TABLE session (
    sha256 text COLLATE "C" PRIMARY KEY,   -- of the cookie, which itself is kept nowhere
    token_sha256 text NOT NULL,      -- of the admin token that opened it; rotated out, it ends
    expires_at bigint NOT NULL
);

CREATE TABLE audit (
    pk bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    address text NOT NULL,           -- whence the request came
    way text NOT NULL,               -- by a click on the page, or by a call with the admin token
    action text NOT NULL,            -- sign_in, send, ack, wake, mute, ...
    agent text,                      -- whom it was about, where it was about one
    detail text NOT NULL,            -- what was asked, a JSON object, without bodies
    outcome text NOT NULL            -- done, or the code of the problem
);

INSERT INTO head (pos, seq, term) VALUES (0, 0, 0);
INSERT INTO agent (name, registered_at) VALUES ('operator', 0);
INSERT INTO mailbox (agent) VALUES ('operator');
