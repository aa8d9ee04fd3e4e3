//! Writes JSON documents that satisfy a JSON Schema: the subset of structured outputs, plus what function parameters
//! commonly add. A keyword it cannot honour is refused with its path, never ignored.

mod accept;
mod containers;
mod merge;
mod number;
mod pattern;
mod propose;
mod resolve;
mod string;

use serde_json::Value;

use crate::Error;
use crate::facts::Facts;
use crate::rng::Rng;
use propose::Proposals;
use resolve::Resolver;

pub(crate) use propose::spaced;

/// Values written before a schema counts as exploding.
const MOST_VALUES: u32 = 5_000;
/// Containers and references within each other.
const DEEPEST: usize = 64;
/// From here on, or once a definition repeats itself, only what is required is written.
const DEEP: usize = 10;
const MOST_REPEATS: usize = 2;

/// Which optional members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// All of them: a document to look at.
    Everything,
    /// Those the text gives a value for: arguments. The first `skip` names of the text are left to other calls.
    Evident { skip: usize },
}

/// A document for `schema`; `field` is where the request holds it, for errors.
pub(crate) fn document(schema: &Value, field: &str, facts: &Facts, fill: Fill, rng: &mut Rng) -> Result<Value, Error> {
    let resolver = Resolver::new(schema, field)?;
    let mut writer = Writer {
        resolver,
        proposals: Proposals::new(facts, fill),
        fill,
        rng,
        salt: 0,
        values_left: MOST_VALUES,
        open_refs: Vec::new(),
    };
    writer.write(schema, &Place { name: String::new(), path: field.to_owned(), depth: 0 })
}

/// Where in the document and in the schema the writer stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The nearest member name: it hints at what is meant.
    name: String,
    path: String,
    depth: usize,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        Self { name: name.to_owned(), path: format!("{}.properties.{name}", self.path), depth: self.depth + 1 }
    }

    fn item(&self) -> Self {
        // "cities" hints at cities, one by one.
        let singular = self.name.strip_suffix("ies").map(|stem| format!("{stem}y"));
        let singular = singular.or_else(|| self.name.strip_suffix('s').map(str::to_owned));
        Self {
            name: singular.unwrap_or_else(|| self.name.clone()),
            path: format!("{}.items", self.path),
            depth: self.depth + 1,
        }
    }

    fn within(&self, keyword: &str) -> Self {
        Self { path: format!("{}.{keyword}", self.path), depth: self.depth + 1, ..self.clone() }
    }

    fn refuse(&self, message: impl Into<String>) -> Error {
        Error::new(self.path.clone(), message)
    }
}

/// One document in the making.
#[derive(Debug)]
struct Writer<'a> {
    resolver: Resolver<'a>,
    proposals: Proposals<'a>,
    fill: Fill,
    rng: &'a mut Rng,
    /// Number of the array item being written; made-up values differ by it.
    salt: usize,
    values_left: u32,
    /// References on the way from the root to here.
    open_refs: Vec<String>,
}

