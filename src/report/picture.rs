//! The picture of a record: latencies over time and, below, what failed.

mod axis;

use std::{
    io,
    time::{Duration, UNIX_EPOCH},
};

use hyperfake_predictor::{Error, Result};
use plotters::{coord::Shift, prelude::*};

pub(crate) use self::axis::Axis;
use super::format;
use crate::record::{Window, Windows};

/// In pixels; of the height, the latencies have this much.
const SIZE: (u32, u32) = (1000, 640);
const UPPER: i32 = 390;
/// Fonts, of which plotters makes the sizes a fifth smaller.
const CAPTION: (&str, i32) = ("sans-serif", 20);
const TEXT: (&str, i32) = ("sans-serif", 15);
/// Places for labels left of and below a chart, in pixels.
const LEFT: i32 = 80;
const BELOW: i32 = 48;

/// The colours can be told apart by people who see fewer of them (Okabe and Ito, 2008).
const PERCENTILES: [(&str, f64, RGBColor); 3] = [
    ("p50", 0.5, RGBColor(0, 114, 178)),
    ("p90", 0.9, RGBColor(230, 159, 0)),
    ("p99", 0.99, RGBColor(213, 94, 0)),
];
const FAILURES: [RGBColor; 6] = [
    RGBColor(204, 121, 167),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
];
const OTHERS: RGBColor = RGBColor(127, 127, 127);

/// Behind names in capitals, which are wider than plotters takes them for.
const WIDER: &str = "\u{a0}\u{a0}";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<io::Error>>;

/// Draws the calls that these windows have, as SVG whose text is text.
///
/// # Errors
///
/// `Internal` when it cannot be drawn.
pub(crate) fn picture(windows: &Windows) -> Result<String> {
    let mut svg = String::new();
    let drawn = draw(windows, &mut svg);
    drawn.map_err(|error| {
        Error::internal("cannot draw the picture").with_source(error.to_string())
    })?;
    Ok(svg)
}

fn draw(windows: &Windows, svg: &mut String) -> Drawn {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(UPPER);
    let time = TimeAxis::of(windows);
    draw_latencies(&upper, windows, &time)?;
    draw_failures(&lower, windows, &time)?;
    root.present()
}

/// The horizontal axis of both charts.
struct TimeAxis {
    /// The nanosecond of Unix time at which it begins.
    begin: u64,
    /// The end, in the unit.
    end: f64,
    /// The length of a window, in the unit.
    width: f64,
    /// In nanoseconds.
    unit: f64,
    title: String,
}

impl TimeAxis {
    fn of(windows: &Windows) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let mut begins = windows.iter().map(|(begin, _)| begin);
        let begin = begins.next().unwrap_or(0);
        let length = begins.last().unwrap_or(begin) - begin;
        let length = length.saturating_add(windows.width_ns());
        let (name, unit) = match length / SECOND {
            0..600 => ("seconds", SECOND),
            600..36_000 => ("minutes", 60 * SECOND),
            _ => ("hours", 3600 * SECOND),
        };
        let unit = unit as f64;
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_nanos(begin));
        let width = format::nanoseconds(windows.width_ns() as f64);
        Self {
            begin,
            end: length as f64 / unit,
            width: windows.width_ns() as f64 / unit,
            unit,
            title: format!("{name} since {date}, in windows of {width}"),
        }
    }

    /// Where a window begins and ends.
    fn place(&self, begin: u64) -> (f64, f64) {
        let place = (begin - self.begin) as f64 / self.unit;
        (place, place + self.width)
    }
}

