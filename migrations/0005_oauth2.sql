-- Deliveries can authenticate by a token that a token endpoint gives (RFC 6749, section 4.4). What is
-- needed to ask for one is sealed with the other secrets.
ALTER TABLE subscriptions
    DROP CONSTRAINT subscriptions_auth_kind_check,
    ADD CONSTRAINT subscriptions_auth_kind_check
        CHECK (auth_kind IN ('none', 'bearer', 'basic', 'header', 'oauth2'));
