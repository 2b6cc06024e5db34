-- What is secret of a subscription, sealed under a key that is not in the database: the key that
-- signs its deliveries, and how they authenticate.
ALTER TABLE subscriptions
    -- Nonce, ciphertext and tag of AES-256-GCM; NULL until a program with the keys has started.
    ADD COLUMN secrets bytea,
    -- Which of SECRETS_KEYS opens it.
    ADD COLUMN secrets_key_id text,
    -- How deliveries authenticate, without what is secret of that.
    ADD COLUMN auth_kind text NOT NULL DEFAULT 'none'
        CHECK (auth_kind IN ('none', 'bearer', 'basic', 'header')),
    ADD CONSTRAINT subscriptions_secrets_sealed
        CHECK ((secrets IS NULL) = (secrets_key_id IS NULL));

-- What was stored in plain text before is sealed at the next start, and is NULL from then on.
CREATE INDEX subscriptions_unsealed ON subscriptions (id) WHERE secrets IS NULL;
