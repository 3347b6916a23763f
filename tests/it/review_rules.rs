//! The writer's rules of reviews, as tables: who may decide what and when, the quorum, and the promotion after it.

use promotion_ledger::{
    event::{
        Outcome, Reason, Seq,
        header::FLAG_QUORUM,
        promotion::{problems, promotion_key},
        proto::{
            Approval, CloseReason, Decision, DecisionStatement, Delegated, Promoted, ReviewSealed,
            body::Event,
        },
        review::{PLACES_MAX, REVIEW_LEN_MAX},
    },
    ledger::review_rows::{self, ReviewStatus},
};

use crate::{review_samples::*, samples::*};

const RISK: &[&str] = &["model-risk"];

/// A ledger with a sealed review at entry 1.
fn reviewed() -> Ledger {
    let mut ledger = Ledger::new();
    let record = ledger.record(Event::ReviewSealed(review_sealed("fraud", 1, None)));
    assert_eq!(ledger.push(record).outcome, Outcome::Accepted);
    ledger
}

/// And with `approvals` accepted approvals in it.
fn approved_by(approvals: &[&str]) -> Ledger {
    let mut ledger = reviewed();
    for who in approvals {
        let record = ledger.record(decision(&ledger, 1, Decision::Approve, who, RISK));
        assert_eq!(ledger.push(record).outcome, Outcome::Accepted, "{who}");
    }
    ledger
}

fn outcome(ledger: &mut Ledger, event: Event) -> (Outcome, Reason, Option<Seq>) {
    let record = ledger.record(event);
    let header = ledger.push(record);
    ledger.check();
    (header.outcome, header.reason, header.refers_to)
}

fn refused(reason: Reason) -> (Outcome, Reason, Option<Seq>) {
    (Outcome::Refused, reason, None)
}

fn accepted(refers_to: Option<Seq>) -> (Outcome, Reason, Option<Seq>) {
    (Outcome::Accepted, Reason::None, refers_to)
}

fn sealed_with(change: impl FnOnce(&mut ReviewSealed)) -> Event {
    let mut sealed = review_sealed("fraud", 1, None);
    change(&mut sealed);
    Event::ReviewSealed(sealed)
}

#[test]
fn one_open_review_for_a_promotion_key() {
    let same = || Event::ReviewSealed(review_sealed("fraud", 1, None));
    let other = || sealed_with(|sealed| sealed.artefacts.truncate(2));
    let mut ledger = reviewed();
    assert_eq!(outcome(&mut ledger, same()), (Outcome::Duplicate, Reason::None, Some(1)));
    assert_eq!(outcome(&mut ledger, other()), refused(Reason::Conflict));
    let next = || sealed_with(|sealed| sealed.round = 2);
    assert_eq!(outcome(&mut ledger, next()), refused(Reason::Precondition));
    assert_eq!(outcome(&mut ledger, review_closed(1, CloseReason::Withdrawn)), accepted(Some(1)));
    assert_eq!(outcome(&mut ledger, sealed_with(|sealed| sealed.round = 3)), refused(Reason::Precondition));
    assert_eq!(outcome(&mut ledger, next()), accepted(None));
    // Another promotion of the same slot has a review of its own.
    assert_eq!(outcome(&mut ledger, Event::ReviewSealed(review_sealed("fraud", 2, None))), accepted(None));
}

#[test]
fn what_the_server_derives_is_no_content() {
    let mut ledger = reviewed();
    let again = sealed_with(|sealed| {
        sealed.screen = Some(evidence("another-page", "text/html"));
        sealed.required.clear();
        sealed.expires_at = 0;
        sealed.package.as_mut().unwrap().routing = None;
    });
    assert_eq!(outcome(&mut ledger, again).0, Outcome::Duplicate);
}

