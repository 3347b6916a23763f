//! A receipt (C2SP tlog-proof) and a log key: nothing that a stranger writes panics or verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promotion_ledger::proof::{checkpoint, checkpoint::LogKey, receipt::Receipt};

/// Nobody has the private half of this key.
const KEY: &str = "ledger.example.bank/credit+2025c120+AbrJIAIwXc/z9+q+pLWayH3oNRIVbrxeLSp8MXbTgHJ3";

fuzz_target!(|text: &str| {
    let _ = LogKey::parse(text);
    let key = LogKey::parse(KEY).expect("a log key");
    assert!(checkpoint::open(text, &key).is_err());
    if let Ok(receipt) = Receipt::parse(text) {
        assert!(receipt.verify(&key).is_err());
        assert_eq!(Receipt::parse(&receipt.to_text()).expect("its own text"), receipt);
    }
});
