//! Pages that list what is elsewhere: the options of the command line, and the decisions.

use std::{fmt::Write, fs};

use clap::{Arg, ArgAction, Command};

use crate::support::repository;

const PAGE: &str = "docs/guide/options.md";
const BEGIN: &str = "<!-- options:begin -->\n";
const END: &str = "<!-- options:end -->";
/// Set this, and the test writes the page instead of comparing it.
const UPDATE: &str = "HYPERFAKE_TEST_UPDATE_DOCS";

#[test]
fn the_page_of_options_lists_what_the_command_line_takes() {
    let page = fs::read_to_string(repository(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let tables = tables("", &hyperfake_worker::args::parser());
    let expected = format!("{before}{BEGIN}{tables}{END}{after}");
    if std::env::var_os(UPDATE).is_some() {
        return fs::write(repository(PAGE), expected).unwrap();
    }
    assert!(
        page == expected,
        "{PAGE} is stale; write it with '{UPDATE}=1 cargo test --workspace --test all page_of_options'"
    );
}

#[test]
fn the_index_of_decisions_lists_every_decision_by_its_title() {
    let index = fs::read_to_string(repository("docs/adr/README.md")).unwrap();
    for page in fs::read_dir(repository("docs/adr")).unwrap() {
        let (path, name) = page.map(|page| (page.path(), page.file_name())).unwrap();
        let name = name.into_string().unwrap();
        if name != "README.md" {
            let text = fs::read_to_string(path).unwrap();
            let title = text.lines().next().unwrap().trim_start_matches("# ");
            let line = format!("- [{title}]({name})");
            assert!(index.contains(&line), "docs/adr/README.md lacks the line {line}");
        }
    }
}

/// The tables of a command and its subcommands, in Markdown.
fn tables(before: &str, command: &Command) -> String {
    let name = format!("{before}{}", command.get_name());
    let mut text = String::new();
    if command.get_arguments().next().is_some() {
        let about = command.get_about().unwrap();
        write!(text, "\n## `{name}`\n\n{about}.\n\n").unwrap();
        text += "| option | default | environment variable | meaning |\n|---|---|---|---|\n";
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        shown.for_each(|arg| text += &row(arg));
    }
    let inner = command.get_subcommands();
    text.extend(inner.map(|command| tables(&format!("{name} "), command)));
    text
}

fn row(arg: &Arg) -> String {
    let help = arg.get_help().unwrap().to_string();
    // What clap cannot say stands in brackets at the end.
    let (help, variable) = cut(&help, "[env: ");
    let (help, default) = cut(help, "[default: ");
    let is_flag = arg.is_require_equals_set() || matches!(arg.get_action(), ArgAction::SetTrue);
    let defaults = arg.get_default_values().iter().map(|value| value.to_str().unwrap());
    let default = match default {
        _ if is_flag => "off".to_owned(),
        Some(default) => default.to_owned(),
        None => defaults.filter(|value| !value.is_empty()).map(code).collect(),
    };
    let variable = arg.get_env().and_then(|name| name.to_str()).or(variable);
    let values = arg.get_possible_values();
    let values: Vec<_> =
        values.iter().filter(|_| !is_flag).map(|one| code(one.get_name())).collect();
    let mut meaning = help.to_owned();
    if !values.is_empty() {
        write!(meaning, "; one of {}", values.join(", ")).unwrap();
    }
    let variable = variable.map(code).unwrap_or_default();
    let cells = [code(&usage(arg, is_flag)), default, variable, meaning];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// Such as `-m, --model PATH [IMAGE]…`.
fn usage(arg: &Arg, is_flag: bool) -> String {
    let mut usage = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let long = arg.get_long().map(|long| format!("--{long} ")).unwrap_or_default();
    usage += &long;
    if !is_flag {
        let names = arg.get_value_names().unwrap_or_default().iter();
        usage += &names.map(ToString::to_string).collect::<Vec<_>>().join(" ");
        if long.is_empty() && arg.get_value_names().is_none() {
            usage += &arg.get_id().as_str().to_uppercase();
        }
        if arg.get_num_args().is_some_and(|range| range.max_values() > 1)
            || matches!(arg.get_action(), ArgAction::Append)
        {
            usage = usage.trim_end_matches("…").to_owned() + "…";
        }
    }
    usage.trim_end().to_owned()
}

/// A text without what stands in these brackets at its end, and that.
fn cut<'a>(text: &'a str, bracket: &str) -> (&'a str, Option<&'a str>) {
    match text.split_once(bracket) {
        Some((text, inside)) => (text.trim_end(), inside.strip_suffix(']')),
        None => (text, None),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
