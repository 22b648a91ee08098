//! What monitoring systems read: every name, unit and label of a metric is defined here.

mod cadvisor;
mod family;
mod otel;
mod ours;
mod pages;

use std::{fmt, sync::Arc};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text, text},
    registry::Registry,
};

use self::{family::Families, pages::Pages};
use super::{
    fleet::{Fleet, InstanceCounts},
    guard::Refusal,
    observe::Totals,
    view::View,
};
use crate::{
    clock::{Clock, Lateness, Moment},
    worker::Usage,
};

/// Names beside our own, under which systems that know other software find the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Names {
    /// OpenTelemetry's conventions for functions.
    Otel,
    /// cAdvisor's, for containers.
    Cadvisor,
}

/// The page at `/metrics`, in two forms.
#[derive(Debug)]
pub(super) struct Metrics {
    view: Arc<View>,
    registry: Registry,
    pages: Pages<2>,
}

/// The forms of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Prometheus,
    OpenMetrics,
}

/// What the names of our own metrics begin with.
const OURS: &str = concat!("hyperfake", "_");
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Metrics {
    pub(super) fn new(view: Arc<View>, names: &[Names]) -> Self {
        let mut registry = Registry::default();
        let names = names.to_vec();
        registry.register_collector(Box::new(Page { view: Arc::clone(&view), names }));
        Self { view, registry, pages: Pages::new() }
    }

    /// The page, in the form that the request asks for.
    pub(super) fn page(&self, headers: &HeaderMap) -> Response {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let accepted: Vec<_> = accepted.filter_map(|value| value.to_str().ok()).collect();
        let form = Form::accepted(&accepted.join(","));
        let page = self.pages.get(form as usize, &self.view.clock, || self.encode(form));
        let Some(page) = page else {
            let text = "found clients that hold all pages and do not read them: try again later";
            return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        };
        ([(header::CONTENT_TYPE, form.content_type())], page).into_response()
    }

    fn encode(&self, form: Form) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = match form {
            Form::Prometheus => prometheus_text::encode(&mut page, &self.registry),
            Form::OpenMetrics => text::encode(&mut page, &self.registry),
        };
        page
    }
}

impl Form {
    /// That which a client accepts, by its header: OpenMetrics if it says so, and else the form that
    /// people and older programs read.
    fn accepted(accept: &str) -> Self {
        let quality = |kind: &str| {
            let of = accept.split(',').map(str::trim);
            let mut of = of.filter(|part| part.split(';').next().map(str::trim) == Some(kind));
            let parameters = of.next()?.split(';').skip(1).map(str::trim);
            let quality = parameters.filter_map(|parameter| parameter.strip_prefix("q=")).next();
            Some(quality.map_or(1.0, |quality| quality.parse::<f64>().unwrap_or(0.0)))
        };
        let open = quality("application/openmetrics-text").unwrap_or(0.0);
        let plain = quality("text/plain").unwrap_or(0.0);
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => OPEN_METRICS,
        }
    }
}

/// What is read for a page.
struct Sample<'a> {
    fleet: &'a Fleet,
    clock: &'a Clock,
    totals: &'a Totals,
    instances: InstanceCounts,
    usage: Vec<Usage>,
    lateness: Lateness,
    /// How many times as long as planned calls ran in the last second; 1 when none ran.
    slowdown: f64,
    now: Moment,
}

struct Page {
    view: Arc<View>,
    names: Vec<Names>,
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.view.up_to_date();
        let (fleet, clock, now) = (&self.view.fleet, &self.view.clock, self.view.clock.now());
        let totals = &state.observed.totals;
        let latest = state.history.back();
        let sample = Sample {
            fleet,
            clock,
            totals,
            instances: fleet.count_instances(totals, now),
            usage: fleet.usage(),
            lateness: fleet.lateness(),
            slowdown: latest.and_then(|row| row.slowdown).unwrap_or(1.0),
            now,
        };
        let mut families = Families::new(encoder);
        ours::encode(&sample, families.with_prefix(OURS))?;
        families.with_prefix("");
        for names in &self.names {
            match names {
                Names::Otel => otel::encode(&sample, &mut families)?,
                Names::Cadvisor => cadvisor::encode(&sample, &mut families)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_open_metrics_when_it_prefers_them() {
        // The second is what Prometheus 2.42 sends.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                          version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            ("", Form::Prometheus),
            (prometheus, Form::OpenMetrics),
            ("*/*", Form::Prometheus),
            ("text/html, text/plain", Form::Prometheus),
            ("application/openmetrics-text; q=0.3, text/plain; q=0.5", Form::Prometheus),
            ("application/openmetrics-text;q=0", Form::Prometheus),
            ("application/openmetrics-text;q=x", Form::Prometheus),
        ] {
            assert_eq!(Form::accepted(accept), expected, "{accept}");
        }
    }
}
