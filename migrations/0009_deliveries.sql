-- The record says of which delivery each attempt was, how it went, and what became of it.
-- What was recorded before does not say that, and nothing reads it: the record begins anew.
DROP TABLE attempts;

-- What had become of a delivery when the row was written.
CREATE TYPE outcome AS ENUM ('delivered', 'pending', 'dead', 'expired', 'superseded');

-- One row a POST, and one for what became of a delivery without a POST. Rows are added, and
-- retention drops whole days; only what a receiver sent can be erased. A delivery is the
-- subscription, the event's place and id, and the replay; its latest row says what it is.
CREATE TABLE attempts (
    attempted_at     timestamptz NOT NULL,
    -- The transaction that wrote it. What is older than all that run is complete, in this order.
    recorded_in      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    subscription_id  uuid NOT NULL,
    replay_id        uuid,
    event_offset     bigint NOT NULL,
    partition        integer NOT NULL,
    -- Attempts made by then.
    number           integer NOT NULL,
    outcome          outcome NOT NULL,
    -- All in microseconds. No total: no POST was made. Of the others those steps that were taken.
    total_us         integer,
    dns_us           integer,
    connect_us       integer,
    tls_us           integer,
    first_byte_us    integer,
    -- The HTTP status, where one was read.
    status           integer,
    certificate_days integer,
    -- Whether the connection was there before; NULL: there was none.
    reused           boolean,
    topic            text NOT NULL,
    event_id         text NOT NULL,
    -- The city, or of whom an operational event tells.
    event_key        text,
    remote_address   text,
    tls_version      text,
    -- NULL: no POST failed. Else the class of the failure.
    failure          text,
    -- Of failures only, where something was sent: both as a JSON object, and the body's beginning.
    request_headers  text,
    response_headers text,
    response         text
) PARTITION BY RANGE (attempted_at);
-- Takes what has no day of its own, so that a missing day never holds up a delivery.
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

-- "What happened lately", of a subscription and of all.
CREATE INDEX attempts_subscription ON attempts (subscription_id, attempted_at);
CREATE INDEX attempts_time ON attempts (attempted_at);
-- The same of what is not delivered, which is rare among what is.
CREATE INDEX attempts_subscription_failed ON attempts (subscription_id, attempted_at)
    WHERE outcome <> 'delivered';
CREATE INDEX attempts_time_failed ON attempts (attempted_at) WHERE outcome <> 'delivered';
-- "What became of this event", and of this delivery.
CREATE INDEX attempts_event ON attempts (event_id, subscription_id);
-- "What was recorded since", for who watches. A flush is one entry of it, with a list of rows.
CREATE INDEX attempts_recorded ON attempts (recorded_in);

-- Of which replay a dead letter is, so that what is sent again is the same delivery.
ALTER TABLE dead_letters ADD COLUMN replay_id uuid;
-- "The dead letter of this delivery."
CREATE INDEX dead_letters_event ON dead_letters (event_id, subscription_id);
