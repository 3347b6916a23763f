//! The attributes that an auditor tests for each promotion of a sample, from a bundle that was checked.

use std::collections::BTreeSet;

use crate::{
    event::{
        Digest, Header, Kind, Outcome, Seq, canonical, content,
        proto::{PersonRef, PolicyActivated, Promoted, body::Event},
        text::utc,
    },
    proof::verify::signer,
};

use super::{verify::Bundle, words};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// There is nothing to test, or what it needs is not here.
    NotTested,
}

impl Verdict {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "FAILS",
            Self::NotTested => "not tested",
        }
    }
}

/// One attribute of one promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its letter, as workpapers name it.
    pub letter: char,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
}

/// What each letter tests.
pub const ATTRIBUTES: [(char, &str); 10] = [
    ('A', "The promotion is in the ledger, under the signed checkpoint"),
    ('B', "Its record is signed by a key that could sign it then, and was not in wrong hands"),
    ('C', "All six fields are there and agree"),
    ('D', "Nobody approved who requested, triggered or contributed"),
    ('E', "Every approval lies between request and promotion"),
    ('F', "Every human approval is an entry of its own, under the identity provider's signature"),
    ('G', "What the approvers were served was sealed before they approved, and is here byte for byte"),
    ('H', "The policy that routed it was the one in force"),
    ('I', "All evidence is here and has the SHA-256 that was frozen"),
    ('J', "All evidence was locked in write-once storage beyond the promotion"),
];

/// Tests a promotion; `None` if the entry is none.
pub fn test(bundle: &Bundle, seq: Seq) -> Option<Vec<Attribute>> {
    let promoted = words::promoted(bundle, seq)?;
    let header = &bundle.entries.get(&seq)?.header;
    let tests = [
        recorded(bundle, header),
        signature(bundle, seq),
        (
            Verdict::Holds,
            format!("approvals {}, explanations {}", promoted.approvals.len(), promoted.explanations.len()),
        ),
        four_eyes(promoted),
        times(promoted, header),
        approvals(promoted),
        served(bundle, promoted),
        policy(bundle, seq, promoted),
        evidence(bundle, promoted),
        locked(promoted, header),
    ];
    let named = ATTRIBUTES.iter().zip(tests);
    Some(named.map(|((letter, _), (verdict, found))| Attribute { letter: *letter, verdict, found }).collect())
}

fn verdict(holds: bool) -> Verdict {
    if holds { Verdict::Holds } else { Verdict::Fails }
}

fn recorded(bundle: &Bundle, header: &Header) -> (Verdict, String) {
    let found =
        format!("entry {} of {}, event digest {}", header.seq, bundle.checkpoint.size, header.event_digest);
    // Whoever has the bundle checked has checked this.
    (Verdict::Holds, found)
}

fn signature(bundle: &Bundle, seq: Seq) -> (Verdict, String) {
    let key = bundle.entries.get(&seq).and_then(|entry| signer(&entry.record));
    let Some(key) = key.and_then(|id| bundle.keys.iter().find(|key| key.key_id == id)) else {
        return (Verdict::Fails, "signed by a key that is not known".into());
    };
    match key.compromised_from {
        Some(from) if from <= seq => {
            (Verdict::Fails, format!("key {} was in wrong hands from entry {from} on", key.key_id))
        }
        _ => (Verdict::Holds, format!("key {}", key.key_id)),
    }
}

fn four_eyes(promoted: &Promoted) -> (Verdict, String) {
    let request = promoted.approval_request.clone().unwrap_or_default();
    let own = request.requested_by.iter().chain(&request.triggered_by).chain(&request.contributors);
    let own: BTreeSet<&[u8]> = own.map(|person| person.subject_id.as_slice()).collect();
    let approver = |approval: &crate::event::proto::Approval| -> Option<PersonRef> {
        if approval.standing_policy.is_empty() {
            approval.approver.clone()
        } else {
            approval.accountable.clone()
        }
    };
    let approvers: Vec<_> = promoted.approvals.iter().filter_map(approver).collect();
    let both = approvers.iter().find(|person| own.contains(person.subject_id.as_slice()));
    match both {
        None => (
            Verdict::Holds,
            format!("{} approved, {} others asked or worked on it", approvers.len(), own.len()),
        ),
        Some(person) => (Verdict::Fails, format!("{} is on both sides", hex::encode(&person.subject_id))),
    }
}

fn times(promoted: &Promoted, header: &Header) -> (Verdict, String) {
    let asked = promoted.approval_request.as_ref().map_or(0, |request| request.asked_at);
    let decided: Vec<_> = promoted.approvals.iter().map(|approval| approval.decided_at).collect();
    let holds = !decided.is_empty() && decided.iter().all(|at| (asked..=header.recorded_at).contains(at));
    let at: Vec<_> = decided.iter().map(|at| utc(*at)).collect();
    (
        verdict(holds),
        format!("asked {}, approved {}, recorded {}", utc(asked), at.join(" and "), utc(header.recorded_at)),
    )
}

