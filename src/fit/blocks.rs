use std::ops::Range;

/// The calls in blocks of time, of as many calls each: calls that are close to each other are alike, so
/// that a call is no test of what was learned from its neighbour.
///
/// Of five blocks one is held back to score and calibrate what was learned from the others; of those, one
/// in four is for choices on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    count: usize,
    blocks: usize,
}

/// What a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// To learn from.
    Learn,
    /// To choose among what was learned.
    Choose,
    /// To score and to calibrate.
    Hold,
}

impl Blocks {
    /// Of this many calls.
    pub(super) fn new(count: usize) -> Self {
        Self { count, blocks: (count / 25).clamp(10, 100) / 5 * 5 }
    }

    pub(super) fn count(self) -> usize {
        self.count
    }

    /// How many blocks there are.
    pub(super) fn blocks(self) -> usize {
        self.blocks
    }

    /// The calls of a block.
    pub(super) fn rows(self, block: usize) -> Range<usize> {
        self.count * block / self.blocks..self.count * (block + 1) / self.blocks
    }

    pub(super) fn part(block: usize) -> Part {
        match block % 5 {
            0 => Part::Choose,
            2 => Part::Hold,
            _ => Part::Learn,
        }
    }

    /// The blocks of a part.
    pub(super) fn of(self, part: Part) -> impl Iterator<Item = usize> {
        (0..self.blocks).filter(move |block| Self::part(*block) == part)
    }

    /// The calls of some parts, in their order.
    pub(super) fn rows_of(self, parts: &[Part]) -> Vec<usize> {
        let blocks = (0..self.blocks).filter(|block| parts.contains(&Self::part(*block)));
        blocks.flat_map(|block| self.rows(block)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_in_one_block() {
        for count in [200, 201, 999, 2500, 12_345] {
            let blocks = Blocks::new(count);
            let rows: Vec<_> = (0..blocks.blocks()).flat_map(|block| blocks.rows(block)).collect();
            assert!(rows.iter().copied().eq(0..count));
            let mut all = blocks.rows_of(&[Part::Learn]);
            let held = blocks.rows_of(&[Part::Hold]);
            assert!(held.len() * 5 >= count - 5 && held.len() * 5 <= count + 5, "{count}");
            all.extend(held);
            all.extend(blocks.rows_of(&[Part::Choose]));
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count));
        }
    }
}