#[test]
fn a_review_is_whole_or_refused() {
    type Spoil = fn(&mut ReviewSealed);
    let spoils: &[(&str, Spoil)] = &[
        ("no package", |s| s.package.as_mut().unwrap().dataset = None),
        ("an approval that nobody could give", |s| {
            s.package.as_mut().unwrap().approvals = promoted("fraud", 1, None).approvals
        }),
        ("no screen", |s| s.screen = None),
        ("a screen without lock proof", |s| s.screen.as_mut().unwrap().lock = None),
        ("an artefact twice", |s| s.artefacts.push(s.artefacts[0].clone())),
        ("a rendition of nothing", |s| s.artefacts[1].renders = vec![1; 32]),
        ("an artefact without role", |s| s.artefacts[0].role = 0),
        ("a group twice", |s| s.required.push(s.required[0].clone())),
        ("nobody of a group", |s| s.required[0].count = 0),
        ("more people than a promotion holds", |s| s.required[0].count = PLACES_MAX + 1),
        ("no words", |s| s.words.clear()),
        ("no rule for a new incumbent", |s| s.on_incumbent_change = 0),
        ("larger than its promotion may be", |s| {
            s.package.as_mut().unwrap().routing.as_mut().unwrap().inputs = vec![b'x'; REVIEW_LEN_MAX]
        }),
        ("an incumbent that is not there", |s| {
            s.package.as_mut().unwrap().challenger_comparison =
                promoted("fraud", 1, Some(7)).challenger_comparison
        }),
    ];
    for (name, spoil) in spoils {
        assert_eq!(outcome(&mut Ledger::new(), sealed_with(spoil)), refused(Reason::Incomplete), "{name}");
    }
    let mut ledger = Ledger::new();
    assert_eq!(outcome(&mut ledger, Event::Promoted(promoted("fraud", 1, None))), accepted(None));
    let late = outcome(&mut ledger, sealed_with(|_| {}));
    assert_eq!(late, refused(Reason::Incomplete), "the slot has an incumbent now");
    let over = Event::ReviewSealed(ReviewSealed {
        package: Some(Promoted { approvals: Vec::new(), ..promoted("fraud", 1, Some(9)) }),
        ..review_sealed("fraud", 1, None)
    });
    assert_eq!(
        outcome(&mut ledger, over),
        refused(Reason::Precondition),
        "that promotion is recorded already"
    );
}

#[test]
fn the_completing_approval_carries_the_quorum() {
    let mut ledger = approved_by(&["Ada"]);
    assert_eq!(ledger.last().flags, 0);
    let second = decision(&ledger, 1, Decision::Approve, "Grace", RISK);
    assert_eq!(outcome(&mut ledger, second), accepted(Some(1)));
    assert_eq!(ledger.last().flags, FLAG_QUORUM);
    assert_eq!(ledger.look.review(1).status, ReviewStatus::Quorum(3));
    // After it only its promotion or its closing.
    for kind in [Decision::Approve, Decision::Decline, Decision::RequestChanges] {
        let late = decision(&ledger, 1, kind, "Edsger", RISK);
        assert_eq!(outcome(&mut ledger, late), refused(Reason::Precondition), "{kind:?}");
    }
    let promotion = promoted_after(&ledger, 1);
    let mut withdrawn = ledger.clone();
    assert_eq!(outcome(&mut withdrawn, review_closed(1, CloseReason::Evidence)), accepted(Some(1)));
    assert_eq!(outcome(&mut withdrawn, promotion.clone()), refused(Reason::Precondition));
    assert_eq!(outcome(&mut ledger, promotion.clone()), accepted(None));
    let seq = ledger.size() - 1;
    assert_eq!(ledger.look.review(1).status, ReviewStatus::Promoted(seq));
    // Two finishers: the second is told of the first.
    assert_eq!(outcome(&mut ledger, promotion), (Outcome::Duplicate, Reason::None, Some(seq)));
    assert_eq!(outcome(&mut ledger, review_closed(1, CloseReason::Expired)), refused(Reason::Precondition));
}

#[test]
fn two_approvers_at_once_are_two_approvals_and_one_quorum() {
    let mut ledger = approved_by(&["Ada"]);
    // Both front doors saw one approval.
    let [grace, edsger] =
        ["Grace", "Edsger"].map(|who| ledger.record(decision(&ledger, 1, Decision::Approve, who, RISK)));
    let (first, second) = (ledger.push(grace), ledger.push(edsger));
    assert_eq!((first.outcome, first.flags), (Outcome::Accepted, FLAG_QUORUM));
    assert_eq!((second.outcome, second.reason, second.flags), (Outcome::Refused, Reason::Precondition, 0));
}

