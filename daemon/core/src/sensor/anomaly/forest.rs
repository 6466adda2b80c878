//! Random cut forest: how soon do random cuts part the last readings from all others?
//!
//! S. Guha, N. Mishra, G. Roy, O. Schrijvers, *Robust Random Cut Forest Based Anomaly Detection on Streams*, ICML 2016.
//! The last `m` readings are a point in `m` dimensions (a shingle). Each tree keeps a sample of past points and cuts
//! their bounding box again and again, along a side chosen in proportion to its length and at a place chosen evenly,
//! until every point is alone. Points are added and taken away such that the tree is always distributed as if it had been
//! cut from the sample it holds (the paper's theorems 1 and 2). A point far from the others is alone after few cuts.
//!
//! A point is judged before it is added: its depth is the expected number of cuts until it is parted from the sample,
//! over the cuts that the tree has and those it would have made with the point among them; a box that it lies outside
//! of parts it with the probability `outside / (outside + size)`, both summed over the sides. The distance is 2 to the
//! power of minus the depth, averaged over the trees: each cut halves, in the mean.
//!
//! The sample is a biased reservoir (C. C. Aggarwal, *On biased reservoir sampling in the presence of stream evolution*,
//! VLDB 2006): once full, a point enters with the probability 1/10 and takes the place of any other, so that a tree
//! remembers about ten times as many readings as it has samples.
//!
//! Memory: for each tree and sample 16 · m + 60 bytes, and one [`Tail`]: with the defaults 1.5 MB. Time grows with
//! trees · m: it is by far the most expensive detector.

use super::{Detector, LocalTime, Reason, WARM_UP, score_of, spec::ForestSpec, tail::Tail, usable};

/// Decades of surprise that mean an alarm.
const ALARM_DECADES: f64 = 0.6;
/// Of so many points one enters a full sample.
const ENTERS_ONE_IN: f64 = 10.0;
const SEED: u64 = 0x5eed_f02e_57aa_11ce;
const NONE: u32 = u32::MAX;

/// The detector; see the module.
#[derive(Debug, Clone)]
pub struct Forest {
    trees: Vec<Tree>,
    /// The last readings, oldest first, less the first reading of all: so that `f32` keeps the digits of a counter.
    point: Vec<f32>,
    origin: Option<f64>,
    tail: Tail,
    seen: u32,
}

impl Forest {
    /// One with these settings.
    pub fn new(spec: &ForestSpec) -> Self {
        let tree = |index: usize| {
            Tree::new(spec.stretch.get(), spec.samples.get(), SEED.wrapping_add((index as u64).wrapping_mul(0x9e37)))
        };
        Self {
            trees: (0..spec.trees.get()).map(tree).collect(),
            point: vec![0.0; spec.stretch.get()],
            origin: None,
            tail: Tail::new(spec.memory.get() as u32),
            seen: 0,
        }
    }

    /// Distance of the point that ends with `value`, which then is learnt; 0 as long as there is none.
    pub fn distance(&mut self, value: f64) -> f64 {
        let origin = *self.origin.get_or_insert(value);
        self.point.rotate_left(1);
        if let Some(newest) = self.point.last_mut() {
            *newest = (value - origin) as f32;
        }
        self.seen = self.seen.saturating_add(1);
        if (self.seen as usize) < self.point.len() {
            return 0.0;
        }
        let mut sum = 0.0;
        for tree in &mut self.trees {
            sum += (-tree.depth(&self.point)).exp2();
            tree.offer(&self.point);
        }
        sum / self.trees.len().max(1) as f64
    }
}

impl Detector for Forest {
    fn observe(&mut self, _: LocalTime, value: f64) -> f64 {
        let Some(value) = usable(value) else { return 0.0 };
        let distance = self.distance(value);
        let decades = self.tail.surprise(distance);
        self.tail.learn(distance);
        if self.seen <= WARM_UP { 0.0 } else { score_of(decades, ALARM_DECADES, self.seen) }
    }

    fn reason(&self) -> Reason {
        Reason::Unseen
    }

    fn state_bytes(&self) -> usize {
        let trees = self.trees.iter().map(Tree::bytes).sum::<usize>();
        size_of::<Self>() + size_of_val(&*self.point) + trees + self.tail.heap_bytes()
    }
}

