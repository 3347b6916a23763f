//! Verification takes the same memory however long the ledger is: it is run over one ledger and over one three times as long,
//! whose further records alone are more than any chance explains.

use std::{path::Path, process::Stdio, time::Duration};

use promotion_ledger::{
    config::Config,
    event::{
        Outcome, canonical,
        proto::{Basis, Body, ProbeAttempt, StoreProbed, body::Event},
    },
    keyfile,
    ledger::{decide::expected_key, store::Store, writer},
};

use crate::harness::{Directory, LogUnderTest, Node, binary};

/// Entries of the short ledger, about 16 KiB each: more than is read ahead and checked at a time. The long one has three times
/// as many.
const ENTRIES: u32 = 5_000;
const TIMES: u32 = 3;
/// Entries that are written at a time.
const BATCH: u32 = 250;
/// Attempts of a probe, and the bytes that the store answered to each.
const ATTEMPTS: usize = 16;
const ANSWER_LEN: usize = 1_000;
/// What the longer ledger may take more, bytes: less than half of its further records, and more than chance. The same run over
/// the same ledger differs by up to 50 MiB on a busy machine: how far reading is ahead, and when freed pages go back.
const GROWTH_MAX: u64 = 72 << 20;

/// The n-th probe of an evidence store: the longest event that a node's own key may record, no two alike.
fn probed(n: u32) -> Event {
    let attempt = |i: usize| ProbeAttempt {
        attempt: format!("attempt {i}"),
        allowed: false,
        answer: format!("{n} {i} ").repeat(ANSWER_LEN).chars().take(ANSWER_LEN).collect(),
    };
    Event::StoreProbed(StoreProbed {
        uri: "s3://evidence".into(),
        write_once: true,
        attempts: (0..ATTEMPTS).map(attempt).collect(),
        day: n + 1,
    })
}

/// Fills a ledger up with so many accepted entries, and flushes it to tables: a write-ahead log is read into memory.
fn fill(dir: &Path, entries: u32) -> u64 {
    let config = Config::load(dir, serde_json::Map::new()).expect("a configuration");
    let pinned = config.pinned().expect("a ledger_id");
    let key = keyfile::signing_key(&dir.join("keys/front-door.pem")).expect("a key");
    let store = Store::open(&dir.join("ledger")).expect("a store");
    let mut state = store.state().expect("a state");
    let genesis = state.as_ref().expect("genesis");
    let basis = Basis { size: genesis.size(), link: genesis.link.0.to_vec() };
    let (first, date) = (genesis.size(), 1_700_000_000_000_000);
    let mut bytes = 0;
    for from in (0..entries).step_by(BATCH as usize) {
        let record = |n: u32| {
            let event = probed(n);
            let body = Body {
                idempotency_key: expected_key(&event).expect("a key").0.to_vec(),
                recorded_at: date + u64::from(n),
                basis: Some(basis.clone()),
                event: Some(event),
                ..Body::default()
            };
            (first + u64::from(n), canonical::seal_record(&body, 1, &pinned, &key))
        };
        let values: Vec<_> = (from..entries.min(from + BATCH)).map(record).collect();
        bytes += values.iter().map(|(_, value)| value.len() as u64).sum::<u64>();
        let set = writer::apply(&store, &pinned, &mut state, values).expect("applied");
        assert!(
            set.entries.iter().all(|(decided, _)| decided.header.outcome == Outcome::Accepted),
            "all of them are accepted"
        );
    }
    drop(store);
    // Recovery writes what stood in the log into tables.
    drop(Store::open(&dir.join("ledger")).expect("a store"));
    bytes
}

/// Runs `verify` to its end; the most memory that it had at a time, bytes.
fn peak(args: &[&str]) -> u64 {
    let mut command = binary();
    command.arg("verify").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The peak never falls, so what is read last is enough; a process that ended shows none any more.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(str::trim);
        if let Some(kib) = line.and_then(|line| line.trim_end_matches("kB").trim().parse::<u64>().ok()) {
            peak = peak.max(kib << 10);
        }
        if child.try_wait().expect("a status").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(peak > 0, "it ended before it was looked at");
    peak
}

#[test]
fn verification_takes_no_more_memory_for_a_ledger_three_times_as_long() {
    let measured: Vec<_> = [ENTRIES, TIMES * ENTRIES]
        .into_iter()
        .map(|entries| {
            let dir = Directory::init(&LogUnderTest::Embedded);
            let bytes = fill(&dir.path(), entries);
            let path = dir.path().display().to_string();
            let mut peaks = vec![
                peak(&["--dir", &path]),
                peak(&["--dir", &path, "--depth", "signatures"]),
                peak(&["--dir", &path, "--depth", "hashes"]),
            ];
            let node = Node::serve(&dir.path());
            peaks.push(peak(&["--url", &node.url, "--depth", "signatures"]));
            node.stop();
            (bytes, peaks)
        })
        .collect();
    let [(short, before), (long, after)] = measured.as_slice() else { panic!("two ledgers") };
    assert!(long - short > 2 * GROWTH_MAX, "the ledgers are of nearly one length: {short}, {long}");
    for (before, after) in before.iter().zip(after) {
        assert!(
            *after < before + GROWTH_MAX,
            "{long} bytes of records took {after} bytes of memory, {short} took {before}"
        );
    }
    eprintln!("{short} bytes of records: {before:?}; {long}: {after:?}");
}
