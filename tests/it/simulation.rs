//! Several nodes over one log, in one process, from a seed: random batches, delays, crashes between planning,
//! writing and syncing, duplicates, junk, holes, races, and a rolling upgrade: two binaries over one log, of which one
//! lacks the rules that are activated. At the end every node holds the same bytes.
//!
//! `SEED=17` replays one run; `RUNS=5000` makes more of them.

use std::{collections::BTreeMap, convert::Infallible};

use ed25519_dalek::SigningKey;
use promotion_ledger::{
    event::{
        Digest, Header, Kind, Outcome, Reason, Seq, canonical,
        header::HEADER_LEN,
        model::role,
        proto::{
            ClockReset, CloseReason, Decision, FrontDoorKey, KeyAdded, KeyCompromised, KeyRetired,
            Preconditions, RulesActivated, body::Event,
        },
    },
    ledger::{
        decide::{Halt, Prepared},
        plan::{self, Delivered, Stop},
        state::State,
    },
};

use crate::{random::Random, review_samples::*, samples::*};

const RUNS: u64 = 300;
const NODES: usize = 3;
const STEPS: usize = 160;
const BATCH_LEN_MAX: u64 = 9;
/// What the two binaries of a rolling upgrade know. Rules 2 are rules 1 under another number: what is simulated is
/// the upgrade, not what it brings.
const OLD: u16 = 1;
const NEW: u16 = 2;

/// What a node has on disk.
#[derive(Clone, Default)]
struct Stored {
    state: Option<State>,
    look: MemoryLookup,
    headers: Vec<[u8; HEADER_LEN]>,
    dates: Vec<u64>,
}

impl Stored {
    fn size(&self) -> u64 {
        self.headers.len() as u64
    }
}

/// A node: what is synced survives a crash, what is only written may not.
#[derive(Clone)]
struct Node {
    rules_known: u16,
    synced: Stored,
    written: Stored,
    halted: Option<Halt<Infallible>>,
}

impl Node {
    fn new() -> Self {
        Self { rules_known: OLD, synced: Stored::default(), written: Stored::default(), halted: None }
    }

    /// Plans the next deliveries, and writes the plan unless the node crashes between the two.
    fn apply(&mut self, log: &Log, count: u64, random: &mut Random, crash: bool) {
        if self.halted.is_some() {
            return;
        }
        let from = self.written.size();
        let batch: Vec<_> = log
            .values
            .range(from..)
            .take(count as usize)
            .map(|(offset, value)| {
                let mut prepared = Prepared::new(value.clone());
                // A node does not verify again what it signed itself: no difference may come of that.
                prepared.own = log.genuine.contains(value) && random.one_in(3);
                Delivered { offset: *offset, prepared }
            })
            .collect();
        let mut state = self.written.state.clone();
        let (set, stop) = plan::plan(&mut state, &self.written.look, &log.pinned, self.rules_known, batch);
        if crash {
            self.written = self.synced.clone();
            return;
        }
        self.written.look.apply(&set);
        self.written.state = state;
        for (decided, _) in set.entries {
            self.written.headers.push(decided.bytes);
            self.written.dates.push(decided.date);
        }
        match stop {
            None => {}
            Some(Stop::Halt(halt)) => {
                let halted = Halt::Rules { seq: self.written.size(), rules: u32::from(NEW) };
                assert_eq!((&halt, self.rules_known), (&halted, OLD), "before it applies that entry");
                self.halted = Some(halt);
            }
            Some(Stop::Behind { offset, size }) => panic!("the log went back to {offset} at {size}"),
        }
    }

    fn sync(&mut self) {
        assert!(self.synced.size() <= self.written.size(), "a head never goes back");
        self.synced = self.written.clone();
    }

    fn crash(&mut self) {
        self.written = self.synced.clone();
        self.halted = None;
    }
}

/// The shared log: offsets grow, and skip where a transaction marker stands.
struct Log {
    pinned: Digest,
    values: BTreeMap<Seq, Vec<u8>>,
    end: Seq,
    genuine: Vec<Vec<u8>>,
}

impl Log {
    fn append(&mut self, value: Vec<u8>) {
        self.values.insert(self.end, value);
        self.end += 1;
    }

    fn at(&self, index: u64) -> Vec<u8> {
        self.values.values().nth(index as usize).cloned().unwrap_or_default()
    }
}

/// Keys that come and go.
fn passing_key(random: &mut Random) -> SigningKey {
    key(20 + random.below(4) as u8)
}

