//! Rules of reviews: one open review for each promotion key, decisions of distinct people, quorum, closing. Pure.
//!
//! Design section 6. First accepted wins: two approvers in the same second are two approvals, or, where the first one
//! completes the quorum, one approval and one refusal, the same on every node.

use crate::event::{
    Digest, Kind, Micros, Reason, Seq,
    content::package_digest,
    digest, promotion,
    proto::{
        Approval, Body, ConditionClosed, Decision, DecisionStatement, Delegated, Promoted, ReviewClosed,
        ReviewDecision, ReviewSealed, body::Event,
    },
    quorum,
    review::{self as shape, LOGIN_SKEW_MAX, REVIEW_LEN_MAX},
};

use super::{
    decide::{Changes, Prepared, Verdict},
    review_rows::{
        self, ApprovalState, ConditionState, DelegationState, ReviewKey, ReviewRow, ReviewState, ReviewStatus,
    },
    slots,
    state::{Lookup, State},
};

type Judged<E> = Result<Result<Verdict, Reason>, E>;

/// What the rules say of an event of a review; `None` for other kinds.
pub(super) fn judge<L: Lookup>(
    state: &State,
    look: &L,
    prepared: &Prepared,
    body: &Body,
    changes: &mut Changes,
) -> Result<Option<Verdict>, L::Error> {
    let Some(event) = &body.event else { return Ok(None) };
    let judged = match event {
        Event::ReviewSealed(_)
        | Event::Approved(_)
        | Event::Declined(_)
        | Event::ChangesRequested(_)
        | Event::ReviewClosed(_)
        | Event::Delegated(_)
        | Event::ConditionClosed(_)
            if !prepared.whole =>
        {
            Err(Reason::Incomplete)
        }
        Event::ReviewSealed(e) => sealed(state, look, prepared, body, e, changes)?,
        Event::Approved(e) => decided(state, look, prepared, (Kind::Approved, e), changes)?,
        Event::Declined(e) => decided(state, look, prepared, (Kind::Declined, e), changes)?,
        Event::ChangesRequested(e) => decided(state, look, prepared, (Kind::ChangesRequested, e), changes)?,
        Event::ReviewClosed(e) => closed(state, look, e, changes)?,
        Event::Delegated(e) => match e.ends_seq {
            Some(seq) => delegation_ended(state, look, seq, e, changes)?,
            None => delegated(state, e, changes),
        },
        Event::ConditionClosed(e) => condition_closed(look, e, changes)?,
        _ => return Ok(None),
    };
    Ok(Some(judged.unwrap_or_else(Verdict::refused)))
}

/// The idempotency key that such an event must have; `None` for other kinds, and where nobody acts.
pub(super) fn expected_key(event: &Event) -> Option<Digest> {
    let decision = |kind, e: &ReviewDecision| {
        let decider = e.decider.as_ref()?.approver.as_ref()?;
        Some(digest::request_key(kind, &decider.subject_id, &e.review_seq.to_be_bytes()))
    };
    match event {
        Event::ReviewSealed(e) => {
            let key = e.package.as_ref().map(promotion::promotion_key)?;
            Some(digest::request_key(Kind::ReviewSealed, &key.0, &e.round.to_be_bytes()))
        }
        Event::Approved(e) => decision(Kind::Approved, e),
        Event::Declined(e) => decision(Kind::Declined, e),
        Event::ChangesRequested(e) => decision(Kind::ChangesRequested, e),
        Event::ReviewClosed(e) => {
            Some(digest::request_key(Kind::ReviewClosed, &e.review_seq.to_be_bytes(), b""))
        }
        Event::Delegated(e) => {
            let asks = e.ends_seq.map_or(e.delegator.as_ref(), |_| e.actor.as_ref())?;
            Some(digest::request_key(Kind::Delegated, &asks.subject_id, e.request_id.as_bytes()))
        }
        Event::ConditionClosed(e) => {
            let principal = e.approved_seq.to_be_bytes();
            Some(digest::request_key(Kind::ConditionClosed, &principal, e.condition_id.as_bytes()))
        }
        _ => None,
    }
}

fn id(person: Option<&crate::event::proto::PersonRef>) -> Digest {
    person.and_then(|person| Digest::from_slice(&person.subject_id)).unwrap_or_default()
}

