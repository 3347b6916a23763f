//! `approve`, `request-changes`, `decline`: shows what is decided on, freezes the decision, signs it by a login.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, say},
        source::{self, Channel, connect},
        submit::{self, request, retrying},
    },
    event::{
        Seq,
        digest::sha256,
        proto::{
            Answer, Artefact, ConditionDraft, Decision, EvidenceRef, GetReviewRequest, GetReviewResponse,
            LoginIssuer, Person, PrepareDecisionRequest, PrepareDecisionResponse, ReadArtefactRequest,
            Review, SubmitDecisionRequest, SubmitDecisionResponse,
            review_service_client::ReviewServiceClient,
        },
    },
    page::{desk::decision_words, file_name},
};

use super::{
    login::{self, Terminal},
    words,
};

/// Decide in a review.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger approve --review 7 --answers answers.yaml\n  promotion-ledger approve --review 7 --answers answers.yaml --condition 'title=Calibration by age band;owner=u-1001;due=2027-01-31;slice=age_band'\n  promotion-ledger decline --review 7 --reason \"Worse for young applicants.\"\n\nThe page and its documents are written to a directory; then the decision is frozen, and your browser logs you in:\nyour identity provider signs exactly this decision. A workflow tool that logs its user in by itself takes two calls:\n  promotion-ledger approve --review 7 --answers answers.yaml --freeze-only --format json   # gives the nonce\n  promotion-ledger approve --nonce NONCE --id-token-file token.jwt"
)]
pub struct Args {
    /// The review
    #[arg(long, required_unless_present = "nonce")]
    review: Option<Seq>,
    /// An answer to the form: QUESTION=TEXT
    #[arg(long = "answer", value_name = "QUESTION=TEXT")]
    answers: Vec<String>,
    /// Answers to the form, YAML or JSON: {question: text}
    #[arg(long = "answers", value_name = "FILE")]
    answers_file: Option<PathBuf>,
    /// Why; needed to decline and to request changes
    #[arg(long, default_value = "")]
    reason: String,
    /// Approve with a condition: 'title=…;owner=SUBJECT[@ISSUER];due=YYYY-MM-DD;evidence=KIND' or ';slice=DIMENSION'
    #[arg(long = "condition", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Decide for somebody else: the entry that delegates
    #[arg(long)]
    delegation: Option<Seq>,
    /// Where the page and its documents are written; default: a directory below the temporary one
    #[arg(long)]
    screen: Option<PathBuf>,
    /// Log in at this issuer, where the node knows several
    #[arg(long)]
    issuer: Option<String>,
    /// Only print the address of the login
    #[arg(long)]
    no_browser: bool,
    /// Port on loopback to which the login comes back; default: any
    #[arg(long, default_value_t = 0)]
    callback_port: u16,
    /// Freeze the decision, print its nonce, and stop: somebody else logs the person in
    #[arg(long)]
    freeze_only: bool,
    /// Submit the decision that was frozen with this nonce
    // One in 64 begins with a hyphen: base64url.
    #[arg(long, requires = "id_token_file", conflicts_with_all = ["review", "freeze_only"], allow_hyphen_values = true)]
    nonce: Option<String>,
    /// The ID token of the login with that nonce
    #[arg(long, requires = "nonce")]
    id_token_file: Option<PathBuf>,
    /// Write the receipt of your own decision to this file: it verifies offline
    #[arg(long, value_name = "FILE", conflicts_with = "freeze_only")]
    receipt: Option<PathBuf>,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = source::URL_DEFAULT)]
    url: String,
}

/// Runs the command.
pub async fn run(decision: Decision, args: Args, format: Format) -> Result {
    let channel = connect(Some(&args.url)).await?;
    if let (Some(nonce), Some(file)) = (&args.nonce, &args.id_token_file) {
        let token = fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("--id-token-file {}: {error}", file.display())))?;
        return submitted(&channel, nonce, token.trim(), args.receipt.as_deref(), format).await;
    }
    let seq = args.review.unwrap_or_default();
    let asked = GetReviewRequest { review_seq: seq, open_session: true };
    let answer = retrying(|| {
        let mut reviews = ReviewServiceClient::new(channel.clone());
        async move { reviews.get_review(request(asked)).await }
    });
    let GetReviewResponse { review, session, issuers } = answer.await?;
    let review = review.unwrap_or_default();
    if !review.blocked.is_empty() {
        return Err(Failure::new(Exit::No, format!("review {seq} takes no decision: {}", review.blocked)));
    }
    let issuer = issuer(&issuers, args.issuer.as_deref());
    let prepare = draft(decision, &args, &session, issuer.as_ref().map_or("", |it| it.issuer.as_str()))?;
    let dir = match &args.screen {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("promotion-ledger-review-{seq}")),
    };
    download(&channel, &review, &session, &dir).await?;
    let prepared = retrying(|| {
        let (mut reviews, prepare) = (ReviewServiceClient::new(channel.clone()), prepare.clone());
        async move { reviews.prepare_decision(request(prepare)).await }
    });
    let prepared = prepared.await?;
    if args.freeze_only {
        frozen(&review, &prepare, &prepared, &dir, format);
        return Ok(Exit::AwaitingApproval);
    }
    let issuer = issuer?;
    show(&review, &prepare, &dir, format);
    let terminal = Terminal { port: args.callback_port, open: !args.no_browser };
    let token = login::id_token(&issuer, &prepared.nonce, terminal).await?;
    submitted(&channel, &prepared.nonce, &token, args.receipt.as_deref(), format).await
}

