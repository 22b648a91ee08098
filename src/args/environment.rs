//! Environment variables for options.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgMatches, Command,
    builder::Resettable,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

/// The options that were given by a variable and not on the command line.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The options of the given command.
    pub(super) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let from_variables = options_from(ValueSource::EnvVariable, command, matches);
        let given = from_variables.into_iter().filter_map(|arg| {
            Some((format!("--{}", arg.get_long()?), arg.get_env()?.to_string_lossy().into_owned()))
        });
        Self(given.collect())
    }

    pub(super) fn add(&mut self, flag: &str, variable: &str) {
        self.0.insert(flag.to_owned(), variable.to_owned());
    }

    /// Adds the variable to an error that begins with the flag of an option that a variable gave.
    #[must_use]
    pub fn name(&self, error: &str) -> String {
        let flag = error.split([':', ' ']).next().unwrap_or_default();
        match self.0.get(flag) {
            Some(variable) => format!("{variable} ({flag}){}", &error[flag.len()..]),
            None => error.to_owned(),
        }
    }
}

/// The options of the given command that have their values from there.
pub(super) fn options_from<'c>(
    source: ValueSource,
    mut command: &'c Command,
    mut matches: &ArgMatches,
) -> Vec<&'c Arg> {
    let mut found = Vec::new();
    while let Some((name, inner)) = matches.subcommand() {
        let Some(subcommand) = command.find_subcommand(name) else { break };
        (command, matches) = (subcommand, inner);
        let is_from = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(source);
        found.extend(command.get_arguments().filter(is_from));
    }
    found
}

/// The command without the variables that are empty: they count as not set.
pub(super) fn without_empty(command: Command) -> Command {
    without(command, &|variable| value(variable).is_some_and(|value| value.is_empty()))
}

/// The command without variables.
pub(super) fn without_any(command: Command) -> Command {
    without(command, &|_| true)
}

/// Adds the name of the variable to an error that is about one. `read` parses the command line with a
/// command.
pub(super) fn name_variable(
    mut error: clap::Error,
    command: &Command,
    read: impl Fn(Command) -> Result<ArgMatches, clap::Error>,
) -> clap::Error {
    let mut variables = BTreeSet::new();
    collect(command, &mut variables);
    let said = error.to_string();
    let is_wrong = |variable: &OsString| {
        let others = without(command.clone(), &|other| other == variable);
        read(others).map_or_else(|error| error.to_string() != said, |_| true)
    };
    let Some(variable) = variables.into_iter().find(is_wrong) else { return error };
    let variable = variable.to_string_lossy();
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => format!("{variable}, which stands for {arg}"),
        _ => variable.into_owned(),
    };
    error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    error
}

fn without(command: Command, is_left_out: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(variable) if is_left_out(variable) => arg.env(Resettable::Reset),
            _ => arg,
        })
        .mut_subcommands(|command| without(command, is_left_out))
}

/// The variables of options that are set.
fn collect(command: &Command, variables: &mut BTreeSet<OsString>) {
    let all = command.get_arguments().filter_map(|arg| arg.get_env());
    variables.extend(all.filter(|variable| value(variable).is_some()).map(OsStr::to_owned));
    command.get_subcommands().for_each(|command| collect(command, variables));
}

/// The value of a variable.
pub(super) fn value(variable: &OsStr) -> Option<OsString> {
    std::env::var_os(variable)
}
