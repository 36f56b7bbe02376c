-- Guards on money and rights. Each part has a heading.

-- The operator's rules, a set per row, in canonical JSON: they come with the roster as a whole and
-- are read as a whole.
CREATE TABLE policy (
    name TEXT PRIMARY KEY,
    rules TEXT NOT NULL
) WITHOUT ROWID;
