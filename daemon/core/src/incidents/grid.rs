//! The tree of grids (网格) that events belong to: where a code stands in it, and at which node an incident starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    ids::Id,
    incidents::spec::{GridNodeSpec, GridSpec},
    severity::Severity,
    spec::{Located, Span},
};

/// One node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridNode {
    /// Its code, unique in the tree.
    pub code: String,
    /// What people call it.
    pub name: String,
    /// Its level, counted from the top (0).
    level: usize,
    /// Code of the node above it, but for the top.
    parent: Option<String>,
}

/// A well-formed tree: every node but the top ones has a parent, exactly one level above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridTree {
    levels: Vec<Id>,
    major_level: usize,
    nodes: BTreeMap<String, GridNode>,
}

/// What is wrong with one node or level.
#[derive(Debug, Clone, PartialEq)]
pub struct GridError {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub kind: GridErrorKind,
}

/// What can be wrong with a grid tree.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GridErrorKind {
    /// No level is named.
    #[error("the grid tree needs at least one level")]
    NoLevels,
    /// More levels than any administration has.
    #[error("the grid tree has at most {max} levels, not {0}", max = GridTree::MAX_LEVELS)]
    TooManyLevels(usize),
    /// A level is named twice.
    #[error("level `{0}` is named twice")]
    DuplicateLevel(Id),
    /// `major_level`, or a node's level, is none of the levels.
    #[error("there is no level `{name}`")]
    UnknownLevel {
        /// The name given.
        name: Id,
    },
    /// A tree without nodes.
    #[error("the grid tree needs at least one node")]
    NoNodes,
    /// A code that cannot stand in a topic.
    #[error("{0:?} is no grid code: use 1 to 64 letters (a-z, A-Z) and digits")]
    MalformedCode(String),
    /// Two nodes with one code.
    #[error("grid code `{code}` is used twice")]
    DuplicateCode {
        /// The code.
        code: String,
        /// Where it was used first.
        first: Span,
    },
    /// A parent that is not in the tree.
    #[error("the parent `{code}` is not in the grid tree")]
    UnknownParent {
        /// The parent's code.
        code: String,
    },
    /// A node below the top that names no parent.
    #[error("grid `{code}` needs a parent: only nodes of the top level `{top}` have none")]
    ParentMissing {
        /// The node's code.
        code: String,
        /// Name of the top level.
        top: Id,
    },
    /// A node of the top level that names a parent.
    #[error("grid `{code}` is of the top level `{top}` and cannot have a parent")]
    ParentAboveTop {
        /// The node's code.
        code: String,
        /// Name of the top level.
        top: Id,
    },
    /// A parent that is not one level above.
    #[error(
        "grid `{code}` is of level `{level}`, so its parent must be of level `{wanted}`; `{parent}` is of level `{found}`"
    )]
    LevelOrder {
        /// The node's code.
        code: String,
        /// The node's level.
        level: Id,
        /// The parent's code.
        parent: String,
        /// The level the parent should have.
        wanted: Id,
        /// The level the parent has.
        found: Id,
    },
    /// Nodes that are their own ancestors.
    #[error("grid `{code}` is its own ancestor: {}", .path.join(" → "))]
    Cycle {
        /// The node's code.
        code: String,
        /// The codes on the way up, from the node back to itself.
        path: Vec<String>,
    },
}

impl GridTree {
    /// The most levels a tree may have.
    pub const MAX_LEVELS: usize = 8;

    /// The tree that a file describes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(spec: &GridSpec) -> Result<Self, Vec<GridError>> {
        let mut errors = Vec::new();
        let levels = read_levels(&spec.levels, &mut errors);
        let major_level = level_index(&levels, &spec.major_level, &mut errors);
        let nodes = read_nodes(spec, &levels, &mut errors);
        if nodes.is_empty() && spec.nodes.is_empty() {
            errors.push(GridError { span: spec.levels.span, kind: GridErrorKind::NoNodes });
        }
        // Where codes or levels are wrong already, the parents' errors would only repeat it.
        if errors.is_empty() {
            check_parents(spec, &levels, &nodes, &mut errors);
        }
        match major_level {
            Some(major_level) if errors.is_empty() => Ok(Self { levels, major_level, nodes }),
            _ => Err(errors),
        }
    }

    /// Names of the levels from the top.
    pub fn levels(&self) -> &[Id] {
        &self.levels
    }

    /// Every code of the tree.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The node of a code.
    pub fn node(&self, code: &str) -> Option<&GridNode> {
        self.nodes.get(code)
    }

    /// Name of a node's level.
    pub fn level(&self, node: &GridNode) -> &Id {
        // A node's level was looked up among the levels when the tree was made.
        &self.levels[node.level]
    }

    /// The codes from the top down to `code` itself; empty for a code that is not in the tree.
    pub fn path(&self, code: &str) -> Vec<&str> {
        let mut path: Vec<&str> = self.upwards(code).map(|node| node.code.as_str()).collect();
        path.reverse();
        path
    }

    /// The node at which an incident in grid `code` starts: the grid itself, or, from [`Severity::Major`] on, its
    /// ancestor at the major level (越级上报) unless the grid stands above that level itself.
    pub fn start_node(&self, code: &str, severity: Severity) -> Option<&GridNode> {
        let own = self.node(code)?;
        if severity < Severity::Major {
            return Some(own);
        }
        self.upwards(code).find(|node| node.level <= self.major_level)
    }

    /// Name of the level of [`Self::start_node`].
    pub fn start_level(&self, code: &str, severity: Severity) -> Option<&Id> {
        self.start_node(code, severity).map(|node| self.level(node))
    }

    /// The node of a code, then its parent, up to the top.
    fn upwards(&self, code: &str) -> impl Iterator<Item = &GridNode> {
        std::iter::successors(self.node(code), |node| self.node(node.parent.as_deref()?))
    }
}

