//! How generated types appear in JSON: digests in hex, enums by name.

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::proto::{
    ArtefactRole, CloseReason, ComparatorRole, DatasetStrength, Decision, EvidenceProblem, GateMode,
    IncumbentChange, RegistryProblem, SlotRole,
};
#[cfg(feature = "node")]
use super::proto::{Coverage, GateBasis, RefusalReason, ReviewState};

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

/// `missing`, `digest`, …
pub fn evidence_problem<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = EvidenceProblem::try_from(*number).ok();
    name(serializer, *number, known.map(|problem| problem.as_str_name()), "EVIDENCE_PROBLEM_")
}

/// `alias_moved`, `digest`, …
pub fn registry_problem<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = RegistryProblem::try_from(*number).ok();
    name(serializer, *number, known.map(|problem| problem.as_str_name()), "REGISTRY_PROBLEM_")
}

/// `comparison_report`, `explanation`, …
pub fn artefact_role<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = ArtefactRole::try_from(*number).ok();
    name(serializer, *number, known.map(|role| role.as_str_name()), "ARTEFACT_ROLE_")
}

/// `observe`, `warn`, `enforce`.
pub fn gate_mode<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = GateMode::try_from(*number).ok();
    name(serializer, *number, known.map(|mode| mode.as_str_name()), "GATE_MODE_")
}

/// `promoted`, `undocumented`, `break_glass`.
#[cfg(feature = "node")]
pub fn gate_basis<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = GateBasis::try_from(*number).ok();
    name(serializer, *number, known.map(|basis| basis.as_str_name()), "GATE_BASIS_")
}

/// `never_promoted`, `superseded`, …
#[cfg(feature = "node")]
pub fn refusal_reason<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = RefusalReason::try_from(*number).ok();
    name(serializer, *number, known.map(|reason| reason.as_str_name()), "REFUSAL_REASON_")
}

/// `promoted`, `undocumented`, …
#[cfg(feature = "node")]
pub fn coverage<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = Coverage::try_from(*number).ok();
    name(serializer, *number, known.map(|coverage| coverage.as_str_name()), "COVERAGE_")
}

/// `approve`, `decline`, …
pub fn decision<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = Decision::try_from(*number).ok();
    name(serializer, *number, known.map(|it| it.as_str_name()), "DECISION_")
}

/// `withdrawn`, `expired`, …
pub fn close_reason<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = CloseReason::try_from(*number).ok();
    name(serializer, *number, known.map(|it| it.as_str_name()), "CLOSE_REASON_")
}

/// `hold`, `supersede`, `allow_in_band`.
pub fn incumbent_change<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = IncumbentChange::try_from(*number).ok();
    name(serializer, *number, known.map(|it| it.as_str_name()), "INCUMBENT_CHANGE_")
}

/// `open`, `approved`, …
#[cfg(feature = "node")]
pub fn review_state<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = ReviewState::try_from(*number).ok();
    name(serializer, *number, known.map(|state| state.as_str_name()), "REVIEW_STATE_")
}
