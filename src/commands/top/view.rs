//! What is drawn.

mod panes;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    symbols::bar::NINE_LEVELS,
    text::{Line, Span},
    widgets::{Block, Paragraph, RenderDirection, Sparkline},
};

use super::{
    model::{Model, Second},
    numbers::{age, number, percent, seconds},
    ui::{Pane, Ui},
};
use crate::report::format;

/// The least terminal in which everything can be told apart.
const LEAST: (u16, u16) = (40, 12);
/// The least width of a tile, and its height with the frame.
const TILE: (u16, u16) = (20, 4);
/// The least height of a list beside others.
const LEAST_LIST: usize = 6;
const KEYS: &str = " q quit  p pause  s/←/→ sort  r reverse  Tab list  ↑/↓ scroll";
const GOOD: Color = Color::Green;
const BAD: Color = Color::Red;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, ui: &Ui) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = (area.width, area.height);
        let text = format!("found {width}x{height}, expected {}x{} at least", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let model = ui.model();
    let tiles = tiles(model);
    let each = (area.width / TILE.0).clamp(1, tiles.len() as u16);
    // As many in each row as fit, and no row with few.
    let rows = (tiles.len() as u16).div_ceil(each);
    let each = tiles.len().div_ceil(rows.into());
    // What is most wanted stays when there is little room.
    let rows = rows.min((area.height - 6) / TILE.1).max(1);
    let curves = if area.height >= 6 + rows * TILE.1 + 10 { 6 } else { 0 };
    let [head, top, middle, lists, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows * TILE.1),
        Constraint::Length(curves),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(self::head(ui), head);
    let rows = Layout::vertical(vec![Constraint::Length(TILE.1); rows.into()]).split(top);
    for (row, tiles) in rows.iter().zip(tiles.chunks(each)) {
        let places = Layout::horizontal(vec![Constraint::Fill(1); tiles.len()]).split(*row);
        for (place, Tile { title, lines }) in places.iter().zip(tiles) {
            let text = lines.to_vec();
            frame
                .render_widget(Paragraph::new(text).block(Block::bordered().title(*title)), *place);
        }
    }
    if curves > 0 {
        draw_curves(frame, model, middle);
    }
    let mut panes: Vec<_> = ui.panes().collect();
    if usize::from(lists.height) < panes.len() * LEAST_LIST {
        panes = vec![ui.focus];
    }
    let shares = panes.iter().map(|pane| match (*pane == ui.focus, pane) {
        (true, _) => Constraint::Fill(3),
        (false, Pane::Functions) => Constraint::Fill(2),
        (false, _) => Constraint::Fill(1),
    });
    for (pane, place) in panes.iter().zip(Layout::vertical(shares).split(lists).iter()) {
        panes::draw(frame, ui, *pane, *place);
    }
    frame.render_widget(Paragraph::new(KEYS).dim(), foot);
}

/// Where the numbers come from, and whether they are of now.
fn head(ui: &Ui) -> Line<'_> {
    let model = ui.model();
    let mut line = Line::from(match &model.lost {
        _ if ui.is_paused() => Span::from(" ‖ paused ").black().on_yellow(),
        Some(_) => Span::from(" ✗ trying again ").white().on_red(),
        None => Span::from(" ● ").fg(GOOD),
    });
    if let Some(lost) = &model.lost {
        line.push_span(format!(" {lost}"));
        return line;
    }
    line.push_span(Span::from(format!(" {}", model.address)).bold());
    line.push_span(format!("  {} up", age(model.up_s)));
    if !matches!(&*model.scenario, "" | "plain") {
        line.push_span(format!("  scenario {}", &*model.scenario));
    }
    if model.workers.len() > 1 {
        line.push_span(format!("  {} workers", model.workers.len()));
    }
    line.push_span(Span::from(format!("  version {}", &*model.version)).dim());
    line
}

