//! A small sorted map. Differences hold hundreds of numbers by name and are derived for every promotion: two
//! sorted lists are compared in one walk, without a tree.

use std::{cmp::Ordering, collections::BTreeMap, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::profile::Name;

/// Values by name, in the order of the names, each name once. In JSON: an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<V>(Vec<(Name, V)>);

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Table<V> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.entry_of(name).map(|(_, value)| value)
    }

    /// The name as it is kept, and its value.
    pub fn entry_of(&self, name: &str) -> Option<(&Name, &V)> {
        let place = self.place(name).ok()?;
        self.0.get(place).map(|(name, value)| (name, value))
    }

    /// Whether a name is there.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: Name, value: V) {
        match self.place(&name) {
            Ok(place) => {
                if let Some((_, held)) = self.0.get_mut(place) {
                    *held = value;
                }
            }
            Err(place) => self.0.insert(place, (name, value)),
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &V)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, to change.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.as_ref().cmp(name))
    }

    /// Walks two tables together; keeps what is made of each name of either.
    pub(super) fn joined<L, R>(
        left: &Table<L>,
        right: &Table<R>,
        mut make: impl FnMut(&Name, Option<&L>, Option<&R>) -> Option<V>,
    ) -> Self {
        let mut made = Vec::with_capacity(left.len().max(right.len()));
        let (mut left, mut right) = (left.0.as_slice(), right.0.as_slice());
        loop {
            let (ours, theirs) = match (left.split_first(), right.split_first()) {
                (None, None) => return Self(made),
                (Some((l, rest)), None) => {
                    left = rest;
                    (Some(l), None)
                }
                (None, Some((r, rest))) => {
                    right = rest;
                    (None, Some(r))
                }
                (Some((l, left_rest)), Some((r, right_rest))) => {
                    // Most names are in both, and often the same allocation.
                    let order = if l.0 == r.0 { Ordering::Equal } else { l.0.cmp(&r.0) };
                    if order.is_le() {
                        left = left_rest;
                    }
                    if order.is_ge() {
                        right = right_rest;
                    }
                    (order.is_le().then_some(l), order.is_ge().then_some(r))
                }
            };
            let Some(name) = ours.map(|(name, _)| name).or(theirs.map(|(name, _)| name)) else { continue };
            if let Some(value) = make(name, ours.map(|(_, v)| v), theirs.map(|(_, v)| v)) {
                made.push((name.clone(), value));
            }
        }
    }
}

impl<V> FromIterator<(Name, V)> for Table<V> {
    /// Of two values of one name the later one counts.
    fn from_iter<I: IntoIterator<Item = (Name, V)>>(items: I) -> Self {
        Self(items.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

impl<V: Serialize> Serialize for Table<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Table<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> de::Visitor<'de> for Members<V> {
    type Value = Table<V>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some((name, value)) = map.next_entry::<Name, V>()? {
            items.push((name, value));
        }
        items.sort_by(|a, b| a.0.cmp(&b.0));
        match items.windows(2).find_map(|pair| match pair {
            [a, b] if a.0 == b.0 => Some(a.0.clone()),
            _ => None,
        }) {
            Some(twice) => Err(de::Error::custom(format_args!("{twice:?} stands there more than once"))),
            None => Ok(Table(items)),
        }
    }
}

impl<V: JsonSchema> JsonSchema for Table<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Table_of_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, V>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table<u8> {
        names.iter().map(|name| (Name::from(*name), 1)).collect()
    }

    #[test]
    fn two_tables_are_walked_together() {
        let both = Table::joined(&table(&["a", "c", "d"]), &table(&["b", "c"]), |_, l, r| {
            Some((l.is_some(), r.is_some()))
        });
        let seen: Vec<_> = both.iter().map(|(name, in_both)| (name.to_string(), *in_both)).collect();
        let at = |name: &str, left, right| (name.to_owned(), (left, right));
        assert_eq!(
            seen,
            [at("a", true, false), at("b", false, true), at("c", true, true), at("d", true, false)]
        );
        let none = Table::joined(&table(&["a"]), &table(&["a"]), |_, _, _| None::<u8>);
        assert!(none.is_empty());
    }

    #[test]
    fn names_stay_sorted_and_single() {
        let mut read: Table<u8> = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        read.insert("aa".into(), 3);
        read.insert("b".into(), 4);
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"a":1,"aa":3,"b":4}"#);
        assert_eq!((read.get("aa"), read.get("c"), read.len()), (Some(&3), None, 3));
        assert!(serde_json::from_str::<Table<u8>>(r#"{"a":1,"a":1}"#).is_err());
    }
}
