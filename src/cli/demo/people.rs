//! People: a page is sealed and shown, three people decide on it, each with a login that signs the decision.

use tonic::Code;

use super::{
    stage::{Stage, time},
    step::Step,
    story::{activate, read},
};
use crate::{
    cli::{
        output::{Exit, Failure, Format, Result},
        submit, upload,
    },
    event::{
        Micros, Seq,
        digest::sha256,
        proto::{
            Answer, ConditionDraft, Decision, GetEntryRequest, GetReviewRequest, Person,
            PrepareDecisionRequest, PromotionDraft, ReadArtefactRequest, Review, ReviewState,
            SealReviewRequest, SubmitDecisionRequest, SubmitDecisionResponse, get_entry_request::By,
            review_service_client::ReviewServiceClient,
        },
    },
    identity::development::{Development, Login},
};

const DAY: Micros = 86_400 * 1_000_000;

/// The 24th: another environment, where a first promotion needs three people.
pub async fn decided(stage: &Stage) -> Step {
    let at = stage.at(time("2026-11-24T09:00:00Z")).await;
    Step::play(
        "People: a page is sealed, three of them decide, each login signs the decision",
        at,
        async |step| {
            let people = People { stage, issuer: stage.issuer()? };
            let seq = people.seal(at, step).await?;
            let (review, session) = people.read(seq).await?;
            step.expect(
                "still needed",
                "one of model-risk-approvers, one of credit-risk-committee, one of credit-risk-committee"
                    .to_owned(),
                review.lacking.join(", "),
            );

            // Who asked for it may not decide.
            let nonce = people.freeze(&review, &session, Decision::Approve).await?;
            let own = people.submit("u-1001", &nonce, &nonce).await;
            step.expect(
                "Jonas, who asked for it, cannot approve it",
                Code::FailedPrecondition.to_string(),
                own.err().map_or_else(|| "approved".into(), |status| status.code().to_string()),
            );
            // The login of one decision signs no other.
            let other = people.freeze(&review, &session, Decision::Decline).await?;
            let swapped = people.submit("u-2001", &nonce, &other).await;
            step.expect(
                "a login for another decision is refused",
                Code::FailedPrecondition.to_string(),
                swapped.err().map_or_else(|| "approved".into(), |status| status.code().to_string()),
            );

            for (who, name, quorum) in
                [("u-2001", "Maria", false), ("u-2002", "Tomas", false), ("u-2003", "Ingrid", true)]
            {
                stage.at(stage.now() + 60 * 1_000_000).await;
                let (review, session) = people.read(seq).await?;
                let decision =
                    if who == "u-2002" { Decision::ApproveWithConditions } else { Decision::Approve };
                let nonce = people.freeze(&review, &session, decision).await?;
                let decided = people.submit(who, &nonce, &nonce).await?;
                let recorded = submit::verified(decided.receipt, &stage.key)?;
                step.expect(
                    format!("{name} approves as entry {}; enough people have", recorded.receipt.seq),
                    quorum,
                    decided.quorum,
                );
            }
            let (review, _) = people.read(seq).await?;
            step.expect(
                "three distinct people: promoted",
                ReviewState::Promoted.as_str_name().to_owned(),
                review.state().as_str_name().to_owned(),
            );
            let promoted = review.ended_by.unwrap_or_default();
            let request = GetEntryRequest { by: Some(By::Seq(promoted)), unseal: false };
            let (promotion, _) = super::seen::promoted(stage.auditor(), request).await?;
            step.expect("the event holds their three approvals", 3, promotion.approvals.len());
            let sealed = review.sealed.and_then(|sealed| sealed.screen).unwrap_or_default().sha256;
            let named = promotion.review.and_then(|review| review.screen).unwrap_or_default().sha256;
            step.expect("and names the page that they were served", hex::encode(sealed), hex::encode(named));
            Ok(())
        },
    )
    .await
}

struct People<'a> {
    stage: &'a Stage,
    issuer: std::sync::Arc<Development>,
}