/// A few numbers in a frame.
struct Tile<'a> {
    title: &'static str,
    lines: [Line<'a>; 2],
}

fn tiles(model: &Model) -> Vec<Tile<'static>> {
    let totals = &model.totals;
    let (ended, failed) = (totals.ended(), totals.failed());
    let count = |index: usize| number(totals.instances.get(index).copied().unwrap_or_default());
    let latency = |index: usize| {
        seconds(totals.latency_s.as_ref().and_then(|latency| latency.get(index)).copied())
    };
    let share = (ended > 0.0).then(|| failed / ended);
    let tile = |title, big: String, more: String| Tile {
        title,
        lines: [Line::from(big).bold(), Line::from(more)],
    };
    let mut errors = tile(" failed/s ", number(failed), format!("{} of calls", percent(share)));
    if failed > 0.0 {
        errors.lines[0] = errors.lines[0].clone().fg(BAD);
    }
    let live = totals.instances.iter().sum();
    let of = |used: f64, capacity: f64| (capacity > 0.0).then(|| used / capacity);
    vec![
        tile(" calls/s ", number(ended), format!("cold {}", percent(totals.cold))),
        errors,
        tile(
            " active ",
            number(totals.active),
            format!("{} of them queued", number(totals.queued)),
        ),
        tile(" p50 ", latency(0), format!("p90 {}", latency(1))),
        tile(" p99 ", latency(2), format!("max {}", latency(3))),
        tile(
            " instances ",
            format!("{}, {} new", number(live), count(0)),
            format!("{} idle {} busy", count(1), count(2)),
        ),
        tile(
            " CPU ",
            percent(of(totals.cpu_cores, totals.cpu_capacity_cores)),
            format!("{:.2} of {} cores", totals.cpu_cores, number(totals.cpu_capacity_cores)),
        ),
        tile(
            " memory ",
            percent(of(totals.ram_bytes, totals.ram_capacity_bytes)),
            format!("{} of {}", format::bytes(totals.ram_bytes), {
                format::bytes(totals.ram_capacity_bytes)
            }),
        ),
    ]
}

/// The rate and the 99th percentile of the last minutes.
fn draw_curves(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(area);
    let most = |value: fn(&Second) -> f64| model.history.iter().map(value).fold(0.0, f64::max);
    let title = format!(" calls/s, at most {} ", number(most(|second| second.ended)));
    let color = if model.history.iter().any(|second| second.failed > 0.0) { BAD } else { GOOD };
    let failed = format!(" {} failed/s at most ", number(most(|second| second.failed)));
    let block = Block::bordered().title(title).title(Line::from(failed).fg(color).right_aligned());
    draw_curve(frame, model, |second| second.ended, block, left);
    let title = format!(" p99, at most {} ", {
        seconds(Some(most(|second| second.p99_s.unwrap_or_default())))
    });
    let block = Block::bordered().title(title);
    draw_curve(frame, model, |second| second.p99_s.unwrap_or_default(), block, right);
}

/// A column for each second, the latest at the right.
fn draw_curve(
    frame: &mut Frame<'_>,
    model: &Model,
    value: fn(&Second) -> f64,
    block: Block<'_>,
    area: Rect,
) {
    let columns = usize::from(area.width.saturating_sub(2));
    let seconds = || model.history.iter().rev().take(columns);
    let most = seconds().map(value).fold(0.0, f64::max);
    // The levels of a column are whole numbers.
    const LEVELS: f64 = 1000.0;
    let level = |second: &Second| match most {
        0.0 => 0,
        most => (value(second) / most * LEVELS) as u64,
    };
    let curve = Sparkline::default()
        .data(seconds().map(level).collect::<Vec<_>>())
        .max(LEVELS as u64)
        .bar_set(NINE_LEVELS)
        .direction(RenderDirection::RightToLeft)
        .style(Style::new().fg(Color::Cyan))
        .block(block);
    frame.render_widget(curve, area);
}

#[cfg(test)]
mod tests;
