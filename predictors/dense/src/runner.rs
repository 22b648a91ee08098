use std::{fmt, sync::Arc};

use crate::{
    Isa,
    kernel::{self, ROWS},
    math::Line,
    pack::Packed,
};

/// One thread's state for a network: where its values are kept in between.
pub struct Runner {
    packed: Arc<Packed>,
    isa: Isa,
    /// Room for [`ROWS`] rows, before and after a layer.
    from: Vec<Line>,
    to: Vec<Line>,
}

impl Runner {
    pub(crate) fn new(packed: Arc<Packed>, isa: Isa) -> Self {
        let room = vec![Line::ZERO; ROWS * packed.lines];
        Self { packed, isa, from: room.clone(), to: room }
    }

    /// Runs the network once.
    ///
    /// # Panics
    ///
    /// When there are other numbers of inputs and outputs than the network has.
    pub fn run(&mut self, inputs: &[f32], outputs: &mut [f32]) {
        assert_eq!(inputs.len(), self.packed.inputs, "the network takes another number of inputs");
        assert_eq!(outputs.len(), self.packed.outputs, "the network gives another number");
        kernel::run::<1>(self.isa, &self.packed, inputs, outputs, &mut self.from, &mut self.to);
    }

    /// Runs the network for many rows, which takes less time than one by one and gives the same
    /// answers, to the last bit.
    ///
    /// # Panics
    ///
    /// When `inputs` and `outputs` are not the same number of whole rows.
    pub fn run_batch(&mut self, inputs: &[f32], outputs: &mut [f32]) {
        let (columns, answers) = (self.packed.inputs, self.packed.outputs);
        let rows = inputs.len() / columns;
        assert_eq!(inputs.len(), rows * columns, "a row of inputs is cut");
        assert_eq!(outputs.len(), rows * answers, "there is not a row of outputs for each input");
        let (packed, from, to) = (&self.packed, &mut self.from, &mut self.to);
        let in_pairs = rows - rows % ROWS;
        let (inputs, last_inputs) = inputs.split_at(in_pairs * columns);
        let (outputs, last_outputs) = outputs.split_at_mut(in_pairs * answers);
        let pairs = inputs.chunks_exact(ROWS * columns);
        for (inputs, outputs) in pairs.zip(outputs.chunks_exact_mut(ROWS * answers)) {
            kernel::run::<ROWS>(self.isa, packed, inputs, outputs, from, to);
        }
        let singles = last_inputs.chunks_exact(columns);
        for (inputs, outputs) in singles.zip(last_outputs.chunks_exact_mut(answers)) {
            kernel::run::<1>(self.isa, packed, inputs, outputs, from, to);
        }
    }

    /// The instructions that it uses.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("isa", &self.isa).finish_non_exhaustive()
    }
}
