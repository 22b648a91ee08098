//! From the arrays of an [`Ensemble`] to the nodes that a walk steps through.
//!
//! Every comparison becomes `input <= threshold`, which takes these identities of single
//! precision, where `below` is the next smaller number:
//!
//! - `x < t` is `x <= below(t)`;
//! - `x > t` and `x >= t` are the opposites of `x <= t` and `x < t`, with the children exchanged;
//! - `x == t` is `x <= t` and not `x <= below(t)`: two nodes.
//!
//! `NaN <= t` is false. A node for which NaN must count as true looks at a second copy of the
//! inputs, in which NaN is -infinity.

use hyperfake_predictor::{Error, Result};

use crate::{
    Branch, Child, Comparison, Ensemble, MAX_INPUTS, MAX_TARGETS,
    ensemble::{Aggregate, Vote},
};

/// The inputs as a walk looks at them: as they are, then with -infinity in place of NaN.
pub(crate) const SLOTS: usize = 2 * MAX_INPUTS;

/// A place in a tree, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Node {
    /// NaN where nothing is compared: the comparison is false for every input.
    pub(crate) threshold: f32,
    /// The first of two children, times [`SLOTS`], plus the slot to compare. The first child is
    /// for false, the second for true. A leaf is its own first child.
    pub(crate) link: u32,
}

/// Links have as many bits for a node.
const MAX_NODES: usize = u32::MAX as usize / SLOTS;

/// All trees, packed.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) nodes: Vec<Node>,
    /// For each node that is a leaf the index of its row.
    pub(crate) row_of: Vec<u32>,
    /// For each leaf [`row_width`] numbers, of which the first are for the targets.
    pub(crate) rows: Vec<f32>,
    /// The deepest tree first, so that those that are walked together end together.
    pub(crate) trees: Vec<Tree>,
}

/// Where a tree begins, and the most steps that a walk to a leaf takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) root: u32,
    pub(crate) depth: u32,
}

/// Checks and packs an ensemble.
pub(crate) fn pack(ensemble: &Ensemble) -> Result<Packed> {
    check(ensemble)?;
    let mut packing = Packing {
        ensemble,
        packed: Packed::default(),
        reached: Reached {
            branches: vec![false; ensemble.branches.len()],
            leaves: vec![false; ensemble.leaves.len()],
        },
        jumps: 0,
    };
    packing.packed.rows = rows(ensemble);
    for (index, root) in ensemble.roots.iter().enumerate() {
        packing.tree(*root).map_err(|error| error.at(format!("tree {index}")))?;
    }
    let Packing { mut packed, reached, .. } = packing;
    for (kind, reached) in [("branch", reached.branches), ("leaf", reached.leaves)] {
        if let Some(index) = reached.iter().position(|reached| !reached) {
            return Err(Error::invalid(format!("no tree has {kind} {index}")));
        }
    }
    packed.trees.sort_by_key(|tree| u32::MAX - tree.depth);
    Ok(packed)
}

/// What can be said of each item alone, and of the votes.
fn check(ensemble: &Ensemble) -> Result<()> {
    let Ensemble { inputs, targets, base_values, roots, branches, leaves, .. } = ensemble;
    for (what, found, most) in [("inputs", *inputs, MAX_INPUTS), ("targets", *targets, MAX_TARGETS)]
    {
        if !(1..=most).contains(&found) {
            return Err(Error::invalid(format!("found {found} {what}, expected 1 to {most}")));
        }
    }
    if !base_values.is_empty() && base_values.len() != *targets {
        let found = base_values.len();
        return Err(Error::invalid(format!(
            "found {found} base values, expected none or {targets}"
        )));
    }
    if roots.is_empty() {
        return Err(Error::invalid("found no tree, expected at least one"));
    }
    for (index, branch) in branches.iter().enumerate() {
        let strict = matches!(branch.comparison, Comparison::Less | Comparison::GreaterOrEqual);
        let found = match branch {
            Branch { input, .. } if input >= inputs => {
                format!("compares input {input}, expected one below {inputs}")
            }
            Branch { threshold, .. }
                if threshold.is_nan() || (strict && *threshold == f32::NEG_INFINITY) =>
            {
                format!("has the threshold {threshold}, expected a number")
            }
            _ => continue,
        };
        return Err(Error::invalid(format!("branch {index} {found}")));
    }
    for (index, leaf) in leaves.iter().enumerate() {
        for Vote { target, weight } in &leaf.votes {
            if target >= targets {
                return Err(Error::invalid(format!(
                    "leaf {index} votes on target {target}, expected one below {targets}"
                )));
            }
            if !weight.is_finite() {
                return Err(Error::invalid(format!(
                    "leaf {index} votes with {weight}, expected a finite number"
                )));
            }
        }
    }
    Ok(())
}

