//! Seal: a draft without approvals -> a page, stored by digest -> ReviewSealed.

use std::collections::BTreeMap;

use crate::{
    event::{
        Digest,
        content::content_digest,
        promotion::{self, Problem},
        proto::{
            Body, IncumbentChange, Person, PersonRef, Preconditions, Promoted, PromotionDraft, Receipt,
            ReviewSealed, Statement, StaticRendition, body::Event,
        },
    },
    ledger::{decide::expected_key, review_rows, state::Lookup},
    page::Exhibits,
    readable::{self, READ_LEN_MAX, Static},
    review::{
        Package,
        package::{Incumbent, OpenCondition, SheetEntry},
        screen,
    },
};

use super::{
    super::{
        Error,
        draft::{self, Claims},
        gateway::{ATTEMPTS_MAX, Gateway},
        promote::{Examined, provisional},
        routing::Routed,
    },
    offered::{artefacts, offered, sealed_problems},
    standing::slot_of,
};

/// Path of a person's fragment of the sheet of people, among the person's sealed statements.
pub const STATEMENT_SCREEN: &str = "screen";

impl Gateway {
    /// Seals a review.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn seal_review(
        &self,
        draft: PromotionDraft,
        renditions: Vec<StaticRendition>,
    ) -> Result<Receipt, Error> {
        self.admitting()?;
        if !draft.approvals.is_empty() {
            return Err(invalid("approvals", "are given in the review; leave them out"));
        }
        let people = parts(&draft);
        let Examined { promoted: mut package, claims, mut problems, .. } = self.examine(draft).await?;
        problems.retain(|problem| problem.field != "approvals");
        problems.extend(sealed_problems(&package, &renditions));
        problems.extend(self.look_up_renditions(&renditions).await?);
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let real = self.pseudonyms(&claims)?;
        let renamed: BTreeMap<_, _> =
            real.iter().map(|(person, id)| (provisional(person), id.clone())).collect();
        draft::rename(&mut package, &renamed);
        let exhibits = self.exhibits(&package, &renditions).await?;
        let key = promotion::promotion_key(&package);
        for _ in 0..ATTEMPTS_MAX {
            if let Some(bound) = self.ledger.store.bound(&key)? {
                let description = format!("is recorded already, as entry {}", bound.seq);
                return Err(Error::Precondition(Problem { field: "promotion".into(), description }));
            }
            let last = review_rows::last(&self.ledger.store, &key)?;
            let round =
                last.map_or(1, |(_, last)| if last.is_pending() { last.round } else { last.round + 1 });
            let sealed = ReviewSealed {
                package: Some(Promoted { routing: None, ..package.clone() }),
                round,
                artefacts: artefacts(&package, &renditions, &exhibits),
                ..ReviewSealed::default()
            };
            let mut body = Body { event: Some(Event::ReviewSealed(sealed.clone())), ..Body::default() };
            let event = body.event.as_ref().and_then(expected_key).unwrap_or_default();
            body.idempotency_key = event.0.to_vec();
            let content = content_digest(&body);
            if let Some(receipt) = self.recorded(&body, &content)? {
                return Ok(receipt);
            }
            let routed = self.routed_package(&package).await?;
            let sealed = self.rendered(sealed, &routed, exhibits.clone()).await?;
            let slot = package.slot.clone().unwrap_or_default();
            let whole = Promoted { routing: Some(routed.routing.clone()), ..package.clone() };
            let as_promotion = Body { event: Some(Event::Promoted(whole)), ..Body::default() };
            let slot_state = self.slot_for(&as_promotion, &slot)?;
            body.preconditions = Some(Preconditions { policy_activated_at: routed.policy_seq, ..slot_state });
            body.event = Some(Event::ReviewSealed(sealed));
            body.sealed = self.seal(with_sheet(&claims, &people, &real))?;
            if let Some(receipt) = self.submit(&mut body, content, &slot.model).await? {
                return Ok(receipt);
            }
        }
        Err(Error::Raced)
    }

    /// Routes a package, for which nobody has approved yet.
    pub(super) async fn routed_package(&self, package: &Promoted) -> Result<Routed, Error> {
        let routed = self.route(package, &[]).await?;
        let lacking: Vec<_> =
            routed.shortfalls.iter().filter(|p| !p.field.starts_with("approvals")).cloned().collect();
        if lacking.is_empty() { Ok(routed) } else { Err(Error::Invalid(lacking)) }
    }

    /// The bytes that the page shows; refused where an approver could not read them without scripts.
    async fn exhibits(&self, package: &Promoted, renditions: &[StaticRendition]) -> Result<Exhibits, Error> {
        let mut exhibits = Exhibits::default();
        let mut problems = Vec::new();
        for offered in offered(package) {
            let Some(sha256) = Digest::from_slice(&offered.reference.sha256) else { continue };
            // The page outlives an erasure: what is sealed for a person is named there, never shown.
            if offered.is_sealed() {
                continue;
            }
            if offered.reference.length > READ_LEN_MAX && !offered.required {
                continue;
            }
            let bytes = self.whole(&sha256, READ_LEN_MAX).await?;
            let rendition = renditions.iter().find(|it| it.of == sha256.0).and_then(|it| it.content.as_ref());
            let mut rendered = Vec::new();
            if let Some(rendition) = rendition {
                let sha256 = Digest::from_slice(&rendition.sha256).unwrap_or_default();
                rendered = self.whole(&sha256, READ_LEN_MAX).await?;
                exhibits.render(&offered.reference.sha256, rendition);
                exhibits.insert(&rendition.sha256, rendered.clone());
            }
            let shown = rendition.map(|it| Static { media_type: &it.media_type, bytes: &rendered });
            if offered.required {
                problems.extend(readable::problem(
                    &offered.path,
                    &offered.reference.media_type,
                    &bytes,
                    shown,
                ));
            }
            exhibits.insert(&offered.reference.sha256, bytes);
        }
        if problems.is_empty() { Ok(exhibits) } else { Err(Error::Invalid(problems)) }
    }

    /// What the server derives: the page, stored, and everything that it says beyond the package.
    async fn rendered(
        &self,
        sealed: ReviewSealed,
        routed: &Routed,
        exhibits: Exhibits,
    ) -> Result<ReviewSealed, Error> {
        let now = self.clock.now();
        let promoted =
            Promoted { routing: Some(routed.routing.clone()), ..sealed.package.clone().unwrap_or_default() };
        let conditions = self.open_conditions(&slot_of(&promoted))?;
        let change = routed.on_incumbent_change;
        let package = Package {
            ledger: self.ledger.head().state.origin.clone(),
            sealed_at: now,
            requirements: routed.requirements.clone(),
            required: routed.required.clone(),
            incumbent: self.incumbent(&promoted)?,
            artefacts: sealed.artefacts.clone(),
            exhibits,
            conditions: conditions.clone(),
            on_incumbent_change: in_words(change).into(),
            promoted: promoted.clone(),
        };
        let page = screen::render(&package);
        let expires_at = promoted.approval_request.as_ref().map_or(0, |request| request.due_at);
        Ok(ReviewSealed {
            package: Some(promoted),
            screen: Some(self.keep(page, "text/html", None).await?),
            required: routed.required.clone(),
            conditions: conditions
                .into_iter()
                .map(|open| crate::event::proto::OpenCondition {
                    approved_seq: open.approved_seq,
                    condition: Some(open.condition),
                })
                .collect(),
            words: screen::WORDS.into(),
            expires_at,
            on_incumbent_change: change.into(),
            ..sealed
        })
    }

    fn incumbent(&self, package: &Promoted) -> Result<Option<Incumbent>, Error> {
        let slot = self.ledger.store.slot(&slot_of(package))?;
        let Some(seq) = slot.and_then(|slot| slot.current) else { return Ok(None) };
        let body = self.event_body(seq)?;
        let Some(Event::Promoted(current)) = body.event else { return Ok(None) };
        let model = current.model_version.unwrap_or_default();
        Ok(Some(Incumbent {
            seq,
            artifact_sha256: model.artifact_sha256,
            name: model.name,
            version: model.version,
            promoted_at: body.recorded_at,
        }))
    }

    /// Conditions that are open in a slot.
    pub(super) fn open_conditions(&self, slot: &Digest) -> Result<Vec<OpenCondition>, Error> {
        let mut open = Vec::new();
        for condition in review_rows::conditions(&self.ledger.store, slot)? {
            let Some(Event::Approved(decision)) = self.event_body(condition.approved)?.event else {
                continue;
            };
            let statement = crate::event::review::statement(&decision).unwrap_or_default();
            let found = statement.conditions.into_iter().find(|it| it.id == condition.id);
            open.extend(found.map(|it| OpenCondition { approved_seq: condition.approved, condition: it }));
        }
        Ok(open)
    }
}

