//! What a bundle's check found, in words, and what it cannot show. Pure: both builds print the same.

use crate::{
    event::{
        Micros, Seq,
        proto::{Promoted, body::Event},
        text::utc,
    },
    proof::bracket::{self, Seen},
};

use super::{
    manifest::Manifest,
    verify::{Bundle, Known},
};

/// What was checked, in numbers; what follows from the anchors; what an operator could still have done.
pub fn report(bundle: &Bundle, known: &Known) -> Vec<String> {
    let c = &bundle.checked;
    let compare = |known: bool| if known { "as expected" } else { "compare it with the one you know" };
    let mut lines = vec![
        format!(
            "  ledger       {}, ledger_id {} ({})",
            bundle.key.origin,
            bundle.manifest.ledger_id,
            compare(known.ledger_id.is_some())
        ),
        format!("  log key      {} ({})", bundle.key.vkey(), compare(known.key.is_some())),
        format!("  checkpoint   {} entries, root {}", bundle.checkpoint.size, bundle.checkpoint.root),
        format!("  headers      {}, each linked to the one before, all under that root", c.headers),
        format!(
            "  records      {} ({} bytes): digests, time, key and role at their position; {} inclusion proofs",
            c.records, c.record_bytes, c.proofs
        ),
        format!("  signatures   {} of records, {} of administrators", c.signatures, c.admin_signatures),
        format!("  promotions   {}{}", c.promotions, period(bundle)),
        format!(
            "  evidence     {} pieces, {} bytes: SHA-256 and length; {} withheld",
            c.evidence, c.evidence_bytes, c.withheld
        ),
        format!("  people       {} sealed items are here in clear, as they were sealed", c.claims),
        format!(
            "  pages        {} files drawn for people: as they were exported, but nothing proves them",
            c.drawn
        ),
    ];
    lines.extend(
        bundle.manifest.withheld.iter().map(|(sha256, why)| format!("  withheld     {sha256}: {why}")),
    );
    lines.extend(bundle.manifest.promotions.iter().filter_map(|seq| promotion(bundle, *seq)));
    lines.extend(in_doubt(bundle));
    let seen = seen(bundle);
    lines.extend(age(bundle, &seen));
    lines.extend(bracket::still_possible(!seen.is_empty()));
    lines
}

fn period(bundle: &Bundle) -> String {
    match &bundle.manifest.period {
        Some(period) => format!(
            ": all that the ledger dates from {} to before {}; the headers show that none is missing",
            utc(period.from),
            utc(period.to)
        ),
        None => ", as they were asked for; whether there are others is not shown".into(),
    }
}

/// The promotion of an entry.
pub fn promoted(bundle: &Bundle, seq: Seq) -> Option<&Promoted> {
    match &bundle.entries.get(&seq)?.body.event {
        Some(Event::Promoted(promoted)) => Some(promoted),
        _ => None,
    }
}

/// The date of an entry.
pub fn date(bundle: &Bundle, seq: Seq) -> Micros {
    usize::try_from(seq).ok().and_then(|seq| bundle.dates.get(seq)).copied().unwrap_or(0)
}

fn promotion(bundle: &Bundle, seq: Seq) -> Option<String> {
    let (model, slot) = {
        let promoted = promoted(bundle, seq)?;
        (promoted.model_version.clone().unwrap_or_default(), promoted.slot.clone().unwrap_or_default())
    };
    let later: Vec<_> = bundle
        .headers
        .iter()
        .filter(|header| header.refers_to == Some(seq) && header.outcome == crate::event::Outcome::Accepted)
        .map(|header| {
            format!("{} by entry {}", header.kind.map_or("changed", |kind| kind.name()), header.seq)
        })
        .collect();
    let later = if later.is_empty() { String::new() } else { format!("; later {}", later.join(", ")) };
    Some(format!(
        "  entry {seq:<6} {} {} for {} in {}, {}{later}",
        model.name,
        model.version,
        slot.model,
        slot.environment,
        utc(date(bundle, seq))
    ))
}

