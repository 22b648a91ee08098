//! An ensemble as it is stated: arrays of branches and leaves that name each other by index.

/// Decision trees whose leaves vote on some outputs.
///
/// The arrays are only data; [`Forest::new`](crate::Forest::new) checks them.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    /// The number of inputs, from 1 to [`MAX_INPUTS`](crate::MAX_INPUTS).
    pub inputs: usize,
    /// The number of outputs, from 1 to [`MAX_TARGETS`](crate::MAX_TARGETS).
    pub targets: usize,
    /// What is made of the votes on an output.
    pub aggregate: Aggregate,
    /// Added to each output after the votes are aggregated; empty, or one for each output.
    pub base_values: Vec<f64>,
    /// Where each tree begins. Every branch belongs to one place in one tree.
    pub roots: Vec<Child>,
    /// The comparisons of all trees, in any order.
    pub branches: Vec<Branch>,
    /// The leaves of all trees, in any order.
    pub leaves: Vec<Leaf>,
}

/// A comparison of an input with a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Branch {
    /// The index of the input.
    pub input: usize,
    /// How the input (left) is compared with the threshold (right).
    pub comparison: Comparison,
    /// Not NaN, and for [`Comparison::Less`] and [`Comparison::GreaterOrEqual`] not -infinity.
    pub threshold: f32,
    /// Whether the comparison counts as true when the input is NaN; else it counts as false,
    /// whichever comparison it is.
    pub missing_is_true: bool,
    /// Where to go on when the comparison is true.
    pub if_true: Child,
    /// Where to go on when it is false.
    pub if_false: Child,
}

/// How an input is compared with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `input <= threshold`
    LessOrEqual,
    /// `input < threshold`
    Less,
    /// `input >= threshold`
    GreaterOrEqual,
    /// `input > threshold`
    Greater,
    /// `input == threshold`
    Equal,
    /// `input != threshold`
    NotEqual,
}

/// An index into the ensemble's branches or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    /// Of [`Ensemble::branches`].
    Branch(usize),
    /// Of [`Ensemble::leaves`]. Both children of a branch may be the same leaf.
    Leaf(usize),
}

/// The end of a walk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Leaf {
    /// What it adds to the outputs; it need not vote on each, and may vote on one repeatedly.
    pub votes: Vec<Vote>,
}

/// A number for an output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// The index of the output.
    pub target: usize,
    /// The number.
    pub weight: f32,
}

/// What is made of the votes on an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their sum divided by the number of trees.
    Average,
    /// The least of them.
    Min,
    /// The greatest of them.
    Max,
}