fn put(changes: &mut Changes, seq: Seq, review: ReviewState) {
    changes.review_rows.push((ReviewKey::Review(seq), ReviewRow::Review(review)));
}

fn sealed<L: Lookup>(
    state: &State,
    look: &L,
    prepared: &Prepared,
    body: &Body,
    e: &ReviewSealed,
    changes: &mut Changes,
) -> Judged<L::Error> {
    let package = e.package.clone().unwrap_or_default();
    let slot = package.slot.as_ref().map(digest::slot).unwrap_or_default();
    let before = look.slot(&slot)?;
    if let Err(reason) = slots::as_admitted(state, body, before.as_ref(), &package) {
        return Ok(Err(reason));
    }
    let key = promotion::promotion_key(&package);
    let last = review_rows::last(look, &key)?;
    let round = last.as_ref().map_or(0, |(_, review)| review.round);
    let pending = last.is_some_and(|(_, review)| review.is_pending());
    if pending || e.round != round + 1 || look.bound(&key)?.is_some() {
        return Ok(Err(Reason::Precondition));
    }
    if prepared.value.len() > REVIEW_LEN_MAX {
        return Ok(Err(Reason::Incomplete));
    }
    let seq = state.size();
    let review = ReviewState {
        promotion_key: key,
        event_digest: prepared.event_digest,
        slot,
        package: package_digest(&package),
        screen: e.screen.as_ref().and_then(|screen| Digest::from_slice(&screen.sha256)).unwrap_or_default(),
        round: e.round,
        sealed_at: body.recorded_at,
        expires_at: e.expires_at,
        required: e.required.iter().map(|required| (required.group.clone(), required.count)).collect(),
        questions: shape::required_questions(&package),
        excluded: shape::excluded(&package),
        approvals: Vec::new(),
        status: ReviewStatus::Open,
    };
    put(changes, seq, review);
    changes.review_rows.push((ReviewKey::Last(key), ReviewRow::Last(seq)));
    Ok(Ok(Verdict::accepted(None)))
}

fn decided<L: Lookup>(
    state: &State,
    look: &L,
    prepared: &Prepared,
    (kind, e): (Kind, &ReviewDecision),
    changes: &mut Changes,
) -> Judged<L::Error> {
    let Some(mut review) = review_rows::review(look, e.review_seq)? else { return Ok(Err(Reason::Target)) };
    let (Some(statement), Some(decider)) = (shape::statement(e), &e.decider) else {
        return Ok(Err(Reason::Incomplete));
    };
    if statement.ledger_id != state.ledger_id.0 || statement.review_digest != review.event_digest.0 {
        return Ok(Err(Reason::Target));
    }
    let delegation = match statement.delegation_seq {
        Some(seq) => match review_rows::delegation(look, seq)? {
            Some(delegation) => Some(delegation),
            None => return Ok(Err(Reason::Target)),
        },
        None => None,
    };
    if let Err(reason) = may_decide(&review, decider, delegation.as_ref()) {
        return Ok(Err(reason));
    }
    let seq = state.size();
    let mut verdict = Verdict::accepted(Some(e.review_seq));
    if kind == Kind::Approved {
        let answered = |question| statement.answered.contains(question);
        if !review.questions.iter().all(answered) || !served_in_full(&review, &statement) {
            return Ok(Err(Reason::Incomplete));
        }
        review.approvals.push(approval(seq, prepared, decider, delegation.as_ref(), &statement));
        if reached(&review) {
            review.status = ReviewStatus::Quorum(seq);
            verdict.quorum = true;
        }
    } else {
        review.status = ReviewStatus::Ended(seq);
    }
    put(changes, e.review_seq, review);
    Ok(Ok(verdict))
}

