//! Circles in the imports of a crate: between its files, and between its folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Component, Path, PathBuf},
};

use crate::modules::Imports;

/// Returns a description of each circle between files: the edges among files that all reach each other.
pub(crate) fn between_files(imports: &Imports) -> Vec<String> {
    circles(imports).iter().map(|circle| describe(imports, circle)).collect()
}

/// Returns a description of each circle between the entries of a folder.
///
/// An entry of a folder is a file in it, or a sub-folder with everything below it. The folder's own file (`mod.rs`,
/// `lib.rs`, `main.rs`) is no entry: that a parent imports its children is normal, and that a child imports a name which
/// its parent defines concerns these two files. An entry imports another one if any of its files does. Entries that
/// reach each other form a circle; it is reported if at least one of them is a folder, since circles among files alone
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
        let circles = circles(&edges).into_iter().filter(|circle| circle.iter().any(is_folder));
        found.extend(circles.map(|circle| describe(&edges, &circle)));
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
fn circles(edges: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let mut next: BTreeMap<&PathBuf, Vec<&PathBuf>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<_, _> = next.keys().map(|from| (*from, reach(from, &next))).collect();
    let mut circles = BTreeSet::new();
    for (from, to) in &reached {
        let back = to.iter().filter(|node| reached.get(*node).is_some_and(|back| back.contains(from)));
        let circle: BTreeSet<_> = back.map(|node| (*node).clone()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

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

fn describe(edges: &Imports, circle: &BTreeSet<PathBuf>) -> String {
    let mut text = format!("circle of {}:\n", circle.len());
    for ((from, to), names) in edges {
        if circle.contains(from) && circle.contains(to) {
            let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            writeln!(text, "  {} -> {}: {names}", from.display(), to.display()).unwrap();
        }
    }
    text
}

fn imports(edges: &[(&str, &str)]) -> Imports {
    let edge = |(from, to): &(&str, &str)| ((PathBuf::from(from), PathBuf::from(to)), BTreeSet::from(["x".to_owned()]));
    edges.iter().map(edge).collect()
}

#[test]
fn files_that_import_each_other_are_a_circle() {
    let imports = imports(&[("a.rs", "b.rs"), ("b.rs", "c.rs"), ("c.rs", "a.rs"), ("c.rs", "d.rs")]);
    let found = between_files(&imports);
    assert_eq!(found, ["circle of 3:\n  a.rs -> b.rs: x\n  b.rs -> c.rs: x\n  c.rs -> a.rs: x\n"]);
    assert_eq!(between_folders(&imports), [""; 0]);
}

#[test]
fn folders_whose_files_import_each_other_are_a_circle() {
    let imports = imports(&[("a/b.rs", "c/d.rs"), ("c/e.rs", "a/mod.rs"), ("mod.rs", "a/b.rs")]);
    assert_eq!(between_files(&imports), [""; 0]);
    assert_eq!(between_folders(&imports), ["circle of 2:\n  a -> c: x\n  c -> a: x\n"]);
}

#[test]
fn parent_that_imports_its_children_is_no_circle() {
    let imports = imports(&[("a/mod.rs", "a/b.rs"), ("a/b.rs", "c.rs"), ("a/d/mod.rs", "a/b.rs")]);
    assert_eq!(between_files(&imports), [""; 0]);
    assert_eq!(between_folders(&imports), [""; 0]);
}