fn approvals(promoted: &Promoted) -> (Verdict, String) {
    let human: Vec<_> =
        promoted.approvals.iter().filter(|approval| approval.standing_policy.is_empty()).collect();
    if human.is_empty() {
        return (Verdict::NotTested, "automated under a standing policy".into());
    }
    let seqs: Vec<_> = human.iter().filter_map(|a| a.decided.as_ref()).map(|d| d.seq.to_string()).collect();
    match seqs.len() == human.len() {
        true => (Verdict::Holds, format!("entries {}", seqs.join(", "))),
        false => (Verdict::Fails, "stated by the caller, not given in a review".into()),
    }
}

fn served(bundle: &Bundle, promoted: &Promoted) -> (Verdict, String) {
    let Some(review) = &promoted.review else {
        return (Verdict::NotTested, "there was no review in this ledger".into());
    };
    let decided = promoted.approvals.iter().filter_map(|approval| approval.decided.as_ref());
    let before = decided.clone().all(|decided| review.seq < decided.seq);
    let screen = review.screen.as_ref().and_then(|screen| Digest::from_slice(&screen.sha256));
    match screen.filter(|screen| bundle.evidence.contains_key(screen)) {
        Some(screen) => (verdict(before), format!("sealed by entry {}, page {screen}", review.seq)),
        None => {
            (Verdict::NotTested, format!("sealed by entry {}; the page is not in this bundle", review.seq))
        }
    }
}

fn policy(bundle: &Bundle, seq: Seq, promoted: &Promoted) -> (Verdict, String) {
    let routed = promoted.routing.as_ref().map(|routing| routing.policy_sha256.clone()).unwrap_or_default();
    let activated = |entry: &super::verify::Entry| {
        let Some(Event::PolicyActivated(act)) = &entry.body.event else { return None };
        let payload: PolicyActivated = canonical::decode_exact(&canonical::statement(act)?.payload)?;
        (entry.header.outcome == Outcome::Accepted).then_some(payload)
    };
    let in_force = bundle.entries.range(..seq).rev().find_map(|(at, entry)| Some((*at, activated(entry)?)));
    match in_force {
        None if routed.is_empty() => (Verdict::NotTested, "no policy was in force; the highest tier".into()),
        Some((at, policy)) if policy.sha256 == routed => {
            let tier = promoted.routing.as_ref().map_or("", |routing| routing.tier.as_str());
            (Verdict::Holds, format!("{} {} by entry {at}, tier {tier}", policy.id, policy.version))
        }
        _ => (Verdict::Fails, format!("routed by {}", hex::encode(routed))),
    }
}

fn evidence(bundle: &Bundle, promoted: &Promoted) -> (Verdict, String) {
    let all = content::evidence(promoted);
    let is_here = |reference: &crate::event::proto::EvidenceRef| {
        Digest::from_slice(&reference.sha256).is_some_and(|digest| bundle.evidence.contains_key(&digest))
    };
    let why = |reference: &crate::event::proto::EvidenceRef| {
        bundle.manifest.withheld.get(&hex::encode(&reference.sha256))
    };
    let away: Vec<_> = all.iter().filter(|(_, reference)| !is_here(reference)).collect();
    match away.first() {
        None => (Verdict::Holds, format!("{} pieces", all.len())),
        Some((field, reference)) => {
            let why = why(reference).cloned().unwrap_or_default();
            let lost = why.starts_with("missing");
            let found = format!("{} of {} are not here, for instance {field}: {why}", away.len(), all.len());
            (if lost { Verdict::Fails } else { Verdict::NotTested }, found)
        }
    }
}

fn locked(promoted: &Promoted, header: &Header) -> (Verdict, String) {
    let all = content::evidence(promoted);
    let is_locked = |reference: &crate::event::proto::EvidenceRef| {
        let lock = reference.lock.clone().unwrap_or_default();
        lock.write_once == "compliance" && lock.retain_until > header.recorded_at
    };
    let open: Vec<_> = all.iter().filter(|(_, reference)| !is_locked(reference)).collect();
    let until =
        all.iter().filter_map(|(_, r)| r.lock.as_ref()).map(|lock| lock.retain_until).min().unwrap_or(0);
    match open.first() {
        None => (Verdict::Holds, format!("{} pieces, until {} at least", all.len(), utc(until))),
        Some((field, _)) => (
            Verdict::Fails,
            format!("{} of {} pieces are not locked, for instance {field}", open.len(), all.len()),
        ),
    }
}

/// What was recorded about a promotion after it.
pub fn later(bundle: &Bundle, seq: Seq) -> Vec<(Seq, Kind)> {
    let about = |header: &&Header| header.refers_to == Some(seq) && header.outcome == Outcome::Accepted;
    bundle.headers.iter().filter(about).filter_map(|header| Some((header.seq, header.kind?))).collect()
}
