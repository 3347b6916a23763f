//! Times, sizes, slots and roles in words.

use crate::event::proto::{ComparatorRole, DatasetStrength, Slot, SlotRole};

pub use crate::event::text::utc;

/// Bytes, as people read them.
pub fn bytes(length: u64) -> String {
    match length {
        0..10_000 => format!("{length} bytes"),
        10_000..10_000_000 => format!("{:.0} kB", length as f64 / 1e3),
        _ => format!("{:.1} MB", length as f64 / 1e6),
    }
}

/// A slot in words.
pub fn slot(slot: Option<&Slot>) -> String {
    let Some(slot) = slot else { return "no slot".into() };
    let role = slot_role(slot.role);
    let region = if slot.region.is_empty() { String::new() } else { format!(" / {}", slot.region) };
    format!("{} / {}{region}, {role}", slot.model, slot.environment)
}

/// A slot's role in words.
pub fn slot_role(number: i32) -> String {
    let role = SlotRole::try_from(number).map_or("", |role| role.as_str_name());
    role.trim_start_matches("SLOT_ROLE_").to_lowercase()
}

/// A comparator's role in words.
pub fn comparator_role(number: i32) -> String {
    let role = ComparatorRole::try_from(number).map_or("", |role| role.as_str_name());
    role.trim_start_matches("COMPARATOR_ROLE_").to_lowercase()
}

/// What a dataset's digest is over, in words.
pub fn strength(number: i32) -> &'static str {
    match DatasetStrength::try_from(number) {
        Ok(DatasetStrength::Content) => "over its content",
        Ok(DatasetStrength::Manifest) => "over a manifest",
        _ => "unspecified",
    }
}
