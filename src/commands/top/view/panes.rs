//! The lists.

use ratatui::{
    Frame,
    layout::{Constraint, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph, Row, Table},
};
use strum::IntoEnumIterator;

use super::BAD;
use crate::commands::top::{
    model::{FunctionLine, WorkerLine},
    numbers::{number, percent, seconds},
    ui::{Column, Pane, Ui},
};

/// Draws a list.
pub(super) fn draw(frame: &mut Frame<'_>, ui: &Ui, pane: Pane, area: Rect) {
    match pane {
        Pane::Functions => functions(frame, ui, area),
        Pane::Instances => instances(frame, ui, area),
        Pane::Workers => workers(frame, ui, area),
    }
}

/// A frame that says which list it is, and which lines of it are in `rows` rows.
fn frame_of(ui: &Ui, pane: Pane, title: &str, lines: usize, rows: usize) -> Block<'static> {
    let above = above(ui, pane, lines);
    let last = lines.min(above + rows);
    let title = match lines <= rows && above == 0 {
        true => format!(" {title}: {lines} "),
        false => format!(" {title}: {} to {last} of {lines} ", (above + 1).min(last)),
    };
    let block = Block::bordered().title(title);
    if ui.focus == pane { block.border_style(Style::new().fg(Color::Cyan)) } else { block }
}

/// How many lines are above the first one that is shown. A list may have become shorter since it was
/// scrolled.
fn above(ui: &Ui, pane: Pane, lines: usize) -> usize {
    ui.above[pane as usize].min(lines.saturating_sub(1))
}

/// The rows of an area with a frame, and above them a line of titles.
fn rows(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(3))
}

fn functions(frame: &mut Frame<'_>, ui: &Ui, area: Rect) {
    let lines = ui.functions();
    let block = frame_of(ui, Pane::Functions, "functions", lines.len(), rows(area));
    let columns = columns(area.width.saturating_sub(2), ui.sort);
    let titles = columns.iter().copied().map(|column| {
        let sign = match (column == ui.sort, ui.is_reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        let title = Line::from(format!("{}{sign}", column.title()));
        let title = if column == ui.sort { title.bold() } else { title.dim() };
        if is_text(column) { title } else { title.right_aligned() }
    });
    let shown = lines.iter().skip(above(ui, Pane::Functions, lines.len())).take(rows(area));
    let shown = shown.map(|line| {
        let row = Row::new(columns.iter().copied().map(|column| {
            let text = Line::from(cell(line, column));
            if is_text(column) { text } else { text.right_aligned() }
        }));
        if line.row.failed > 0.0 { row.style(Style::new().fg(BAD)) } else { row }
    });
    let widths = columns.iter().map(|column| match column {
        Column::Function => Constraint::Fill(3),
        Column::Image => Constraint::Fill(2),
        number => Constraint::Length(width(*number)),
    });
    let table = Table::new(shown, widths).header(Row::new(titles)).block(block);
    frame.render_widget(table, area);
}

/// The columns for which there is room, with that by which functions are sorted.
fn columns(room: u16, sort: Column) -> Vec<Column> {
    /// What is left out first.
    const LAST: [Column; 9] = [
        Column::Ran,
        Column::Predicted,
        Column::P90,
        Column::Cold,
        Column::Image,
        Column::Failed,
        Column::Instances,
        Column::P50,
        Column::P99,
    ];
    let mut columns: Vec<_> = Column::iter().collect();
    for last in LAST {
        let needed: u16 = columns.iter().map(|column| width(*column) + 1).sum();
        if needed > room + 1 && last != sort {
            columns.retain(|column| *column != last);
        }
    }
    columns
}

/// The columns of the terminal that a column needs.
fn width(column: Column) -> u16 {
    match column {
        Column::Function => 12,
        Column::Image => 10,
        Column::Instances | Column::Cold => 6,
        Column::Predicted => 10,
        _ => 9,
    }
}

fn is_text(column: Column) -> bool {
    matches!(column, Column::Function | Column::Image)
}

fn cell(line: &FunctionLine, column: Column) -> String {
    let row = &line.row;
    match column {
        Column::Function => line.id.clone(),
        Column::Image => line.image.clone(),
        Column::Rate => number(row.rate),
        Column::Failed => number(row.failed),
        Column::Instances => number(line.instances),
        Column::P50 => seconds(row.p50_s),
        Column::P90 => seconds(row.p90_s),
        Column::P99 => seconds(row.p99_s),
        Column::Cold => percent(row.cold),
        Column::Predicted => seconds(row.predicted_s),
        Column::Ran => seconds(row.ran_s),
    }
}

fn instances(frame: &mut Frame<'_>, ui: &Ui, area: Rect) {
    let model = ui.model();
    let rows = usize::from(area.height.saturating_sub(2));
    let legend = Line::from(" ▒ cold start  · idle  ▄█ busy  X T E D ended ").right_aligned();
    let block = frame_of(ui, Pane::Instances, "instances", model.strip.len(), rows).title(legend);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    /// The columns of an instance's id and of its function's.
    const NAMES: [usize; 2] = [13, 17];
    let room = usize::from(inner.width).saturating_sub(NAMES.iter().sum());
    let shown = model.strip.iter().skip(above(ui, Pane::Instances, model.strip.len())).take(rows);
    let shown = shown.map(|row| {
        let name = |text: &str, width: usize| {
            let text: String = text.chars().take(width - 1).collect();
            format!("{text:<width$}")
        };
        let mut line = Line::from(name(&row.instance, NAMES[0]));
        let function = model.function(row.function);
        line.push_span(Span::from(name(&function, NAMES[1])).dim());
        let cells = row.cells.chars().count();
        for cell in row.cells.chars().skip(cells.saturating_sub(room)) {
            line.push_span(instance_cell(cell));
        }
        line
    });
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), inner);
}

