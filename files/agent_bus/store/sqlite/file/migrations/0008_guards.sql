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
