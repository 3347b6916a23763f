//! Values of rows that can be rebuilt from the records, in bincode (=2.0.1, unmaintained but frozen).
//!
//! The only file that uses bincode. Never for anything that is hashed, signed or sent: those are protobuf or
//! the pinned layouts of `event`.

use serde::{Serialize, de::DeserializeOwned};

/// A row's bytes.
pub fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(row, bincode::config::standard())
        .expect("rows are plain data; encoding cannot fail")
}

/// A row, if the bytes are exactly one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (row, used) = bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok()?;
    (used == bytes.len()).then_some(row)
}