impl People<'_> {
    fn reviews(&self) -> ReviewServiceClient<crate::cli::source::Channel> {
        ReviewServiceClient::new(self.stage.channel().clone()).max_decoding_message_size(64 << 20)
    }

    fn draft(&self, at: Micros) -> Result<PromotionDraft> {
        let mut draft = read(self.stage, "2026-11-07/promotion.yaml")?.draft;
        draft.approvals.clear();
        if let Some(slot) = &mut draft.slot {
            slot.environment = "acceptance".into();
        }
        if let Some(request) = &mut draft.approval_request {
            request.id = "MRM-1070".into();
            (request.asked_at, request.due_at) = (at, at + 7 * DAY);
            request.asked_groups =
                ["model-risk-approvers", "credit-risk-committee"].map(str::to_owned).to_vec();
        }
        Ok(draft)
    }

    async fn seal(&self, at: Micros, step: &mut Step) -> Result<Seq> {
        let before = "approvers: [{group: model-risk-approvers, count: 1}]\n    comparison: rendered";
        let after = "approvers: [{group: model-risk-approvers, count: 1}, {group: credit-risk-committee, count: 2}]\n    comparison: rendered";
        let yaml = std::fs::read_to_string(self.stage.example("policy.yaml"))
            .map_err(|error| Failure::usage(format!("policy.yaml: {error}")))?;
        let stricter = yaml.replacen(before, after, 1).replacen("version: 1}", "version: 2}", 1);
        let recorded = activate(self.stage, stricter.into_bytes()).await?;
        step.note(format!(
            "the administrators ask for three people where one was enough: entry {}",
            recorded.receipt.seq
        ));
        let file = read(self.stage, "2026-11-07/promotion.yaml")?;
        upload::upload_missing(&self.stage.emitter(), &file.uploads, Format::Text).await?;
        let request = SealReviewRequest { promotion: Some(self.draft(at)?), renditions: Vec::new() };
        let answer = self.reviews().seal_review(request).await?.into_inner();
        let sealed = submit::verified(answer.receipt, &self.stage.key)?;
        step.note(format!("sealed as entry {}; in a browser {}", sealed.receipt.seq, answer.path));
        Ok(sealed.receipt.seq)
    }

    /// Reads page and documents to their end, as a browser would.
    async fn read(&self, review_seq: Seq) -> Result<(Review, String)> {
        let request = GetReviewRequest { review_seq, open_session: true };
        let answer = self.reviews().get_review(request).await?.into_inner();
        let review = answer.review.unwrap_or_default();
        let sealed = review.sealed.clone().unwrap_or_default();
        let documents = sealed.artefacts.into_iter().filter(|it| it.required).map(|it| it.sha256);
        for digest in sealed.screen.map(|screen| screen.sha256).into_iter().chain(documents) {
            let session = answer.session.clone();
            let request = ReadArtefactRequest { review_seq, sha256: digest.clone(), session };
            let mut chunks = self.reviews().read_artefact(request).await?.into_inner();
            let mut bytes = Vec::new();
            while let Some(message) = chunks.message().await? {
                bytes.extend(message.chunk);
            }
            if sha256(&bytes).0[..] != digest {
                return Err(Failure::new(Exit::No, "other bytes than were sealed"));
            }
        }
        Ok((review, answer.session))
    }

    async fn freeze(&self, review: &Review, session: &str, decision: Decision) -> Result<String> {
        let package = review.sealed.as_ref().and_then(|sealed| sealed.package.clone()).unwrap_or_default();
        let form = package.approval_request.and_then(|request| request.form).unwrap_or_default();
        let condition = || ConditionDraft {
            title: "Calibration by age band".into(),
            owner: Some(Person {
                issuer: self.issuer.issuer.clone(),
                subject: "u-1007".into(),
                name: String::new(),
            }),
            due_at: self.stage.now() + 90 * DAY,
            slice: "age_band".into(),
            ..ConditionDraft::default()
        };
        let request = PrepareDecisionRequest {
            review_seq: review.seq,
            session: session.into(),
            decision: decision.into(),
            answers: form
                .questions
                .into_iter()
                .map(|it| Answer { question: it.id, text: "Yes.".into() })
                .collect(),
            reason: "As discussed.".into(),
            conditions: (decision == Decision::ApproveWithConditions).then(condition).into_iter().collect(),
            delegation_seq: None,
        };
        Ok(self.reviews().prepare_decision(request).await?.into_inner().nonce)
    }

    /// Logs somebody in with one nonce, and submits the decision of another (the same, in honest hands).
    async fn submit(
        &self,
        who: &str,
        signed: &str,
        submitted: &str,
    ) -> std::result::Result<SubmitDecisionResponse, tonic::Status> {
        let somebody = self.issuer.people.iter().find(|person| person.subject == who);
        let somebody = somebody.ok_or_else(|| tonic::Status::not_found(format!("nobody is {who}")))?;
        let now = self.stage.now();
        let login = Login { nonce: signed, auth_time: now, issued_at: now, acr: "", amr: &[] };
        let id_token = self.issuer.id_token(somebody, &login).map_err(tonic::Status::internal)?;
        let request = SubmitDecisionRequest { nonce: submitted.into(), id_token };
        Ok(self.reviews().submit_decision(request).await?.into_inner())
    }
}
