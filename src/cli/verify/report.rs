//! What a verification found, as JSON and as text.

use crate::{
    cli::{
        kept_logins::KeptLogins,
        output::{self, coloured, say},
        verification::{Depth, Named, Tally, Verification},
    },
    event::Digest,
    proof::{
        bracket::{self, Range},
        keys::KeyUse,
    },
};

use super::vouched::Who;

/// Entries in doubt that are printed as text.
const IN_DOUBT_SHOWN: usize = 20;
/// Ranges of entries whose age is printed as text.
const RANGES_SHOWN: usize = 40;

/// As JSON.
pub fn json(done: &Verification, pinned: Option<Digest>, who: &Who) {
    let seen = who.seen(done);
    let ages = bracket::ranges(&seen, dated(done));
    let checkpoint = |named: &Named| serde_json::json!({ "from": named.from, "size": named.checkpoint.size, "root": named.checkpoint.root.to_string() });
    output::json(&serde_json::json!({
        "verified": done.found.is_none(),
        "found": done.found,
        "depth": done.depth,
        "origin": done.verifier.log_key().map(|key| key.origin.clone()),
        "ledger_id": done.verifier.ledger_id().map(|id| id.to_string()),
        "ledger_id_pinned": pinned.is_some(),
        "checked": checked(done),
        "checked_before": done.checked_before,
        "split_view": done.split_view,
        "head_link": done.verifier.link().to_string(),
        "root": done.verifier.root().to_string(),
        "ages": ages,
        "ages_unread_stamps": done.unread_stamps,
        "ages_not_compared_before": done.checked_before,
        "still_possible": bracket::still_possible(!seen.is_empty()).join(" "),
        "vouched_for": done.vouched,
        "checkpoints": done.agreed.iter().filter(|named| !named.silent).map(checkpoint).collect::<Vec<_>>(),
        "in_doubt": done.in_doubt,
        "routed_again": done.routed,
        "routing_findings": done.routing,
        "logins": {
            "relied_on": done.logins.logins, "verified_again": done.logins.opens().then_some(done.logins.verified),
            "erased": done.logins.erased, "of_development_issuers": done.logins.development,
        },
        "login_findings": done.logins.findings,
        "seconds": done.took().as_secs_f64(),
    }));
}

/// What was checked, in numbers.
fn checked(done: &Verification) -> serde_json::Value {
    let summary = done.summary();
    let key = |key: &KeyUse| {
        serde_json::json!({
            "key_id": key.key_id.to_string(), "roles": key.roles, "retired_at": key.retired_at, "compromised_from": key.compromised_from,
            "signed": key.signed,
        })
    };
    serde_json::json!({
        "entries": summary.entries, "record_bytes": summary.record_bytes, "signatures": summary.signatures,
        "admin_signatures": summary.admin_signatures, "outcomes": summary.outcomes,
        "keys": summary.keys.iter().map(key).collect::<Vec<_>>(),
    })
}

/// As text.
pub fn text(done: &Verification, pinned: Option<Digest>, who: &Who) {
    let summary = done.summary();
    let seconds = done.took().as_secs_f64().max(1e-6);
    match &done.found {
        None => say!("{} {} entries, from genesis on.", coloured("32", "The ledger holds:"), summary.entries),
        Some(found) => {
            let entry = found.seq.map(|seq| format!("entry {seq}: ")).unwrap_or_default();
            say!("{} {entry}{}", coloured("31", "The ledger does not hold:"), found.what);
            say!(
                "Before that, {} entries were found good.",
                summary.entries.min(found.seq.unwrap_or(u64::MAX))
            );
        }
    }
    if let Some((id, key)) = done.verifier.ledger_id().zip(done.verifier.log_key()) {
        let known = if pinned.is_some() { "as expected" } else { "compare it with the one you know" };
        say!("  ledger       {}, ledger_id {id} ({known})", key.origin);
    }
    let mb = summary.record_bytes as f64 / 1e6;
    say!(
        "  records      {mb:.2} MB in {seconds:.2} s: {:.1} MB/s, {:.0} entries/s",
        mb / seconds,
        summary.entries as f64 / seconds
    );
    match done.depth {
        Depth::Hashes => say!("  signatures   not checked (--depth hashes)"),
        _ => {
            let admin = summary.admin_signatures;
            say!("  signatures   {} good of records, {admin} of administrators", summary.signatures);
            for key in &summary.keys {
                let retired =
                    key.retired_at.map(|seq| format!(", retired by entry {seq}")).unwrap_or_default();
                say!("  key          {}: {} entries, each within its role{retired}", key.key_id, key.signed);
            }
        }
    }
    if done.checked_before > 0 {
        say!(
            "  before       {} of them were checked by an earlier run and not read again; the root proves that these entries continue them",
            done.checked_before
        );
    }
    if let Some(path) = &done.split_view {
        say!(
            "  {} two checkpoints, both signed by the log key, contradict each other: keep {path}",
            coloured("31", "split view:")
        );
    }
    let [accepted, duplicate, refused, malformed] = summary.outcomes;
    let derived = if done.depth == Depth::Rules { ", each derived again by the rules" } else { "" };
    say!(
        "  outcomes     {accepted} accepted, {duplicate} duplicate, {refused} refused, {malformed} malformed{derived}"
    );
    if done.routed > 0 {
        say!("  routing      {} promotions routed again by the policy then in force", done.routed);
    }
    for found in done.routing.iter().take(IN_DOUBT_SHOWN) {
        let entry = found.seq.map(|seq| format!("entry {seq}: ")).unwrap_or_default();
        say!("  {} {entry}{}", coloured("31", "routing finding:"), found.what);
    }
    logins(&done.logins);
    for named in done.agreed.iter().filter(|named| !named.silent) {
        let checkpoint = &named.checkpoint;
        say!(
            "  checkpoint   from {}: size {}, root {}, signed by the log key of genesis",
            named.from,
            checkpoint.size,
            checkpoint.root
        );
    }
    if done.agreed.iter().all(|named| named.silent) && done.found.is_none() {
        say!("  checkpoint   none was there: nothing says that this is the end; give one with --checkpoint");
    }
    if let Some(words) = vouched(&done.vouched) {
        say!("  vouched for  {words}");
    }
    say!("  head link    {}", done.verifier.link());
    for (key, since) in summary.compromised() {
        let listed = done.in_doubt.iter().filter(|entry| entry.key_id == key.to_string());
        say!(
            "  {} the key {key} was in wrong hands from entry {since} on; since then it signed:",
            coloured("33", "in doubt")
        );
        for entry in listed.clone().take(IN_DOUBT_SHOWN) {
            say!("               entry {}: {}, {}", entry.seq, entry.kind, entry.outcome);
        }
        if let Some(more) = listed.count().checked_sub(IN_DOUBT_SHOWN).filter(|more| *more > 0) {
            say!("               and {more} more (all with --format json)");
        }
    }
    ages(done, who);
}

