//! Finds import cycles in a crate: between its files, and between its folders. The tests of `main.rs` fail for each that is
//! found.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Component, Path, PathBuf},
};

use crate::modules::Imports;

/// Returns a description of each cycle between files: the edges among files that all reach each other.
pub(crate) fn between_files(imports: &Imports) -> Vec<String> {
    cycles(imports).iter().map(|cycle| describe(imports, cycle)).collect()
}

/// Returns a description of each cycle between the entries of a folder.
///
/// An entry of a folder is a file in it, or a sub-folder with everything below it. The folder's own file (`mod.rs`,
/// `lib.rs`, `main.rs`) is no entry: that a parent imports its children is normal, and that a child imports a name which
/// its parent defines concerns these two files. An entry imports another one if any of its files does. Entries that
/// reach each other form a cycle; it is reported if at least one of them is a folder, since cycles among files alone
/// are found by [`between_files`].
pub(crate) fn between_folders(imports: &Imports) -> Vec<String> {
    let files = imports.keys().flat_map(|(from, to)| [from, to]);
    let folders: BTreeSet<_> = files.flat_map(|file| file.ancestors().skip(1)).collect();
    let mut found = Vec::new();
    for folder in folders {
        let mut edges = Imports::new();
        for ((from, to), names) in imports {
            let (Some(from), Some(to)) = (entry(folder, from), entry(folder, to)) else { continue };
            if from != to {
                edges.entry((from, to)).or_default().extend(names.iter().cloned());
            }
        }
        let is_folder = |entry: &PathBuf| entry.extension().is_none();
        let cycles = cycles(&edges).into_iter().filter(|cycle| cycle.iter().any(is_folder));
        found.extend(cycles.map(|cycle| describe(&edges, &cycle)));
    }
    found
}

/// Returns the entry of `folder` that holds `file`, if any does.
fn entry(folder: &Path, file: &Path) -> Option<PathBuf> {
    let mut rest = file.strip_prefix(folder).ok()?.components();
    let Component::Normal(first) = rest.next()? else { return None };
    let is_file = rest.next().is_none();
    let own_file = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| first == *name);
    (!(is_file && own_file)).then(|| folder.join(first))
}

/// Returns the sets of more than one node that all reach each other.
fn cycles(edges: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let mut next: BTreeMap<&PathBuf, Vec<&PathBuf>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<_, _> = next.keys().map(|from| (*from, reach(from, &next))).collect();
    let mut cycles = BTreeSet::new();
    for (from, to) in &reached {
        let returning = to.iter().filter(|node| reached.get(*node).is_some_and(|reached| reached.contains(from)));
        let cycle: BTreeSet<_> = returning.map(|node| (*node).clone()).collect();
        if cycle.len() > 1 {
            cycles.insert(cycle);
        }
    }
    cycles.into_iter().collect()
}

/// Returns the nodes that paths from `from` lead to; `from` itself only if it is in a cycle.
fn reach<'a>(from: &'a PathBuf, next: &BTreeMap<&'a PathBuf, Vec<&'a PathBuf>>) -> BTreeSet<&'a PathBuf> {
    let (mut reached, mut pending) = (BTreeSet::new(), vec![from]);
    while let Some(node) = pending.pop() {
        for to in next.get(node).into_iter().flatten() {
            if reached.insert(*to) {
                pending.push(*to);
            }
        }
    }
    reached
}

/// Returns the length of a cycle and one line for each of its edges, with the imported names.
fn describe(edges: &Imports, cycle: &BTreeSet<PathBuf>) -> String {
    let mut text = format!("cycle of {}:\n", cycle.len());
    for ((from, to), names) in edges {
        if cycle.contains(from) && cycle.contains(to) {
            let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            writeln!(text, "  {} -> {}: {names}", from.display(), to.display()).unwrap();
        }
    }
    text
}

/// Returns imports of a name `x` along each of these edges, for the tests below.
fn imports(edges: &[(&str, &str)]) -> Imports {
    let edge = |(from, to): &(&str, &str)| ((PathBuf::from(from), PathBuf::from(to)), BTreeSet::from(["x".to_owned()]));
    edges.iter().map(edge).collect()
}

#[test]
fn files_that_import_each_other_are_a_cycle() {
    let imports = imports(&[("a.rs", "b.rs"), ("b.rs", "c.rs"), ("c.rs", "a.rs"), ("c.rs", "d.rs")]);
    let found = between_files(&imports);
    assert_eq!(found, ["cycle of 3:\n  a.rs -> b.rs: x\n  b.rs -> c.rs: x\n  c.rs -> a.rs: x\n"]);
    assert_eq!(between_folders(&imports), [""; 0]);
}

#[test]
fn folders_whose_files_import_each_other_are_a_cycle() {
    let imports = imports(&[("a/b.rs", "c/d.rs"), ("c/e.rs", "a/mod.rs"), ("mod.rs", "a/b.rs")]);
    assert_eq!(between_files(&imports), [""; 0]);
    assert_eq!(between_folders(&imports), ["cycle of 2:\n  a -> c: x\n  c -> a: x\n"]);
}

#[test]
fn parent_that_imports_its_children_is_no_cycle() {
    let imports = imports(&[("a/mod.rs", "a/b.rs"), ("a/b.rs", "c.rs"), ("a/d/mod.rs", "a/b.rs")]);
    assert_eq!(between_files(&imports), [""; 0]);
    assert_eq!(between_folders(&imports), [""; 0]);
}