/// No person fills two places, and a person with two groups gives way to one with one.
#[test]
fn a_quorum_is_of_distinct_people() {
    let mut ledger = Ledger::new();
    let mut sealed = review_sealed("fraud", 1, None);
    sealed.required[0].count = 1;
    sealed
        .required
        .push(promotion_ledger::event::proto::RequiredApproval { group: "committee".into(), count: 2 });
    assert_eq!(outcome(&mut ledger, Event::ReviewSealed(sealed)), accepted(None));
    for (who, groups, complete) in [
        ("Ada", &["model-risk", "committee"][..], false),
        ("Grace", &["committee"], false),
        ("Barbara", &["committee"], true),
    ] {
        let approval = decision(&ledger, 1, Decision::Approve, who, groups);
        assert_eq!(outcome(&mut ledger, approval), accepted(Some(1)));
        assert_eq!(ledger.last().flags == FLAG_QUORUM, complete, "{who}");
    }
}

#[test]
fn declining_and_asking_for_changes_end_a_review() {
    for kind in [Decision::Decline, Decision::RequestChanges] {
        let mut ledger = approved_by(&["Ada"]);
        let event = decision(&ledger, 1, kind, "Grace", RISK);
        assert_eq!(outcome(&mut ledger, event), accepted(Some(1)));
        assert_eq!(ledger.look.review(1).status, ReviewStatus::Ended(3));
        let late = decision(&ledger, 1, Decision::Approve, "Edsger", RISK);
        assert_eq!(outcome(&mut ledger, late), refused(Reason::Precondition));
        assert_eq!(outcome(&mut ledger, sealed_with(|sealed| sealed.round = 2)), accepted(None));
    }
}

type Spoil = fn(&mut DecisionStatement, &mut Approval);

#[test]
fn a_decision_that_must_not_count() {
    let cases: &[(&str, Spoil, Reason)] = &[
        ("the requester", |_, d| d.approver = Some(person("Rita")), Reason::Incomplete),
        ("who triggered it", |_, d| d.approver = Some(person("retrain")), Reason::Incomplete),
        ("a contributor", |_, d| d.approver = Some(person("Carl")), Reason::Incomplete),
        ("another group", |_, d| d.matched_groups = vec!["traders".into()], Reason::Incomplete),
        ("no group", |_, d| d.matched_groups.clear(), Reason::Incomplete),
        ("an incomplete list of groups", |_, d| d.groups_complete = false, Reason::Incomplete),
        ("a token that nobody verified", |_, d| d.verified_by.clear(), Reason::Incomplete),
        ("a login before the seal", |_, d| d.auth_time = T0 - HOUR, Reason::Incomplete),
        ("a login in the future", |_, d| d.auth_time += HOUR, Reason::Incomplete),
        ("a service", |_, d| d.standing_policy = "SP-1".into(), Reason::Incomplete),
        (
            "a required question is not answered",
            |s, d| {
                s.answered.clear();
                d.answered.clear();
            },
            Reason::Incomplete,
        ),
        ("answers that the statement does not name", |s, _| s.answered.clear(), Reason::Incomplete),
        (
            "the page was not served",
            |s, _| {
                s.served.remove(0);
            },
            Reason::Incomplete,
        ),
        ("another review", |s, _| s.review_digest = vec![7; 32], Reason::Target),
        ("another ledger", |s, _| s.ledger_id = vec![7; 32], Reason::Target),
        ("another decision", |s, _| s.decision = Decision::Decline.into(), Reason::Incomplete),
        ("conditions without saying so", |s, _| s.conditions.push(condition("c1")), Reason::Incomplete),
        ("no words", |s, _| s.words.clear(), Reason::Incomplete),
        ("a delegation that is none", |s, _| s.delegation_seq = Some(0), Reason::Target),
        ("after its time", |_, d| d.decided_at = T0 + 24 * HOUR + 1, Reason::Incomplete),
    ];
    for (name, spoil, reason) in cases {
        let mut ledger = reviewed();
        let (mut statement, mut who) =
            (decision_statement(&ledger, 1, Decision::Approve), decider(&ledger, "Ada", RISK));
        spoil(&mut statement, &mut who);
        let event = decided(1, &statement, Decision::Approve, who);
        assert_eq!(outcome(&mut ledger, event), refused(*reason), "{name}");
    }
    let mut ledger = reviewed();
    let nowhere = decision(&ledger, 0, Decision::Approve, "Ada", RISK);
    assert_eq!(outcome(&mut ledger, nowhere), refused(Reason::Target));
}

