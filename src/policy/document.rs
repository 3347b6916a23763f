//! Strict JSON: a tree that remembers duplicate keys, and a reader that notes every problem with its path.
//!
//! `serde` stops at the first error and keeps the last of two equal keys. A document that decides who must
//! approve is read whole instead, and whoever wrote it sees everything that is wrong at once.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt,
};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::event::{promotion::Problems, text::name_problem};

/// Any JSON value. An object remembers which of its keys stood there more than once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>, Vec<String>),
}

impl Json {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Object(..) => "an object",
        }
    }

    /// Notes the duplicate keys of this value and everything in it.
    pub(super) fn duplicates(&self, path: &str, problems: &mut Problems) {
        match self {
            Self::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    item.duplicates(&format!("{path}[{i}]"), problems);
                }
            }
            Self::Object(members, twice) => {
                for key in twice {
                    problems.add(format!("{path}.{key}"), "stands there more than once");
                }
                for (key, value) in members {
                    value.duplicates(&format!("{path}.{key}"), problems);
                }
            }
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let (mut members, mut twice) = (BTreeMap::new(), Vec::new());
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            match members.entry(key) {
                Entry::Occupied(first) => twice.push(first.key().clone()),
                Entry::Vacant(place) => {
                    place.insert(value);
                }
            }
        }
        Ok(Json::Object(members, twice))
    }
}

/// Takes members out of an object one by one; what is left at the end was not known.
pub(super) struct Reader<'p> {
    path: String,
    members: BTreeMap<String, Json>,
    problems: &'p mut Problems,
}

impl<'p> Reader<'p> {
    /// `None`, with a problem noted, if the value is no object.
    pub(super) fn new(path: impl Into<String>, value: Json, problems: &'p mut Problems) -> Option<Self> {
        let path = path.into();
        match value {
            Json::Object(members, _) => Some(Self { path, members, problems }),
            other => {
                problems.add(path, format!("is {}; an object is needed", other.kind()));
                None
            }
        }
    }

    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub(super) fn problem(&mut self, key: &str, description: impl std::fmt::Display) {
        self.problems.add(self.at(key), description);
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Json> {
        let value = self.members.remove(key);
        if value.is_none() {
            self.problem(key, "is missing");
        }
        value
    }

    /// All members that are left, with their paths.
    pub(super) fn rest(&mut self) -> BTreeMap<String, Json> {
        std::mem::take(&mut self.members)
    }

    fn wrong<T>(&mut self, key: &str, found: &Json, needed: &str) -> Option<T> {
        self.problem(key, format!("is {}; {needed} is needed", found.kind()));
        None
    }

    /// A name: not empty, no control characters.
    pub(super) fn name(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Json::Text(text) => {
                let at = self.at(key);
                self.problems.add_some(at, name_problem(&text));
                Some(text)
            }
            other => self.wrong(key, &other, "text"),
        }
    }

    /// `sha256:` and 64 lower-case hexadecimal digits.
    pub(super) fn digest(&mut self, key: &str) -> Option<String> {
        let text = self.name(key)?;
        if !is_digest(&text) {
            self.problem(key, "is not `sha256:` followed by 64 lower-case hexadecimal digits");
        }
        Some(text)
    }

    /// A whole number from 0 to 2^53.
    pub(super) fn count(&mut self, key: &str) -> Option<u64> {
        match self.take(key)? {
            Json::Number(n) if n >= 0.0 && n.fract() == 0.0 && n <= 9_007_199_254_740_992.0 => Some(n as u64),
            other => self.wrong(key, &other, "a whole number that is not negative"),
        }
    }

    pub(super) fn object(&mut self, key: &str) -> Option<BTreeMap<String, Json>> {
        match self.take(key)? {
            Json::Object(members, _) => Some(members),
            other => self.wrong(key, &other, "an object"),
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Option<Vec<Json>> {
        match self.take(key)? {
            Json::List(items) => Some(items),
            other => self.wrong(key, &other, "a list"),
        }
    }

    /// A list of names, each once.
    pub(super) fn names(&mut self, key: &str) -> Option<Vec<String>> {
        let items = self.list(key)?;
        let at = self.at(key);
        Some(names(&at, items, self.problems))
    }

    /// A reader of a nested object.
    pub(super) fn nested(&mut self, key: &str) -> Option<Reader<'_>> {
        let value = self.take(key)?;
        Reader::new(self.at(key), value, self.problems)
    }

    pub(super) fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// Everything that nobody took is unknown.
    pub(super) fn finish(self) {
        for key in self.members.keys() {
            self.problems
                .add(format!("{}.{key}", self.path), "is not known; remove it or correct its spelling");
        }
    }
}

/// A list of names, each once.
pub(super) fn names(at: &str, items: Vec<Json>, problems: &mut Problems) -> Vec<String> {
    let mut names = Vec::with_capacity(items.len());
    let mut seen = BTreeSet::new();
    for (i, item) in items.into_iter().enumerate() {
        let at = format!("{at}[{i}]");
        match item {
            Json::Text(name) => {
                problems.add_some(&at, name_problem(&name));
                problems.require(seen.insert(name.clone()), &at, format!("{name:?} is listed twice"));
                names.push(name);
            }
            other => problems.add(at, format!("is {}; text is needed", other.kind())),
        }
    }
    names
}

/// Whether text is `sha256:` and 64 lower-case hexadecimal digits.
pub(super) fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