/// A row of numbers for each leaf.
fn rows(ensemble: &Ensemble) -> Vec<f32> {
    let width = row_width(ensemble.targets);
    let mut rows = vec![neutral(ensemble.aggregate) as f32; ensemble.leaves.len() * width];
    for (leaf, row) in ensemble.leaves.iter().zip(rows.chunks_exact_mut(width)) {
        for vote in &leaf.votes {
            let number = &mut row[vote.target];
            let (total, weight) = (f64::from(*number), f64::from(vote.weight));
            *number = combined(ensemble.aggregate, total, weight) as f32;
        }
    }
    rows
}

/// How many numbers the row of a leaf has: as many as targets where that is usual, else the most.
pub(crate) fn row_width(targets: usize) -> usize {
    if matches!(targets, 1 | 3) { targets } else { MAX_TARGETS }
}

/// What a leaf that does not vote contributes.
pub(crate) fn neutral(aggregate: Aggregate) -> f64 {
    match aggregate {
        Aggregate::Sum | Aggregate::Average => 0.0,
        Aggregate::Min => f64::INFINITY,
        Aggregate::Max => f64::NEG_INFINITY,
    }
}

/// One more vote; an average is divided at the end.
fn combined(aggregate: Aggregate, total: f64, vote: f64) -> f64 {
    match aggregate {
        Aggregate::Sum | Aggregate::Average => total + vote,
        Aggregate::Min => total.min(vote),
        Aggregate::Max => total.max(vote),
    }
}

struct Packing<'a> {
    ensemble: &'a Ensemble,
    packed: Packed,
    reached: Reached,
    /// How often [`Content::Jump`] was placed.
    jumps: u32,
}

struct Reached {
    branches: Vec<bool>,
    leaves: Vec<bool>,
}

/// What a node of [`Packed`] will hold.
enum Content {
    Child(Child),
    /// The second half of an equality: `input <= below(threshold)`.
    Below(Branch),
    /// Goes on at the node, which belongs to another place of the tree.
    Jump(u32),
}