/// How many checkpoints that others vouch for were read, in words; `None`: there are none.
fn vouched(tallies: &[Tally]) -> Option<String> {
    let of = |it: &Tally| format!("{} of {} {} checkpoints", it.read, it.there, it.kind);
    let read = tallies.iter().map(of).collect::<Vec<_>>().join(", ");
    let left_out = tallies.iter().any(|it| it.read < it.there);
    let some = if left_out {
        ", evenly spread and always the newest; an age may be less exact for that"
    } else {
        ""
    };
    (!tallies.is_empty()).then(|| format!("{read} were read{some}"))
}

/// Entries whose age is told: those before the first one that is wrong.
fn dated(done: &Verification) -> u64 {
    let size = done.summary().entries;
    done.found.as_ref().and_then(|found| found.seq).map_or(size, |seq| size.min(seq))
}

/// Between which times entries were recorded, by others than the operator; and what that leaves open.
fn ages(done: &Verification, who: &Who) {
    let seen = who.seen(done);
    if seen.is_empty() {
        let unread = match (who.is_nobody(), done.unread_stamps) {
            (true, 0) => "no witness, authority or anchor was named (--witness, --tsa, --anchor)".to_owned(),
            (true, stamps) => {
                format!("nobody was named (--witness, --anchor); {stamps} time-stamps here need --tsa")
            }
            (false, _) => "none of those that were named has seen it".to_owned(),
        };
        say!("  age          only the operator's word: {unread}");
    } else {
        let ranges = bracket::ranges(&seen, dated(done));
        for Range { first, last, bracket } in ranges.iter().take(RANGES_SHOWN) {
            say!("  age          entries {first} to {last}: {}", bracket.words());
        }
        if let Some(more) = ranges.len().checked_sub(RANGES_SHOWN).filter(|more| *more > 0) {
            say!("               and {more} more ranges (all with --format json)");
        }
        if done.checked_before > 0 {
            say!(
                "               without --incremental, also by what was kept over the entries before {}",
                done.checked_before
            );
        }
    }
    bracket::still_possible(!seen.is_empty()).iter().for_each(|line| say!("{line}"));
}

fn logins(kept: &KeptLogins) {
    if kept.logins == 0 {
        return;
    }
    match (kept.opens(), kept.erased) {
        (false, _) => say!(
            "  logins       {}, each by a key that is recorded; with --unseal their signatures and nonces too",
            kept.logins
        ),
        (true, 0) => say!("  logins       {}, {} verified again", kept.logins, kept.verified),
        (true, erased) => say!(
            "  logins       {}, {} verified again, {erased} of people who were erased",
            kept.logins,
            kept.verified
        ),
    }
    if kept.development > 0 {
        let n = kept.development;
        say!("  {} {n} logins of a development issuer, which prove nothing", coloured("33", "development:"));
    }
    for found in kept.findings.iter().take(IN_DOUBT_SHOWN) {
        let entry = found.seq.map(|seq| format!("entry {seq}: ")).unwrap_or_default();
        say!("  {} {entry}{}", coloured("31", "login finding:"), found.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said() {
        let tally = |kind, there, read| Tally { kind, there, read };
        assert_eq!(vouched(&[]), None);
        assert_eq!(
            vouched(&[tally("cosigned", 2, 2)]).as_deref(),
            Some("2 of 2 cosigned checkpoints were read")
        );
        let some = vouched(&[tally("cosigned", 9_001, 4_097), tally("anchored", 3, 3)]).expect("words");
        assert!(
            some.starts_with(
                "4097 of 9001 cosigned checkpoints, 3 of 3 anchored checkpoints were read, evenly"
            )
        );
    }
}
