//! Imports between the modules of the daemon point one way.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Modules from the bottom to the top: each may use those before it, and the leaves. Tests may use whatever they test with.
const LAYERS: [&str; 17] = [
    "camera",
    "vision",
    "store",
    "export",
    "evidence",
    "uplink",
    "reporting",
    "verify",
    "sensor",
    "watch",
    "admin",
    "config",
    "handover",
    "run",
    "learn",
    "messages",
    "cli",
];

/// Everyone may use these; they use only each other.
const LEAVES: [&str; 8] = ["clock", "current", "durable", "events", "health", "shutdown", "signing", "uptime"];

fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

/// The modules of this crate that a source text names: `crate::a::…` and `use crate::{a::…, b::{…}}`.
fn used_modules(text: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for (at, prefix) in text.match_indices("crate::") {
        // `$crate::` in a macro of ours and `other_crate::` are something else.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut start = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                c if start && (c.is_alphanumeric() || c == '_') => {
                    used.insert(word(&group[offset..]));
                    start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    used
}

#[test]
fn imports_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in &files {
        let relative = file.strip_prefix(&root).unwrap();
        let module =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let rank = LAYERS.iter().position(|layer| *layer == module);
        assert!(rank.is_some() || LEAVES.contains(&&*module), "module {module} has no place in the layers");
        seen.insert(module.clone());
        for used in used_modules(&fs::read_to_string(file).unwrap()) {
            let allowed = used == module
                || LEAVES.contains(&&*used)
                || match (rank, LAYERS.iter().position(|layer| *layer == used)) {
                    (Some(rank), Some(of)) => of < rank,
                    // A macro or function of the crate's root, not a module.
                    (_, None) => true,
                    (None, Some(_)) => false,
                };
            if !allowed {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the direction:\n{}", wrong.join("\n"));
    assert!(seen.len() >= LAYERS.len(), "the source tree was not read: {seen:?}");
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let text =
        "use crate::{camera::{a, b}, events as e,\n vision};\nfn f() { crate::store::g() }\n$crate::x; my_crate::y";
    let used: Vec<_> = used_modules(text).into_iter().collect();
    assert_eq!(used, ["camera", "events", "store", "vision", "x"]);
}
