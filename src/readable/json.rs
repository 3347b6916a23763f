//! JSON as tables and lists. What would be read in two ways (a key twice) or is very deep or long is shown as text.

use std::fmt;

use maud::{Markup, html};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use super::{Shown, plain, table::table, visible};

/// Nesting that is shown as structure.
const DEPTH_MAX: usize = 8;
/// Values that are shown as structure.
const VALUES_MAX: usize = 6_000;
/// Columns of a table.
const COLUMNS_MAX: usize = 24;

/// A document in the order of its file, each number as it is written there.
enum Json {
    Scalar(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A document as structure, or as text.
pub fn fragment(text: &str) -> Shown {
    match serde_json::from_str::<Json>(text) {
        Ok(json) if json.values() <= VALUES_MAX && json.depth() <= DEPTH_MAX => {
            Shown::Fragment { markup: html! { div.json { (json.markup()) } }, whole: true }
        }
        _ => plain::fragment(text),
    }
}

impl Json {
    fn children(&self) -> Vec<&Self> {
        match self {
            Self::List(items) => items.iter().collect(),
            Self::Object(members) => members.iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        }
    }

    fn values(&self) -> usize {
        1 + self.children().into_iter().map(Self::values).sum::<usize>()
    }

    fn depth(&self) -> usize {
        1 + self.children().into_iter().map(Self::depth).max().unwrap_or(0)
    }

    fn scalar(&self) -> Option<&str> {
        match self {
            Self::Scalar(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn markup(&self) -> Markup {
        match self {
            Self::Scalar(text) => html! { (text) },
            Self::Text(text) => html! { (visible(text)) },
            Self::List(items) if items.is_empty() => html! { span.none { "none" } },
            Self::Object(members) if members.is_empty() => html! { span.none { "none" } },
            Self::List(items) => {
                let objects: Vec<_> = items.iter().map(|item| (String::new(), item)).collect();
                if let Some(markup) = rows(&objects, None) {
                    return markup;
                }
                if items.iter().all(|item| item.scalar().is_some()) {
                    let texts: Vec<_> = items.iter().filter_map(Self::scalar).collect();
                    return html! { (visible(&texts.join(", "))) };
                }
                html! { ol { @for item in items { li { (item.markup()) } } } }
            }
            Self::Object(members) => {
                let objects: Vec<_> = members.iter().map(|(name, value)| (name.clone(), value)).collect();
                if let Some(markup) = rows(&objects, Some("")) {
                    return markup;
                }
                html! { dl { @for (name, value) in members {
                    dt { (visible(name)) } dd { (value.markup()) }
                } } }
            }
        }
    }
}

/// Two or more flat objects of the same members, as one table; `named`: each has a name, in a column with that head.
fn rows(objects: &[(String, &Json)], named: Option<&str>) -> Option<Markup> {
    let members = |json: &Json| match json {
        Json::Object(members) => members.iter().map(|(name, _)| name.clone()).collect(),
        _ => Vec::new(),
    };
    let columns: Vec<String> = objects.first().map(|(_, json)| members(json))?;
    let alike = objects.iter().all(|(_, json)| {
        members(json) == columns && json.children().iter().all(|value| value.scalar().is_some())
    });
    if !alike || objects.len() < 2 || columns.is_empty() || columns.len() > COLUMNS_MAX {
        return None;
    }
    let rows: Vec<Vec<String>> = objects
        .iter()
        .map(|(name, json)| {
            let cells = json.children().into_iter().filter_map(Json::scalar).map(str::to_owned);
            named.map(|_| name.clone()).into_iter().chain(cells).collect()
        })
        .collect();
    let heads: Vec<String> = named.map(str::to_owned).into_iter().chain(columns).collect();
    Some(table(&heads, &rows))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Ordered)
    }
}

struct Ordered;

impl<'de> Visitor<'de> for Ordered {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Scalar("\u{2013}".into()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(if value { "yes" } else { "no" }.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a key stands twice"));
            }
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}