fn issuer(known: &[LoginIssuer], wanted: Option<&str>) -> Result<LoginIssuer> {
    let names: Vec<_> = known.iter().map(|it| it.issuer.as_str()).collect();
    match (wanted, known) {
        (None, [one]) => Ok(one.clone()),
        (None, []) => Err(Failure::new(Exit::No, "nobody can log in: the node has no [[logins]] configured")),
        (None, _) => {
            Err(Failure::usage(format!("choose where to log in with --issuer: {}", names.join(", "))))
        }
        (Some(wanted), _) => known.iter().find(|it| it.issuer == wanted).cloned().ok_or_else(|| {
            Failure::usage(format!("--issuer {wanted} is none of the node's: {}", names.join(", ")))
        }),
    }
}

fn draft(decision: Decision, args: &Args, session: &str, issuer: &str) -> Result<PrepareDecisionRequest> {
    let conditions: Vec<_> =
        args.conditions.iter().map(|text| condition(text, issuer)).collect::<Result<_>>()?;
    let decision = match decision {
        Decision::Approve if !conditions.is_empty() => Decision::ApproveWithConditions,
        decision => decision,
    };
    let mut answers = BTreeMap::new();
    if let Some(file) = &args.answers_file {
        let wrong = |why: String| Failure::usage(format!("--answers {}: {why}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        answers = serde_saphyr::from_str::<BTreeMap<String, String>>(&text)
            .map_err(|error| wrong(error.to_string()))?;
    }
    for text in &args.answers {
        let (question, answer) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--answer {text:?} is not QUESTION=TEXT")))?;
        answers.insert(question.to_owned(), answer.to_owned());
    }
    Ok(PrepareDecisionRequest {
        review_seq: args.review.unwrap_or_default(),
        session: session.into(),
        decision: decision.into(),
        answers: answers.into_iter().map(|(question, text)| Answer { question, text }).collect(),
        reason: args.reason.clone(),
        conditions,
        delegation_seq: args.delegation,
    })
}

/// `title=…;owner=SUBJECT[@ISSUER];due=YYYY-MM-DD;evidence=…` or `;slice=…`.
fn condition(text: &str, issuer: &str) -> Result<ConditionDraft> {
    let wrong = |why: &str| Failure::usage(format!("--condition {text:?}: {why}"));
    let mut condition = ConditionDraft::default();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| wrong("is not NAME=VALUE;NAME=VALUE"))?;
        let value = value.trim();
        match name.trim() {
            "title" => condition.title = value.into(),
            "evidence" => condition.evidence_kind = value.into(),
            "slice" => condition.slice = value.into(),
            "owner" => {
                let (subject, issuer) = value.split_once('@').unwrap_or((value, issuer));
                if issuer.is_empty() {
                    return Err(wrong("names no issuer of its owner: owner=SUBJECT@ISSUER, or --issuer"));
                }
                let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
                condition.owner = Some(Person { issuer, subject, name: String::new() });
            }
            "due" => {
                let date: jiff::civil::Date =
                    value.parse().map_err(|_| wrong("due is no date such as 2027-01-31"))?;
                let end = date.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok();
                let end = end.and_then(|end| u64::try_from(end.timestamp().as_microsecond()).ok());
                condition.due_at = end.ok_or_else(|| wrong("due is before 1970"))?;
            }
            _ => return Err(wrong("knows title, owner, due, evidence and slice")),
        }
    }
    Ok(condition)
}