/// What keys signed since they were in wrong hands.
fn in_doubt(bundle: &Bundle) -> Vec<String> {
    let compromised = bundle.keys.iter().filter_map(|key| Some((key.key_id, key.compromised_from?)));
    let since: Vec<_> = compromised.collect();
    let signed = |entry: &super::verify::Entry| {
        let key = crate::proof::verify::signer(&entry.record)?;
        since.iter().find(|(id, from)| *id == key && entry.header.seq >= *from).map(|(id, _)| *id)
    };
    let line = |entry: &super::verify::Entry| {
        let key = signed(entry)?;
        Some(format!(
            "  in doubt     entry {}: signed by the key {key} when it was in wrong hands",
            entry.header.seq
        ))
    };
    bundle.entries.values().filter_map(line).collect()
}

/// Who saw a tree of this ledger, and when.
fn seen(bundle: &Bundle) -> Vec<Seen> {
    let witnessed = bundle.seen.iter().map(|seen| Seen {
        size: bundle.checkpoint.size,
        time: seen.seconds.saturating_mul(1_000_000),
        by: seen.witness.clone(),
    });
    let stamped = bundle.stamps.iter().filter_map(|stamp| {
        Some(Seen { size: stamp.size, time: stamp.time?, by: "the time-stamp authority".into() })
    });
    witnessed.chain(stamped).collect()
}

/// Between which times each promotion was recorded, by others than the operator.
fn age(bundle: &Bundle, seen: &[Seen]) -> Vec<String> {
    if seen.is_empty() {
        let unread = if bundle.stamps.is_empty() { "" } else { "; the stamps here need --tsa" };
        return vec![format!(
            "  age          only the operator's word: no witness was named (--witness){unread}"
        )];
    }
    let one = |seq: &Seq| format!("  age          entry {seq} was {}", bracket::of(seen, *seq).words());
    bundle.manifest.promotions.iter().map(one).collect()
}

/// `README.txt` of a bundle.
pub fn readme(manifest: &Manifest, origin: &str, vkey: &str, size: u64) -> String {
    let promotions: Vec<_> = manifest.promotions.iter().map(Seq::to_string).collect();
    let about = match &manifest.period {
        Some(period) => format!(
            "all promotions that the ledger dates from {} to before {}",
            utc(period.from),
            utc(period.to)
        ),
        None => "the promotions that were asked for".into(),
    };
    format!(
        "Examiner bundle of the promotion ledger {origin}
================================================

It holds {about}: {} of them, entries {}.
Open index.html in a browser: it needs no network.

What is in it
  index.html, promotion-*.html  pages drawn for people; nothing proves them, everything below does
  review-*.html, people         what approvers were served, byte for byte; who they are, where names were opened
  artefacts/                    evidence, byte for byte, each named by its SHA-256
  entries/*.record              the signed records, verbatim: genesis, acts of the administrators, these promotions, and
                                everything that was decided about them since
  entries/*.tlog-proof          a receipt of each (C2SP tlog-proof)
  headers.bin                   the headers of all {size} entries, 168 bytes each
  checkpoint.txt                what the ledger signed over them, with cosignatures of its witnesses
  timestamps/                   checkpoints around each promotion that an authority time-stamped (RFC 3161), and its answers
  claims/                       names, logins and texts that were sealed in these records, opened
  bundle.json                   what was asked for, and which evidence was left out and why

How to check it, offline
  promotion-ledger verify this-file.zip --key '{vkey}'
  python3 verify_bundle.py this-file.zip        (a second, independent program)
Take both programs from where you trust them, not from who gave you this file. Compare the log key and the ledger_id
  {}
with those that you know. The layout is section 20 of FORMAT.md.
",
        manifest.promotions.len(),
        if promotions.is_empty() { "none".into() } else { promotions.join(", ") },
        manifest.ledger_id,
    )
}
