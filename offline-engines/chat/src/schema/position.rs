//! Positions in a JSON Schema and in the document that is generated from it.

use crate::error::Error;

/// Where a value is, in the document and in the schema.
#[derive(Debug, Clone)]
pub(crate) struct SchemaPosition {
    /// The nearest member name, from which the meaning of a value is inferred.
    pub(crate) name: String,
    /// Path of the schema in the request, for error messages.
    path: String,
    /// Number of containers and references around this position.
    pub(crate) depth: usize,
}

impl SchemaPosition {
    pub(crate) fn root(field: &str) -> Self {
        Self { name: String::new(), path: field.to_owned(), depth: 0 }
    }

    pub(crate) fn member(&self, name: &str) -> Self {
        Self { name: name.to_owned(), path: format!("{}.properties.{name}", self.path), depth: self.depth + 1 }
    }

    pub(crate) fn item(&self) -> Self {
        // Items of "cities" are named "city".
        let singular = self.name.strip_suffix("ies").map(|stem| format!("{stem}y"));
        let singular = singular.or_else(|| self.name.strip_suffix('s').map(str::to_owned));
        Self {
            name: singular.unwrap_or_else(|| self.name.clone()),
            path: format!("{}.items", self.path),
            depth: self.depth + 1,
        }
    }

    /// Returns the position of a subschema under `keyword` that describes the same value.
    pub(crate) fn subschema(&self, keyword: &str) -> Self {
        Self { path: format!("{}.{keyword}", self.path), depth: self.depth + 1, ..self.clone() }
    }

    /// Creates an error at this position.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::new(self.path.clone(), message)
    }
}