#[test]
fn an_expired_review_cannot_be_approved() {
    let mut ledger = Ledger::new();
    let sealed = sealed_with(|sealed| sealed.expires_at = T0 + SECOND);
    assert_eq!(outcome(&mut ledger, sealed), accepted(None));
    assert_eq!(
        outcome(&mut ledger.clone(), decision(&ledger, 1, Decision::Approve, "Ada", RISK)),
        refused(Reason::Precondition)
    );
    assert_eq!(outcome(&mut ledger, review_closed(1, CloseReason::Expired)), accepted(Some(1)));
}

/// Double click, back button, two tabs: one event.
#[test]
fn one_person_decides_once() {
    let mut ledger = reviewed();
    let event = decision(&ledger, 1, Decision::Approve, "Ada", RISK);
    assert_eq!(outcome(&mut ledger, event.clone()), accepted(Some(1)));
    let Event::Approved(mut again) = event else { unreachable!() };
    let decider = again.decider.as_mut().unwrap();
    (decider.auth_time, decider.decided_at) = (decider.auth_time + SECOND, decider.decided_at + SECOND);
    decider.assertion_sha256 = hash_of("another login for the same statement");
    assert_eq!(outcome(&mut ledger, Event::Approved(again)), (Outcome::Duplicate, Reason::None, Some(2)));
    let other = DecisionStatement {
        answers_digest: vec![9; 32],
        ..decision_statement(&ledger, 1, Decision::Approve)
    };
    let tab = decided(1, &other, Decision::Approve, crate::review_samples::decider(&ledger, "Ada", RISK));
    assert_eq!(outcome(&mut ledger, tab), refused(Reason::Conflict));
    let mind = decision(&ledger, 1, Decision::Decline, "Ada", RISK);
    assert_eq!(outcome(&mut ledger, mind), refused(Reason::Precondition), "who approved has decided");
}

#[test]
fn a_promotion_is_what_its_review_sealed_and_its_approvers_approved() {
    type Change = fn(&mut Promoted);
    let cases: &[(&str, Change, Reason)] = &[
        ("another dataset", |p| p.dataset.as_mut().unwrap().snapshot_id = "other".into(), Reason::Incomplete),
        (
            "another page",
            |p| p.review.as_mut().unwrap().screen.as_mut().unwrap().sha256 = vec![1; 32],
            Reason::Incomplete,
        ),
        (
            "another review's digest",
            |p| p.review.as_mut().unwrap().event_digest = vec![1; 32],
            Reason::Incomplete,
        ),
        ("without naming the review", |p| p.review = None, Reason::Incomplete),
        (
            "one approval too few",
            |p| {
                p.approvals.pop();
            },
            Reason::Incomplete,
        ),
        ("another approver", |p| p.approvals[0].approver = Some(person("Eve")), Reason::Incomplete),
        ("other groups", |p| p.approvals[0].matched_groups.push("committee".into()), Reason::Incomplete),
        ("another token", |p| p.approvals[1].assertion_sha256 = hash_of("forged"), Reason::Incomplete),
        ("another Approved entry", |p| p.approvals[1].decided.as_mut().unwrap().seq = 2, Reason::Incomplete),
        (
            "embedded approvals beside its review",
            |p| {
                p.review = None;
                p.approvals = promoted("fraud", 1, None).approvals;
            },
            Reason::Precondition,
        ),
    ];
    for (name, change, reason) in cases {
        let mut ledger = approved_by(&["Ada", "Grace"]);
        let Event::Promoted(mut promoted) = promoted_after(&ledger, 1) else { unreachable!() };
        change(&mut promoted);
        assert_eq!(outcome(&mut ledger, Event::Promoted(promoted)), refused(*reason), "{name}");
        let good = promoted_after(&ledger, 1);
        assert_eq!(outcome(&mut ledger, good), accepted(None), "{name}: afterwards the right one");
    }
    let mut ledger = approved_by(&["Ada"]);
    let early = promoted_after(&ledger, 1);
    assert_eq!(outcome(&mut ledger, early), refused(Reason::Precondition), "before the quorum");
    let mut ledger = Ledger::new();
    let Event::Promoted(promoted) = promoted_after(&approved_by(&["Ada", "Grace"]), 1) else {
        unreachable!()
    };
    assert!(problems(&promoted, T0 + HOUR).is_empty());
    assert_ne!(promotion_key(&promoted), promotion_ledger::event::Digest::ZERO);
    assert_eq!(outcome(&mut ledger, Event::Promoted(promoted)), refused(Reason::Target), "no such review");
}

