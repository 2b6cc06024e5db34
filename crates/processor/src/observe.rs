//! The metrics of the processor: their names, and what each counts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub const EVENTS: &str = "processor_events_total";
pub const MALFORMED: &str = "processor_malformed_total";
pub const MISSING: &str = "processor_missing_total";
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

/// Describes each, once a process.
pub fn describe_metrics() {
    describe_counter!(EVENTS, "Records taken from the topic");
    describe_counter!(MALFORMED, "Records that are no event, kept as dead letters");
    describe_counter!(
        MISSING,
        "Offsets that retention removed before they were read"
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
}
