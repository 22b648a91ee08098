mod charts;

use hyperfake_predictor::{Error, Result};
use minijinja::{Environment, context, value::Serde};
use serde::Serialize;

use super::{
    Comparison, Function,
    tables::{self, Table},
};
use crate::report::format::foreign;

/// Functions that have pictures: the worst, so that a page of thousands of functions can be opened.
const PICTURED: usize = 20;
/// Functions that have tables of their own.
const DETAILED: usize = 200;

/// A function as the page shows it.
#[derive(Debug, Serialize)]
struct Section {
    name: String,
    verdict: String,
    tables: Vec<Table>,
    charts: Vec<String>,
}

impl Comparison {
    /// One page of HTML with everything in it: it loads nothing and runs no script.
    ///
    /// # Errors
    ///
    /// `Internal` when it cannot be drawn.
    pub fn page(&self) -> Result<String> {
        let mut functions: Vec<_> = self.functions.iter().collect();
        let score = |function: &Function| function.score.unwrap_or(f64::INFINITY);
        functions.sort_by(|(_, a), (_, b)| score(b).total_cmp(&score(a)));
        let mut sections = Vec::new();
        for (index, (name, function)) in functions.iter().enumerate().take(DETAILED) {
            let charts = if index < PICTURED { charts::of_function(function)? } else { Vec::new() };
            sections.push(Section {
                name: foreign(name),
                verdict: function.verdict.clone(),
                tables: tables::details(function),
                charts,
            });
        }
        let checks: Vec<_> =
            self.checks.iter().map(|check| (check.state.name(), &check.text)).collect();
        let page = context! {
            real => foreign(&self.records.real),
            fake => foreign(&self.records.fake),
            repeat => self.repeat.as_ref().map(|name| foreign(name)),
            valid => self.valid,
            checks => Serde(&checks),
            summary => Serde(&tables::summary(self)),
            over_time => Serde(&tables::over_time(self)),
            not_compared_because => self.over_time.not_compared_because.clone(),
            series => Serde(&charts::over_time(&self.over_time)?),
            sections => Serde(&sections),
            without_charts => functions.len().saturating_sub(PICTURED),
            without_tables => functions.len().saturating_sub(DETAILED),
        };
        let broken = |error: minijinja::Error| {
            Error::internal("cannot write the page").with_source(error.to_string())
        };
        // What ends in .html is escaped.
        let mut environment = Environment::new();
        environment.add_template("page.html", include_str!("page/page.html")).map_err(broken)?;
        environment.get_template("page.html").and_then(|it| it.render(page)).map_err(broken)
    }
}
