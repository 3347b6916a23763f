//! The JSON Schema of a policy file, for editors. `schemas/policy.schema.json` is a copy of it.

use schemars::{Schema, generate::SchemaSettings};
use serde_json::Value;

use super::file::File;

/// Types of which a test gives only what differs.
const PARTIAL: [&str; 6] = ["Candidate", "Difference", "Moved", "Pair", "PreviousFacts", "SinceHuman"];

/// The schema, Draft 2020-12, with a line feed at its end.
pub fn text() -> String {
    let mut schema: Schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    if let Some(Value::Object(types)) = schema.get_mut("$defs") {
        for name in PARTIAL {
            if let Some(Value::Object(partial)) = types.get_mut(name) {
                partial.remove("required");
            }
        }
    }
    // A schema holds text, numbers and lists: it can always be written.
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text + "\n"
}
