//! The page for those without JavaScript: tables.

use std::fmt::{self, Display, Write};

use super::{
    fleet::STATES,
    observe::{CallSummary, Outcome},
    snapshot::place,
    view::{State, View},
};

/// The most rows of a table.
const MAX_ROWS: usize = 100;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\">\
    <title>HyperFake Worker</title><link rel=\"icon\" href=\"icon.svg\"><link rel=\"stylesheet\" href=\"page.css\"></head>\
    <body class=\"plain\">\n<h1>HyperFake Worker</h1>\n<p><a href=\".\">The page with curves</a></p>\n";

/// The page.
pub(super) fn page(view: &View) -> String {
    let state = view.up_to_date();
    let mut page = HEAD.to_owned();
    // Writing to a string does not fail.
    let _ = write(&mut page, view, &state);
    page += "</body></html>\n";
    page
}

fn write(page: &mut String, view: &View, state: &State) -> fmt::Result {
    if let Some(row) = state.history.back() {
        let mut totals = vec![
            ("calls per second".to_owned(), row.rate.iter().sum::<f64>().to_string()),
            ("calls that run or wait".into(), row.active.to_string()),
            ("CPU cores held".into(), row.cpu_cores.to_string()),
            ("bytes of memory held".into(), row.ram_bytes.to_string()),
        ];
        if let Some([p50, p90, p99, max]) = row.latency_s {
            totals
                .push(("p50, p90, p99, longest (s)".into(), format!("{p50}, {p90}, {p99}, {max}")));
        }
        let instances = STATES.into_iter().zip(row.instances);
        totals.extend(
            instances.map(|(name, count)| (format!("instances {name}"), count.to_string())),
        );
        let totals = totals.iter().map(|(name, number)| [name as &dyn Display, number]);
        table(page, "Totals of the last second", ["", "number"], totals)?;
    }
    let usage = view.fleet.usage();
    let workers = view.fleet.names.iter().zip(&usage).take(MAX_ROWS).map(|(name, usage)| {
        [name as &dyn Display, &usage.calls, &usage.instances, &usage.cpu_cores, &usage.ram_bytes]
    });
    let columns = ["worker", "calls now", "instances", "CPU cores held", "bytes of memory held"];
    table(page, "Workers", columns, workers)?;
    functions(page, state)?;
    calls(page, "Failed calls, the latest first", &state.observed.notable.failed(), state)?;
    calls(page, "Slowest calls of the last minutes", &state.observed.notable.slowest(), state)
}

fn functions(page: &mut String, state: &State) -> fmt::Result {
    let totals = &state.observed.totals;
    let mut functions: Vec<_> = totals
        .functions
        .iter()
        .enumerate()
        .map(|(place, function)| {
            let calls: u64 = function.calls.iter().sum();
            let failed = calls - function.calls[Outcome::Ok as usize];
            let instances = state.instances.functions.get(place).copied().unwrap_or(0);
            (calls, failed, instances, function)
        })
        .filter(|(calls, _, instances, _)| calls + instances > 0)
        .collect();
    functions.sort_by_key(|(calls, ..)| std::cmp::Reverse(*calls));
    let rows = functions.iter().take(MAX_ROWS).map(|(calls, failed, instances, function)| {
        [&function.id as &dyn Display, &function.image, calls, failed, instances]
    });
    let columns = ["function", "image", "calls", "failed", "instances"];
    table(page, "Functions since the start", columns, rows)
}

fn calls(page: &mut String, caption: &str, calls: &[&CallSummary], state: &State) -> fmt::Result {
    let functions = &state.observed.totals.functions;
    let rows: Vec<_> = calls
        .iter()
        .map(|call| {
            let function = &functions[place(&state.observed.totals, &call.function) as usize];
            let instance = call.instance.map_or_else(String::new, |instance| instance.text());
            let seconds = |time: Option<std::time::Duration>| {
                time.map_or_else(String::new, |time| format!("{:.6}", time.as_secs_f64()))
            };
            let times = &call.times;
            [
                function.id.to_string(),
                instance,
                call.outcome.name().to_owned(),
                seconds(Some(times.total)),
                seconds(Some(times.queue)),
                seconds(Some(times.cold_start)),
                seconds(times.run),
                seconds(times.predicted),
            ]
        })
        .collect();
    let rows = rows.iter().map(|row| row.each_ref().map(|cell| cell as &dyn Display));
    let columns = [
        "function",
        "instance",
        "outcome",
        "total s",
        "queue s",
        "cold start s",
        "run s",
        "predicted s",
    ];
    table(page, caption, columns, rows)
}

/// A table whose first cell of a row names the row.
fn table<'a, const N: usize>(
    page: &mut String,
    caption: &str,
    columns: [&str; N],
    rows: impl Iterator<Item = [&'a dyn Display; N]>,
) -> fmt::Result {
    write!(
        page,
        "<h2>{0}</h2>\n<div class=\"scroll\"><table><caption>{0}</caption><thead><tr>",
        Escaped(&caption)
    )?;
    for column in columns {
        write!(page, "<th scope=\"col\">{}</th>", Escaped(&column))?;
    }
    page.write_str("</tr></thead><tbody>\n")?;
    for row in rows {
        let mut cells = row.into_iter();
        if let Some(name) = cells.next() {
            write!(page, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
        }
        for cell in cells {
            let text = Escaped(cell).to_string();
            let class = if text.parse::<f64>().is_ok() { "" } else { " class=\"left\"" };
            write!(page, "<td{class}>{text}</td>")?;
        }
        page.write_str("</tr>\n")?;
    }
    page.write_str("</tbody></table></div>\n")
}

/// Text that means nothing to a browser.
struct Escaped<'a>(&'a dyn Display);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for part in text.split_inclusive(['&', '<', '>', '"', '\'']) {
                    let special = part.chars().next_back().and_then(|last| match last {
                        '&' => Some("&amp;"),
                        '<' => Some("&lt;"),
                        '>' => Some("&gt;"),
                        '"' => Some("&quot;"),
                        '\'' => Some("&#39;"),
                        _ => None,
                    });
                    match special {
                        // All of these are one byte.
                        Some(special) => {
                            self.0.write_str(&part[..part.len() - 1])?;
                            self.0.write_str(special)?;
                        }
                        None => self.0.write_str(part)?,
                    }
                }
                Ok(())
            }
        }
        write!(Escape(f), "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_cell() {
        let name = "\"><script>alert('&')</script>\u{e9}";
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;\u{e9}";
        assert_eq!(Escaped(&name).to_string(), escaped);
        let mut page = String::new();
        table(&mut page, "a & b", ["<"], [[&name as &dyn Display]].into_iter()).unwrap();
        assert!(page.contains(&format!("<th scope=\"row\">{escaped}</th>")), "{page}");
        assert!(page.contains("<h2>a &amp; b</h2>") && page.contains("\">&lt;</th>"), "{page}");
    }
}
