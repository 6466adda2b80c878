//! The tree of grids (网格) that events belong to: where a code stands in it, and at which node an incident starts.
//!
//! Codes are free, or built by a scheme in which every level adds so many digits to its parent's code: 6 for the county, 3
//! each for township, community and unit grid make the 15 digits that grid systems file by.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    ids::Id,
    incidents::spec::{CodeScheme, GridNodeSpec, GridSpec},
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
    start_levels: StartLevels,
    nodes: BTreeMap<String, GridNode>,
}

/// The lowest level at which incidents of each severity start, counted from the top; none where that is the grid's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StartLevels {
    minor: Option<usize>,
    ordinary: Option<usize>,
    major: usize,
    critical: usize,
}

impl StartLevels {
    fn of(self, severity: Severity) -> Option<usize> {
        match severity {
            Severity::Minor => self.minor,
            Severity::Ordinary => self.ordinary,
            Severity::Major => Some(self.major),
            Severity::Critical => Some(self.critical),
        }
    }
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
    /// A severity's level, or a node's, is none of the levels.
    #[error("there is no level `{name}`")]
    UnknownLevel {
        /// The name given.
        name: Id,
    },
    /// A worse incident would start lower than a lesser one.
    #[error("{severity} incidents start at level `{level}`, which is below `{lesser_level}` where {lesser} ones start")]
    StartsLower {
        /// The severity.
        severity: Severity,
        /// Its level.
        level: Id,
        /// The lesser severity.
        lesser: Severity,
        /// That one's level.
        lesser_level: Id,
    },
    /// A code scheme that says nothing of some level, or says more than there are levels.
    #[error("the code scheme {scheme} is for {} level(s), but there are {levels}", .scheme_levels)]
    SchemeLevels {
        /// The scheme.
        scheme: CodeScheme,
        /// How many levels it is for.
        scheme_levels: usize,
        /// How many levels there are.
        levels: usize,
    },
    /// A code that is not as long as the scheme makes those of its level, or not of digits.
    #[error("grid code `{code}` is of level `{level}`, so it must have {wanted} digits ({}), not {}", .segments, .found)]
    CodeShape {
        /// The code.
        code: String,
        /// Its level.
        level: Id,
        /// How many digits codes of the level have.
        wanted: usize,
        /// How these are made up: `6 + 3`.
        segments: CodeScheme,
        /// What it has instead: a number, or the character that is no digit.
        found: String,
    },
    /// A code that does not begin with its parent's.
    #[error("grid code `{code}` must begin with `{parent}`, the code of its parent, and begins with `{found}`")]
    CodePrefix {
        /// The code.
        code: String,
        /// The parent's code.
        parent: String,
        /// The digits that stand in the place of the parent's.
        found: String,
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
        let start_levels = read_start_levels(spec, &levels, &mut errors);
        check_scheme(spec, &mut errors);
        let nodes = read_nodes(spec, &levels, &mut errors);
        if nodes.is_empty() && spec.nodes.is_empty() {
            errors.push(GridError { span: spec.levels.span, kind: GridErrorKind::NoNodes });
        }
        // Where codes or levels are wrong already, the parents' errors would only repeat it.
        if errors.is_empty() {
            check_parents(spec, &levels, &nodes, &mut errors);
        }
        match start_levels {
            Some(start_levels) if errors.is_empty() => Ok(Self { levels, start_levels, nodes }),
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

    /// The node at which an incident in grid `code` starts: its nearest ancestor at or above the level of the severity
    /// (越级上报), which is the grid itself where that has no level of its own or the grid stands high enough.
    pub fn start_node(&self, code: &str, severity: Severity) -> Option<&GridNode> {
        let lowest = self.start_levels.of(severity).unwrap_or(usize::MAX);
        self.upwards(code).find(|node| node.level <= lowest)
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

fn read_start_levels(spec: &GridSpec, levels: &[Id], errors: &mut Vec<GridError>) -> Option<StartLevels> {
    let critical = spec.critical_level.as_ref().unwrap_or(&spec.major_level);
    let written = [
        (Severity::Minor, spec.minor_level.as_ref()),
        (Severity::Ordinary, spec.ordinary_level.as_ref()),
        (Severity::Major, Some(&spec.major_level)),
        (Severity::Critical, spec.critical_level.as_ref()),
    ];
    let mut lesser: Option<(Severity, usize, &Id)> = None;
    for (severity, level) in written.into_iter().filter_map(|(severity, level)| Some((severity, level?))) {
        let Some(index) = level_index(levels, level, errors) else { continue };
        if let Some((lesser, above, lesser_level)) = lesser
            && index > above
        {
            let span = level.span;
            let (level, lesser_level) = (level.value.clone(), lesser_level.clone());
            let kind = GridErrorKind::StartsLower { severity, level, lesser, lesser_level };
            errors.push(GridError { span, kind });
        }
        lesser = Some((severity, index, &level.value));
    }
    let index = |level: &Located<Id>| levels.iter().position(|name| *name == level.value);
    Some(StartLevels {
        minor: spec.minor_level.as_ref().and_then(index),
        ordinary: spec.ordinary_level.as_ref().and_then(index),
        major: index(&spec.major_level)?,
        critical: index(critical)?,
    })
}

fn check_scheme(spec: &GridSpec, errors: &mut Vec<GridError>) {
    if let CodeScheme::Segments(segments) = &spec.code_scheme.value
        && segments.len() != spec.levels.len()
    {
        let kind = GridErrorKind::SchemeLevels {
            scheme: spec.code_scheme.value.clone(),
            scheme_levels: segments.len(),
            levels: spec.levels.len(),
        };
        errors.push(GridError { span: spec.code_scheme.span, kind });
    }
}

/// What the scheme finds wrong with a code of a level, counted from the top.
fn shape_error(scheme: &CodeScheme, code: &str, level: usize, levels: &[Id]) -> Option<GridErrorKind> {
    let CodeScheme::Segments(segments) = scheme else { return None };
    // A scheme for fewer levels has been reported.
    let segments = segments.get(..=level)?;
    let wanted: usize = segments.iter().sum();
    let found = match code.chars().find(|c| !c.is_ascii_digit()) {
        Some(other) => format!("`{other}`"),
        None if code.len() != wanted => code.len().to_string(),
        None => return None,
    };
    Some(GridErrorKind::CodeShape {
        code: code.to_owned(),
        level: levels[level].clone(),
        wanted,
        segments: CodeScheme::Segments(segments.to_vec()),
        found,
    })
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
        let legal = (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !legal {
            errors.push(GridError { span, kind: GridErrorKind::MalformedCode(code.clone()) });
        }
        if let Some(level) = level_index(levels, &node.level, errors) {
            if legal && let Some(kind) = shape_error(&spec.code_scheme, code, level, levels) {
                errors.push(GridError { span, kind });
            }
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
        if let Some(kind) = parent_error(node, levels, nodes, &mut told) {
            errors.push(GridError { span: place_of_parent(written), kind });
        } else if let Some(kind) = prefix_error(&spec.code_scheme, node) {
            errors.push(GridError { span: written.code.span, kind });
        }
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

/// What is wrong with the beginning of a code whose parent is right.
fn prefix_error(scheme: &CodeScheme, node: &GridNode) -> Option<GridErrorKind> {
    let (CodeScheme::Segments(_), Some(parent)) = (scheme, &node.parent) else { return None };
    (!node.code.starts_with(parent.as_str())).then(|| GridErrorKind::CodePrefix {
        code: node.code.clone(),
        parent: parent.clone(),
        found: node.code.chars().take(parent.len()).collect(),
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
mod tests;
