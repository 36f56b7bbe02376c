-- Guards on money and rights. Each part has a heading.

-- The operator's rules, a set per row, in canonical JSON: they come with the roster as a whole and
-- are read as a whole.
CREATE TABLE policy (
    name TEXT PRIMARY KEY,
    rules TEXT NOT NULL
) WITHOUT ROWID;

-- Tokens of agents. Who has one is no longer spoken for by its node's token, unless `node_too` says
-- that this one still counts: while the token is on its way to the node, or back.
CREATE TABLE agent_token (
    agent TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    node_too INTEGER NOT NULL,
    PRIMARY KEY (agent, sha256)
) WITHOUT ROWID;

-- Questions: who was asked what, and the one answer. A question's pk and id are its message's.
CREATE TABLE question (
    pk INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    asker TEXT NOT NULL,
    agents TEXT NOT NULL,            -- who may answer, a JSON list
    choices TEXT NOT NULL,           -- a JSON list
    asked_at INTEGER NOT NULL,
    expires_at INTEGER,              -- steady ms; NULL: never
    answer_id TEXT,
    answered_by TEXT,
    choice TEXT,
    answered_at INTEGER,
    ended_at INTEGER                 -- when the asker was told that no answer came
);
CREATE INDEX question_open ON question (pk) WHERE answer_id IS NULL AND ended_at IS NULL;
CREATE INDEX question_expiry ON question (expires_at)
    WHERE answer_id IS NULL AND ended_at IS NULL AND expires_at IS NOT NULL;

-- Links that answer a question without a sign-in.
CREATE TABLE question_link (
    sha256 TEXT PRIMARY KEY,         -- of the secret, which itself is kept nowhere
    question_pk INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,     -- steady ms, as made_at
    made_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX question_link_question ON question_link (question_pk, made_at);

-- The escalation ladder: since when an urgent delivery is seen to wait (steady ms).
CREATE TABLE ladder (
    seq INTEGER PRIMARY KEY,
    message_pk INTEGER NOT NULL,
    since INTEGER NOT NULL
);
CREATE INDEX ladder_message ON ladder (message_pk);

-- Its steps: who else was told of a delivery. Several deliveries share a notice, by its key.
CREATE TABLE ladder_step (
    seq INTEGER NOT NULL,
    target TEXT NOT NULL,            -- an agent, @group, or operator
    message_pk INTEGER NOT NULL,
    at INTEGER NOT NULL,
    notice_key TEXT NOT NULL,
    notice_id TEXT,                  -- its message; NULL: not sent, or there was nobody to tell
    is_settled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (seq, target)
) WITHOUT ROWID;
CREATE INDEX ladder_step_message ON ladder_step (message_pk, seq);
CREATE INDEX ladder_step_unsettled ON ladder_step (notice_key) WHERE is_settled = 0;

-- Channels: when the operator was told of a delivery, for the message's timeline. It lives as long
-- as the message. What still has to be told waits in webhook_event.
CREATE TABLE telling (
    seq INTEGER NOT NULL,            -- the delivery's
    name TEXT NOT NULL,              -- the channel's in webhook_event
    at INTEGER NOT NULL,             -- wall ms
    PRIMARY KEY (seq, name)
) WITHOUT ROWID;

-- Pauses, and how many wakes there were. Times are wall-clock milliseconds.

CREATE TABLE hold (
    scope TEXT NOT NULL,             -- fleet, group, agent
    name TEXT NOT NULL,              -- empty for the fleet
    reason TEXT NOT NULL,            -- paused, muted
    since_at INTEGER NOT NULL,
    until_at INTEGER,                -- NULL: until somebody ends it
    note TEXT,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;

CREATE TABLE wake_count (
    slot_at INTEGER NOT NULL,        -- the beginning of a minute; after two days of an hour
    agent TEXT NOT NULL,             -- who was woken
    sender TEXT NOT NULL,            -- of the newest delivery; empty when it is not known
    kind TEXT NOT NULL,              -- wake, escalation, reminder, urgent
    count INTEGER NOT NULL,
    PRIMARY KEY (slot_at, agent, sender, kind)
) WITHOUT ROWID;

-- Storms: what was held because its agents only kept each other busy. A key names a thread, a pair,
-- a ring or all broadcasts; `agents` is a JSON list.
CREATE TABLE storm (
    key TEXT PRIMARY KEY,
    signal TEXT NOT NULL,
    agents TEXT NOT NULL,
    since_at INTEGER NOT NULL,
    held_at INTEGER NOT NULL,
    released_at INTEGER
) WITHOUT ROWID;

-- Deliveries whose wakes a storm withheld: a row for each is written only in a storm.
CREATE TABLE held_delivery (
    seq INTEGER PRIMARY KEY,
    agent TEXT NOT NULL,
    storm TEXT NOT NULL,
    held_at INTEGER NOT NULL,
    let_go_at INTEGER
);
CREATE INDEX held_delivery_let_go ON held_delivery (let_go_at, storm);
