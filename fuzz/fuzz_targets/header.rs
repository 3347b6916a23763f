//! An entry header: 168 bytes that are read encode to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promotion_ledger::event::Header;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode()[..], *bytes);
    }
});
