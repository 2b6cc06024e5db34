-- The public halves of the keys that sign with Ed25519, for anybody to verify with. Written with the
-- secrets of their subscription, which have the private halves.
CREATE TABLE public_keys (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    -- Under which the keys of one subscription are found, now and after an exchange. Random: it says
    -- nothing of the subscription.
    key_set         uuid NOT NULL,
    -- The key's thumbprint (RFC 7638).
    kid             text NOT NULL CONSTRAINT public_keys_kid_key UNIQUE,
    key             bytea NOT NULL CHECK (octet_length(key) = 32),
    -- When it no longer signs. NULL: not before another takes its place.
    ends_at         timestamptz
);
CREATE INDEX public_keys_subscription ON public_keys (subscription_id);
CREATE INDEX public_keys_key_set ON public_keys (key_set);
