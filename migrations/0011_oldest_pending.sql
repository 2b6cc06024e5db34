-- "Since when does the oldest of all wait": the other index answers that for one subscription.
CREATE INDEX pending_deliveries_age ON pending_deliveries (created_at);