/// What one node's front door makes of its own, perhaps old, view of the ledger.
struct FrontDoor<'a> {
    view: Ledger,
    random: &'a mut Random,
}

impl FrontDoor<'_> {
    fn model(&mut self) -> &'static str {
        ["fraud", "credit", "churn"][self.random.below(3) as usize]
    }

    fn current(&self, model: &str) -> Option<Seq> {
        let slot = promotion_ledger::event::digest::slot(&slot(model));
        self.view
            .look
            .slots
            .get(&slot)
            .and_then(|slot| slot.current.or(slot.baseline.map(|baseline| baseline.seq)))
    }

    fn some_promotion(&mut self, model: &str) -> Seq {
        let slot = promotion_ledger::event::digest::slot(&slot(model));
        let mut seqs: Vec<_> =
            self.view.look.promotions.iter().filter(|(_, p)| p.slot == slot).map(|(seq, _)| *seq).collect();
        seqs.sort_unstable();
        let at = self.random.below(seqs.len() as u64 + 1) as usize;
        seqs.get(at).copied().unwrap_or(self.random.below(9))
    }

    fn promotion(&mut self) -> Event {
        let model = self.model();
        // Few numbers, so that the same key is asked for again: a duplicate or a conflict.
        let n = 2 + self.random.below(12) as u32;
        let mut promoted = promoted(model, n, self.current(model).map(|_| 1));
        if self.random.one_in(6) {
            promoted.profile = Some(evidence("another profile", "application/json"));
        }
        if self.random.one_in(12) {
            promoted.explanations.clear();
        }
        Event::Promoted(promoted)
    }

    /// A review, a decision in one, or the end of one.
    fn review(&mut self) -> Event {
        let model = self.model();
        let reviews: Vec<_> = self.view.look.reviews();
        let at = self.random.below(reviews.len() as u64 + 1) as usize;
        let Some(review) = reviews.get(at).copied() else {
            let n = 20 + self.random.below(6) as u32;
            let mut sealed = review_sealed(model, n, self.current(model).map(|_| 1));
            sealed.round = 1 + self.random.below(2) as u32;
            return Event::ReviewSealed(sealed);
        };
        let who = ["Ada", "Grace", "Edsger", "Rita"][self.random.below(4) as usize];
        match self.random.below(12) {
            0 => decision(&self.view, review, Decision::Decline, who, &["model-risk"]),
            1 => review_closed(review, CloseReason::Expired),
            2..6 => promoted_after(&self.view, review),
            _ => decision(&self.view, review, Decision::Approve, who, &["model-risk"]),
        }
    }

    fn slot_change(&mut self) -> Event {
        let model = self.model();
        let current = self.current(model).unwrap_or(1);
        let request = format!("request {}", self.random.below(40));
        match self.random.below(6) {
            4 => Event::Undocumented(undocumented(model, 1, &request)),
            5 => Event::BreakGlass(break_glass(model, 3, &request)),
            0 | 1 => rolled_back(model, self.some_promotion(model), &request),
            2 => revoked(model, self.some_promotion(model), &request),
            _ => retired(model, current, &request),
        }
    }

    fn admin(&mut self) -> Event {
        let passing = passing_key(self.random);
        let key_id = bytes(id_of(&passing));
        let size = self.view.size();
        let mut event = match self.random.below(5) {
            0 | 1 => {
                let key = FrontDoorKey { public_key: public(&passing), roles: role::DECISION };
                self.view.admin(Kind::KeyAdded, &KeyAdded { key: Some(key) })
            }
            2 => self.view.admin(Kind::KeyRetired, &KeyRetired { key_id }),
            3 => self
                .view
                .admin(Kind::KeyCompromised, &KeyCompromised { key_id, from_seq: self.random.below(size) }),
            _ => {
                let (from_seq, time) = (1 + self.random.below(size), T0 + self.random.below(HOUR));
                self.view.admin(Kind::ClockReset, &ClockReset { from_seq, time })
            }
        };
        if let (true, Event::KeyAdded(act)) = (self.random.one_in(5), &mut event) {
            act.signatures.truncate(1);
        }
        event
    }

    /// A record as an honest front door signs it, with an honest front door's mistakes.
    fn record(&mut self) -> Vec<u8> {
        let event = match self.random.below(10) {
            0..4 => self.promotion(),
            4..7 => self.review(),
            7..8 => self.slot_change(),
            _ => self.admin(),
        };
        let mut body = self.view.body(event);
        body.recorded_at += self.random.below(20 * SECOND);
        if self.random.one_in(25) {
            body.preconditions = Some(Preconditions {
                slot_changed_at: Some(self.random.below(50)),
                ..Preconditions::default()
            });
        }
        if self.random.one_in(30) {
            body.basis = None;
        }
        if self.random.one_in(30) {
            body.idempotency_key = hash_of("mine");
        }
        let signer = if self.random.one_in(5) { passing_key(self.random) } else { front_door() };
        let in_force = self.view.state().rules;
        let rules = if self.random.one_in(30) { OLD + NEW - in_force } else { in_force };
        canonical::seal_record(&body, rules, &self.view.pinned, &signer)
    }
}