#[test]
fn conditions_stop_the_next_promotion_until_somebody_else_closes_them() {
    let mut ledger = approved_by(&["Ada"]);
    let conditional = decision(&ledger, 1, Decision::ApproveWithConditions, "Grace", RISK);
    assert_eq!(outcome(&mut ledger, conditional), accepted(Some(1)));
    assert!(open_conditions(&ledger, "fraud").is_empty(), "not in force before the promotion");
    let promotion = promoted_after(&ledger, 1);
    assert_eq!(outcome(&mut ledger, promotion), accepted(None));
    assert_eq!(open_conditions(&ledger, "fraud"), [(3, "c1".to_owned())]);
    let next = || Event::Promoted(promoted("fraud", 2, Some(1)));
    assert_eq!(outcome(&mut ledger, next()), refused(Reason::Precondition));
    // A review may be sealed meanwhile: its page says that the condition is open.
    assert_eq!(outcome(&mut ledger, Event::ReviewSealed(review_sealed("fraud", 3, Some(1)))), accepted(None));
    assert_eq!(
        outcome(&mut ledger, condition_closed("fraud", 3, "c1", "Carl")),
        refused(Reason::Incomplete),
        "its owner"
    );
    assert_eq!(outcome(&mut ledger, condition_closed("fraud", 3, "c2", "Ada")), refused(Reason::Target));
    assert_eq!(outcome(&mut ledger, condition_closed("credit", 3, "c1", "Ada")), refused(Reason::Target));
    assert_eq!(outcome(&mut ledger, condition_closed("fraud", 3, "c1", "Ada")), accepted(Some(3)));
    assert!(open_conditions(&ledger, "fraud").is_empty());
    assert_eq!(outcome(&mut ledger, next()), accepted(None));
}

#[test]
fn a_delegate_stands_in_for_one_person_and_only_for_that_one() {
    let mut ledger = reviewed();
    for (event, expected) in [
        (delegated("Ada", "Grace", "model-risk"), accepted(None)),
        (delegated("Rita", "Edsger", "model-risk"), accepted(None)),
        (delegated("Ada", "Ada", "model-risk"), refused(Reason::Incomplete)),
    ] {
        assert_eq!(outcome(&mut ledger, event), expected);
    }
    let under = |ledger: &Ledger, delegation, who: &str, groups: &[&str]| {
        let statement = DecisionStatement {
            delegation_seq: Some(delegation),
            ..decision_statement(ledger, 1, Decision::Approve)
        };
        decided(1, &statement, Decision::Approve, decider(ledger, who, groups))
    };
    let wrong = under(&ledger, 2, "Edsger", RISK);
    assert_eq!(outcome(&mut ledger, wrong), refused(Reason::Precondition), "another delegate");
    let wrong = under(&ledger, 3, "Edsger", RISK);
    assert_eq!(outcome(&mut ledger, wrong), refused(Reason::Incomplete), "for the requester");
    let right = under(&ledger, 2, "Grace", RISK);
    assert_eq!(outcome(&mut ledger, right), accepted(Some(1)));
    // Ada has decided, through Grace; and Grace as well.
    let twice = decision(&ledger, 1, Decision::Approve, "Ada", RISK);
    assert_eq!(outcome(&mut ledger, twice), refused(Reason::Precondition));
}

