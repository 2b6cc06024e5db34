//! The metrics of the processor: their names, and what each counts.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

pub const EVENTS: &str = "processor_events_total";
pub const MALFORMED: &str = "processor_malformed_total";
pub const MISSING: &str = "processor_missing_total";
pub const PAUSES: &str = "processor_pauses_total";
pub const ATTEMPTS: &str = "processor_attempts_total";
pub const OUTCOMES: &str = "processor_outcomes_total";
pub const DELIVERY_SECONDS: &str = "processor_delivery_seconds";
pub const BUDGET_BYTES: &str = "processor_budget_bytes";
pub const IN_FLIGHT: &str = "processor_in_flight";
pub const QUEUED: &str = "processor_queued";
pub const SLOW: &str = "processor_slow_in_flight";
pub const TRIPS: &str = "processor_circuit_trips_total";
pub const DETACHED: &str = "processor_detached_total";
pub const STRETCHES: &str = "processor_cursors";
pub const FILTER_ERRORS: &str = "processor_filter_errors_total";
pub const RETENTION_USED: &str = "processor_cursor_retention_used_ratio";
pub const PARTITIONS: &str = "processor_partitions";
pub const PUBLISH_TO_DELIVERED: &str = "processor_publish_to_delivered_seconds";
pub const ATTEMPT_SECONDS: &str = "processor_attempt_seconds";
pub const CONNECTIONS: &str = "processor_connections_total";
pub const BUDGET_LIMIT: &str = "processor_budget_limit_bytes";
pub const FLUSH_SECONDS: &str = "processor_flush_seconds";
pub const FLUSH_OUTCOMES: &str = "processor_flush_outcomes";
pub const FLUSH_FAILURES: &str = "processor_flush_failures_total";
pub const LAG: &str = "processor_consumer_lag_events";
pub const UNSETTLED: &str = "processor_unsettled_events";
pub const CIRCUITS: &str = "processor_circuits";
pub const PENDING: &str = "processor_pending_deliveries";
pub const OLDEST_PENDING: &str = "processor_oldest_pending_seconds";
pub const DEAD_LETTERS: &str = "processor_dead_letters";
pub const ATTEMPTS_BYTES: &str = "processor_attempts_bytes";

/// Describes each, once a process.
pub fn describe_metrics() {
    describe_counter!(EVENTS, "Records taken from a topic, by pipeline");
    describe_counter!(MALFORMED, "Records that are no event, kept as dead letters");
    describe_counter!(
        MISSING,
        "Offsets that retention removed before they were read"
    );
    describe_counter!(
        PAUSES,
        "Times that the topic was paused for want of room, and what had been fetched thrown away"
    );
    describe_counter!(ATTEMPTS, "Attempts made or postponed, by verdict");
    describe_counter!(OUTCOMES, "Outcomes recorded, by outcome");
    describe_histogram!(
        DELIVERY_SECONDS,
        Unit::Seconds,
        "From taking an event from the topic to its delivery, by the first attempt"
    );
    describe_gauge!(BUDGET_BYTES, Unit::Bytes, "Held of the memory budget");
    describe_gauge!(IN_FLIGHT, "Fast requests in flight");
    describe_gauge!(SLOW, "Slow requests in flight");
    describe_counter!(TRIPS, "Circuits opened by this replica");
    describe_counter!(DETACHED, "Subscriptions detached from the log");
    describe_counter!(
        FILTER_ERRORS,
        "Filters that could not be evaluated over an event"
    );
    describe_gauge!(
        RETENTION_USED,
        "Of the topic's retention, how much has gone by for the cursor that is furthest behind"
    );
    describe_gauge!(STRETCHES, "Stretches of the log yet to be caught up with");
    describe_gauge!(QUEUED, "Deliveries queued in lanes");
    describe_gauge!(PARTITIONS, "Partitions owned");
    describe_gauge!(BUDGET_LIMIT, Unit::Bytes, "The memory budget");
    describe_attempts();
    describe_recording();
    describe_tables();
    // What has not happened yet is 0, and not unknown.
    for name in [
        MALFORMED,
        MISSING,
        PAUSES,
        TRIPS,
        DETACHED,
        FILTER_ERRORS,
        FLUSH_FAILURES,
    ] {
        counter!(name).absolute(0);
    }
}

fn describe_attempts() {
    describe_histogram!(
        PUBLISH_TO_DELIVERED,
        Unit::Seconds,
        "From publishing an event, by the broker's clock, to its delivery, by ours"
    );
    describe_histogram!(ATTEMPT_SECONDS, Unit::Seconds, "How long an attempt took");
    describe_counter!(
        CONNECTIONS,
        "Connections that attempts used, opened for them or reused"
    );
}

fn describe_recording() {
    describe_histogram!(
        FLUSH_SECONDS,
        Unit::Seconds,
        "How long recording took, however often it was tried"
    );
    describe_histogram!(FLUSH_OUTCOMES, "Outcomes that were recorded at once");
    describe_counter!(FLUSH_FAILURES, "Tries to record that failed");
    describe_gauge!(
        LAG,
        "Events of an owned partition that are not settled, those on the topic too"
    );
    describe_gauge!(
        UNSETTLED,
        "Events of an owned partition that were taken and are not settled"
    );
}

fn describe_tables() {
    describe_gauge!(CIRCUITS, "Subscriptions, by the state of their circuit");
    describe_gauge!(
        PENDING,
        "Deliveries that wait for their time, of all replicas"
    );
    describe_gauge!(
        OLDEST_PENDING,
        Unit::Seconds,
        "How long the oldest of them has been waiting"
    );
    describe_gauge!(DEAD_LETTERS, "Dead letters");
    describe_gauge!(
        ATTEMPTS_BYTES,
        Unit::Bytes,
        "What the record of attempts takes"
    );
}
