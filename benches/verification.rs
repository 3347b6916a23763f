//! How fast can an auditor verify? Hashes against BLAKE3 alone over the same bytes; signatures against verify_strict, on as
//! many threads. The rounds alternate, and a ratio is the median of theirs: on a machine that others share, rates of two minutes are not
//! to be compared.

use std::{hint::black_box, time::Instant};

use ed25519_dalek::{Signature, SigningKey};
use promotion_ledger::{
    event::{
        Digest, canonical,
        digest::{TAG_RECORD_SIGNATURE, record_digest, sha256},
        proto::{Body, FrontDoorKey, LedgerOpened, Retired, body::Event},
    },
    ledger::{
        decide::{Prepared, RULES_KNOWN, expected_key},
        plan::{Delivered, plan},
        review_rows::{ReviewKey, ReviewRow},
        state::{Binding, Lookup, PromotionState, SlotState},
    },
    proof::verify::{Depth, StoredEntry, Verifier},
};

/// Nothing is known before the batch; the batch itself is remembered by `plan`.
struct Nothing;

impl Lookup for Nothing {
    type Error = std::convert::Infallible;
    fn replayed(&self, _: &Digest) -> Result<Option<u64>, Self::Error> {
        Ok(None)
    }
    fn bound(&self, _: &Digest) -> Result<Option<Binding>, Self::Error> {
        Ok(None)
    }
    fn link(&self, _: u64) -> Result<Option<Digest>, Self::Error> {
        Ok(None)
    }
    fn slot(&self, _: &Digest) -> Result<Option<SlotState>, Self::Error> {
        Ok(None)
    }
    fn promotion(&self, _: u64) -> Result<Option<PromotionState>, Self::Error> {
        Ok(None)
    }
    fn review_row(&self, _: &ReviewKey) -> Result<Option<ReviewRow>, Self::Error> {
        Ok(None)
    }
}

/// Records: of one chunk of BLAKE3; as `promotion-ledger bench` makes them; as those of `promotion-ledger demo` on average.
const RECORD_LENS: [usize; 3] = [1024, 4231, 16_600];
/// Bytes of records in each ledger.
const LEDGER_BYTES: usize = 32 << 20;
/// As many bytes as `verify` reads at once.
const BATCH_BYTES: usize = 8 << 20;
/// Every round measures everything once, so that what else the machine does meets all of it.
const ROUNDS: usize = 15;

fn front_door() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// What a record's signature covers, and the signature. Each is another one, as in a ledger: the branches of verify_strict
/// follow the signature, and a processor learns those of one that is verified all the time.
fn signature(record: &[u8], ledger_id: &Digest) -> (Vec<u8>, Signature) {
    let envelope = canonical::decode(record).expect("a record").envelope;
    let genesis = sha256(&envelope.body) == *ledger_id;
    let ledger_id = if genesis { Digest::ZERO } else { *ledger_id };
    let message = [TAG_RECORD_SIGNATURE, &ledger_id.0, &envelope.body].concat();
    (message, Signature::from_slice(&envelope.signature).expect("64 bytes"))
}

/// A ledger of signed entries of about so many bytes.
fn ledger(entries: usize, len: usize) -> Vec<StoredEntry> {
    let key = front_door();
    let public = |key: &SigningKey| key.verifying_key().to_bytes().to_vec();
    let event = Event::LedgerOpened(LedgerOpened {
        origin: "localhost/bench".into(),
        rules: 1,
        admin_keys: vec![public(&SigningKey::from_bytes(&[2; 32]))],
        admin_quorum: 1,
        log_key: public(&SigningKey::from_bytes(&[3; 32])),
        keys: vec![FrontDoorKey { public_key: public(&key), roles: 7 }],
        time_zone: "UTC".into(),
        nonce: vec![7; 32],
    });
    let idempotency_key = expected_key(&event).expect("genesis has a key").0.to_vec();
    let genesis = Body { idempotency_key, recorded_at: 1, event: Some(event), ..Body::default() };
    let genesis = canonical::seal_record(&genesis, 1, &Digest::ZERO, &key);
    let ledger_id = sha256(&canonical::decode(&genesis).expect("a record").envelope.body);
    let record = |n: u64| {
        let event = Event::Retired(Retired {
            request_id: format!("{n}{}", "x".repeat(len - 149)),
            ..Retired::default()
        });
        let body =
            Body { idempotency_key: vec![7; 32], recorded_at: n, event: Some(event), ..Body::default() };
        canonical::seal_record(&body, 1, &ledger_id, &key)
    };
    let values = std::iter::once(genesis).chain((1..entries as u64).map(record));
    let delivered =
        values.enumerate().map(|(i, value)| Delivered { offset: i as u64, prepared: Prepared::new(value) });
    let (set, stop) = plan(&mut None, &Nothing, &ledger_id, RULES_KNOWN, delivered);
    assert!(stop.is_none());
    set.entries
        .into_iter()
        .map(|(decided, prepared)| StoredEntry { header: decided.bytes.to_vec(), record: prepared.value })
        .collect()
}

