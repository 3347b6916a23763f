//! A model profile, routing inputs, an MLflow artefact and an attestation: all from outside, none may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promotion_ledger::policy::{Inputs, ModelProfile, mlmodel};

fuzz_target!(|bytes: &[u8]| {
    let _ = ModelProfile::parse(bytes);
    let _ = mlmodel::signature(bytes);
    if let Ok(inputs) = Inputs::from_bytes(bytes) {
        assert_eq!(inputs.to_bytes().expect("they fitted"), bytes);
    }
});