/// One tree over its own sample of points.
#[derive(Debug, Clone)]
struct Tree {
    dimensions: usize,
    nodes: Vec<Node>,
    /// For each node the lower, then the upper corner of the box around its points; for a leaf its point, twice.
    corners: Vec<f32>,
    /// Nodes not in use.
    free: Vec<u32>,
    root: u32,
    /// The leaf of each point of the sample.
    sample: Vec<u32>,
    samples: usize,
    random: SplitMix,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    /// Below or at the cut; [`NONE`] makes the node a leaf.
    left: u32,
    right: u32,
    dimension: u32,
    cut: f32,
    /// Points of the sample under it; equal points share a leaf.
    count: u32,
}

impl Tree {
    fn new(dimensions: usize, samples: usize, seed: u64) -> Self {
        let most = 2 * samples;
        Self {
            dimensions,
            nodes: Vec::with_capacity(most),
            corners: Vec::with_capacity(most * 2 * dimensions),
            free: Vec::with_capacity(most),
            root: NONE,
            sample: Vec::with_capacity(samples),
            samples,
            random: SplitMix(seed),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.nodes.capacity() * size_of::<Node>()
            + (self.corners.capacity() + self.free.capacity() + self.sample.capacity()) * 4
    }

    /// Expected cuts until `point` is parted from the sample; no number of cuts does it where all points are the same.
    fn depth(&self, point: &[f32]) -> f64 {
        if self.root != NONE && self.outside_and_size(self.root, point) == (0.0, 0.0) {
            return f64::INFINITY;
        }
        let (mut expected, mut reached, mut depth, mut at) = (0.0, 1.0, 0.0, self.root);
        while at != NONE {
            let node = self.nodes[at as usize];
            let (outside, size) = self.outside_and_size(at, point);
            depth += 1.0;
            if node.left == NONE {
                // Among equals a point is as deep as if they had been cut evenly; otherwise one more cut parts it.
                let equals = if outside > 0.0 { 0.0 } else { f64::from(node.count + 1).log2() };
                return expected + reached * (depth - 1.0 + if outside > 0.0 { 1.0 } else { equals });
            }
            let parted = if outside > 0.0 { outside / (outside + size) } else { 0.0 };
            expected += reached * parted * depth;
            reached *= 1.0 - parted;
            if reached < 1e-6 {
                return expected;
            }
            at = if point[node.dimension as usize] <= node.cut { node.left } else { node.right };
        }
        expected
    }

    /// Lets a point into the sample, always while there is room, sometimes afterwards.
    fn offer(&mut self, point: &[f32]) {
        if self.sample.len() < self.samples {
            let leaf = self.insert(point);
            self.sample.push(leaf);
        } else if self.random.unit() * ENTERS_ONE_IN < 1.0 {
            let slot = ((self.random.unit() * self.samples as f64) as usize).min(self.samples - 1);
            self.remove(self.sample[slot]);
            self.sample[slot] = self.insert(point);
        }
    }

    /// Adds a point; the leaf it is in.
    fn insert(&mut self, point: &[f32]) -> u32 {
        let mut at = self.root;
        if at == NONE {
            self.root = self.leaf(point, NONE);
            return self.root;
        }
        loop {
            let (outside, size) = self.outside_and_size(at, point);
            // A cut of the box with the point in it, drawn as if the tree were being made.
            if self.random.unit() * (outside + size) < outside {
                return self.split(at, point, outside);
            }
            let node = self.nodes[at as usize];
            self.nodes[at as usize].count += 1;
            if node.left == NONE {
                return at;
            }
            self.widen(at, point);
            at = if point[node.dimension as usize] <= node.cut { node.left } else { node.right };
        }
    }

    /// Puts a cut between the node and a point outside of its box.
    fn split(&mut self, at: u32, point: &[f32], outside: f64) -> u32 {
        let mut draw = self.random.unit() * outside;
        let (lower, upper) = self.corners_of(at);
        let (mut dimension, mut cut, mut point_is_left) = (0, 0.0, true);
        for (index, &x) in point.iter().enumerate() {
            let (below, above) = (gap(lower[index], x), gap(x, upper[index]));
            if below <= 0.0 && above <= 0.0 {
                continue;
            }
            point_is_left = below > 0.0;
            let (from, to) = if point_is_left { (x, lower[index]) } else { (upper[index], x) };
            dimension = index;
            // Left is at or below the cut, so it must stay short of the greater one in spite of rounding.
            let place = (f64::from(from) + draw.min(below.max(above))) as f32;
            cut = if place >= to { from } else { place };
            draw -= below.max(above);
            if draw <= 0.0 {
                break;
            }
        }
        let parent = self.nodes[at as usize].parent;
        let count = self.nodes[at as usize].count + 1;
        let leaf = self.leaf(point, NONE);
        let (left, right) = if point_is_left { (leaf, at) } else { (at, leaf) };
        let inner = self.node(Node { parent, left, right, dimension: dimension as u32, cut, count });
        self.copy_corners(at, inner);
        self.widen(inner, point);
        self.nodes[at as usize].parent = inner;
        self.nodes[leaf as usize].parent = inner;
        self.put_in_place_of(at, inner, parent);
        leaf
    }

    /// Takes one point of a leaf away.
    fn remove(&mut self, leaf: u32) {
        self.nodes[leaf as usize].count -= 1;
        let mut at = self.nodes[leaf as usize].parent;
        if self.nodes[leaf as usize].count == 0 {
            self.free.push(leaf);
            if at == NONE {
                self.root = NONE;
                return;
            }
            let Node { parent, left, right, .. } = self.nodes[at as usize];
            let sibling = if left == leaf { right } else { left };
            self.free.push(at);
            self.nodes[sibling as usize].parent = parent;
            self.put_in_place_of(at, sibling, parent);
            at = parent;
            let mut inner = at;
            while inner != NONE {
                self.fit(inner);
                inner = self.nodes[inner as usize].parent;
            }
        }
        while at != NONE {
            self.nodes[at as usize].count -= 1;
            at = self.nodes[at as usize].parent;
        }
    }

    fn put_in_place_of(&mut self, old: u32, new: u32, parent: u32) {
        if parent == NONE {
            self.root = new;
        } else if self.nodes[parent as usize].left == old {
            self.nodes[parent as usize].left = new;
        } else {
            self.nodes[parent as usize].right = new;
        }
    }

    fn leaf(&mut self, point: &[f32], parent: u32) -> u32 {
        let leaf = self.node(Node { parent, left: NONE, right: NONE, dimension: 0, cut: 0.0, count: 1 });
        let start = leaf as usize * 2 * self.dimensions;
        self.corners[start..start + self.dimensions].copy_from_slice(point);
        self.corners[start + self.dimensions..start + 2 * self.dimensions].copy_from_slice(point);
        leaf
    }

    /// A node in a free place; its corners are whatever stood there.
    fn node(&mut self, node: Node) -> u32 {
        if let Some(place) = self.free.pop() {
            self.nodes[place as usize] = node;
            return place;
        }
        self.nodes.push(node);
        self.corners.resize(self.nodes.len() * 2 * self.dimensions, 0.0);
        (self.nodes.len() - 1) as u32
    }

    fn corners_of(&self, node: u32) -> (&[f32], &[f32]) {
        let start = node as usize * 2 * self.dimensions;
        self.corners[start..start + 2 * self.dimensions].split_at(self.dimensions)
    }

    fn copy_corners(&mut self, from: u32, to: u32) {
        let sides = 2 * self.dimensions;
        let from = from as usize * sides;
        self.corners.copy_within(from..from + sides, to as usize * sides);
    }

    /// Makes the box large enough for a point.
    fn widen(&mut self, node: u32, point: &[f32]) {
        let start = node as usize * 2 * self.dimensions;
        let (lower, upper) = self.corners[start..start + 2 * self.dimensions].split_at_mut(self.dimensions);
        for ((lower, upper), &x) in lower.iter_mut().zip(upper).zip(point) {
            *lower = lower.min(x);
            *upper = upper.max(x);
        }
    }

    /// Makes the box just large enough for the boxes of both children.
    fn fit(&mut self, node: u32) {
        let Node { left, right, .. } = self.nodes[node as usize];
        let (start, d) = (node as usize * 2 * self.dimensions, self.dimensions);
        let (left, right) = (left as usize * 2 * d, right as usize * 2 * d);
        for i in 0..d {
            self.corners[start + i] = self.corners[left + i].min(self.corners[right + i]);
            self.corners[start + d + i] = self.corners[left + d + i].max(self.corners[right + d + i]);
        }
    }

    /// By how much a point lies outside of a node's box, and the box's size, both summed over the sides.
    fn outside_and_size(&self, node: u32, point: &[f32]) -> (f64, f64) {
        let (lower, upper) = self.corners_of(node);
        let (mut outside, mut size) = (0.0, 0.0);
        for ((&lower, &upper), &x) in lower.iter().zip(upper).zip(point) {
            outside += gap(lower, x).max(0.0) + gap(x, upper).max(0.0);
            size += f64::from(upper) - f64::from(lower);
        }
        (outside, size)
    }
}

/// How far `beyond` is short of `bound`; negative where it is not.
fn gap(bound: f32, beyond: f32) -> f64 {
    f64::from(bound) - f64::from(beyond)
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014).
#[derive(Debug, Clone)]
struct SplitMix(u64);

impl SplitMix {
    /// The next number, evenly within 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Tree {
        /// Checks every count and every box, and gives the points under a node.
        fn check(&self, at: u32) -> Vec<Vec<f32>> {
            let node = self.nodes[at as usize];
            let (lower, upper) = self.corners_of(at);
            let points = if node.left == NONE {
                assert_eq!(lower, upper);
                vec![lower.to_vec(); node.count as usize]
            } else {
                for child in [node.left, node.right] {
                    assert_eq!(self.nodes[child as usize].parent, at);
                }
                let (left, right) = (self.check(node.left), self.check(node.right));
                assert!(left.iter().all(|p| p[node.dimension as usize] <= node.cut));
                assert!(right.iter().all(|p| p[node.dimension as usize] > node.cut));
                [left, right].concat()
            };
            assert_eq!(points.len(), node.count as usize);
            for i in 0..self.dimensions {
                assert_eq!(lower[i], points.iter().map(|p| p[i]).fold(f32::INFINITY, f32::min));
                assert_eq!(upper[i], points.iter().map(|p| p[i]).fold(f32::NEG_INFINITY, f32::max));
            }
            points
        }
    }