/// Whether a person may decide in a review now, in the person's own name or for a delegator.
fn may_decide(
    review: &ReviewState,
    decider: &Approval,
    delegation: Option<&DelegationState>,
) -> Result<(), Reason> {
    if !review.is_open() || (review.expires_at != 0 && decider.decided_at > review.expires_at) {
        return Err(Reason::Precondition);
    }
    let subject = id(decider.approver.as_ref());
    let delegator = delegation.map(|delegation| delegation.delegator);
    let acts = |person: &Digest| *person == subject || Some(*person) == delegator;
    let counted =
        |approval: &ApprovalState| acts(&approval.subject) || approval.delegator.as_ref().is_some_and(acts);
    if review.excluded.iter().any(acts) || decider.auth_time.saturating_add(LOGIN_SKEW_MAX) < review.sealed_at
    {
        return Err(Reason::Incomplete);
    }
    if review.approvals.iter().any(counted) {
        return Err(Reason::Precondition);
    }
    let groups = || review.required.iter().map(|(group, _)| group);
    if !review.required.is_empty() && !groups().any(|group| decider.matched_groups.contains(group)) {
        return Err(Reason::Incomplete);
    }
    match delegation {
        Some(delegation) if !in_force(delegation, &subject, decider) => Err(Reason::Precondition),
        _ => Ok(()),
    }
}

fn in_force(delegation: &DelegationState, subject: &Digest, decider: &Approval) -> bool {
    let during: std::ops::Range<Micros> = delegation.from_at..delegation.until;
    // Of a decision and an end that race, the one that is recorded first counts, whatever time the decision states.
    delegation.ended.is_none()
        && delegation.delegate == *subject
        && during.contains(&decider.decided_at)
        && decider.matched_groups.contains(&delegation.group)
}

/// The page at least; which artefacts are required stands in the sealed record and is checked by the front door.
fn served_in_full(review: &ReviewState, statement: &DecisionStatement) -> bool {
    statement.served.iter().any(|served| served.sha256 == review.screen.0)
}

fn approval(
    seq: Seq,
    prepared: &Prepared,
    decider: &Approval,
    delegation: Option<&DelegationState>,
    statement: &DecisionStatement,
) -> ApprovalState {
    let conditional = statement.decision == i32::from(Decision::ApproveWithConditions);
    let conditions = statement.conditions.iter().filter(|_| conditional);
    ApprovalState {
        seq,
        event_digest: prepared.event_digest,
        approval: shape::approval_digest(decider),
        subject: id(decider.approver.as_ref()),
        delegator: delegation.map(|delegation| delegation.delegator),
        groups: decider.matched_groups.clone(),
        conditions: conditions.map(|c| (c.id.clone(), id(c.owner.as_ref()))).collect(),
    }
}

/// Places that nobody fills yet, in words; empty at the quorum.
pub fn lacking(review: &ReviewState) -> Vec<String> {
    let people: Vec<&[String]> = review.approvals.iter().map(|approval| &approval.groups[..]).collect();
    if review.required.is_empty() {
        return if people.is_empty() { vec!["one person".into()] } else { Vec::new() };
    }
    let places = quorum::places(review.required.iter().map(|(group, count)| (group.as_str(), *count)));
    let filled = quorum::filled(&places, &people);
    let open = places.iter().zip(filled).filter(|(_, filled)| !filled);
    open.map(|(group, _)| format!("one of {group}")).collect()
}

/// Whether the approvals fill every place.
pub fn reached(review: &ReviewState) -> bool {
    let places = quorum::places(review.required.iter().map(|(group, count)| (group.as_str(), *count)));
    let people: Vec<&[String]> = review.approvals.iter().map(|approval| &approval.groups[..]).collect();
    !people.is_empty() && quorum::filled(&places, &people).into_iter().all(|filled| filled)
}

fn closed<L: Lookup>(state: &State, look: &L, e: &ReviewClosed, changes: &mut Changes) -> Judged<L::Error> {
    let Some(mut review) = review_rows::review(look, e.review_seq)? else { return Ok(Err(Reason::Target)) };
    if !review.is_pending() {
        return Ok(Err(Reason::Precondition));
    }
    review.status = ReviewStatus::Ended(state.size());
    put(changes, e.review_seq, review);
    Ok(Ok(Verdict::accepted(Some(e.review_seq))))
}

fn delegated(state: &State, e: &Delegated, changes: &mut Changes) -> Result<Verdict, Reason> {
    let delegation = DelegationState {
        delegator: id(e.delegator.as_ref()),
        delegate: id(e.delegate.as_ref()),
        group: e.group.clone(),
        from_at: e.from_at,
        until: e.until,
        ended: None,
    };
    let key = ReviewKey::Delegation(state.size());
    changes.review_rows.push((key, ReviewRow::Delegation(delegation)));
    Ok(Verdict::accepted(None))
}