/// Something measured: its name, and what takes the time.
type Measured<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// `each` on so many threads, over a share of `items` each.
fn on_threads<T: Sync>(threads: usize, items: &[T], each: impl Fn(&T) + Sync) {
    let each = &each;
    std::thread::scope(|scope| {
        for share in items.chunks(items.len().div_ceil(threads)) {
            scope.spawn(move || share.iter().for_each(each));
        }
    });
}

/// Entries in a second, for each measurement by rounds.
fn rates(entries: usize, measured: &[Measured<'_>]) -> Vec<Vec<f64>> {
    let mut rates = vec![Vec::new(); measured.len()];
    for _ in 0..ROUNDS {
        for ((_, run), rates) in measured.iter().zip(&mut rates) {
            let begun = Instant::now();
            run();
            rates.push(entries as f64 / begun.elapsed().as_secs_f64());
        }
    }
    rates
}

fn quartiles(values: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let public = front_door().verifying_key();
    for len in RECORD_LENS {
        let entries = ledger(LEDGER_BYTES / len, len);
        let ledger_id = sha256(&canonical::decode(&entries[0].record).expect("genesis").envelope.body);
        let batch = BATCH_BYTES / len;
        let blake3 = |entry: &StoredEntry| {
            black_box(record_digest(black_box(&entry.record)));
        };
        let signed: Vec<_> = entries.iter().map(|entry| signature(&entry.record, &ledger_id)).collect();
        let strict = |(message, signature): &(Vec<u8>, Signature)| {
            assert!(public.verify_strict(black_box(message), signature).is_ok());
        };
        let verify = |depth, threads| {
            let mut verifier = Verifier::new(depth, None);
            for batch in black_box(&entries).chunks(batch) {
                verifier.push(batch, threads).expect("a sound ledger");
            }
        };
        let measured: [Measured<'_>; 6] = [
            ("BLAKE3 alone, one thread", Box::new(|| on_threads(1, &entries, blake3))),
            ("hashes, one thread", Box::new(|| verify(Depth::Hashes, 1))),
            ("BLAKE3 alone, all threads", Box::new(|| on_threads(threads, &entries, blake3))),
            ("hashes, all threads", Box::new(|| verify(Depth::Hashes, threads))),
            ("verify_strict alone, all threads", Box::new(|| on_threads(threads, &signed, strict))),
            ("signatures and hashes, all threads", Box::new(|| verify(Depth::Signatures, threads))),
        ];
        let rates = rates(entries.len(), &measured);
        println!("records of {} bytes, {threads} threads, {ROUNDS} rounds", entries[1].record.len());
        for ((name, _), rates) in measured.iter().zip(&rates) {
            let [low, median, high] = quartiles(rates.iter().copied());
            println!("  {name:36} {median:>9.0} entries/s (quartiles {low:.0} to {high:.0})");
        }
        for (part, whole, of) in [
            (1, 0, "BLAKE3, one thread"),
            (3, 2, "BLAKE3, all threads"),
            (5, 4, "verify_strict, all threads"),
        ] {
            let [low, median, high] =
                quartiles(rates[part].iter().zip(&rates[whole]).map(|(part, whole)| 100.0 * part / whole));
            println!("  {} is {median:.0} % of {of} ({low:.0} to {high:.0})", measured[part].0);
        }
    }
}
