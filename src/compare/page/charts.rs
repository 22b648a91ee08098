//! The curves, as SVG whose black is the colour of the page's text and whose white is that of the page, so
//! that they fit dark pages too.

use hyperfake_predictor::{Error, Result};
use plotters::{coord::Shift, prelude::*};

use crate::{
    compare::{Both, Function, OverTime, forecast::BINS, function::Curves},
    report::{
        Axis,
        format::{bytes, nanoseconds},
    },
};

/// In pixels.
const SIZE: (u32, u32) = (560, 360);
const CAPTION: (&str, i32) = ("sans-serif", 17);
const TEXT: (&str, i32) = ("sans-serif", 14);
const LEFT: i32 = 75;
const BELOW: i32 = 45;

/// These can be told apart by people who see fewer colours (Okabe and Ito, 2008), on white and on black.
const FAKE: RGBColor = RGBColor(213, 94, 0);
const REPEAT: RGBColor = RGBColor(86, 180, 233);
const GREY: RGBColor = RGBColor(127, 127, 127);
const REAL: RGBColor = BLACK;

/// The axes and their texts.
struct Frame<'a, X, Y> {
    caption: &'a str,
    x: Axis<X>,
    y: Axis<Y>,
    titles: [&'a str; 2],
    formats: [fn(f64) -> String; 2],
}

/// What is drawn.
struct Curve {
    /// Empty for one that the legend does not name.
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Line,
    /// For many steps.
    ThinLine,
    /// What the points enclose, filled faintly.
    Area,
}

/// The pictures of a function that there are numbers for.
pub(super) fn of_function(function: &Function) -> Result<Vec<String>> {
    let curves = &function.curves;
    let mut charts = Vec::new();
    if !curves.real.is_empty() && !curves.fake.is_empty() {
        charts.push(shares(curves, function.calls.real.answered)?);
        charts.push(quantiles(curves)?);
    }
    if curves.by_load.iter().any(|(_, times)| times.real.is_some()) {
        charts.push(by_load(curves)?);
    }
    for forecast in [&function.forecast, &function.model].into_iter().flatten() {
        if !forecast.pit.is_empty() {
            charts.push(pit(&forecast.pit, forecast.of)?);
        }
    }
    Ok(charts)
}

/// The rate, CPU and memory of all functions over time.
pub(super) fn over_time(over_time: &OverTime) -> Result<Vec<String>> {
    let Both { real, fake } = &over_time.series;
    let number = |number: f64| format!("{number}");
    [
        ("Answered calls each second", &real.rate, &fake.rate, number as fn(f64) -> String),
        ("CPU held, in cores", &real.cpu, &fake.cpu, number),
        ("Memory held", &real.ram, &fake.ram, bytes),
    ]
    .into_iter()
    .filter(|(_, real, fake, _)| real.iter().chain(*fake).any(|number| *number > 0.0))
    .map(|(caption, real, fake, shown)| {
        let width = over_time.window_seconds;
        let line = |name, colour, series: &[f64]| {
            let steps = series.iter().enumerate().flat_map(|(index, number)| {
                let begin = index as f64 * width;
                [(begin, *number), (begin + width, *number)]
            });
            Curve { name, colour, points: steps.collect(), shape: Shape::ThinLine }
        };
        let most = real.iter().chain(fake).copied().fold(0.0, f64::max);
        let length = real.len().max(fake.len()) as f64 * width;
        let frame = Frame {
            caption,
            x: Axis::linear(length),
            y: Axis::linear(1.05 * most),
            titles: ["seconds", ""],
            formats: [number, shown],
        };
        draw(frame, &[line("real", REAL, real), line("fake", FAKE, fake)])
    })
    .collect()
}

