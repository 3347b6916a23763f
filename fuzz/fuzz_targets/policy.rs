//! A policy file: compiling, type-checking and running its own tests end, and never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promotion_ledger::policy;

fuzz_target!(|yaml: &[u8]| {
    if let Ok(policy) = policy::load(yaml) {
        let _ = policy::below_floor(&policy);
    }
});
