-- The operator's page: sessions, which outlive a restart of the hub, and what was done by hand.

CREATE TABLE session (
    sha256 TEXT PRIMARY KEY,         -- of the cookie, which itself is kept nowhere
    token_sha256 TEXT NOT NULL,      -- of the admin token that opened it; rotated out, it ends
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
    pk INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    address TEXT NOT NULL,           -- whence the request came
    action TEXT NOT NULL,            -- sign_in, send, ack, wake, mute, ...
    agent TEXT,                      -- whom it was about, where it was about one
    detail TEXT NOT NULL,            -- what was asked, a JSON object, without bodies
    outcome TEXT NOT NULL            -- done, or the code of the problem
);
