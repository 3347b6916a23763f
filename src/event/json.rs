//! How generated types appear in JSON: digests in hex, enums by name.

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::proto::{ComparatorRole, DatasetStrength, SlotRole};

/// Bytes as lower-case hex.
pub fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

/// A list of byte strings, each as lower-case hex.
pub fn hex_list<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_seq(Some(list.len()))?;
    for bytes in list {
        out.serialize_element(&hex::encode(bytes))?;
    }
    out.end()
}

/// A JSON document as itself; bytes that are none as hex.
pub fn document<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(value) => value.serialize(serializer),
        Err(_) => hex(bytes, serializer),
    }
}

/// Text as itself; bytes that are none as hex.
pub fn text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => hex(bytes, serializer),
    }
}

fn name<S: Serializer>(
    serializer: S,
    number: i32,
    name: Option<&str>,
    prefix: &str,
) -> Result<S::Ok, S::Error> {
    match name.and_then(|name| name.strip_prefix(prefix)) {
        Some(name) => serializer.serialize_str(&name.to_lowercase()),
        None => serializer.serialize_i32(number),
    }
}

/// `champion`, `challenger`, …
pub fn slot_role<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = SlotRole::try_from(*number).ok();
    name(serializer, *number, known.map(|role| role.as_str_name()), "SLOT_ROLE_")
}

/// `champion`, `challenger`, `benchmark`.
pub fn comparator_role<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = ComparatorRole::try_from(*number).ok();
    name(serializer, *number, known.map(|role| role.as_str_name()), "COMPARATOR_ROLE_")
}

/// `content` or `manifest`.
pub fn dataset_strength<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = DatasetStrength::try_from(*number).ok();
    name(serializer, *number, known.map(|strength| strength.as_str_name()), "DATASET_STRENGTH_")
}
