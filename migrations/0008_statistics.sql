-- Statistics: what became of deliveries, counted by the minute, the hour and the day.

-- What one replica counted between two of its flushes, as a tally of `processor::statistics`.
-- Inserted only; folding removes it.
CREATE TABLE statistics_deltas (
    replica    uuid NOT NULL,
    -- Counts up; a flush of unknown end that is written again is the same row.
    number     bigint NOT NULL,
    tally      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (replica, number)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- It is packed already.
ALTER TABLE statistics_deltas ALTER COLUMN tally SET STORAGE EXTERNAL;
CREATE INDEX statistics_deltas_age ON statistics_deltas (created_at);

-- Counts by whom or what they are about, and by what became of the deliveries.
CREATE TABLE statistics (
    -- Where the cell begins, and how long it is: a minute, an hour, a day (UTC).
    at           timestamptz NOT NULL,
    step_seconds integer NOT NULL,
    -- What the key names: nothing, an owner, a subscription, a city, nothing (all other cities).
    family       text NOT NULL
        CHECK (family IN ('all', 'owner', 'subscription', 'city', 'other_cities')),
    key          text COLLATE "C" NOT NULL,
    outcome      text NOT NULL,
    -- The class of the failure; '' of what did not fail.
    failure      text NOT NULL,
    -- Deliveries with this outcome, and attempts that were made of them for it.
    count        bigint NOT NULL,
    attempts     bigint NOT NULL,
    -- The receiver's latency: summed up, and as `common::statistics::Histogram`.
    latency_us   bigint NOT NULL,
    latency      bytea NOT NULL,
    -- From publishing to delivered, in the same way.
    delay_us     bigint NOT NULL,
    delay        bytea NOT NULL,
    -- The time first: what is written lies together, and what is too old too.
    PRIMARY KEY (at, family, key, outcome, failure, step_seconds)
) PARTITION BY LIST (step_seconds);
-- Minutes: retention drops whole days, of which the maintainer makes a partition each.
CREATE TABLE statistics_minutes PARTITION OF statistics FOR VALUES IN (60) PARTITION BY RANGE (at);
CREATE TABLE statistics_minutes_default PARTITION OF statistics_minutes DEFAULT;
CREATE TABLE statistics_hours PARTITION OF statistics FOR VALUES IN (3600)
    WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE statistics_days PARTITION OF statistics FOR VALUES IN (86400)
    WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- How far the counting is. Its one row is also the lock of who folds and rolls up.
CREATE TABLE statistics_state (
    one_row      boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    -- What was recorded by then is counted in `statistics`.
    folded_at    timestamptz NOT NULL,
    -- Minutes before this are counted in their hour and day; a delta that comes late counts here.
    rolled_until timestamptz NOT NULL
);
INSERT INTO statistics_state (folded_at, rolled_until)
VALUES (now(), date_bin('5 minutes', now(), '2000-01-01 00:00:00+00'));

-- "The oldest that waits for this subscription", and how many there are, without its rows.
CREATE INDEX pending_deliveries_oldest ON pending_deliveries (subscription_id, created_at);
