-- Guards on money and rights: the same tables as SQLite's. Each part has a heading.

-- The operator's rules, a set per row, in canonical JSON: they come with the roster as a whole and
-- are read as a whole.
CREATE TABLE policy (
    name text COLLATE "C" PRIMARY KEY,
    rules text NOT NULL
);