impl Writer<'_> {
    fn write(&mut self, schema: &Value, place: &Place) -> Result<Value, Error> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or_else(|| place.refuse(format!("asks for a document of more than {MOST_VALUES} values")))?;
        if place.depth > DEEPEST {
            return Err(place.refuse(format!("nests deeper than {DEEPEST} levels")));
        }
        let open = self.open_refs.len();
        let flat = self.resolver.flatten(schema, place, &mut self.open_refs);
        let written = flat.and_then(|flat| self.write_flat(&flat, place));
        self.open_refs.truncate(open);
        written
    }

    /// The schema holds no `$ref` and no `allOf` at its top any more.
    fn write_flat(&mut self, schema: &Value, place: &Place) -> Result<Value, Error> {
        match schema {
            Value::Bool(true) => return Ok(self.made_up_text(place).into()),
            Value::Object(_) => {}
            Value::Bool(false) => return Err(place.refuse("allows no value at all")),
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(place.refuse("is no schema: an object is needed"));
            }
        }
        resolve::refuse_unsupported(schema, place)?;
        for keyword in ["anyOf", "oneOf"] {
            if let Some(options) = schema.get(keyword) {
                return self.one_of(schema, keyword, options, place);
            }
        }
        if let Some(fixed) = schema.get("const") {
            return Some(fixed.clone())
                .filter(|fixed| accept::accepts(schema, fixed))
                .ok_or_else(|| place.refuse("`const` contradicts the rest of the schema"));
        }
        if let Some(members) = schema.get("enum") {
            return self.member_of(schema, members, place);
        }
        if let Some(value) = self.proposals.best(schema, &place.name) {
            return Ok(value);
        }
        self.typed(schema, place)
    }

    /// Writes the first alternative that works: rich ones first, in the depths the one that ends soonest.
    fn one_of(&mut self, schema: &Value, keyword: &str, options: &Value, place: &Place) -> Result<Value, Error> {
        let options = options
            .as_array()
            .filter(|options| !options.is_empty())
            .ok_or_else(|| place.refuse(format!("`{keyword}` must be a list of schemas")))?;
        let mut order: Vec<usize> =
            (0..options.len()).filter(|at| self.resolver.height(&options[*at]).is_some()).collect();
        if self.deep(place) {
            order.sort_by_key(|at| self.resolver.height(&options[*at]));
        } else {
            let start = if self.fill == Fill::Everything { self.rng.below(order.len()) } else { 0 };
            order.rotate_left(start);
            order.sort_by_key(|at| options[*at].get("type").and_then(Value::as_str) == Some("null"));
        }
        let mut rest = schema.clone();
        if let Some(rest) = rest.as_object_mut() {
            // Definitions are looked up at the root, so copies need not carry them along.
            for name in [keyword, "$defs", "definitions"] {
                rest.shift_remove(name);
            }
        }
        let mut problem = place.refuse(format!("no alternative of `{keyword}` can be satisfied"));
        for at in order {
            let merged = merge::both(&rest, &options[at]);
            match self.write(&merged, &place.within(&format!("{keyword}[{at}]"))) {
                Ok(value) => return Ok(value),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn member_of(&mut self, schema: &Value, members: &Value, place: &Place) -> Result<Value, Error> {
        let members = members.as_array().map_or(&[][..], Vec::as_slice);
        let fitting: Vec<&Value> = members.iter().filter(|member| accept::accepts(schema, member)).collect();
        if fitting.is_empty() {
            return Err(place.refuse("`enum` holds no value that fits the rest of the schema"));
        }
        if let Some(member) = self.proposals.mentioned(&fitting) {
            return Ok(member);
        }
        let default = schema.get("default").filter(|default| fitting.contains(default));
        let real: Vec<&Value> = fitting.iter().copied().filter(|member| !member.is_null()).collect();
        let pool = if real.is_empty() { &fitting } else { &real };
        let start = if self.fill == Fill::Everything { self.rng.below(pool.len()) } else { 0 };
        Ok(default.unwrap_or(pool[(start + self.salt) % pool.len()]).clone())
    }

    fn typed(&mut self, schema: &Value, place: &Place) -> Result<Value, Error> {
        let types = resolve::types(schema);
        let order: Vec<&str> = if self.deep(place) {
            ["null", "boolean", "integer", "number", "string", "array", "object"]
                .into_iter()
                .filter(|name| types.contains(name))
                .collect()
        } else {
            // Null stands for "nothing to say": there is always something to say.
            let (nulls, rest): (Vec<&str>, Vec<&str>) = types.iter().copied().partition(|name| *name == "null");
            rest.into_iter().chain(nulls).collect()
        };
        let mut problem = place.refuse("`type` allows no value");
        for name in order {
            let value = match name {
                "null" => Ok(Value::Null),
                "boolean" => Ok(Value::Bool(self.proposals.affirms(&place.name))),
                "integer" | "number" => self.number(schema, place, name == "integer"),
                "string" => self.string(schema, place),
                "array" => self.array(schema, place),
                "object" => self.object(schema, place),
                unknown => Err(place.refuse(format!("`type` is `{unknown}`, which JSON Schema does not know"))),
            };
            match value {
                Ok(value) => return Ok(value),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    /// Time to come to an end.
    fn deep(&self, place: &Place) -> bool {
        let repeats =
            self.open_refs.last().map_or(0, |last| self.open_refs.iter().filter(|open| *open == last).count());
        place.depth > DEEP || repeats > MOST_REPEATS || self.values_left < MOST_VALUES / 2
    }
}
