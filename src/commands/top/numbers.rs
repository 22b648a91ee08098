//! Numbers as they fit into a few columns.

use crate::report::format;

/// Such as `0.3`, `12`, `1234` or `56.8 k`.
pub(super) fn number(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0".to_owned(),
        small if small.abs() < 10.0 && small.fract() != 0.0 => format!("{small:.1}"),
        medium if medium.abs() < 1e4 => format!("{medium:.0}"),
        large if large.abs() < 1e6 => format!("{:.1} k", large / 1e3),
        huge => format!("{:.1} M", huge / 1e6),
    }
}

/// Such as `7.02 ms`; a dash for what is not known.
pub(super) fn seconds(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |seconds| format::nanoseconds((seconds * 1e9).round()))
}

/// Such as `12 %`; a dash for what is not known.
pub(super) fn percent(share: Option<f64>) -> String {
    let digits = |percent: f64| usize::from(percent > 0.0 && percent < 10.0);
    let text = |percent: f64| format!("{percent:.*} %", digits(percent));
    share.map_or("-".to_owned(), |share| text(100.0 * share))
}

/// Such as `3 d 4 h`, `5 min 6 s`.
pub(super) fn age(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let [days, hours, minutes] = [whole / 86_400, whole / 3600 % 24, whole / 60 % 60];
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", whole % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.25, 7.0, 12.3, 9999.0, 56_789.0, 2.5e6].map(number);
        assert_eq!(shown, ["0", "0.2", "7", "12", "9999", "56.8 k", "2.5 M"]);
        let shown = [Some(0.0), Some(0.005), Some(0.5), Some(1.0), None].map(percent);
        assert_eq!(shown, ["0 %", "0.5 %", "50 %", "100 %", "-"]);
        assert_eq!([Some(0.007_016_9), None].map(seconds), ["7.017 ms", "-"]);
        let shown = [59.9, 61.0, 3_720.0, 90_000.0, -1.0].map(age);
        assert_eq!(shown, ["59 s", "1 min 1 s", "1 h 2 min", "1 d 1 h", "0 s"]);
    }
}
