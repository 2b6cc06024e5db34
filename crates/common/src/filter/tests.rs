//! Tables of filters: what they match, what they refuse and where, and what hostile ones cost.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::*;

const TOKYO: &str = r#"{"id":"a.b","type":"temperature.updated","city":"Tokyo","reading":31,
    "previous_reading":29.5,"unit":"C","big":9007199254740993,"tags":["hot","dry"],
    "station":{"name":"S1","height":40},"note":null,"rain":false}"#;

fn matches(filter: &str, event: &str) -> Result<bool, String> {
    let filter = Filter::compile(filter).map_err(|error| error.to_string())?;
    let event = Event::parse(event.as_bytes()).expect("JSON");
    filter.matches(&event).map_err(|error| error.to_string())
}

#[test]
fn a_filter_matches_what_it_says() {
    for (filter, expected) in [
        ("true", true),
        (r#"event.reading > 30.0 && event.city == "Tokyo""#, true),
        ("event.reading > 30 && event.city == 'Oslo'", false),
        (r#"event.city in ["Oslo", "Tokyo"]"#, true),
        (r#"!(event.city in ["Oslo"])"#, true),
        (
            r#"event.city.startsWith("To") && event.city.endsWith("yo")"#,
            true,
        ),
        (r#"event.city.contains("ky") || false"#, true),
        ("size(event.city) == 5", true),
        ("event.city.size() == 5", true),
        ("event.rain", false),
        ("event.rain ? false : event.reading > 30", true),
        ("event.note == null", true),
        ("has(event.note) && !has(event.wind)", true),
        ("!has(event.wind) || event.wind > 3", true),
        ("has(event.station.name) && event.station.height > 39", true),
        (r#"event["city"] == "Tokyo""#, true),
        (r#"event.tags[1] == "dry" && "hot" in event.tags"#, true),
        ("size(event.tags) == 2", true),
        (r#"string(event.reading) + "C" == "31C""#, true),
        (r#"event.city == "東京""#, false),
        ("int(event.reading) % 2 == 1", true),
        ("event.city\n  == \"Tokyo\" // here", true),
    ] {
        assert_eq!(matches(filter, TOKYO), Ok(expected), "{filter}");
    }
}

#[test]
fn whole_numbers_and_fractions_compare_and_calculate_alike() {
    for (reading, filter, expected) in [
        ("31", "event.x > 30", true),
        ("30.5", "event.x > 30", true),
        ("30", "event.x > 30", false),
        ("30.0", "event.x >= 30 && event.x <= 30.0", true),
        ("30", "event.x == 30.0 && event.x == 30", true),
        ("30.0", "event.x == 30", true),
        ("-3", "event.x < -2.5 && event.x == -3", true),
        ("23", "event.x / 2 == 11.5", true),
        ("23.0", "event.x / 2 == 11.5", true),
        ("20", "event.x * 9 / 5 + 32 == 68", true),
        ("20.0", "event.x - 0.5 > 19 && 40 - event.x == 20", true),
        ("20", "event.x in [10, 20]", true),
        ("20.0", "event.x in [-20, 20]", true),
        ("20", "event.x != 20u", false),
        ("9007199254740993", "event.x == 9007199254740993", true),
        ("9007199254740993", "event.x == 9007199254740995", false),
        ("18446744073709551615", "event.x > 1", true),
    ] {
        let event = format!(r#"{{"x":{reading}}}"#);
        assert_eq!(matches(filter, &event), Ok(expected), "{reading}: {filter}");
    }
}

#[test]
fn what_has_no_answer_is_an_error_and_no_match() {
    for filter in [
        "event.wind > 3",
        "event.station.owner == 'x'",
        "event.city > 3",
        "event.city + 3 == 'x'",
        "event.note > 3",
        "event.tags[7] == 'x'",
        "event.reading",
        "event.reading && true",
        "event.reading % 2 == 1",
        "event.city.contains(3)",
        "int('abc') == 3",
    ] {
        assert!(Filter::compile(filter).is_ok(), "{filter}");
        assert!(matches(filter, TOKYO).is_err(), "{filter}");
    }
    // A missing field decides nothing where the other side does.
    assert_eq!(
        matches("event.wind > 3 || event.reading > 30", TOKYO),
        Ok(true)
    );
    assert_eq!(matches("event.wind > 3 && event.rain", TOKYO), Ok(false));
}

#[test]
fn a_broken_filter_is_refused_with_its_place() {
    for (filter, line, column, reason) in [
        ("", 1, 1, ""),
        ("event.reading >", 1, 16, ""),
        ("event.reading > > 3", 1, 17, ""),
        ("(event.reading > 3", 1, 19, ""),
        ("event.reading > 3)", 1, 18, ""),
        ("true &&\n  event.reading ==", 2, 19, ""),
        ("event.city == \"Tokyo", 1, 15, ""),
        ("reading > 30", 1, 1, "there is no `reading`"),
        ("'é' == 'é' && city == 'Tokyo'", 1, 15, "there is no `city`"),
        ("'éé' == event.city >", 1, 21, ""),
        ("true &&\n  wind > 3", 2, 3, "there is no `wind`"),
        ("event.city.matches('x')", 1, 19, "no function `matches`"),
        (
            "event.tags.exists(t, t == 'x')",
            1,
            18,
            "no function `exists`",
        ),
        ("now() > 3", 1, 4, "no function `now`"),
        ("has(event)", 1, 5, "has() takes a field"),
        ("event.reading + 1", 1, 15, "must be true or false"),
        ("'x'", 1, 1, "must be true or false"),
        ("event", 1, 1, "must be true or false"),
        ("{'a': 1}.a == 1", 1, 1, "no maps"),
        ("event.city in [event.city]", 1, 21, "a list has"),
        ("event.?city == 'x'", 1, 6, ""),
    ] {
        let error = Filter::compile(filter).expect_err(filter);
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{filter}: {error}"
        );
        assert!(error.reason.contains(reason), "{filter}: {error}");
        assert!(!error.reason.is_empty(), "{filter}");
    }
}

#[test]
fn the_length_is_bounded() {
    let longest = format!("event.city == '{}'", "x".repeat(MAX_FILTER_BYTES - 16));
    assert_eq!(longest.len(), MAX_FILTER_BYTES);
    assert!(Filter::compile(&longest).is_ok());
    let error = Filter::compile(&(longest + " ")).expect_err("too long");
    assert!(error.reason.contains("1024"), "{error}");
}

/// As long as a filter may be: `unit` again and again, and `end`.
fn filled(start: &str, unit: &str, end: &str) -> String {
    let room = MAX_FILTER_BYTES - start.len() - end.len();
    format!("{start}{}{end}", unit.repeat(room / unit.len()))
}

#[test]
fn a_hostile_filter_neither_breaks_nor_holds_up_the_parser() {
    let nested = |open: &str, close: &str, inner: &str| {
        let depth = (MAX_FILTER_BYTES - inner.len()) / (open.len() + close.len());
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    for filter in [
        nested("(", ")", "true"),
        nested("[", "]", "1"),
        nested("{1:", "}", "1"),
        nested("size(", ")", "'x'"),
        nested("event[", "]", "'x'"),
        filled("", "!", "true"),
        filled("", "-", "1 == 1"),
        filled("", "- ", "1 == 1"),
        filled("", "true?true:", "true"),
        filled("", "true?", "true"),
        filled("event", ".a", ""),
        filled("event", ".a()", ""),
        filled("event", "[0]", ""),
        filled("1", "+1", " == 1"),
        filled("1", "*1", " == 1"),
        filled("true", "&&true", ""),
        filled("true", "||true", ""),
        filled("true", "==true", ""),
        filled("1", "<1", ""),
        filled("", "(", ""),
        filled("", ")", ""),
        filled("", "[", ""),
        filled("", "a b ", ""),
        filled("", "'", ""),
        filled("", "\"\\", ""),
        filled("", "`", ""),
        filled("", "\u{1F600}", ""),
        filled("", "\0", ""),
        filled("", "@#$", ""),
        filled("", "9", ""),
        filled("[", "event,", "event] == 1"),
        filled("event.x.map(a,", "event.x.map(a,", "1"),
        filled("f(", "f(", ""),
        filled("", "r'''", ""),
        "'\\xff\\u{110000}\\ud800' == ''".into(),
        "b'\\xff' == b''".into(),
        "0x == 1".into(),
        "9999999999999999999999 > event.x".into(),
        "-9223372036854775808 < event.x".into(),
        "1e999 > 1".into(),
    ] {
        let began = Instant::now();
        let compiled = Filter::compile(&filter);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}: {filter}");
        if let Ok(filter) = compiled {
            drop(filter.matches(&Event::from(json!({"x": 1}))));
        }
    }
}

#[test]
fn the_worst_filter_over_the_largest_event_ends_soon() {
    let text = "x".repeat(60 * 1024);
    let numbers: Vec<usize> = (0..10_000).collect();
    let fields: serde_json::Map<_, _> = (0..4000).map(|n| (format!("f{n}"), json!(n))).collect();
    let event = Event::from(json!({"a": text, "n": numbers, "o": fields}));
    for filter in [
        format!("event.a{} == ''", "+event.a".repeat(16)),
        filled("true", "&&event.o==event.o", ""),
        filled("true", "&&event.n==event.n", ""),
        filled("true", "&&!('x' in event.n)", ""),
        filled("true", "&&!event.a.contains('xy')", ""),
        filled("true", "&&size(event.a)>1", ""),
        filled("true", "&&string(event.a)!=''", ""),
    ] {
        let compiled = Filter::compile(&filter).expect(&filter);
        let began = Instant::now();
        compiled.matches(&event).expect(&filter);
        let took = began.elapsed();
        assert!(took < Duration::from_millis(500), "{took:?}: {filter}");
    }
}

#[test]
fn filters_and_events_go_from_task_to_task() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<Filter>();
    goes::<Event>();
    goes::<Error>();
    goes::<EvaluationError>();
}
