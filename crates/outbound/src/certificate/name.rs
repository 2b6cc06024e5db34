//! Distinguished names as people read them (RFC 4514): the last part first, what is special escaped.
//! Pure.

use std::fmt::Write;

use super::{SEQUENCE, any_element, element};

const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;

/// The short names of RFC 4514, section 3, by the DER of their object identifiers.
const SHORT: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
];

/// The name of that DER.
pub fn written(mut der: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    while !der.is_empty() {
        let (set, rest) = element(der, SET)?;
        parts.push(part(set)?);
        der = rest;
    }
    parts.reverse();
    Some(parts.join(","))
}

/// As digits, without leading zeros that a sign asked for.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        bytes => bytes,
    };
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("text takes what is written to it");
        digits
    })
}

/// One or more attributes that stand together.
fn part(mut set: &[u8]) -> Option<String> {
    let mut attributes = Vec::new();
    while !set.is_empty() {
        let (attribute, rest) = element(set, SEQUENCE)?;
        let (kind, value) = element(attribute, OBJECT_IDENTIFIER)?;
        let (tag, content, _) = any_element(value)?;
        let known = SHORT.iter().find(|(der, _)| *der == kind);
        let kind = known.map_or_else(|| dotted(kind), |(_, short)| (*short).to_owned());
        let text = matches!(tag, UTF8 | PRINTABLE | IA5).then_some(content);
        let text = text.and_then(|content| std::str::from_utf8(content).ok());
        let value = text.map_or_else(|| format!("#{}", hexadecimal(value)), escaped);
        attributes.push(format!("{kind}={value}"));
        set = rest;
    }
    Some(attributes.join("+"))
}

/// An object identifier: the first byte has the first two numbers, the others have seven bits each.
fn dotted(der: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in der {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let first = numbers.first().copied().unwrap_or_default();
    let root = (first / 40).min(2);
    let rest = numbers.iter().skip(1);
    let rest: Vec<String> = rest.map(|number| format!(".{number}")).collect();
    format!("{root}.{}{}", first - root * 40, rest.concat())
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (n, c) in text.chars().enumerate() {
        let is_at_edge = (n == 0 && matches!(c, ' ' | '#')) || (n == last && c == ' ');
        if c.is_ascii_control() {
            write!(escaped, "\\{:02x}", u32::from(c)).expect("text takes what is written to it");
            continue;
        }
        if is_at_edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_in_a_name_is_escaped() {
        for (text, expected) in [
            ("a", "a"),
            ("", ""),
            (" a ", r"\ a\ "),
            ("#1", r"\#1"),
            ("a,b+c", r"a\,b\+c"),
            ("a\nb\0", r"a\0ab\00"),
            (" ", r"\ "),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn what_has_no_short_name_is_a_number_and_what_is_no_text_is_hexadecimal() {
        // 1.2.840.113549.1.9.1, an e-mail address, as an octet string.
        let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        assert_eq!(dotted(&oid), "1.2.840.113549.1.9.1");
        let attribute = [&[0x06, 9], &oid[..], &[0x04, 1, 0xff]].concat();
        let set = [&[0x30, 14], &attribute[..]].concat();
        assert_eq!(part(&set).unwrap(), "1.2.840.113549.1.9.1=#0401ff");
        assert_eq!(part(&set[..9]), None);
    }
}
