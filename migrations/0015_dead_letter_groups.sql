-- Dead letters by what they have in common: read from the index alone, however many there are, and in the
-- order in which a group is sent again.
CREATE INDEX dead_letters_group ON dead_letters (subscription_id, reason, last_error, created_at)
    WHERE subscription_id IS NOT NULL;

-- What is said of a record that is no event may repeat a part of it. A group is named by that, in URLs too;
-- what is written from now on is no longer than this.
UPDATE dead_letters SET last_error = left(last_error, 300)
WHERE reason = 'malformed' AND length(last_error) > 300;