#[test]
fn a_delegation_is_ended_by_one_of_its_two_and_nothing_is_decided_under_it_afterwards() {
    let mut ledger = reviewed();
    let under = |ledger: &Ledger, delegation, who: &str| {
        let statement = DecisionStatement {
            delegation_seq: Some(delegation),
            ..decision_statement(ledger, 1, Decision::Approve)
        };
        decided(1, &statement, Decision::Approve, decider(ledger, who, RISK))
    };
    for delegator in ["Ada", "Edsger"] {
        assert_eq!(outcome(&mut ledger, delegated(delegator, "Grace", "model-risk")), accepted(None));
    }
    let Event::Delegated(end) = delegation_ended(2, "Ada") else { unreachable!() };
    let variant = |change: fn(&mut Delegated)| {
        let mut changed = end.clone();
        change(&mut changed);
        Event::Delegated(changed)
    };
    for (what, event, reason) in [
        ("a review", delegation_ended(1, "Ada"), Reason::Target),
        ("an entry to come", delegation_ended(99, "Ada"), Reason::Target),
        ("by a third person", delegation_ended(2, "Edsger"), Reason::Incomplete),
        ("by nobody", variant(|e| e.actor = None), Reason::IdempotencyKey),
        ("beside a delegation", variant(|e| e.group = "model-risk".into()), Reason::Incomplete),
        ("with a time of its own", variant(|e| e.until = T0), Reason::Incomplete),
        ("an actor, but no end", delegated_by_actor(), Reason::Incomplete),
    ] {
        assert_eq!(outcome(&mut ledger, event), refused(reason), "{what}");
    }
    // Taken before the end and recorded after it: the order of the ledger counts, not what a decision says of its time.
    let before = under(&ledger, 2, "Grace");
    assert_eq!(outcome(&mut ledger, delegation_ended(2, "Ada")), accepted(Some(2)));
    assert_eq!(outcome(&mut ledger, before), refused(Reason::Precondition));
    assert_eq!(outcome(&mut ledger, delegation_ended(2, "Grace")), refused(Reason::Precondition), "twice");
    // An end is no delegation, and cannot be ended.
    let end = ledger.size() - 3;
    let wrong = under(&ledger, end, "Grace");
    assert_eq!(outcome(&mut ledger, wrong), refused(Reason::Target));
    assert_eq!(outcome(&mut ledger, delegation_ended(end, "Ada")), refused(Reason::Target));
    // What was decided under the other one stays, although its delegate gives it back.
    let other = under(&ledger, 3, "Grace");
    assert_eq!(outcome(&mut ledger, other), accepted(Some(1)));
    assert_eq!(outcome(&mut ledger, delegation_ended(3, "Grace")), accepted(Some(3)));
    let review = review_rows::review(&ledger.look, 1).expect("infallible").expect("a review");
    assert_eq!(review.approvals.len(), 1);
    // And nobody is delegator for ever: Ada decides herself.
    let own = decision(&ledger, 1, Decision::Approve, "Ada", RISK);
    assert_eq!(outcome(&mut ledger, own), accepted(Some(1)));
}

fn delegated_by_actor() -> Event {
    let Event::Delegated(plain) = delegated("Ada", "Grace", "model-risk") else { unreachable!() };
    Event::Delegated(Delegated { actor: Some(person("Ada")), request_id: "again".into(), ..plain })
}

#[test]
fn closing_needs_a_reason_and_for_a_withdrawal_a_person() {
    let mut ledger = reviewed();
    let Event::ReviewClosed(withdrawn) = review_closed(1, CloseReason::Withdrawn) else { unreachable!() };
    let nobody = Event::ReviewClosed(promotion_ledger::event::proto::ReviewClosed {
        actor: None,
        ..withdrawn.clone()
    });
    assert_eq!(outcome(&mut ledger, nobody), refused(Reason::Incomplete));
    assert_eq!(outcome(&mut ledger, review_closed(1, CloseReason::Unspecified)), refused(Reason::Incomplete));
    assert_eq!(outcome(&mut ledger, review_closed(0, CloseReason::Expired)), refused(Reason::Target));
    assert_eq!(outcome(&mut ledger, Event::ReviewClosed(withdrawn)), accepted(Some(1)));
    let late = decision(&ledger, 1, Decision::Approve, "Ada", RISK);
    assert_eq!(outcome(&mut ledger, late), refused(Reason::Precondition));
}