fn draw_latencies(area: &Area<'_>, windows: &Windows, time: &TimeAxis) -> Drawn {
    let failed: u64 = windows.failures().iter().map(|failure| failure.calls).sum();
    let caption = format!("Latency: {} calls, of which {failed} failed", windows.calls());
    // A logarithm has no zero; no call takes less than a nanosecond.
    let latency = |window: &Window, share| window.latency_ns(share).map(|ns| ns.max(1) as f64);
    let shares = || PERCENTILES.iter().map(|(_, share, _)| *share);
    let all =
        || windows.iter().flat_map(|(_, window)| shares().map(move |share| latency(window, share)));
    let least = all().flatten().reduce(f64::min).unwrap_or(1e6);
    let most = all().flatten().fold(least, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, CAPTION)
        .margin(10)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(Axis::linear(time.end), Axis::logarithmic(least, most))?;
    chart
        .configure_mesh()
        .x_desc(&*time.title)
        .y_desc("latency of answered calls")
        .label_style(TEXT)
        .x_label_formatter(&|place| place.to_string())
        .y_label_formatter(&|ns| format::nanoseconds(*ns))
        .draw()?;
    for (name, share, colour) in PERCENTILES {
        let style = colour.stroke_width(2);
        let steps = steps(windows.iter().map(|(begin, window)| {
            latency(window, share).map(|latency| (time.place(begin), latency))
        }));
        chart
            .draw_series(steps.into_iter().map(|points| PathElement::new(points, style)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    draw_legend(&mut chart)
}

fn draw_failures(area: &Area<'_>, windows: &Windows, time: &TimeAxis) -> Drawn {
    let mut ways: Vec<_> = windows.failures().iter().enumerate().collect();
    ways.sort_by_key(|(_, failure)| std::cmp::Reverse(failure.calls));
    let named = ways.len().min(FAILURES.len());
    let (named, others) = ways.split_at(named);
    // For each colour, its name and the numbers of its outcomes.
    let mut stacked: Vec<(String, RGBColor, Vec<usize>)> = named
        .iter()
        .zip(FAILURES)
        .map(|((number, failure), colour)| {
            let name = format::foreign(&failure.outcome);
            (format!("{name}: {}", failure.calls), colour, vec![*number])
        })
        .collect();
    if !others.is_empty() {
        let calls: u64 = others.iter().map(|(_, failure)| failure.calls).sum();
        let numbers = others.iter().map(|(number, _)| *number).collect();
        stacked.push((format!("others: {calls}"), OTHERS, numbers));
    }
    let seconds = windows.width_ns() as f64 / 1e9;
    let rate = |window: &Window, numbers: &[usize]| {
        numbers.iter().map(|number| window.failures(*number)).sum::<u64>() as f64 / seconds
    };
    let all: Vec<_> = ways.iter().map(|(number, _)| *number).collect();
    let most = windows.iter().map(|(_, window)| rate(window, &all)).fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.15 } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(Axis::linear(time.end), Axis::linear(top))?;
    chart
        .configure_mesh()
        .x_desc(&*time.title)
        .y_desc("failed calls per second")
        .label_style(TEXT)
        .x_label_formatter(&|place| place.to_string())
        .y_label_formatter(&|rate| rate.to_string())
        .draw()?;
    if all.is_empty() {
        let place = (time.end * 0.45, 0.5);
        chart.plotting_area().draw(&Text::new("no call failed", place, TEXT))?;
        return Ok(());
    }
    // What is stacked in each window so far.
    let mut heights = vec![0.0; windows.iter().count()];
    for (name, colour, numbers) in stacked {
        let bars = windows.iter().zip(&mut heights).filter_map(|((begin, window), height)| {
            let rate = rate(window, &numbers);
            let (from, (left, right)) = (*height, time.place(begin));
            *height += rate;
            let corners = [(left, *height), (right, from)];
            (rate > 0.0).then(|| Rectangle::new(corners, colour.filled()))
        });
        chart.draw_series(bars)?.label(name + WIDER).legend(move |(x, y)| {
            Rectangle::new([(x + 4, y - 5), (x + 14, y + 5)], colour.filled())
        });
    }
    draw_legend(&mut chart)
}

fn draw_legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(TEXT)
        .draw()
}

/// The lines of a series of windows, which are steps: a new line begins where a window has no value or is
/// not there.
fn steps(windows: impl Iterator<Item = Option<((f64, f64), f64)>>) -> Vec<Vec<(f64, f64)>> {
    let mut lines: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut end = f64::NEG_INFINITY;
    for ((left, right), value) in windows.flatten() {
        let is_next = (left - end).abs() < (right - left) / 2.0;
        match lines.last_mut().filter(|_| is_next) {
            Some(line) => line.extend([(left, value), (right, value)]),
            None => lines.push(vec![(left, value), (right, value)]),
        }
        end = right;
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Row;

    const SECOND: u64 = 1_000_000_000;

    fn row(second: u64, run_ns: u64, outcome: &str) -> Row<'_> {
        let arrival_unix_ns = (1_767_225_600 + second) * SECOND;
        Row { arrival_unix_ns, run_ns: Some(run_ns), outcome: outcome.into(), ..Row::default() }
    }

    fn drawn<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> String {
        let mut windows = Windows::default();
        rows.into_iter().for_each(|row| windows.add(&row));
        picture(&windows).unwrap()
    }

    #[test]
    fn the_picture_says_in_text_what_it_shows() {
        let rows = (0..100).flat_map(|second| {
            let slow = if (40..60).contains(&second) { 10 } else { 1 };
            let failed = (second == 50).then(|| row(second, 0, "UNAVAILABLE"));
            [Some(row(second, slow * 3_000_000, "OK")), failed].into_iter().flatten()
        });
        let svg = drawn(rows);
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in [
            "Latency: 101 calls, of which 1 failed",
            "p50",
            "p90",
            "p99",
            "latency of answered calls",
            "5 ms",
            "50 ms",
            "failed calls per second",
            "UNAVAILABLE: 1",
            "seconds since Thu, 01 Jan 2026 00:00:00 GMT, in windows of 500 ms",
        ] {
            assert!(
                svg.lines().any(|line| line.trim_end_matches(WIDER) == text),
                "{text} is not in\n{svg}"
            );
        }
    }

    #[test]
    fn what_has_no_failures_says_so_and_the_longest_record_has_hours() {
        let svg = drawn((0..100).map(|hour| row(hour * 3600, 0, "OK")));
        assert!(svg.contains("no call failed") && svg.contains("hours since"), "{svg}");
        let svg = drawn([row(0, 5, "A<B>&\u{1}")]);
        assert!(svg.contains("A&lt;B&gt;&amp;\\u{1}: 1"), "{svg}");
    }

    #[test]
    fn a_line_has_gaps_where_no_call_was_answered() {
        let window = |left: f64| Some(((left, left + 1.0), 7.0));
        let found = steps([window(0.0), window(1.0), None, window(3.0), window(9.0)].into_iter());
        let ends: Vec<_> = found.iter().map(|line| (line[0].0, line.last().unwrap().0)).collect();
        assert_eq!(ends, [(0.0, 2.0), (3.0, 4.0), (9.0, 10.0)]);
    }

    proptest! {
        #[test]
        fn any_record_can_be_drawn(
            rows in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..50),
        ) {
            let rows = rows.into_iter().map(|(arrival_unix_ns, run, ok)| {
                let outcome = if ok { "OK" } else { "INTERNAL" };
                Row { arrival_unix_ns, run_ns: Some(run), outcome: outcome.into(), ..Row::default() }
            });
            prop_assert!(drawn(rows).len() < 1 << 20);
        }
    }
}
