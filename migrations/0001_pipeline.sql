-- The tables of the delivery pipeline. No foreign key on hot tables: a row there must not
-- wait for, or fail because of, a subscription that is being changed.

-- Who wants events, and where.
CREATE TABLE subscriptions (
    id              uuid PRIMARY KEY,
    name            text NOT NULL CONSTRAINT subscriptions_name_key UNIQUE,
    description     text,
    url             text NOT NULL,
    -- Travels as `Authorization: Bearer …`; never read back.
    auth_key        text,
    -- NULL: every type (city). A type is exact, or ends in `.*`.
    event_types     text[],
    cities          text[],
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
    disabled_reason text,
    disabled_at     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

-- Processors listen, and read again what changed.
CREATE FUNCTION notify_subscription_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('subscription_changed', COALESCE(NEW.id, OLD.id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER subscription_changed AFTER INSERT OR UPDATE OR DELETE ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION notify_subscription_changed();

-- How far each partition is settled, and who may say so.
CREATE TABLE progress (
    -- Room to split a fan-out by subscription over replicas; 0 until then.
    shard        smallint NOT NULL DEFAULT 0,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    -- NULL until its first owner has chosen where to begin.
    next_offset  bigint,
    -- Raised by each new owner; a write under an older epoch changes nothing.
    epoch        bigint NOT NULL,
    owner        text NOT NULL,
    -- The last transaction that moved this row: tells whether one of unknown end was committed.
    flush_id     uuid,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, topic, partition)
) WITH (fillfactor = 50);

-- Deliveries settled beyond next_offset, one row a flush and partition: what a new owner
-- need not attempt again. Gone once next_offset has passed highest_offset.
CREATE TABLE settled_ahead (
    shard            smallint NOT NULL DEFAULT 0,
    topic            text NOT NULL,
    partition        integer NOT NULL,
    highest_offset   bigint NOT NULL,
    -- Pairs: the n-th offset is settled for the n-th subscription.
    offsets          bigint[] NOT NULL,
    subscription_ids uuid[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX settled_ahead_partition ON settled_ahead (shard, topic, partition, highest_offset);

-- Deliveries that wait for their time, each with all it needs to be sent.
CREATE TABLE pending_deliveries (
    subscription_id uuid NOT NULL,
    topic           text NOT NULL,
    partition       integer NOT NULL,
    event_offset    bigint NOT NULL,
    event_id        text NOT NULL,
    payload         bytea NOT NULL,
    content_type    text,
    traceparent     text,
    -- Attempts made so far; 0 when parked before the first or reprocessed.
    attempts        integer NOT NULL,
    due_at          timestamptz NOT NULL,
    -- Who holds it until due_at; NULL when nobody does.
    lease           uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- With the event's id: a topic that is made anew counts its offsets from 0 again.
    PRIMARY KEY (subscription_id, topic, partition, event_offset, event_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- "Which subscriptions have something due in my partitions", one probe a subscription.
CREATE INDEX pending_deliveries_due ON pending_deliveries (topic, partition, subscription_id, due_at);

-- What could not be delivered, until somebody reprocesses or deletes it.
CREATE TABLE dead_letters (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL: the record on the topic was no event.
    subscription_id uuid,
    topic           text NOT NULL,
    partition       integer NOT NULL,
    event_offset    bigint NOT NULL,
    event_id        text NOT NULL,
    payload         bytea NOT NULL,
    content_type    text,
    traceparent     text,
    reason          text NOT NULL CHECK (reason IN ('exhausted', 'gone', 'malformed')),
    attempts        integer NOT NULL,
    last_status     integer,
    last_error      text,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letters_subscription ON dead_letters (subscription_id, id);
-- A record that is no event is kept once, however often it is read.
CREATE UNIQUE INDEX dead_letters_malformed ON dead_letters (topic, partition, event_offset, event_id)
    WHERE subscription_id IS NULL;
CREATE INDEX dead_letters_reason ON dead_letters (reason, id);

-- One row a POST. Retention drops whole days.
CREATE TABLE attempts (
    attempted_at    timestamptz NOT NULL,
    subscription_id uuid NOT NULL,
    event_id        text NOT NULL,
    number          integer NOT NULL,
    latency_ms      integer NOT NULL,
    -- The HTTP status, where one was read.
    status          integer,
    -- NULL: delivered. Else the class of the failure.
    failure         text,
    -- The beginning of the response, for failures only.
    response        text
) PARTITION BY RANGE (attempted_at);
CREATE INDEX attempts_subscription ON attempts (subscription_id, attempted_at DESC);
-- Takes what has no day of its own, so that a missing day never holds up a delivery.
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