    proptest! {
        #[test]
        fn a_tree_stays_sound(points in prop::collection::vec(prop::array::uniform2(prop_oneof![-1e30f32..1e30, -2f32..2.0, Just(0.0), Just(1.0)]), 1..300)) {
            let mut tree = Tree::new(2, 16, 1);
            for point in points {
                let depth = tree.depth(&point);
                prop_assert!(depth >= 0.0, "{}", depth);
                tree.offer(&point);
                prop_assert_eq!(tree.check(tree.root).len(), tree.sample.len());
                prop_assert!(tree.nodes.len() < 32);
            }
        }
    }

    #[test]
    fn what_is_far_away_is_shallow() {
        let mut tree = Tree::new(1, 256, 7);
        let mut random = SplitMix(3);
        for _ in 0..256 {
            tree.offer(&[random.unit() as f32]);
        }
        let (within, outside, far) = (tree.depth(&[0.5]), tree.depth(&[1.3]), tree.depth(&[50.0]));
        assert!(within > 6.0 && outside < 5.0 && far < 1.2, "{within} {outside} {far}");
    }

    #[test]
    fn cuts_are_distributed_by_the_sides_of_the_box() {
        // A box of 3 by 1: three in four first cuts go across the long side.
        let across = (0..4000).filter(|&seed| {
            let mut tree = Tree::new(2, 8, seed * 7919);
            for point in [[0.0, 0.0], [3.0, 1.0], [0.0, 1.0], [3.0, 0.0]] {
                tree.offer(&point);
            }
            tree.nodes[tree.root as usize].dimension == 0
        });
        let share = across.count() as f64 / 4000.0;
        assert!((share - 0.75).abs() < 0.03, "{share}");
    }
}