/// The distribution functions over the run time.
fn shares(curves: &Curves, calls: u64) -> Result<String> {
    // With this chance of 95 % the whole curve of as many calls is nearer than this to that of all
    // possible ones (Dvoretzky, Kiefer and Wolfowitz, 1956; Massart, 1990).
    let reach = ((2.0_f64 / 0.05).ln() / (2.0 * calls.max(1) as f64)).sqrt();
    let points = |times: &[f64]| -> Vec<(f64, f64)> {
        times.iter().map(|time| time.max(1.0)).zip(curves.levels.iter().copied()).collect()
    };
    let real = points(&curves.real);
    let upper = real.iter().map(|(time, share)| (*time, (share + reach).min(1.0)));
    let lower = real.iter().rev().map(|(time, share)| (*time, (share - reach).max(0.0)));
    let line = |name, colour, times: &[f64]| Curve {
        name,
        colour,
        points: points(times),
        shape: Shape::Line,
    };
    let band =
        Curve { name: "", colour: REAL, points: upper.chain(lower).collect(), shape: Shape::Area };
    let mut lines = vec![band, line("real", REAL, &curves.real), line("fake", FAKE, &curves.fake)];
    if !curves.repeat.is_empty() {
        lines.push(line("real again", REPEAT, &curves.repeat));
    }
    let (least, most) = ends(curves);
    let frame = Frame {
        caption: "Share of calls that ran no longer",
        x: Axis::logarithmic(least, most),
        y: Axis::linear(1.0),
        titles: ["run time", "share of calls"],
        formats: [nanoseconds, |share| format!("{share}")],
    };
    draw(frame, &lines)
}

/// The quantiles of one over those of the other.
fn quantiles(curves: &Curves) -> Result<String> {
    let (least, most) = ends(curves);
    let against = |name, colour, times: &[f64]| {
        let points = curves.real.iter().zip(times).map(|(x, y)| (x.max(1.0), y.max(1.0)));
        Curve { name, colour, points: points.collect(), shape: Shape::Line }
    };
    let same = vec![(least, least), (most, most)];
    let mut lines = vec![
        Curve { name: "the same", colour: GREY, points: same, shape: Shape::Line },
        against("fake", FAKE, &curves.fake),
    ];
    if !curves.repeat.is_empty() {
        lines.push(against("real again", REPEAT, &curves.repeat));
    }
    let frame = Frame {
        caption: "Quantiles",
        x: Axis::logarithmic(least, most),
        y: Axis::logarithmic(least, most),
        titles: ["run time of the real", "run time of the fake"],
        formats: [nanoseconds; 2],
    };
    draw(frame, &lines)
}

/// The median, and from the percentile 5 to 95, over the load.
fn by_load(curves: &Curves) -> Result<String> {
    type Side = fn(&Both<Option<[f64; 3]>>) -> Option<[f64; 3]>;
    let of = |side: Side| -> Vec<(f64, [f64; 3])> {
        let known = curves.by_load.iter().filter_map(|(load, times)| Some((*load, side(times)?)));
        known.map(|(load, times)| (load, times.map(|time| time.max(1.0)))).collect()
    };
    let (real, fake) = (of(|times| times.real), of(|times| times.fake));
    let all = || real.iter().chain(&fake).flat_map(|(_, times)| *times);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(1.0, f64::max));
    let median = |name, colour, times: &[(f64, [f64; 3])]| Curve {
        name,
        colour,
        points: times.iter().map(|(load, [_, median, _])| (*load, *median)).collect(),
        shape: Shape::Line,
    };
    let band = |colour, times: &[(f64, [f64; 3])]| {
        let upper = times.iter().map(|(load, [_, _, most])| (*load, *most));
        let lower = times.iter().rev().map(|(load, [least, ..])| (*load, *least));
        Curve { name: "", colour, points: upper.chain(lower).collect(), shape: Shape::Area }
    };
    let lines = [
        band(REAL, &real),
        band(FAKE, &fake),
        median("real", REAL, &real),
        median("fake", FAKE, &fake),
    ];
    let busiest = curves.by_load.iter().map(|(load, _)| *load).fold(0.0, f64::max);
    let frame = Frame {
        caption: "Median run time, and 90 % of the calls, by load",
        x: Axis::linear(if busiest > 0.0 { 1.05 * busiest } else { 1.0 }),
        y: Axis::logarithmic(least, most),
        titles: ["running calls of the function", "run time"],
        formats: [|load| format!("{load}"), nanoseconds],
    };
    draw(frame, &lines)
}

