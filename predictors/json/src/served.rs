use std::sync::Arc;

use hyperfake_predictor::{Feature, Range};

use crate::{model::Model, quantiles::Quantiles};

/// What is served of a file.
#[derive(Debug)]
pub(crate) enum Served {
    /// A model that answers with three numbers.
    Point(Arc<Model>),
    /// A model that knows how they are distributed.
    Quantiles(Arc<Quantiles>),
}

impl Served {
    /// The values of each input that the model was made from, if it knows them.
    pub(crate) fn trained(&self, inputs: &[Feature]) -> Vec<Option<Range>> {
        let range = |input: &Feature| match self {
            Self::Point(model) => match &**model {
                Model::Constant(_) | Model::Linear(_) => None,
                Model::Table(table) => table.range(*input),
            },
            Self::Quantiles(quantiles) => quantiles.range(*input),
        };
        let ranges: Vec<_> = inputs.iter().map(range).collect();
        if ranges.iter().any(Option::is_some) { ranges } else { Vec::new() }
    }
}

impl From<Model> for Served {
    fn from(model: Model) -> Self {
        Self::Point(Arc::new(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Entry;

    impl Entry {
        pub(crate) fn point(self) -> Model {
            match self.served {
                Served::Point(model) => Arc::into_inner(model).unwrap(),
                other => panic!("{other:?}"),
            }
        }
    }
}
