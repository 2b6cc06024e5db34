-- Isolation: each subscription's policy, its circuit, and what it has to catch up with.

-- NULL in a policy column: the processor's default.
ALTER TABLE subscriptions
    DROP CONSTRAINT subscriptions_state_check,
    ADD CONSTRAINT subscriptions_state_check CHECK (state IN ('active', 'paused', 'disabled')),
    ADD COLUMN retry_schedule_ms bigint[],
    -- Older events are not delivered any more.
    ADD COLUMN max_age_ms        bigint,
    ADD COLUMN timeout_ms        bigint,
    -- Deliveries a second, over all replicas.
    ADD COLUMN rate_limit        double precision,
    ADD COLUMN max_in_flight     integer,
    -- 'per_key': one city's events one after another.
    ADD COLUMN ordering          text NOT NULL DEFAULT 'none' CHECK (ordering IN ('none', 'per_key')),
    -- 'latest_per_key': of what waits, only the newest of each city.
    ADD COLUMN coalesce          text NOT NULL DEFAULT 'none'
        CHECK (coalesce IN ('none', 'latest_per_key')),
    -- A CEL expression over the event.
    ADD COLUMN filter            text,
    -- After how long of nothing but failures it is disabled.
    ADD COLUMN disable_after_ms  bigint;

-- What its receiver's failures say of a subscription. No row: it is closed, and nothing failed
-- since the last success.
CREATE TABLE circuits (
    subscription_id uuid PRIMARY KEY,
    state           text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    -- The first failure after the last success, the latest, and its class.
    failing_since   timestamptz,
    last_failure_at timestamptz,
    last_failure    text,
    opened_at       timestamptz,
    -- Open: when it may be probed. Half-open: when its probe counts as lost.
    probe_at        timestamptz,
    -- How long the next wait is, before jitter.
    probe_delay_ms  bigint NOT NULL DEFAULT 0,
    -- Half-open: the replica that probes.
    prober          text,
    updated_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX circuits_probe ON circuits (probe_at) WHERE state <> 'closed';

CREATE FUNCTION notify_circuit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('subscription_changed', COALESCE(NEW.subscription_id, OLD.subscription_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER circuit_inserted AFTER INSERT ON circuits
    FOR EACH ROW WHEN (NEW.state <> 'closed') EXECUTE FUNCTION notify_circuit_changed();
-- Only what another replica must know: a failure that trips nothing concerns nobody else.
CREATE TRIGGER circuit_changed AFTER UPDATE ON circuits
    FOR EACH ROW WHEN (NEW.state IS DISTINCT FROM OLD.state OR NEW.prober IS DISTINCT FROM OLD.prober)
    EXECUTE FUNCTION notify_circuit_changed();
CREATE TRIGGER circuit_deleted AFTER DELETE ON circuits
    FOR EACH ROW WHEN (OLD.state <> 'closed') EXECUTE FUNCTION notify_circuit_changed();

-- Stretches of a partition's log that a subscription has yet to get: one a partition, however
-- many events that is. While end_offset is NULL the subscription is detached from the log there.
CREATE TABLE cursors (
    subscription_id uuid NOT NULL,
    topic           text NOT NULL,
    partition       integer NOT NULL,
    next_offset     bigint NOT NULL,
    end_offset      bigint,
    -- How much of the topic's retention has gone by for next_offset, 0 to 1.
    retention_used  real NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX cursors_partition ON cursors (topic, partition);

-- Stretches that somebody asked to be sent again, in the same way.
CREATE TABLE replays (
    id              uuid PRIMARY KEY,
    subscription_id uuid NOT NULL,
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    -- Deliveries a second at most.
    rate            double precision,
    state           text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'cancelled')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz
);
CREATE INDEX replays_subscription ON replays (subscription_id, id);
CREATE TABLE replay_ranges (
    replay_id    uuid NOT NULL,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset  bigint NOT NULL,
    end_offset   bigint NOT NULL,
    -- Deliveries of it that are settled.
    settled      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (replay_id, topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX replay_ranges_open ON replay_ranges (topic, partition) WHERE next_offset < end_offset;
CREATE FUNCTION notify_replay_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('replay_changed', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER replay_changed AFTER INSERT OR UPDATE OF state ON replays
    FOR EACH ROW EXECUTE FUNCTION notify_replay_changed();

-- NULL key: it waits for no other. published_at is the record's time.
ALTER TABLE pending_deliveries
    ADD COLUMN event_key    text,
    ADD COLUMN published_at timestamptz,
    ADD COLUMN replay_id    uuid,
    -- What is pending stays so, whatever becomes of a replay of the same event.
    DROP CONSTRAINT pending_deliveries_pkey;
CREATE UNIQUE INDEX pending_deliveries_key ON pending_deliveries
    (subscription_id, topic, partition, event_offset, event_id, replay_id) NULLS NOT DISTINCT;

-- "What stands before this delivery of its key."
CREATE INDEX pending_deliveries_keys ON pending_deliveries
    (subscription_id, topic, partition, event_key, event_offset) WHERE event_key IS NOT NULL;

-- What was not delivered and is no dead letter either, by its policy: counted, never silently.
CREATE TABLE undelivered (
    subscription_id uuid NOT NULL,
    outcome         text NOT NULL CHECK (outcome IN ('expired', 'superseded')),
    count           bigint NOT NULL,
    PRIMARY KEY (subscription_id, outcome)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- Operational events, written with what they tell of, and published from here.
CREATE TABLE operations (
    id              uuid PRIMARY KEY,
    event_type      text NOT NULL,
    subscription_id uuid NOT NULL,
    body            text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    published_at    timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX operations_unpublished ON operations (id) WHERE published_at IS NULL;
CREATE INDEX operations_latest ON operations (subscription_id, event_type, created_at);