/// Writes the page and its documents, each compared with the digest that was sealed. Read to their end in this session,
/// they count as served.
async fn download(channel: &Channel, review: &Review, session: &str, dir: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    fs::create_dir_all(dir.join("artefacts")).map_err(failed)?;
    let sealed = review.sealed.clone().unwrap_or_default();
    let page = sealed.screen.map(|screen| (screen.sha256, dir.join("index.html")));
    let document = |artefact: &Artefact| {
        let Artefact { sha256, media_type, length, .. } = artefact.clone();
        let reference = EvidenceRef { sha256: sha256.clone(), media_type, length, ..EvidenceRef::default() };
        (sha256, dir.join("artefacts").join(file_name(&reference)))
    };
    for (digest, file) in page.into_iter().chain(sealed.artefacts.iter().map(document)) {
        let asked = ReadArtefactRequest {
            review_seq: review.seq,
            sha256: digest.clone(),
            session: session.to_owned(),
        };
        let mut chunks = ReviewServiceClient::new(channel.clone()).read_artefact(asked).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = chunks.message().await? {
            bytes.extend(message.chunk);
        }
        if sha256(&bytes).0[..] != digest {
            let message = format!("the node sent other bytes than were sealed as {}", hex::encode(&digest));
            return Err(Failure::new(Exit::No, message));
        }
        fs::write(&file, bytes).map_err(failed)?;
    }
    Ok(())
}

fn show(review: &Review, prepare: &PrepareDecisionRequest, dir: &Path, format: Format) {
    if format == Format::Json {
        return;
    }
    words::print(review);
    say!("  written to       {}", dir.join("index.html").display());
    say!("");
    say!("Your decision: {}", decision_words(prepare.decision));
    for answer in &prepare.answers {
        say!("  {:<15}  {}", answer.question, answer.text);
    }
    for condition in &prepare.conditions {
        let closed = if condition.slice.is_empty() { &condition.evidence_kind } else { &condition.slice };
        say!(
            "  condition        {}, due {}, closed by {closed}",
            condition.title,
            output::utc(condition.due_at)
        );
    }
    if !prepare.reason.is_empty() {
        say!("  reason           {}", prepare.reason);
    }
    say!("  you agree        {}", review.sealed.as_ref().map_or("", |sealed| sealed.words.as_str()));
}

fn frozen(
    review: &Review,
    prepare: &PrepareDecisionRequest,
    prepared: &PrepareDecisionResponse,
    dir: &Path,
    format: Format,
) {
    let statement = sha256(&prepared.statement).to_string();
    if format == Format::Json {
        return output::json(&serde_json::json!({
            "review": review.seq, "decision": decision_words(prepare.decision), "nonce": prepared.nonce,
            "statement_sha256": statement, "expires_at": output::utc(prepared.expires_at),
            "screen": dir.display().to_string(),
        }));
    }
    show(review, prepare, dir, format);
    say!("");
    say!("Frozen, not recorded: log in with this nonce, then submit the ID token to the same node.");
    say!("  nonce            {}", prepared.nonce);
    say!("  statement        SHA-256 {statement}");
    say!("  until            {}", output::utc(prepared.expires_at));
}

async fn submitted(
    channel: &Channel,
    nonce: &str,
    id_token: &str,
    file: Option<&Path>,
    format: Format,
) -> Result {
    let asked = SubmitDecisionRequest { nonce: nonce.into(), id_token: id_token.into() };
    let answer = retrying(|| {
        let (mut reviews, asked) = (ReviewServiceClient::new(channel.clone()), asked.clone());
        async move { reviews.submit_decision(request(asked)).await }
    });
    let SubmitDecisionResponse { receipt, quorum, promotion } = answer.await?;
    let key = submit::log_key(channel, None).await?;
    let recorded = submit::verified(receipt, &key)?;
    let promotion = promotion.map(|receipt| submit::verified(Some(receipt), &key)).transpose()?;
    let standing = match (&promotion, quorum) {
        (Some(promotion), _) => format!("promoted by entry {}", promotion.receipt.seq),
        (None, true) => "enough have approved; the promotion is being recorded".into(),
        (None, false) => "see `promotion-ledger review show`".into(),
    };
    if let Some(path) = file {
        submit::write_receipt(&recorded, path)?;
    }
    submit::print("your decision", &recorded, file, &[("review now", standing)], format);
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_whole_or_refused() {
        let read = condition(
            "title=Calibration by age; owner=u-1@https://other.example; due=2027-01-31; slice=age_band",
            "https://idp.example",
        );
        let read = read.expect("a condition");
        assert_eq!((read.title.as_str(), read.slice.as_str()), ("Calibration by age", "age_band"));
        assert_eq!(read.owner.map(|owner| owner.issuer), Some("https://other.example".into()));
        assert_eq!(read.due_at, 1_801_439_999_000_000);
        let own = condition("owner=u-1", "https://idp.example").expect("a condition").owner;
        assert_eq!(own.map(|owner| owner.issuer), Some("https://idp.example".into()));
        for bad in ["title", "due=tomorrow", "colour=red"] {
            assert!(condition(bad, "").is_err(), "{bad}");
        }
    }
}
