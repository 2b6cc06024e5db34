-- What deliveries carry besides, and whom their receivers let in.

ALTER TABLE subscriptions
    -- The names of the headers that each delivery carries; their values are among the secrets.
    ADD COLUMN header_names text[] NOT NULL DEFAULT '{}',
    -- As whom the receiver permitted deliveries in the handshake of CloudEvents' web hooks
    -- (`WebHook-Request-Origin`). NULL: it was not asked.
    ADD COLUMN permitted_origin text;

-- What may be told of the certificates that deliveries show; the keys are among the secrets.
CREATE TABLE client_certificates (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    subject         text NOT NULL,
    serial          text NOT NULL,
    -- SHA-256, in hexadecimal digits.
    fingerprint     text NOT NULL,
    not_after       timestamptz NOT NULL
);
