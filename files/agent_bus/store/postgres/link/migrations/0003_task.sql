-- A2A tasks. A task is made by one message, in the same transaction; the message's pk and id are
-- the task's, too. Whoever stores a reply, an expiry or a retirement ends the task with it.

CREATE TABLE task (
    pk bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    thread_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,   -- who asked
    agent text COLLATE "C" NOT NULL,   -- who is to answer
    client_id text,                  -- the id that the client gave its message
    context_name text COLLATE "C",   -- the client's name for its context; null: the thread's id
    state text COLLATE "C" NOT NULL,   -- open, completed, failed, canceled, rejected
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,      -- when it was made or ended
    answer_id text                   -- the message that completed it
);
CREATE INDEX task_owner ON task (owner, agent, updated_at, pk);
CREATE INDEX task_state ON task (owner, agent, state, updated_at, pk);
CREATE INDEX task_thread ON task (thread_id, updated_at, pk);
CREATE INDEX task_context ON task (owner, agent, thread_id, updated_at, pk);
CREATE INDEX task_name ON task (owner, agent, context_name, pk) WHERE context_name IS NOT NULL;
CREATE INDEX task_agent ON task (agent, state);