/// How many real calls were in each part of the distribution that was stated for them.
fn pit(counts: &[u64], of: &str) -> Result<String> {
    let all: u64 = counts.iter().sum();
    let share = |count: u64| count as f64 * BINS as f64 / all.max(1) as f64;
    let bars = counts.iter().enumerate().flat_map(|(index, count)| {
        let (begin, end) = (index as f64 / BINS as f64, (index + 1) as f64 / BINS as f64);
        [(begin, share(*count)), (end, share(*count))]
    });
    let bars: Vec<_> = [(0.0, 0.0)].into_iter().chain(bars).chain([(1.0, 0.0)]).collect();
    let most = counts.iter().map(|count| share(*count)).fold(1.0, f64::max);
    let frame = Frame {
        caption: "Where real calls were in the stated distributions",
        x: Axis::linear(1.0),
        y: Axis::linear(1.15 * most),
        titles: [&format!("share of the distribution of {of}"), "real calls, as often as expected"],
        formats: [|share| format!("{share}"); 2],
    };
    let even = vec![(0.0, 1.0), (1.0, 1.0)];
    let lines = [
        Curve { name: "", colour: FAKE, points: bars.clone(), shape: Shape::Area },
        Curve { name: "found", colour: FAKE, points: bars, shape: Shape::Line },
        Curve { name: "if they are right", colour: GREY, points: even, shape: Shape::Line },
    ];
    draw(frame, &lines)
}

/// The least and the greatest run time that is drawn.
fn ends(curves: &Curves) -> (f64, f64) {
    let all =
        || curves.real.iter().chain(&curves.fake).chain(&curves.repeat).map(|time| time.max(1.0));
    (all().fold(f64::INFINITY, f64::min), all().fold(1.0, f64::max))
}

fn draw<X, Y>(frame: Frame<'_, X, Y>, curves: &[Curve]) -> Result<String>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw_on(&root, frame, curves);
    drawn.map_err(|error| Error::internal("cannot draw the page").with_source(error))?;
    drop(root);
    Ok(svg.replace("\"#000000\"", "\"currentColor\"").replace("\"#FFFFFF\"", "\"Canvas\""))
}

fn draw_on<X, Y>(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    frame: Frame<'_, X, Y>,
    curves: &[Curve],
) -> Result<(), String>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let text = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    let mut chart = ChartBuilder::on(root)
        .caption(frame.caption, CAPTION)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(frame.x, frame.y)
        .map_err(text)?;
    let [x_title, y_title] = frame.titles;
    let [x_format, y_format] = frame.formats;
    chart
        .configure_mesh()
        .x_desc(x_title)
        .y_desc(y_title)
        .label_style(TEXT)
        .x_label_formatter(&|number| x_format(*number))
        .y_label_formatter(&|number| y_format(*number))
        .draw()
        .map_err(text)?;
    for curve in curves {
        let colour = curve.colour;
        if curve.shape == Shape::Area {
            let area = Polygon::new(curve.points.clone(), colour.mix(0.15));
            chart.draw_series([area]).map_err(text)?;
            continue;
        }
        let style = colour.stroke_width(if curve.shape == Shape::Line { 2 } else { 1 });
        let series = chart.draw_series([PathElement::new(curve.points.clone(), style)]);
        let series = series.map_err(text)?;
        if !curve.name.is_empty() {
            series
                .label(curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(TEXT)
        .draw()
        .map_err(text)?;
    root.present().map_err(text)
}
