-- One index of all live deliveries instead of three: each one costs a page per recipient in every
-- commit. Queries take the ranks one by one; who sent a delivery is read from the index itself.
-- The release before has other plans for the same answers.

DROP INDEX delivery_inbox;
DROP INDEX delivery_agent;
DROP INDEX delivery_pair;
CREATE INDEX delivery_all ON delivery (agent, rank, seq, sender);