impl fmt::Display for GridNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.code)
    }
}

fn read_levels(spec: &Located<Vec<Id>>, errors: &mut Vec<GridError>) -> Vec<Id> {
    let mut seen = BTreeSet::new();
    let mut wrong = |kind| errors.push(GridError { span: spec.span, kind });
    if spec.is_empty() {
        wrong(GridErrorKind::NoLevels);
    }
    if spec.len() > GridTree::MAX_LEVELS {
        wrong(GridErrorKind::TooManyLevels(spec.len()));
    }
    for level in spec.iter() {
        if !seen.insert(level) {
            wrong(GridErrorKind::DuplicateLevel(level.clone()));
        }
    }
    spec.value.clone()
}

fn level_index(levels: &[Id], level: &Located<Id>, errors: &mut Vec<GridError>) -> Option<usize> {
    let index = levels.iter().position(|name| *name == level.value);
    if index.is_none() {
        errors.push(GridError { span: level.span, kind: GridErrorKind::UnknownLevel { name: level.value.clone() } });
    }
    index
}

fn read_nodes(spec: &GridSpec, levels: &[Id], errors: &mut Vec<GridError>) -> BTreeMap<String, GridNode> {
    let mut first_uses = BTreeMap::<&str, Span>::new();
    let mut nodes = BTreeMap::new();
    for node in &spec.nodes {
        let (code, span) = (&node.code.value, node.code.span);
        if let Some(&first) = first_uses.get(code.as_str()) {
            errors.push(GridError { span, kind: GridErrorKind::DuplicateCode { code: code.clone(), first } });
            continue;
        }
        first_uses.insert(code, span);
        if code.is_empty() || code.len() > 64 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            errors.push(GridError { span, kind: GridErrorKind::MalformedCode(code.clone()) });
        }
        if let Some(level) = level_index(levels, &node.level, errors) {
            let parent = node.parent.as_ref().map(|parent| parent.value.clone());
            nodes.insert(code.clone(), GridNode { code: code.clone(), name: node.name.clone(), level, parent });
        }
    }
    nodes
}

fn check_parents(spec: &GridSpec, levels: &[Id], nodes: &BTreeMap<String, GridNode>, errors: &mut Vec<GridError>) {
    let mut told = BTreeSet::new();
    for written in &spec.nodes {
        let Some(node) = nodes.get(&written.code.value) else { continue };
        let Some(kind) = parent_error(node, levels, nodes, &mut told) else { continue };
        errors.push(GridError { span: place_of_parent(written), kind });
    }
}

/// What is wrong with a node's parent; `told` holds the codes whose cycle has been reported.
fn parent_error(
    node: &GridNode,
    levels: &[Id],
    nodes: &BTreeMap<String, GridNode>,
    told: &mut BTreeSet<String>,
) -> Option<GridErrorKind> {
    let code = node.code.clone();
    let top = || levels[0].clone();
    let Some(parent) = &node.parent else {
        return (node.level > 0).then(|| GridErrorKind::ParentMissing { code, top: top() });
    };
    let Some(parent) = nodes.get(parent) else {
        return Some(GridErrorKind::UnknownParent { code: parent.clone() });
    };
    if told.contains(&code) {
        return None;
    }
    if let Some(path) = cycle_through(node, nodes) {
        told.extend(path.iter().cloned());
        return Some(GridErrorKind::Cycle { code, path });
    }
    let Some(above) = node.level.checked_sub(1) else {
        return Some(GridErrorKind::ParentAboveTop { code, top: top() });
    };
    (parent.level != above).then(|| GridErrorKind::LevelOrder {
        code,
        level: levels[node.level].clone(),
        parent: parent.code.clone(),
        wanted: levels[above].clone(),
        found: levels[parent.level].clone(),
    })
}

/// Where the parent is written, or the node's code where it is not.
fn place_of_parent(written: &GridNodeSpec) -> Span {
    written.parent.as_ref().map_or(written.code.span, |parent| parent.span)
}