/// One value more on the log, of whatever kind.
fn produce(log: &mut Log, nodes: &[Node], random: &mut Random) {
    let stored = &nodes[random.below(nodes.len() as u64) as usize].synced;
    match random.below(20) {
        0 => log.end += 1 + random.below(3),
        1 => log.append(Vec::new()),
        2 => log.append((0..random.below(300)).map(|_| random.next() as u8).collect()),
        3 | 4 => {
            let again = log.at(random.below(log.values.len() as u64));
            log.append(again);
        }
        5 => {
            let mut damaged = log.at(random.below(log.values.len() as u64));
            let at = random.below(damaged.len() as u64) as usize;
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
            log.append(damaged);
        }
        _ if stored.state.is_none() => {}
        _ => {
            let view = Ledger {
                state: stored.state.clone(),
                look: stored.look.clone(),
                pinned: log.pinned,
                headers: stored.headers.clone(),
                records: (0..stored.headers.len() as u64)
                    .map(|seq| log.values.get(&seq).cloned().unwrap_or_default())
                    .collect(),
                ..Ledger::default()
            };
            let value = FrontDoor { view, random }.record();
            if Prepared::new(value.clone())
                .record
                .is_ok_and(|record| record.envelope.key_id == id_of(&front_door()).0)
            {
                log.genuine.push(value.clone());
            }
            log.append(value);
        }
    }
}

/// Says which seed failed, whatever failed.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "\nthe simulation failed; replay it with SEED={} cargo test --test it simulation\n",
                self.0
            );
        }
    }
}

fn run(seed: u64, seen: &mut BTreeMap<(Outcome, Reason), u64>) -> u64 {
    let _announce = Announce(seed);
    let mut random = Random(seed);
    let mut log =
        Log { pinned: Ledger::empty().pinned, values: BTreeMap::new(), end: 0, genuine: Vec::new() };
    log.append(genesis());
    let mut nodes: Vec<_> = (0..NODES).map(|_| Node::new()).collect();
    let upgrade = random.one_in(3).then(|| random.below(STEPS as u64) as usize);
    let mut activated = None;
    for step in 0..STEPS {
        if upgrade == Some(step) {
            activated = Some(activate_new_rules(&mut log, &mut random));
        }
        let at = random.below(NODES as u64) as usize;
        match random.below(10) {
            0..5 => produce(&mut log, &nodes, &mut random),
            5..7 => {
                let (count, crash) = (1 + random.below(BATCH_LEN_MAX), random.one_in(8));
                nodes[at].apply(&log, count, &mut random, crash);
            }
            7..9 => nodes[at].sync(),
            _ => {
                nodes[at].crash();
                // Started again, with either binary: people also go back to the old one.
                if upgrade.is_some() {
                    nodes[at].rules_known = if random.one_in(3) { OLD } else { NEW };
                }
            }
        }
    }
    for node in &mut nodes {
        drain(node, &log, &mut random);
        // Started again, the old binary stands there again; the new one goes on.
        if let (Some(seq), OLD) = (activated, node.rules_known) {
            let size = node.synced.size();
            let more = log.values.range(size..).next().is_some();
            assert!(
                node.halted.is_some() == more && size >= seq,
                "stands at {size}; activated by entry {seq}"
            );
            node.crash();
            drain(node, &log, &mut random);
            assert_eq!((node.halted.is_some(), node.synced.size()), (more, size));
            node.crash();
            node.rules_known = NEW;
            drain(node, &log, &mut random);
        }
        assert_eq!(node.halted, None);
    }
    compare(&nodes, &log, seen)
}

