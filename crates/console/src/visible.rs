//! Characters that steer a terminal, or turn the direction of what is around them, are shown and not
//! obeyed. Pure.
//!
//! This looks at whole pages: templates have none of these, so that each is out of what somebody wrote,
//! wherever that stands.

/// The page, with a sign in place of each.
pub fn page(html: String) -> String {
    if !html.chars().any(is_steering) {
        return html;
    }
    let mut shown = String::with_capacity(html.len());
    for character in html.chars() {
        if is_steering(character) {
            shown.push_str(&sign(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// What stands for it.
fn sign(it: char) -> String {
    let code = u32::from(it);
    // The control pictures of Unicode stand in the order of what they are of.
    let picture = match code {
        0..0x20 => char::from_u32(0x2400 + code),
        0x7f => Some('\u{2421}'),
        _ => None,
    };
    picture.map_or_else(|| format!("[U+{code:04X}]"), String::from)
}

/// Controls but for the ends of lines and tabs, and what overrides or embeds directions.
fn is_steering(it: char) -> bool {
    let is_text = matches!(it, '\n' | '\r' | '\t');
    let turns = matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (it.is_control() && !is_text) || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_shown_and_all_else_is_as_it_was() {
        let plain = "<p>Málaga\t→ 東京\r\n\u{200f}</p>";
        assert_eq!(page(plain.into()), plain);
        assert_eq!(
            page("a\u{1b}[31m\0\u{7f}\u{9b}\u{202e}b".into()),
            "a␛[31m␀␡[U+009B][U+202E]b"
        );
    }
}