fn delegation_ended<L: Lookup>(
    state: &State,
    look: &L,
    seq: Seq,
    e: &Delegated,
    changes: &mut Changes,
) -> Judged<L::Error> {
    let Some(delegation) = review_rows::delegation(look, seq)? else { return Ok(Err(Reason::Target)) };
    if ![delegation.delegator, delegation.delegate].contains(&id(e.actor.as_ref())) {
        return Ok(Err(Reason::Incomplete));
    }
    if delegation.ended.is_some() {
        return Ok(Err(Reason::Precondition));
    }
    let ended = DelegationState { ended: Some(state.size()), ..delegation };
    changes.review_rows.push((ReviewKey::Delegation(seq), ReviewRow::Delegation(ended)));
    Ok(Ok(Verdict::accepted(Some(seq))))
}

fn condition_closed<L: Lookup>(look: &L, e: &ConditionClosed, changes: &mut Changes) -> Judged<L::Error> {
    let slot = e.slot.as_ref().map(digest::slot).unwrap_or_default();
    let mut conditions = review_rows::conditions(look, &slot)?;
    let found = conditions.iter().position(|c| c.approved == e.approved_seq && c.id == e.condition_id);
    let Some(found) = found else { return Ok(Err(Reason::Target)) };
    if conditions.remove(found).owner == id(e.actor.as_ref()) {
        return Ok(Err(Reason::Incomplete));
    }
    changes.review_rows.push((ReviewKey::Conditions(slot), ReviewRow::Conditions(conditions)));
    Ok(Ok(Verdict::accepted(Some(e.approved_seq))))
}

/// Whether a promotion, otherwise accepted, agrees with the review of its key and with the slot's open conditions, and
/// what it then changes.
pub(super) fn promotes<L: Lookup>(
    state: &State,
    look: &L,
    promoted: &Promoted,
    changes: &mut Changes,
) -> Result<Result<(), Reason>, L::Error> {
    let slot = promoted.slot.as_ref().map(digest::slot).unwrap_or_default();
    let open = review_rows::conditions(look, &slot)?;
    if !open.is_empty() {
        return Ok(Err(Reason::Precondition));
    }
    let last = review_rows::last(look, &promotion::promotion_key(promoted))?;
    let in_review = promoted.review.is_some() || promoted.approvals.iter().any(|a| a.decided.is_some());
    let Some((seq, mut review)) = last.filter(|(_, review)| in_review || review.is_pending()) else {
        return Ok(if in_review { Err(Reason::Target) } else { Ok(()) });
    };
    if !in_review || !matches!(review.status, ReviewStatus::Quorum(_)) {
        return Ok(Err(Reason::Precondition));
    }
    if !agrees(seq, &review, promoted) {
        return Ok(Err(Reason::Incomplete));
    }
    let set = |approval: &ApprovalState| {
        let approved = approval.seq;
        let one =
            move |(id, owner): &(String, Digest)| ConditionState { approved, id: id.clone(), owner: *owner };
        approval.conditions.iter().map(one).collect::<Vec<_>>()
    };
    let conditions: Vec<ConditionState> = review.approvals.iter().flat_map(set).collect();
    if !conditions.is_empty() {
        changes.review_rows.push((ReviewKey::Conditions(slot), ReviewRow::Conditions(conditions)));
    }
    review.status = ReviewStatus::Promoted(state.size());
    put(changes, seq, review);
    Ok(Ok(()))
}

/// Whether a promotion is what its review sealed and its approvers approved.
fn agrees(seq: Seq, review: &ReviewState, promoted: &Promoted) -> bool {
    let named = promoted.review.as_ref().is_some_and(|named| {
        let screen = named.screen.as_ref().is_some_and(|screen| screen.sha256 == review.screen.0);
        named.seq == seq && named.event_digest == review.event_digest.0 && screen
    });
    let same =
        |(approval, state): (&Approval, &ApprovalState)| {
            approval.decided.as_ref().is_some_and(|decided| {
                decided.seq == state.seq && decided.event_digest == state.event_digest.0
            }) && shape::approval_digest(approval) == state.approval
        };
    named
        && promoted.approvals.len() == review.approvals.len()
        && promoted.approvals.iter().zip(&review.approvals).all(same)
        && package_digest(promoted) == review.package
}
