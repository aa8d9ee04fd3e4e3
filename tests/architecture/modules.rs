//! The modules of a crate, and which of their files import names from which others. `cycles.rs` searches these imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    source::{is_word, production_tokens},
    use_tree::{Use, use_tree},
};

/// Imported names by importing and imported file. Paths are relative to the root of the crate's sources.
pub(crate) type Imports = BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>;

/// Index into [`Modules`]; 0 is the root of the crate.
type ModuleId = usize;

/// Limit on the length of a chain of re-exports, which may be circular.
const MAX_REEXPORTS: usize = 16;

/// The definitions, imports and mentions of names in one module.
#[derive(Debug, Default)]
struct Module {
    /// Inline modules have the file they are written in.
    file: PathBuf,
    parent: Option<ModuleId>,
    children: BTreeMap<String, ModuleId>,
    /// The names of functions, types, constants and macros that the module defines.
    items: BTreeSet<String>,
    uses: Vec<Use>,
    /// Paths outside of `use`, as they are written.
    paths: Vec<Vec<String>>,
    /// Every identifier outside of `use`, to see whether the module uses a name that it re-exports.
    words: BTreeSet<String>,
}

/// The definition that a path leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    Module(ModuleId),
    /// An item of this module.
    Item(ModuleId),
}

/// Reads the modules of a crate from its root file, and returns the imports between its files.
///
/// Production code alone counts: files that are declared under `#[cfg(test)]` are not read. A name that the imported
/// module merely re-exports counts as an import from the file that defines it. `mod` declarations are no imports. Nor is a
/// `pub use` of a name that a descendant module defines, unless the module that re-exports it also uses the name itself.
pub(crate) fn imports(root: &str, read: impl Fn(&Path) -> Option<String>) -> Imports {
    let mut modules = Modules(Vec::new());
    modules.add_file(Path::new(root), None, &read);
    modules.imports()
}

/// All modules of a crate, in the order in which they were found.
struct Modules(Vec<Module>);

impl Modules {
    /// Adds the modules of a file and, recursively, of the files that it declares. Returns `None` if `read` has no such file.
    fn add_file(
        &mut self,
        file: &Path,
        parent: Option<ModuleId>,
        read: &impl Fn(&Path) -> Option<String>,
    ) -> Option<ModuleId> {
        let tokens = production_tokens(&read(file)?);
        let id = self.add(file, parent);
        for (module, name) in self.parse(id, &tokens) {
            let directory = self.directory_of_children(module);
            let candidates = [directory.join(&name).join("mod.rs"), directory.join(&name).with_extension("rs")];
            let child = candidates.iter().find_map(|candidate| self.add_file(candidate, Some(module), read));
            let child = child.unwrap_or_else(|| panic!("{}: no file for `mod {name}`", file.display()));
            self.0[module].children.insert(name, child);
        }
        Some(id)
    }

    fn add(&mut self, file: &Path, parent: Option<ModuleId>) -> ModuleId {
        self.0.push(Module { file: file.to_owned(), parent, ..Module::default() });
        self.0.len() - 1
    }

    /// Returns the directory of the files that `mod NAME;` in this module declares.
    fn directory_of_children(&self, module: ModuleId) -> PathBuf {
        let file = &self.0[module].file;
        let stem = file.file_stem().unwrap();
        if stem == "mod" || self.0[module].parent.is_none() {
            return file.parent().unwrap().to_owned();
        }
        file.with_extension("")
    }

    /// Adds the definitions, imports and mentioned names of a file to its module and its inline modules. Returns each
    /// `mod NAME;`, whose module is in another file, with the id of its parent.
    fn parse(&mut self, file_module: ModuleId, tokens: &[String]) -> Vec<(ModuleId, String)> {
        const DEFINITIONS: [&str; 8] = ["const", "enum", "fn", "static", "struct", "trait", "type", "union"];
        let token = |at: usize| tokens.get(at).map_or("", String::as_str);
        let (mut declared, mut depth, mut at) = (Vec::new(), 0, 0);
        // The module at this position and those around it, and the depth of braces inside each.
        let mut open = vec![(file_module, 0)];
        while at < tokens.len() {
            let (module, start) = *open.last().unwrap();
            match (token(at), token(at + 1), token(at + 2)) {
                ("mod", name, ";") => declared.push((module, name.to_owned())),
                ("mod", name, "{") => {
                    let file = self.0[module].file.clone();
                    let inline = self.add(&file, Some(module));
                    self.0[module].children.insert(name.to_owned(), inline);
                    depth += 1;
                    open.push((inline, depth));
                    at += 2;
                }
                // `use<'a>` is a bound of an `impl Trait` type.
                ("use", next, _) if next != "<" => {
                    let length = tokens[at..].iter().position(|token| token == ";").unwrap();
                    // `pub use`, or the end of `pub(crate)` and the like.
                    let is_reexport = at > 0 && (token(at - 1) == "pub" || token(at - 1) == ")");
                    use_tree(&tokens[at + 1..at + length], &[], is_reexport, &mut self.0[module].uses);
                    at += length;
                }
                ("macro_rules", "!", name) if depth == start => {
                    self.0[module].items.insert(name.to_owned());
                }
                ("{", ..) => depth += 1,
                ("}", ..) => {
                    depth -= 1;
                    if depth < start {
                        open.pop();
                    }
                }
                (first, "::", _) if is_word(first) && token(at.wrapping_sub(1)) != "::" => {
                    let path = tokens[at..].chunks(2).take_while(|pair| is_word(&pair[0]));
                    let mut segments = Vec::new();
                    for pair in path {
                        segments.push(pair[0].clone());
                        if pair.get(1).is_none_or(|next| next != "::") {
                            break;
                        }
                    }
                    self.0[module].paths.push(segments);
                    self.0[module].words.insert(first.to_owned());
                }
                // In `const fn f`, the definition of `f` begins at `fn`.
                (keyword, name, _)
                    if depth == start
                        && DEFINITIONS.contains(&keyword)
                        && is_word(name)
                        && !DEFINITIONS.contains(&name) =>
                {
                    self.0[module].items.insert(name.to_owned());
                    // The definition itself is no use of the name.
                    at += 1;
                }
                (word, ..) => {
                    self.0[module].words.insert(word.to_owned());
                }
            }
            at += 1;
        }
        declared
    }