fn drain(node: &mut Node, log: &Log, random: &mut Random) {
    while node.halted.is_none() && log.values.range(node.written.size()..).next().is_some() {
        let (count, crash) = (1 + random.below(40), random.one_in(10));
        node.apply(log, count, random, crash);
        if random.one_in(2) {
            node.sync();
        }
    }
    node.sync();
}

/// Puts a valid act on the log that activates the new rules, and returns its offset.
fn activate_new_rules(log: &mut Log, random: &mut Random) -> Seq {
    // A gap at the end becomes holes only when a later record arrives; without one the reference would lack them.
    log.append(b"junk before the upgrade".to_vec());
    let mut reader = Node { rules_known: NEW, ..Node::new() };
    drain(&mut reader, log, random);
    let Stored { state, look, headers, .. } = reader.synced;
    let view = Ledger { state, look, headers, pinned: log.pinned, ..Ledger::default() };
    let event = view.admin(Kind::RulesActivated, &RulesActivated { rules: u32::from(NEW) });
    let seq = log.end;
    log.append(view.record(event));
    seq
}

/// All nodes, and one that reads everything in one batch, hold the same bytes; and they verify.
fn compare(nodes: &[Node], log: &Log, seen: &mut BTreeMap<(Outcome, Reason), u64>) -> u64 {
    let mut whole = Ledger { rules_known: NEW, pinned: log.pinned, ..Ledger::default() };
    whole.deliver(log.values.iter().map(|(offset, value)| (*offset, value.clone())));
    for node in nodes {
        let Stored { state, look, headers, dates } = &node.synced;
        assert_eq!(headers.len() as u64, whole.size());
        assert!(*headers == whole.headers, "headers differ");
        assert_eq!(
            state.as_ref().map(|s| (s.link, s.frontier.root())),
            whole.state.as_ref().map(|s| (s.link, s.frontier.root()))
        );
        assert_eq!(*state, whole.state);
        assert_eq!(*dates, whole.dates);
        assert!(look.links == whole.look.links && look.replay == whole.look.replay, "rows differ");
        assert_eq!(look.bindings, whole.look.bindings);
        assert_eq!(look.slots, whole.look.slots);
        assert_eq!(look.promotions, whole.look.promotions);
        assert_eq!(look.review_rows, whole.look.review_rows);
    }
    whole.check();
    one_event_for_each_decision(&whole);
    for header in &whole.headers {
        let header = Header::decode(header).expect("a header");
        *seen.entry((header.outcome, header.reason)).or_default() += 1;
    }
    whole.size()
}

fn one_event_for_each_decision(ledger: &Ledger) {
    let mut keys = std::collections::BTreeSet::new();
    for (header, record) in ledger.headers.iter().zip(&ledger.records) {
        let header = Header::decode(header).expect("a header");
        if header.outcome == Outcome::Accepted {
            let body = canonical::decode(record).expect("accepted").body;
            assert!(
                keys.insert(body.idempotency_key),
                "entry {} is the second event of one decision",
                header.seq
            );
        }
        if header.outcome == Outcome::Duplicate {
            assert!(header.refers_to.is_some_and(|first| first < header.seq));
        }
    }
}

#[test]
fn nodes_over_one_log_hold_the_same_bytes() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let mut seen = BTreeMap::new();
    if let Some(seed) = number("SEED") {
        println!("SEED={seed}: {} entries", run(seed, &mut seen));
        println!("{seen:#?}");
        return;
    }
    let runs = number("RUNS").unwrap_or(RUNS);
    let entries: u64 = (0..runs).map(|seed| run(seed, &mut seen)).sum();
    println!("seeds 0..{runs}: {entries} entries, each by {NODES} nodes; {seen:?}");
    // What this simulation is for must have happened in it.
    use Reason::*;
    for reason in [
        Hole,
        Framing,
        Canonical,
        Version,
        Key,
        Signature,
        Conflict,
        Fork,
        Precondition,
        Quorum,
        AdminSeq,
        AdminAct,
        Incomplete,
        Target,
        IdempotencyKey,
    ] {
        let count: u64 = seen.iter().filter(|((_, r), _)| *r == reason).map(|(_, n)| n).sum();
        assert!(runs < RUNS || count > 10, "{reason} happened {count} times");
    }
    for outcome in Outcome::ALL {
        let count: u64 = seen.iter().filter(|((o, _), _)| o == outcome).map(|(_, n)| n).sum();
        assert!(count * 50 > entries, "{outcome} happened {count} times in {entries}");
    }
}
