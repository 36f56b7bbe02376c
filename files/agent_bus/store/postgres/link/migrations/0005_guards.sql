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