    /// Resolves the imports and the other paths of every module.
    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (id, module) in self.0.iter().enumerate() {
            let mut add = |target: ModuleId, name: &str| {
                let (from, to) = (&module.file, &self.0[target].file);
                if from != to {
                    imports.entry((from.clone(), to.clone())).or_default().insert(name.to_owned());
                }
            };
            for import in &module.uses {
                let unused = !module.words.contains(&import.name);
                match self.resolve(id, &import.path, MAX_REEXPORTS) {
                    Some(Target::Item(target) | Target::Module(target))
                        if import.is_reexport && unused && self.is_below(target, id) => {}
                    Some(Target::Item(target)) => add(target, import.path.last().unwrap()),
                    Some(Target::Module(target)) if import.name == "*" => add(target, "*"),
                    // `use a::b` of a module is no import by itself. The paths that begin with `b` are, and are counted below.
                    Some(Target::Module(_)) | None => {}
                }
            }
            for path in &module.paths {
                if let Some(Target::Item(target)) = self.resolve(id, path, MAX_REEXPORTS) {
                    add(target, &path.join("::"));
                }
            }
        }
        imports
    }

    fn is_below(&self, module: ModuleId, ancestor: ModuleId) -> bool {
        self.0[module].parent.is_some_and(|parent| parent == ancestor || self.is_below(parent, ancestor))
    }

    /// Follows a path from a module. Returns `None` if it leads to another crate, or starts with an unknown name.
    fn resolve(&self, from: ModuleId, path: &[String], reexports: usize) -> Option<Target> {
        let mut module = from;
        for (at, segment) in path.iter().enumerate() {
            let next = match segment.as_str() {
                "crate" => Target::Module(0),
                "self" => Target::Module(module),
                "super" => Target::Module(self.0[module].parent?),
                name => match self.find(module, name, reexports) {
                    Some(found) => found,
                    None if at == 0 => return None,
                    // Defined by a macro, or imported from another crate.
                    None => Target::Item(module),
                },
            };
            match next {
                Target::Module(next) => module = next,
                Target::Item(_) => return Some(next),
            }
        }
        Some(Target::Module(module))
    }

    /// Finds a name in a module: a child, an item, or an import from elsewhere in the crate.
    fn find(&self, module: ModuleId, name: &str, reexports: usize) -> Option<Target> {
        let here = &self.0[module];
        if let Some(child) = here.children.get(name) {
            return Some(Target::Module(*child));
        }
        if here.items.contains(name) {
            return Some(Target::Item(module));
        }
        let reexports = reexports.checked_sub(1)?;
        if let Some(import) = here.uses.iter().find(|import| import.name == name) {
            return self.resolve(module, &import.path, reexports);
        }
        here.uses.iter().filter(|import| import.name == "*").find_map(|import| {
            match self.resolve(module, &import.path, reexports)? {
                Target::Module(target) => self.find(target, name, reexports),
                Target::Item(_) => None,
            }
        })
    }
}

/// Returns the imports between these files as rows of importing file, imported file and names. The root is `lib.rs`.
fn imports_of(files: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let read = |path: &Path| files.iter().find(|(file, _)| Path::new(file) == path).map(|(_, text)| (*text).to_owned());
    let imports = imports("lib.rs", read);
    let text = |path: &Path| path.display().to_string();
    let rows = imports.iter().map(|((from, to), names)| {
        (text(from), text(to), names.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    });
    rows.collect()
}

#[test]
fn re_exported_name_counts_as_an_import_from_the_file_that_defines_it() {
    let found = imports_of(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; pub(crate) use self::c::Shared; #[cfg(test)] mod tests;"),
        ("a/b.rs", "use super::Shared; fn f() { super::c::g() }"),
        ("a/c.rs", "pub(crate) struct Shared; pub(crate) fn g() {}"),
    ]);
    assert_eq!(found, [("a/b.rs".to_owned(), "a/c.rs".to_owned(), "Shared, super::c::g".to_owned())]);
}

#[test]
fn re_export_counts_where_the_module_uses_the_name_itself() {
    let found =
        imports_of(&[("lib.rs", "mod a; pub use a::{B, C}; fn f() -> B {}"), ("a.rs", "pub struct B; pub struct C;")]);
    assert_eq!(found, [("lib.rs".to_owned(), "a.rs".to_owned(), "B".to_owned())]);
}