/// A second of an instance.
fn instance_cell(letter: char) -> Span<'static> {
    match letter {
        'S' => Span::from("▒").yellow(),
        'B' => Span::from("█").green(),
        'b' => Span::from("▄").green(),
        '.' => Span::from("·").dim(),
        'd' => Span::from("▁").dim(),
        'X' => Span::from("X").white().on_red(),
        'T' => Span::from("T").white().on_blue(),
        'E' => Span::from("E").white().on_blue(),
        'D' => Span::from("D").white().on_magenta(),
        _ => Span::from(" "),
    }
}

fn workers(frame: &mut Frame<'_>, ui: &Ui, area: Rect) {
    let mut lines: Vec<_> = ui.model().workers.iter().collect();
    lines.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    let block = frame_of(ui, Pane::Workers, "busiest workers", lines.len(), rows(area));
    let titles = ["worker", "calls/s", "failed/s", "active", "inst.", "CPU", "memory"];
    let titles = titles.into_iter().zip(0..).map(|(title, column)| {
        let title = Line::from(title).dim();
        if column == 0 { title } else { title.right_aligned() }
    });
    let above = above(ui, Pane::Workers, lines.len());
    let shown = lines.into_iter().skip(above).take(rows(area));
    let shown = shown.map(|line| {
        let WorkerLine { name, rate, failed, active, instances, cpu, ram } = line;
        let numbers = [*rate, *failed, *active, *instances].map(number);
        let shares = [*cpu, *ram].map(|share| percent(Some(share)));
        let cells = numbers.into_iter().chain(shares);
        let cells = cells.map(|cell| Line::from(cell).right_aligned());
        let row = Row::new(std::iter::once(Line::from(name.clone())).chain(cells));
        if *failed > 0.0 { row.style(Style::new().fg(BAD)) } else { row }
    });
    let widths = std::iter::once(Constraint::Fill(1)).chain([Constraint::Length(9); 6]);
    let table = Table::new(shown, widths).header(Row::new(titles)).block(block);
    frame.render_widget(table, area);
}
