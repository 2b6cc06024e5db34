-- Sessions: keys that last for hours, of who signed in by a link or by a provider.

ALTER TABLE api_keys ADD COLUMN kind text NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'session')),
    ADD CHECK (kind = 'key' OR expires_at IS NOT NULL);
CREATE INDEX api_keys_sessions ON api_keys (expires_at) WHERE kind = 'session';

-- Links that sign in one owner's people, once. One that was used is removed, in the transaction that
-- begins its session.
CREATE TABLE portal_links (
    id         uuid PRIMARY KEY,
    -- SHA-256 of the token in the link, which has 256 random bits.
    hash       bytea NOT NULL CONSTRAINT portal_links_hash_key UNIQUE,
    owner      text NOT NULL,
    scopes     text[] NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX portal_links_expires_at ON portal_links (expires_at);
