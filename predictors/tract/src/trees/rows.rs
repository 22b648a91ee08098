use std::collections::HashMap;

/// Finds the row of a node in the arrays of a `TreeEnsembleRegressor`, where each row has the ids
/// of a tree and of a node.
///
/// The rows of a tree should be adjacent, and its nodes numbered from 0; then only the first row
/// of each tree is looked up. Files in which they are not exist, and are well defined.
pub(super) struct Rows<'a> {
    trees: &'a [i64],
    nodes: &'a [i64],
    /// The row of each tree's node 0.
    first: HashMap<i64, usize>,
    /// The row of each node, when the order is another.
    all: HashMap<(i64, i64), usize>,
}

impl<'a> Rows<'a> {
    /// The arrays have the same length. The error is a reason: a node that is there twice.
    pub(super) fn of(trees: &'a [i64], nodes: &'a [i64]) -> Result<Self, String> {
        let twice = |tree: i64, node: i64| format!("tree {tree} has two nodes {node}");
        let (mut first, mut all) = (HashMap::new(), HashMap::new());
        let mut in_order = true;
        for (row, (tree, node)) in trees.iter().zip(nodes).enumerate() {
            if *node == 0 {
                if first.insert(*tree, row).is_some() {
                    return Err(twice(*tree, 0));
                }
            } else {
                let before = row.checked_sub(1).map(|row| (trees[row], nodes[row]));
                in_order &= before == node.checked_sub(1).map(|node| (*tree, node));
            }
        }
        if !in_order {
            for (row, id) in trees.iter().copied().zip(nodes.iter().copied()).enumerate() {
                if all.insert(id, row).is_some() {
                    return Err(twice(id.0, id.1));
                }
            }
        }
        Ok(Self { trees, nodes, first, all })
    }

    /// The row of a node. The error is a reason.
    pub(super) fn find(&self, tree: i64, node: i64) -> Result<usize, String> {
        let found = if self.all.is_empty() {
            let row = self
                .first
                .get(&tree)
                .and_then(|first| first.checked_add(usize::try_from(node).ok()?));
            let is_it = |row: &usize| {
                self.trees.get(*row) == Some(&tree) && self.nodes.get(*row) == Some(&node)
            };
            row.filter(is_it)
        } else {
            self.all.get(&(tree, node)).copied()
        };
        found.ok_or_else(|| format!("tree {tree} has no node {node}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_found_in_any_order_of_the_rows() {
        let orders: [&[(i64, i64)]; 4] = [
            &[(0, 0), (0, 1), (0, 2), (5, 0), (5, 1)],
            &[(5, 1), (0, 2), (5, 0), (0, 0), (0, 1)],
            &[(0, 0), (5, 0), (5, 1), (0, 1), (0, 2)],
            &[(0, 3), (0, 2), (5, -1), (5, i64::MAX), (7, i64::MIN)],
        ];
        for ids in orders {
            let trees: Vec<_> = ids.iter().map(|id| id.0).collect();
            let nodes: Vec<_> = ids.iter().map(|id| id.1).collect();
            let rows = Rows::of(&trees, &nodes).unwrap();
            for (row, (tree, node)) in ids.iter().enumerate() {
                assert_eq!(rows.find(*tree, *node), Ok(row));
            }
            for (tree, node) in [(0, 9), (1, 0), (5, -2), (0, i64::MAX - 1)] {
                let expected = format!("tree {tree} has no node {node}");
                assert_eq!(rows.find(tree, node), Err(expected));
            }
        }
    }

    #[test]
    fn a_node_that_is_there_twice_is_refused() {
        for nodes in [[0, 1, 1], [0, 1, 0], [2, 1, 2]] {
            let reason = Rows::of(&[3; 3], &nodes).err().unwrap();
            assert_eq!(reason, format!("tree 3 has two nodes {}", nodes[2]));
        }
    }
}
