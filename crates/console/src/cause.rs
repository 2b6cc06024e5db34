//! The classes of failure and the states of things, in words. Pure.

/// A class of failure as one says it; one that is not known is said as it is.
pub fn words(class: &str) -> &str {
    match class {
        "dns" => "no address for its name",
        "connect_refused" => "connection refused",
        "connect_timeout" => "no connection in time",
        "connect" => "address not reachable",
        "tls" => "no TLS agreed on",
        "client_certificate" => "client certificate not accepted",
        "timeout" => "no answer in time",
        "reset" => "hung up before answering",
        "aborted" => "given up before it answered",
        "protocol" => "answer is no HTTP",
        "redirect" => "answered with a redirect",
        "gone" => "asked for no more (410)",
        "http_4xx" => "refused (4xx)",
        "http_429" => "asked for fewer requests (429)",
        "http_5xx" => "server error (5xx)",
        "blocked_address" => "address forbidden by egress rules",
        "proxy" => "egress proxy not usable",
        "invalid_request" => "event fits in no request",
        "oauth2_unavailable" => "no token: provider unavailable",
        "oauth2_blocked_address" => "no token: provider's address forbidden",
        "oauth2_bad_response" => "no token: provider's answer not understood",
        "oauth2_bad_key" => "no token: our key is not usable",
        "oauth2_invalid_client" => "no token: client not accepted",
        other => other,
    }
}

/// What the API advises, without the marks by which it names fields.
pub fn advice(hint: &str) -> String {
    hint.replace('`', "")
}

/// How good a state is: the class by which the stylesheet colours it.
pub fn tone(state: &str) -> &'static str {
    match state {
        "active" | "closed" | "delivered" | "completed" | "ok" => "good",
        "paused" | "pending" | "half_open" | "retry" | "running" | "postpone" => "fair",
        "disabled" | "open" | "dead" | "reject" | "malformed" | "exhausted" | "gone" => "bad",
        _ => "plain",
    }
}

/// A state as one says it.
pub fn state(state: &str) -> &str {
    match state {
        "half_open" => "half-open",
        "dead" => "dead letter",
        "exhausted" => "retries used up",
        "malformed" => "no event",
        other => other,
    }
}