fn invalid(field: &str, description: &str) -> Error {
    Error::Invalid(vec![Problem { field: field.into(), description: description.into() }])
}

const fn in_words(change: IncumbentChange) -> &'static str {
    match change {
        IncumbentChange::Hold => "nothing is decided until somebody withdraws this review",
        IncumbentChange::AllowInBand => {
            "this review goes on if the new model came in inside its band; else it is closed"
        }
        _ => "this review is closed; a new one compares with the new model",
    }
}

/// What each person has to do with a promotion, and what the person wrote.
type Parts = BTreeMap<draft::Identity, SheetEntry>;

fn parts(draft: &PromotionDraft) -> Parts {
    let mut parts = Parts::new();
    let request = draft.approval_request.clone().unwrap_or_default();
    let mut note = |person: Option<&Person>, part: &str| {
        let Some(person) = person else { return };
        let entry = parts.entry((person.issuer.clone(), person.subject.clone())).or_default();
        entry.subject.clone_from(&person.subject);
        if !person.name.is_empty() {
            entry.name.clone_from(&person.name);
        }
        entry.parts.push(part.to_owned());
        if part == "requested_by" {
            entry.texts = vec![
                ("Justification".into(), request.justification.clone()),
                ("Residual risk".into(), request.residual_risk.clone()),
            ];
        }
    };
    note(request.requested_by.as_ref(), "requested_by");
    note(request.triggered_by.as_ref(), "triggered_by");
    request.contributors.iter().for_each(|person| note(Some(person), "contributor"));
    request.asked_people.iter().for_each(|person| note(Some(person), "asked"));
    parts
}

/// The claims, with each person's fragment of the sheet.
fn with_sheet(claims: &Claims, parts: &Parts, real: &BTreeMap<draft::Identity, Vec<u8>>) -> Claims {
    let mut claims = claims.clone();
    for (person, claims) in &mut claims {
        let Some(entry) = parts.get(person) else { continue };
        let subject_id = real.get(person).cloned().unwrap_or_default();
        let reference = PersonRef { issuer: person.0.clone(), subject_id };
        let entry = SheetEntry { person: reference, ..entry.clone() };
        let text = screen::render_person(&entry);
        claims.statements.push(Statement { path: STATEMENT_SCREEN.into(), text });
    }
    claims
}
