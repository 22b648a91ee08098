//! Numbers for people: three or four digits and a unit.

use std::time::Duration;

use hyperfake_predictor::Prediction;

/// Such as `7.02 ms`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    nanoseconds(duration.as_nanos() as f64)
}

/// The same from a number of nanoseconds, which may be negative.
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    scaled(ns, 1000.0, &["ns", "us", "ms", "s"])
}

/// Such as `8.1 MB`.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB"])
}

/// Such as `1 thread` or `2 threads`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A prediction on one line.
#[must_use]
pub fn prediction(prediction: &Prediction) -> String {
    format!(
        "{}, {:.2} cores, {}",
        duration(prediction.runtime),
        prediction.cpu_cores,
        bytes(prediction.ram_bytes as f64)
    )
}

/// Text that another program sent, for a terminal: one line of at most 1,000 characters, in which what
/// would not be seen (control characters, those that change the direction of text) is escaped.
#[must_use]
pub fn foreign(text: &str) -> String {
    /// The most characters that are shown.
    const LONGEST: usize = 1000;
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown += "… (cut)";
    }
    shown
}

/// JSON in which what would not be seen is escaped, as in [`foreign`]; it stays the same JSON. All such
/// characters are within its texts.
#[must_use]
pub fn visible(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        let is_seen = matches!(character, '"' | '\'' | '\\' | '\n' | '\t')
            || character.escape_debug().count() == 1;
        if is_seen {
            shown.push(character);
        } else {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            shown.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    shown
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if value.abs() < step {
            break;
        }
        value /= step;
        unit = next;
    }
    let decimals = match value.abs() {
        _ if value == value.trunc() && value.abs() < step => 0,
        small if small < 10.0 => 3,
        medium if medium < 100.0 => 2,
        _ => 1,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_line_without_anything_that_steers_a_terminal() {
        for (text, shown) in [
            ("it's \"so\" \\o/", "it's \"so\" \\o/"),
            ("für 東京 🚀", "für 東京 🚀"),
            ("\x1b[31mred\x07\r\nforged: line\t\0", "\\u{1b}[31mred\\u{7}\\r\\nforged: line\\t\\0"),
            // The single character that some terminals take for the beginning of a sequence, and
            // one that reverses what follows.
            ("\u{9b}2J\u{202e}dlrow\u{7f}", "\\u{9b}2J\\u{202e}dlrow\\u{7f}"),
        ] {
            assert_eq!(foreign(text), shown);
        }
        assert_eq!(foreign(&"x".repeat(1001)), "x".repeat(1000) + "… (cut)");
    }

    #[test]
    fn numbers_have_a_few_digits_and_a_fitting_unit() {
        assert_eq!(duration(Duration::from_nanos(7_016_900)), "7.017 ms");
        assert_eq!(duration(Duration::ZERO), "0 ns");
        assert_eq!(duration(Duration::from_secs(67)), "67 s");
        assert_eq!(nanoseconds(-61_234.0), "-61.23 us");
        assert_eq!(bytes(134_217_728.0), "134.2 MB");
        assert_eq!(count(1, "thread"), "1 thread");
    }
}
