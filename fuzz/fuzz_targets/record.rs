//! A topic value: whatever is read encodes to the same bytes again, and the rules of the six fields never panic on it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use promotion_ledger::event::{canonical, content, promotion, proto::body::Event};

fuzz_target!(|value: &[u8]| {
    let Ok(record) = canonical::decode(value) else { return };
    assert_eq!(record.envelope.encode_to_vec(), value);
    assert_eq!(record.body.encode_to_vec(), record.envelope.body);
    let _ = content::content_digest(&record.body);
    match &record.body.event {
        Some(Event::Promoted(promoted)) => {
            let _ = promotion::problems(promoted, record.body.recorded_at);
        }
        Some(event) => {
            let _ = canonical::admin_act(event).and_then(canonical::statement);
        }
        None => unreachable!("decode refuses a body without an event"),
    }
});
