//! A slot's current promotion, and the last one that people approved, with their profiles: asked of a ledger.

use std::collections::{BTreeMap, BTreeSet};

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
    policy::{ModelProfile, Previous, recheck},
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

/// What a slot held, followed from its first change on.
#[derive(Default)]
struct Followed {
    promotions: BTreeMap<Seq, Promoted>,
    current: Option<Seq>,
    human: Option<Seq>,
}

impl Followed {
    fn by_people(&self, seq: Seq) -> bool {
        self.promotions.get(&seq).is_some_and(promotion::by_people)
    }

    fn make_current(&mut self, seq: Seq) {
        self.current = Some(seq);
        if self.by_people(seq) {
            self.human = Some(seq);
        }
    }

    fn push(&mut self, seq: Seq, event: Event) {
        match event {
            Event::Promoted(promoted) => {
                self.promotions.insert(seq, promoted);
                self.make_current(seq);
            }
            Event::RolledBack(e) => self.make_current(e.to_seq),
            Event::Retired(_) => self.current = None,
            Event::Revoked(e) => {
                self.current = self.current.filter(|seq| *seq != e.promoted_seq);
                self.human = self.human.filter(|seq| *seq != e.promoted_seq);
            }
            _ => {}
        }
    }
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
    let mut followed = Followed::default();
    changes.into_iter().for_each(|(seq, event)| followed.push(seq, event));
    let previous = previous(source, &followed, followed.current).await?;
    let since_human = match &previous {
        Some(_) if followed.human == followed.current => previous.clone(),
        Some(_) => self::previous(source, &followed, followed.human).await?,
        None => None,
    };
    Ok((previous, since_human))
}

async fn previous(source: &Source, followed: &Followed, seq: Option<Seq>) -> Result<Option<Previous>> {
    let Some((seq, promoted)) = seq.and_then(|seq| Some((seq, followed.promotions.get(&seq)?))) else {
        return Ok(None);
    };
    let artifact = promoted.model_version.as_ref().and_then(|m| Digest::from_slice(&m.artifact_sha256));
    let profile = promoted.profile.as_ref().and_then(|profile| Digest::from_slice(&profile.sha256));
    let bytes = evidence(source, profile.unwrap_or_default()).await?;
    // As the front door does it: a profile that is none counts as no incumbent.
    let profile = ModelProfile::parse(&bytes).ok();
    Ok(profile.map(|profile| Previous {
        seq,
        artifact_sha256: artifact.unwrap_or_default(),
        profile: profile.into(),
    }))
}

async fn evidence(source: &Source, sha256: Digest) -> Result<Vec<u8>> {
    let mut stream = source.read_evidence(ReadEvidenceRequest { sha256: sha256.0.to_vec() }).await?;
    let mut bytes = Vec::new();
    while let Some(message) = stream.next().await {
        bytes.extend(message?.chunk);
    }
    if digest::sha256(&bytes) != sha256 {
        return Err(Failure::new(Exit::No, format!("the stored bytes of the profile {sha256} were changed")));
    }
    Ok(bytes)
}
