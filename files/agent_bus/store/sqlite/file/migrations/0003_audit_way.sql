-- How the operator did it: by a click on the page, or by a call with the admin token. A release
-- before this one writes no `way`; all it writes down are clicks.
ALTER TABLE audit ADD COLUMN way TEXT NOT NULL DEFAULT 'page';