/// The way up from a node back to itself, if there is one.
fn cycle_through(start: &GridNode, nodes: &BTreeMap<String, GridNode>) -> Option<Vec<String>> {
    let mut path = vec![start.code.clone()];
    let mut node = start;
    // A way longer than there are nodes runs in a circle that does not come through here.
    while path.len() <= nodes.len() {
        node = nodes.get(node.parent.as_ref()?)?;
        path.push(node.code.clone());
        if node.code == start.code {
            return Some(path);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::{Deserialize, Maybe};

    fn spec(text: &str) -> GridSpec {
        let mut value = toml_span::parse(text).unwrap();
        GridSpec::deserialize(&mut value).unwrap()
    }

    fn township() -> GridTree {
        GridTree::new(&spec(
            r#"
            levels = ["county", "township", "village", "grid"]
            major_level = "township"
            nodes = [
                { code = "33", name = "County", level = "county" },
                { code = "3301", name = "Township", level = "township", parent = "33" },
                { code = "330101", name = "Village", level = "village", parent = "3301" },
                { code = "33010101", name = "Grid", level = "grid", parent = "330101" },
            ]
            "#,
        ))
        .unwrap()
    }

    #[test]
    fn a_path_leads_from_the_top() {
        assert_eq!(township().path("33010101"), ["33", "3301", "330101", "33010101"]);
        assert_eq!(township().path("33"), ["33"]);
        assert!(township().path("44").is_empty());
    }

    #[test]
    fn major_incidents_start_higher() {
        let tree = township();
        let level = |code, severity| tree.start_level(code, severity).map(Id::as_str);
        assert_eq!(level("33010101", Severity::Ordinary), Some("grid"));
        assert_eq!(level("33010101", Severity::Major), Some("township"));
        assert_eq!(level("33010101", Severity::Critical), Some("township"));
        assert_eq!(level("33", Severity::Critical), Some("county"), "already above");
        assert_eq!(level("44", Severity::Minor), None);
        assert_eq!(tree.start_node("33010101", Severity::Major).map(|node| node.code.as_str()), Some("3301"));
    }

    fn kinds(text: &str) -> Vec<String> {
        GridTree::new(&spec(text)).unwrap_err().into_iter().map(|error| error.kind.to_string()).collect()
    }

    #[test]
    fn every_mistake_is_named() {
        let wrong = kinds(
            r#"
            levels = ["a", "a"]
            major_level = "b"
            nodes = [{ code = "x/y", name = "", level = "c" }, { code = "x/y", name = "", level = "a" }]
            "#,
        );
        assert_eq!(wrong.len(), 5, "{wrong:#?}");
        let wrong = kinds(
            r#"
            levels = ["a", "b", "c"]
            major_level = "a"
            nodes = [
                { code = "1", name = "", level = "a", parent = "2" },
                { code = "2", name = "", level = "b" },
                { code = "3", name = "", level = "c", parent = "9" },
                { code = "4", name = "", level = "c", parent = "3" },
            ]
            "#,
        );
        assert_eq!(
            wrong,
            [
                "grid `1` is of the top level `a` and cannot have a parent",
                "grid `2` needs a parent: only nodes of the top level `a` have none",
                "the parent `9` is not in the grid tree",
                "grid `4` is of level `c`, so its parent must be of level `b`; `3` is of level `c`",
            ]
        );
    }

    #[test]
    fn a_cycle_is_told_once() {
        let wrong = kinds(
            r#"
            levels = ["a", "b"]
            major_level = "a"
            nodes = [
                { code = "1", name = "", level = "a", parent = "2" },
                { code = "2", name = "", level = "b", parent = "1" },
            ]
            "#,
        );
        assert_eq!(wrong, ["grid `1` is its own ancestor: 1 → 2 → 1"]);
    }

    proptest! {
        /// Whatever the parents and levels: either a tree whose every path starts at the top, or errors; never a hang.
        #[test]
        fn any_tree_is_well_formed_or_refused(nodes in prop::collection::vec((0usize..8, 0usize..3, prop::option::of(0usize..8)), 0..8)) {
            let levels: Vec<Id> = ["a", "b", "c"].iter().map(|level| level.parse().unwrap()).collect();
            let spec = GridSpec {
                levels: Located::nowhere(levels.clone()),
                major_level: Located::nowhere(levels[1].clone()),
                nodes: nodes.into_iter().map(|(code, level, parent)| GridNodeSpec {
                    code: Located::nowhere(code.to_string()),
                    name: String::new(),
                    level: Located::nowhere(levels[level].clone()),
                    parent: Maybe(parent.map(|parent| Located::nowhere(parent.to_string()))),
                }).collect(),
            };
            match GridTree::new(&spec) {
                Ok(tree) => for code in tree.codes() {
                    let path = tree.path(code);
                    let own = tree.node(code).unwrap();
                    prop_assert_eq!(path.len(), own.level + 1);
                    prop_assert_eq!(*path.last().unwrap(), code);
                    prop_assert!(tree.start_node(code, Severity::Major).unwrap().level <= 1);
                },
                Err(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }
}
