//! The cheapest pairing of rows and columns: the Hungarian method by shortest augmenting paths, O(rows² · columns)
//! (Kuhn 1955; Jonker & Volgenant 1987), over buffers that are kept.

/// The cost of leaving a row or a column alone. Pairs that cost as much are never made.
pub const UNPAIRED: f32 = 1.0;

/// A solver and its buffers.
#[derive(Debug, Default)]
pub struct Assignment {
    cost: Vec<f64>,
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    /// Row (from 1) that each column (from 1) is paired with; 0 is none.
    row_of: Vec<usize>,
    came_from: Vec<usize>,
    distance: Vec<f64>,
    visited: Vec<bool>,
    pairs: Vec<Option<usize>>,
}

impl Assignment {
    /// Pairs rows with columns so that the sum of costs is the least, every unpaired row costing [`UNPAIRED`].
    /// A cost of [`UNPAIRED`] or more, or none at all (NaN), forbids a pair. Returns each row's column.
    pub fn solve(&mut self, rows: usize, columns: usize, cost: impl Fn(usize, usize) -> f32) -> &[Option<usize>] {
        self.pairs.clear();
        self.pairs.resize(rows, None);
        if rows == 0 || columns == 0 {
            return &self.pairs;
        }
        // The method wants no fewer columns than rows.
        let turned = rows > columns;
        let (n, m) = if turned { (columns, rows) } else { (rows, columns) };
        self.cost.clear();
        for i in 0..n {
            for j in 0..m {
                let cost = if turned { cost(j, i) } else { cost(i, j) };
                self.cost.push(f64::from(if cost < UNPAIRED { cost } else { UNPAIRED }));
            }
        }
        self.augment(n, m);
        for column in 1..=m {
            let row = self.row_of[column];
            if row > 0 && self.cost[(row - 1) * m + column - 1] < f64::from(UNPAIRED) {
                let (row, column) = if turned { (column - 1, row - 1) } else { (row - 1, column - 1) };
                self.pairs[row] = Some(column);
            }
        }
        &self.pairs
    }

    /// Pairs one row after another along the shortest path in reduced costs; index 0 is the path's start.
    fn augment(&mut self, n: usize, m: usize) {
        for (buffer, length) in [(&mut self.row_potential, n + 1), (&mut self.column_potential, m + 1)] {
            buffer.clear();
            buffer.resize(length, 0.0);
        }
        for buffer in [&mut self.row_of, &mut self.came_from] {
            buffer.clear();
            buffer.resize(m + 1, 0);
        }
        for row in 1..=n {
            self.row_of[0] = row;
            self.distance.clear();
            self.distance.resize(m + 1, f64::INFINITY);
            self.visited.clear();
            self.visited.resize(m + 1, false);
            let mut column = 0;
            while self.row_of[column] != 0 {
                self.visited[column] = true;
                let from = self.row_of[column];
                let (mut step, mut next) = (f64::INFINITY, 0);
                for j in 1..=m {
                    if self.visited[j] {
                        continue;
                    }
                    let reduced =
                        self.cost[(from - 1) * m + j - 1] - self.row_potential[from] - self.column_potential[j];
                    if reduced < self.distance[j] {
                        self.distance[j] = reduced;
                        self.came_from[j] = column;
                    }
                    if self.distance[j] < step {
                        (step, next) = (self.distance[j], j);
                    }
                }
                for j in 0..=m {
                    if self.visited[j] {
                        self.row_potential[self.row_of[j]] += step;
                        self.column_potential[j] -= step;
                    } else {
                        self.distance[j] -= step;
                    }
                }
                column = next;
            }
            while column != 0 {
                let previous = self.came_from[column];
                self.row_of[column] = self.row_of[previous];
                column = previous;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least cost by trying everything.
    fn exhaustive(cost: &[Vec<f32>], row: usize, used: &mut Vec<bool>) -> f32 {
        if row == cost.len() {
            return 0.0;
        }
        let mut best = UNPAIRED + exhaustive(cost, row + 1, used);
        for column in 0..used.len() {
            if !used[column] && cost[row][column] < UNPAIRED {
                used[column] = true;
                best = best.min(cost[row][column] + exhaustive(cost, row + 1, used));
                used[column] = false;
            }
        }
        best
    }

    proptest! {
        #[test]
        fn nothing_is_cheaper(
            (rows, columns, values) in (0usize..6, 0usize..6)
                .prop_flat_map(|(r, c)| (Just(r), Just(c), prop::collection::vec(prop_oneof![3 => 0.0f32..1.0, 1 => Just(f32::NAN), 1 => 1.0f32..9.0], r * c)))
        ) {
            let cost: Vec<Vec<f32>> = (0..rows).map(|r| values[r * columns..(r + 1) * columns].to_vec()).collect();
            let mut solver = Assignment::default();
            let pairs = solver.solve(rows, columns, |r, c| cost[r][c]).to_vec();
            let mut seen = vec![false; columns];
            let mut total = 0.0;
            for (row, column) in pairs.iter().enumerate() {
                total += match column {
                    Some(column) => {
                        prop_assert!(!std::mem::replace(&mut seen[*column], true), "a column twice");
                        prop_assert!(cost[row][*column] < UNPAIRED);
                        cost[row][*column]
                    }
                    None => UNPAIRED,
                };
            }
            prop_assert!((total - exhaustive(&cost, 0, &mut vec![false; columns])).abs() < 1e-4);
        }
    }
}
