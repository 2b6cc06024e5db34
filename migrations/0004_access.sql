-- Who may use the API, whose a subscription is, and who changed what.

-- NULL: nobody's but the admins'. Names are kept apart within an owner's.
ALTER TABLE subscriptions
    ADD COLUMN owner text,
    DROP CONSTRAINT subscriptions_name_key,
    ADD CONSTRAINT subscriptions_name_key UNIQUE NULLS NOT DISTINCT (owner, name);

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    -- The part of the key that people may see.
    prefix       text NOT NULL,
    -- SHA-256 of the whole key. It has 256 random bits, which nobody guesses however fast the hash.
    hash         bytea NOT NULL CONSTRAINT api_keys_hash_key UNIQUE,
    role         text NOT NULL CHECK (role IN ('admin', 'subscriber')),
    -- Whose subscriptions a subscriber's key is for.
    owner        text,
    scopes       text[] NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text NOT NULL,
    revoked_at   timestamptz,
    CHECK ((role = 'subscriber') = (owner IS NOT NULL))
);

-- What was changed through the API, written in the transaction of the change.
CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    -- `key:` and its id, `admin-key` (ADMIN_API_KEY), `command`, or `off` (AUTH=off).
    who        text NOT NULL,
    role       text NOT NULL,
    action     text NOT NULL,
    kind       text NOT NULL,
    object_id  text NOT NULL,
    address    text,
    -- What was set, without secrets.
    changes    jsonb NOT NULL,
    request_id text NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_object ON audit (object_id, id);
