use std::{fmt, sync::Arc};

use hyperfake_predictor::{Error, Result};

use crate::{
    Aggregate, Child, Ensemble,
    pack::{self, Node, Packed, SLOTS, Tree},
};

/// The most inputs that an ensemble may have.
pub const MAX_INPUTS: usize = 8;

/// The most outputs that an ensemble may have.
pub const MAX_TARGETS: usize = 8;

/// Trees that are walked at the same time.
const WALKS: usize = 8;

/// Steps after which it is looked whether all walks have ended.
const STEPS: u32 = 8;

/// An ensemble that was checked and packed, shared by all threads.
#[derive(Clone)]
pub struct Forest(Arc<Parts>);

struct Parts {
    inputs: usize,
    targets: usize,
    aggregate: Aggregate,
    /// One for each target.
    base_values: Vec<f64>,
    packed: Packed,
}

impl Forest {
    /// Checks an ensemble and packs it.
    ///
    /// # Errors
    ///
    /// `Invalid`, with the index of what is wrong: an index that does not exist; a branch with two
    /// parents, which includes a cycle; a branch or a leaf that belongs to no tree; a threshold
    /// that cannot be compared with; another number of base values than targets; no tree; with
    /// [`Aggregate::Min`] and [`Aggregate::Max`] a target that may get no vote. `Unsupported` when
    /// there are more than 268 million nodes.
    pub fn new(ensemble: &Ensemble) -> Result<Self> {
        let packed = pack::pack(ensemble)?;
        let Ensemble { inputs, targets, aggregate, .. } = *ensemble;
        let mut base_values = ensemble.base_values.clone();
        base_values.resize(targets, 0.0);
        if let Some(target) = unsettled_target(ensemble, &packed) {
            return Err(Error::invalid(format!(
                "target {target} may get no vote, and then has no least or greatest one"
            )));
        }
        Ok(Self(Arc::new(Parts { inputs, targets, aggregate, base_values, packed })))
    }

    /// How many numbers go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.0.inputs
    }

    /// How many numbers come out.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.0.targets
    }

    /// How many trees there are.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.0.packed.trees.len()
    }

    /// Evaluates the trees once.
    ///
    /// # Panics
    ///
    /// When there are other numbers of inputs and outputs than the ensemble has.
    pub fn run(&self, inputs: &[f32], outputs: &mut [f64]) {
        let parts = &*self.0;
        assert_eq!(inputs.len(), parts.inputs, "the ensemble takes another number of inputs");
        assert_eq!(outputs.len(), parts.targets, "the ensemble gives another number");
        let mut slots = [0.0; SLOTS];
        for (index, input) in inputs.iter().enumerate() {
            slots[index] = *input;
            slots[index + MAX_INPUTS] = if input.is_nan() { f32::NEG_INFINITY } else { *input };
        }
        outputs.fill(pack::neutral(parts.aggregate));
        // A loop for each, because the compiler then knows what it does at a leaf.
        match parts.aggregate {
            Aggregate::Sum | Aggregate::Average => parts.walk_all(&slots, outputs, |a, b| a + b),
            Aggregate::Min => parts.walk_all(&slots, outputs, f64::min),
            Aggregate::Max => parts.walk_all(&slots, outputs, f64::max),
        }
        if parts.aggregate == Aggregate::Average {
            let trees = parts.packed.trees.len() as f64;
            outputs.iter_mut().for_each(|output| *output /= trees);
        }
        for (output, base) in outputs.iter_mut().zip(&parts.base_values) {
            *output += base;
        }
    }
}

impl Parts {
    #[inline(always)]
    fn walk_all(
        &self,
        slots: &[f32; SLOTS],
        outputs: &mut [f64],
        combine: impl Fn(f64, f64) -> f64,
    ) {
        // The usual numbers of targets, known to the compiler.
        if let Ok(outputs) = <&mut [f64; 1]>::try_from(&mut *outputs) {
            self.walk(slots, outputs, combine);
        } else if let Ok(outputs) = <&mut [f64; 3]>::try_from(&mut *outputs) {
            self.walk(slots, outputs, combine);
        } else {
            let mut all = [0.0; MAX_TARGETS];
            all[..outputs.len()].copy_from_slice(outputs);
            self.walk(slots, &mut all, combine);
            outputs.copy_from_slice(&all[..outputs.len()]);
        }
    }

    fn walk<const N: usize>(
        &self,
        slots: &[f32; SLOTS],
        outputs: &mut [f64; N],
        combine: impl Fn(f64, f64) -> f64,
    ) {
        let Packed { nodes, row_of, rows, trees } = &self.packed;
        let (rows, _) = rows.as_chunks::<N>();
        let mut totals = *outputs;
        let mut vote = |leaf: u32| {
            let row = &rows[row_of[leaf as usize] as usize];
            for (total, number) in totals.iter_mut().zip(row) {
                *total = combine(*total, f64::from(*number));
            }
        };
        let (groups, others) = trees.as_chunks::<WALKS>();
        for group in groups {
            together(nodes, slots, group).into_iter().for_each(&mut vote);
        }
        for tree in others {
            together(nodes, slots, &[*tree]).into_iter().for_each(&mut vote);
        }
        *outputs = totals;
    }
}

/// Walks some trees at the same time, from their roots to their leaves. The first tree is the
/// deepest.
#[inline(always)]
fn together<const N: usize>(nodes: &[Node], slots: &[f32; SLOTS], trees: &[Tree; N]) -> [u32; N] {
    let mut at = trees.map(|tree| tree.root);
    let mut left = trees[0].depth;
    // In a deep tree most leaves are far above the deepest.
    while left > STEPS {
        for _ in 1..STEPS {
            at.iter_mut().for_each(|node| *node = step(nodes, slots, *node));
        }
        let before = at;
        at.iter_mut().for_each(|node| *node = step(nodes, slots, *node));
        if at == before {
            return at;
        }
        left -= STEPS;
    }
    for _ in 0..left {
        at.iter_mut().for_each(|node| *node = step(nodes, slots, *node));
    }
    at
}

/// From a node to a child, or from a leaf to itself.
#[inline(always)]
fn step(nodes: &[Node], slots: &[f32; SLOTS], at: u32) -> u32 {
    let node = nodes[at as usize];
    let input = slots[node.link as usize % SLOTS];
    node.link / SLOTS as u32 + u32::from(input <= node.threshold)
}

/// A target on which no leaf may vote that a walk ends at, where that matters.
fn unsettled_target(ensemble: &Ensemble, packed: &Packed) -> Option<usize> {
    if matches!(ensemble.aggregate, Aggregate::Sum | Aggregate::Average) {
        return None;
    }
    let width = pack::row_width(ensemble.targets);
    let mut settled = vec![false; ensemble.targets];
    for root in &ensemble.roots {
        let mut always = vec![true; ensemble.targets];
        let mut open = vec![*root];
        while let Some(child) = open.pop() {
            match child {
                Child::Branch(index) => {
                    let branch = &ensemble.branches[index];
                    open.extend([branch.if_false, branch.if_true]);
                }
                Child::Leaf(index) => {
                    let row = &packed.rows[index * width..][..ensemble.targets];
                    for (always, number) in always.iter_mut().zip(row) {
                        *always &= number.is_finite();
                    }
                }
            }
        }
        settled.iter_mut().zip(always).for_each(|(settled, always)| *settled |= always);
    }
    settled.iter().position(|settled| !settled)
}

impl fmt::Debug for Forest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forest")
            .field("inputs", &self.inputs())
            .field("targets", &self.targets())
            .field("trees", &self.trees())
            .finish_non_exhaustive()
    }
}
