-- Guards on money and rights: the same tables as SQLite's. Each part has a heading.

-- The operator's rules, a set per row, in canonical JSON: they come with the roster as a whole and
-- are read as a whole.
CREATE TABLE policy (
    name text COLLATE "C" PRIMARY KEY,
    rules text NOT NULL
);

-- Tokens of agents. Who has one is no longer spoken for by its node's token, unless `node_too` says
-- that this one still counts: while the token is on its way to the node, or back.
CREATE TABLE agent_token (
    agent text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    node_too bigint NOT NULL,
    PRIMARY KEY (agent, sha256)
);

-- Questions: who was asked what, and the one answer. A question's pk and id are its message's.
CREATE TABLE question (
    pk bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    asker text COLLATE "C" NOT NULL,
    agents text NOT NULL,            -- who may answer, a JSON list
    choices text NOT NULL,           -- a JSON list
    asked_at bigint NOT NULL,
    expires_at bigint,               -- steady ms; NULL: never
    answer_id text COLLATE "C",
    answered_by text COLLATE "C",
    choice text,
    answered_at bigint,
    ended_at bigint                  -- when the asker was told that no answer came
);
CREATE INDEX question_open ON question (pk) WHERE answer_id IS NULL AND ended_at IS NULL;
CREATE INDEX question_expiry ON question (expires_at)
    WHERE answer_id IS NULL AND ended_at IS NULL AND expires_at IS NOT NULL;

-- Links that answer a question without a sign-in.
CREATE TABLE question_link (
    sha256 text COLLATE "C" PRIMARY KEY,   -- of the secret, which itself is kept nowhere
    question_pk bigint NOT NULL,
    expires_at bigint NOT NULL,      -- steady ms, as made_at
    made_at bigint NOT NULL
);
CREATE INDEX question_link_question ON question_link (question_pk, made_at);

-- The escalation ladder: since when an urgent delivery is seen to wait (steady ms).
CREATE TABLE ladder (
    seq bigint PRIMARY KEY,
    message_pk bigint NOT NULL,
    since bigint NOT NULL
);
CREATE INDEX ladder_message ON ladder (message_pk);

-- Its steps: who else was told of a delivery. Several deliveries share a notice, by its key.
CREATE TABLE ladder_step (
    seq bigint NOT NULL,
    target text COLLATE "C" NOT NULL,      -- an agent, @group, or operator
    message_pk bigint NOT NULL,
    at bigint NOT NULL,
    notice_key text COLLATE "C" NOT NULL,
    notice_id text COLLATE "C",      -- its message; NULL: not sent, or there was nobody to tell
    is_settled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (seq, target)
);
CREATE INDEX ladder_step_message ON ladder_step (message_pk, seq);
CREATE INDEX ladder_step_unsettled ON ladder_step (notice_key) WHERE is_settled = 0;

-- Channels: when the operator was told of a delivery, for the message's timeline. It lives as long
-- as the message. What still has to be told waits in webhook_event.
CREATE TABLE telling (
    seq bigint NOT NULL,             -- the delivery's
    name text COLLATE "C" NOT NULL,  -- the channel's in webhook_event
    at bigint NOT NULL,              -- wall ms
    PRIMARY KEY (seq, name)
);

-- Pauses, and how many wakes there were. Times are wall-clock milliseconds.

CREATE TABLE hold (
    scope text COLLATE "C" NOT NULL, -- fleet, group, agent
    name text COLLATE "C" NOT NULL,  -- empty for the fleet
    reason text NOT NULL,            -- paused, muted
    since_at bigint NOT NULL,
    until_at bigint,                 -- NULL: until somebody ends it
    note text,
    PRIMARY KEY (scope, name)
);

CREATE TABLE wake_count (
    slot_at bigint NOT NULL,         -- the beginning of a minute; after two days of an hour
    agent text COLLATE "C" NOT NULL, -- who was woken
    sender text COLLATE "C" NOT NULL, -- of the newest delivery; empty when it is not known
    kind text COLLATE "C" NOT NULL,  -- wake, escalation, reminder, urgent
    count bigint NOT NULL,
    PRIMARY KEY (slot_at, agent, sender, kind)
);

-- Storms: what was held because its agents only kept each other busy. A key names a thread, a pair,
-- a ring or all broadcasts; `agents` is a JSON list.
CREATE TABLE storm (
    key text COLLATE "C" PRIMARY KEY,
    signal text NOT NULL,
    agents text NOT NULL,
    since_at bigint NOT NULL,
    held_at bigint NOT NULL,
    released_at bigint
);

-- Deliveries whose wakes a storm withheld: a row for each is written only in a storm.
CREATE TABLE held_delivery (
    seq bigint PRIMARY KEY,
    agent text COLLATE "C" NOT NULL,
    storm text COLLATE "C" NOT NULL,
    held_at bigint NOT NULL,
    let_go_at bigint
);
CREATE INDEX held_delivery_let_go ON held_delivery (let_go_at, storm);
