-- Which processes run, and with which settings. A process refreshes its row, and removes it when it
-- stops; nothing else depends on this table.
CREATE TABLE instances (
    id         uuid PRIMARY KEY,
    -- As `api`, `processor`.
    service    text NOT NULL,
    version    text NOT NULL,
    host       text NOT NULL,
    pid        bigint NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now(),
    -- A list, without secrets.
    settings   jsonb NOT NULL
);
