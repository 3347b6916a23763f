//! A slot's current promotion, and the last one that people approved, with their profiles: asked of a ledger.

use std::collections::BTreeSet;

use tokio_stream::StreamExt;

use crate::{
    cli::{
        output::{Exit, Failure, Result},
        source::Source,
    },
    event::{
        Digest, Header, Seq, canonical, digest, promotion,
        proto::{ListEntriesRequest, Promoted, ReadEvidenceRequest, body::Event},
    },
    policy::{ModelProfile, Previous, followed::Followed, recheck},
};

/// Which slot.
pub struct Wanted<'a> {
    /// Model name.
    pub model: &'a str,
    /// Environment.
    pub environment: &'a str,
    /// Lower case.
    pub role: &'a str,
    /// `None`: the only one that there is.
    pub region: Option<&'a str>,
}

/// Accepted changes of the wanted slots, oldest first.
async fn changes(source: &Source, wanted: &Wanted<'_>) -> Result<Vec<(Seq, Event)>> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListEntriesRequest {
            model: wanted.model.into(),
            environment: wanted.environment.into(),
            page_size: 500,
            with_records: true,
            page_token,
            ..ListEntriesRequest::default()
        };
        let page = source.list_entries(request).await?;
        for entry in page.entries.into_iter().filter_map(|listed| listed.entry) {
            let seq = Header::decode(&entry.header).map(|header| header.seq);
            let record = canonical::decode(&entry.record);
            let (Ok(seq), Ok(record)) = (seq, record) else {
                return Err(Failure::new(Exit::No, "an entry cannot be read; verify the ledger"));
            };
            let event = record.body.event.filter(|event| {
                promotion::slot_changed_by(event).is_some_and(|slot| {
                    recheck::role_name(slot.role) == wanted.role
                        && wanted.region.is_none_or(|region| region == slot.region)
                })
            });
            found.extend(event.map(|event| (seq, event)));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            found.sort_by_key(|(seq, _)| *seq);
            return Ok(found);
        }
    }
}

/// The slot's current promotion, and the last one that people approved.
///
/// # Errors
/// Exit code 2 if the slot is in several regions and none was named; else if the ledger cannot be read.
pub async fn earlier(source: &Source, wanted: &Wanted<'_>) -> Result<(Option<Previous>, Option<Previous>)> {
    let changes = changes(source, wanted).await?;
    let regions: BTreeSet<_> = changes
        .iter()
        .filter_map(|(_, event)| promotion::slot_changed_by(event))
        .map(|slot| slot.region.clone())
        .collect();
    if regions.len() > 1 {
        let regions: Vec<_> = regions.into_iter().collect();
        return Err(Failure::usage(format!("name one of the regions with --region: {}", regions.join(", "))));
    }
    let slot = changes.first().and_then(|(_, event)| promotion::slot_changed_by(event)).map(digest::slot);
    let Some(slot) = slot else { return Ok((None, None)) };
    let mut followed = Followed::default();
    for (seq, event) in &changes {
        followed.push(*seq, event, named);
    }
    let (current, human) = (followed.current(&slot), followed.human(&slot));
    let previous = previous(source, current).await?;
    let since_human = match &previous {
        Some(_) if human.map(|(seq, _)| seq) == current.map(|(seq, _)| seq) => previous.clone(),
        Some(_) => self::previous(source, human).await?,
        None => None,
    };
    Ok((previous, since_human))
}

/// What an earlier promotion names: its artefact and its profile.
struct Named {
    artifact: Digest,
    profile: Digest,
}

fn named(promoted: &Promoted) -> Named {
    let model = promoted.model_version.as_ref();
    let artifact = model.and_then(|model| Digest::from_slice(&model.artifact_sha256));
    let profile = promoted.profile.as_ref().and_then(|profile| Digest::from_slice(&profile.sha256));
    Named { artifact: artifact.unwrap_or_default(), profile: profile.unwrap_or_default() }
}

async fn previous(source: &Source, promotion: Option<(Seq, &Named)>) -> Result<Option<Previous>> {
    let Some((seq, named)) = promotion else { return Ok(None) };
    let bytes = evidence(source, named.profile).await?;
    // As the front door does it: a profile that is none counts as no incumbent.
    let profile = ModelProfile::parse(&bytes).ok();
    Ok(profile.map(|profile| Previous { seq, artifact_sha256: named.artifact, profile: profile.into() }))
}

async fn evidence(source: &Source, sha256: Digest) -> Result<Vec<u8>> {
    let mut stream =
        source.read_evidence(ReadEvidenceRequest { sha256: sha256.0.to_vec(), unseal: false }).await?;
    let mut bytes = Vec::new();
    while let Some(message) = stream.next().await {
        bytes.extend(message?.chunk);
    }
    if digest::sha256(&bytes) != sha256 {
        return Err(Failure::new(Exit::No, format!("the stored bytes of the profile {sha256} were changed")));
    }
    Ok(bytes)
}
