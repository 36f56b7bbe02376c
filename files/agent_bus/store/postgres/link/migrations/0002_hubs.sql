-- Several hubs on one database: who lives, who holds which node's stream, and what all of them
-- have to know.

CREATE TABLE hub (
    name text COLLATE "C" PRIMARY KEY,
    process text NOT NULL,           -- names its present process, as in change and lease
    url text,                        -- under which clients reach it
    version text NOT NULL,
    seen_at bigint NOT NULL          -- its last beat; 0 once it has stopped
);

CREATE TABLE lease (
    node text COLLATE "C" PRIMARY KEY,
    hub text COLLATE "C" NOT NULL,   -- its process
    term bigint NOT NULL,            -- names the stream among those of its hub
    since_at bigint NOT NULL,
    version text,                    -- of the watcher
    gateways text NOT NULL,          -- agent -> whether its gateway answers, a JSON object
    unconfigured text NOT NULL,      -- a JSON list
    gateway_kind text NOT NULL,
    renewed_at bigint NOT NULL
);
CREATE INDEX lease_hub ON lease (hub);

CREATE TABLE mute (
    agent text COLLATE "C" PRIMARY KEY,
    until_at bigint NOT NULL
);

-- Links that sign a browser in once, at whichever hub.
CREATE TABLE login_link (
    sha256 text COLLATE "C" PRIMARY KEY,
    token_sha256 text NOT NULL,
    expires_at bigint NOT NULL
);

-- The counters of all agents that a batch touched, as they are after it: rows of
-- [agent, unfetched, unread, last_seq], a JSON list. So other hubs need not read them.
ALTER TABLE change ADD COLUMN boxes text;