impl Packing<'_> {
    /// Level by level, so that the first levels, which every walk visits, are adjacent.
    /// The queue is not the call stack, because a file may hold a tree of any depth.
    fn tree(&mut self, root: Child) -> Result<()> {
        let root_at = self.allocate(1)?;
        let (mut depth, jumps) = (0, self.jumps);
        let mut level = vec![(root_at, Content::Child(root))];
        while !level.is_empty() {
            let mut next = Vec::new();
            for (at, content) in level {
                self.place(at, content, &mut next)?;
            }
            depth += u32::from(!next.is_empty());
            level = next;
        }
        // A walk takes two steps more than levels each time that it jumps one level up.
        depth += 2 * (self.jumps - jumps);
        self.packed.trees.push(Tree { root: root_at, depth });
        Ok(())
    }

    fn place(&mut self, at: u32, content: Content, next: &mut Vec<(u32, Content)>) -> Result<()> {
        let branch = match content {
            Content::Child(Child::Leaf(index)) => {
                let count = self.ensemble.leaves.len();
                let leaf = self.reached.leaves.get_mut(index);
                *leaf.ok_or_else(|| absent("leaf", index, count))? = true;
                self.packed.nodes[at as usize] = Node { threshold: f32::NAN, link: linked(at, 0) };
                self.packed.row_of[at as usize] = index as u32;
                return Ok(());
            }
            Content::Jump(to) => {
                self.jumps += 1;
                self.packed.nodes[at as usize] = Node { threshold: f32::NAN, link: linked(to, 0) };
                return Ok(());
            }
            Content::Below(branch) => {
                return self.second_half(at, &branch, next);
            }
            Content::Child(Child::Branch(index)) => {
                let count = self.ensemble.branches.len();
                let reached = self.reached.branches.get_mut(index);
                let reached = reached.ok_or_else(|| absent("branch", index, count))?;
                if std::mem::replace(reached, true) {
                    return Err(Error::invalid(format!("branch {index} has two parents")));
                }
                self.ensemble.branches[index]
            }
        };
        let [if_false, if_true] = [branch.if_false, branch.if_true].map(Content::Child);
        let Branch { threshold, missing_is_true, .. } = branch;
        match branch.comparison {
            Comparison::LessOrEqual => {
                self.compare(at, &branch, threshold, missing_is_true, [if_false, if_true], next)
            }
            Comparison::Less => {
                let below = threshold.next_down();
                self.compare(at, &branch, below, missing_is_true, [if_false, if_true], next)
            }
            Comparison::Greater => {
                self.compare(at, &branch, threshold, !missing_is_true, [if_true, if_false], next)
            }
            Comparison::GreaterOrEqual => {
                let below = threshold.next_down();
                self.compare(at, &branch, below, !missing_is_true, [if_true, if_false], next)
            }
            Comparison::Equal => {
                let children = [if_false, Content::Below(branch)];
                self.compare(at, &branch, threshold, missing_is_true, children, next)
            }
            Comparison::NotEqual => {
                let children = [if_true, Content::Below(branch)];
                self.compare(at, &branch, threshold, !missing_is_true, children, next)
            }
        }
    }

    /// Of an equality it is known here that the input is at most the threshold, or NaN. The child
    /// for "smaller" is the first child of the node before, next to this one.
    fn second_half(
        &mut self,
        at: u32,
        branch: &Branch,
        next: &mut Vec<(u32, Content)>,
    ) -> Result<()> {
        let equal = match branch.comparison {
            Comparison::NotEqual => branch.if_false,
            _ => branch.if_true,
        };
        let children = [Content::Child(equal), Content::Jump(at - 1)];
        // Nothing but NaN is below -infinity, and NaN never is.
        let below = if branch.threshold == f32::NEG_INFINITY {
            f32::NAN
        } else {
            branch.threshold.next_down()
        };
        self.compare(at, branch, below, false, children, next)
    }

    /// Writes `input <= threshold` at a node and makes place for its children, `[false, true]`.
    fn compare(
        &mut self,
        at: u32,
        branch: &Branch,
        threshold: f32,
        missing_is_true: bool,
        children: [Content; 2],
        next: &mut Vec<(u32, Content)>,
    ) -> Result<()> {
        let first = self.allocate(2)?;
        let slot = branch.input + if missing_is_true { MAX_INPUTS } else { 0 };
        self.packed.nodes[at as usize] = Node { threshold, link: linked(first, slot as u32) };
        next.extend((first..).zip(children));
        Ok(())
    }

    /// Makes place for nodes and gives the index of the first.
    fn allocate(&mut self, count: usize) -> Result<u32> {
        let first = self.packed.nodes.len();
        if first + count > MAX_NODES {
            return Err(Error::unsupported(format!("the trees have more than {MAX_NODES} nodes")));
        }
        self.packed.nodes.resize(first + count, Node { threshold: f32::NAN, link: 0 });
        self.packed.row_of.resize(first + count, 0);
        Ok(first as u32)
    }
}

fn linked(node: u32, slot: u32) -> u32 {
    node * SLOTS as u32 + slot
}

fn absent(kind: &str, index: usize, count: usize) -> Error {
    Error::invalid(format!("{kind} {index} is named, and there are {count}"))
}
