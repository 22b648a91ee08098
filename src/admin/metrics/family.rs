use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Unit,
};

use crate::admin::observe::Buckets;

/// Writes families of metrics.
pub(super) struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
    /// What names begin with.
    prefix: &'static str,
}

/// A family's name, unit and meaning.
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) unit: Option<&'a str>,
    pub(super) help: &'a str,
}

/// The labels of a series.
pub(super) type Labels<'a> = Vec<(&'a str, &'a str)>;

impl<'a> Families<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder, prefix: "" }
    }

    /// The same, whose names begin with this from now on.
    pub(super) fn with_prefix(&mut self, prefix: &'static str) -> &mut Self {
        self.prefix = prefix;
        self
    }

    /// Numbers of now.
    pub(super) fn gauge<'s>(
        &mut self,
        family: Family<'_>,
        series: impl IntoIterator<Item = (Labels<'s>, f64)>,
    ) -> fmt::Result {
        let (name, unit) = (self.name(&family), family.unit());
        let unit = unit.as_ref();
        let mut all =
            self.encoder.encode_descriptor(&name, family.help, unit, MetricType::Gauge)?;
        for (labels, value) in series {
            all.encode_family(&labels.as_slice())?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Numbers since the start. The name gets `_total` at its end.
    pub(super) fn counter<'s, V: EncodeCounterValue>(
        &mut self,
        family: Family<'_>,
        series: impl IntoIterator<Item = (Labels<'s>, V)>,
    ) -> fmt::Result {
        const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;
        let (name, unit) = (self.name(&family), family.unit());
        let unit = unit.as_ref();
        let mut all =
            self.encoder.encode_descriptor(&name, family.help, unit, MetricType::Counter)?;
        for (labels, value) in series {
            all.encode_family(&labels.as_slice())?.encode_counter(&value, NONE)?;
        }
        Ok(())
    }

    /// Times. Those without any are left out.
    pub(super) fn histogram<'s, 'b>(
        &mut self,
        family: Family<'_>,
        series: impl IntoIterator<Item = (Labels<'s>, &'b Buckets)>,
    ) -> fmt::Result {
        let series = series.into_iter().filter(|(_, times)| times.count() > 0);
        self.buckets(
            family,
            series.map(|(labels, times)| (labels, times.sum(), times.by_bound().collect())),
        )
    }

    /// Numbers by upper bound, each without those below the bound before.
    pub(super) fn buckets<'s>(
        &mut self,
        family: Family<'_>,
        series: impl IntoIterator<Item = (Labels<'s>, f64, Vec<(f64, u64)>)>,
    ) -> fmt::Result {
        let (name, unit) = (self.name(&family), family.unit());
        let unit = unit.as_ref();
        let mut all =
            self.encoder.encode_descriptor(&name, family.help, unit, MetricType::Histogram)?;
        for (labels, sum, counts) in series {
            let count = counts.iter().map(|(_, count)| count).sum();
            let labels = labels.as_slice();
            let mut one = all.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(sum, count, &counts, None)?;
        }
        Ok(())
    }

    fn name(&self, family: &Family<'_>) -> String {
        format!("{}{}", self.prefix, family.name)
    }

    /// Facts, as labels of a 1. The name gets `_info` at its end.
    pub(super) fn info<'s>(
        &mut self,
        family: Family<'_>,
        series: impl IntoIterator<Item = Labels<'s>>,
    ) -> fmt::Result {
        let name = self.name(&family);
        let mut all = self.encoder.encode_descriptor(&name, family.help, None, MetricType::Info)?;
        for labels in series {
            all.encode_info(&labels)?;
        }
        Ok(())
    }
}

impl Family<'_> {
    fn unit(&self) -> Option<Unit> {
        self.unit.map(|unit| Unit::Other(unit.to_owned()))
    }
}
