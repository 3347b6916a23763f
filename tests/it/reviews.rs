//! Reviews on a real node by its API: seal, show, decide with a login that signs the decision, and the promotion after it.

use std::fs;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use promotion_ledger::{
    cli::bench::sample::Piece,
    clock::{Clock, SystemClock},
    event::{
        Digest, Kind, Outcome, Seq, canonical,
        digest::sha256,
        header::{FLAG_QUORUM, Header as EntryHeader},
        proto::{
            Answer, CloseReviewRequest, ConditionDraft, Decision, DecisionAnswers, EvidenceRef,
            GetReviewRequest, ListReviewsRequest, Person, PrepareDecisionRequest, PrepareDecisionResponse,
            PromotionDraft, ReadArtefactRequest, Review, ReviewState, SealReviewRequest, SealedClaims,
            StaticRendition, SubmitDecisionRequest, SubmitDecisionResponse, body::Event,
            review_service_client::ReviewServiceClient,
        },
        review,
    },
    identity::development::{API_AUDIENCE, Config as IssuerConfig, Development, key_id},
};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::harness::{Channel, Client, Directory, LogUnderTest, Node, run, somebody, unique};

pub const ISSUER: &str = "https://idp.example.test";
const CLIENT: &str = "promotion-ledger";

fn issuer_key() -> SigningKey {
    SigningKey::from_bytes(&[77; 32])
}

/// The issuer's key, by a name.
pub fn jwk(kid: &str) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(issuer_key().verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": x})
}

/// A node whose approvers log in at an issuer whose key this test holds.
pub struct Bank {
    pub dir: Directory,
    pub node: Node,
}

impl Bank {
    pub fn open() -> Self {
        Self::at(Directory::init(&LogUnderTest::Embedded), &[])
    }

    /// The same in a directory, with environment variables for its node.
    pub fn at(dir: Directory, environment: &[(&str, &str)]) -> Self {
        // Under two names: of logins, and of access tokens, which the development issuer's code makes here.
        let keys = json!({"keys": [jwk("k1"), jwk(&key_id(&issuer_key().verifying_key()))]});
        fs::write(dir.path().join("issuer.json"), keys.to_string()).expect("written");
        let file = dir.path().join("promotion-ledger.toml");
        let config = fs::read_to_string(&file).expect("a configuration");
        let logins = format!(
            "\n[[logins]]\nissuer = \"{ISSUER}\"\nclient_id = \"{CLIENT}\"\nalgorithms = [\"EdDSA\"]\nkeys_file = \"issuer.json\"\n[[identity.issuers]]\nurl = \"{ISSUER}\"\naudience = \"{API_AUDIENCE}\"\nalgorithms = [\"EdDSA\"]\nkeys_file = \"issuer.json\"\nroles = {{ emitter = [\"group:role:emitter\"] }}\n"
        );
        fs::write(&file, config + &logins).expect("written");
        let node = Node::serve_with(&dir.path(), environment);
        Self { dir, node }
    }

    /// A client of one of the issuer's people.
    async fn client_of(&self, subject: &str) -> Client {
        let config = IssuerConfig { issuer: ISSUER.into(), people: Vec::new() };
        let issuer = Development::new(&config, &issuer_key()).expect("an issuer");
        Client::of(&self.node.url, issuer, somebody(subject)).await
    }
}

/// An ID token of a login just now.
pub fn token(who: &str, nonce: &str, changes: Value) -> String {
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::EdDSA) };
    signed(&header, &issuer_key(), &claims(who, nonce, changes))
}

fn claims(who: &str, nonce: &str, changes: Value) -> Value {
    let now = SystemClock.now() / 1_000_000;
    let mut claims = json!({
        "iss": ISSUER, "sub": who, "aud": CLIENT, "azp": CLIENT, "exp": now + 300, "iat": now, "auth_time": now,
        "nonce": nonce, "acr": "mfa", "amr": ["pwd", "otp"], "name": who, "groups": ["model-risk"],
    });
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

fn signed(header: &Header, key: &SigningKey, claims: &Value) -> String {
    let der = key.to_pkcs8_der().expect("a key");
    encode(header, claims, &EncodingKey::from_ed_der(der.as_bytes())).expect("a token")
}

/// Logins for a nonce that nobody made at the issuer, or not now, or not for this; each with words of its refusal.
fn attacks(nonce: &str) -> Vec<(&'static str, String, &'static str)> {
    let now = SystemClock.now() / 1_000_000;
    let header = |kid: &str| Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
    let (good, stranger) = (claims("ada", nonce, json!({})), SigningKey::from_bytes(&[9; 32]));
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.AA", part(&json!({"alg": "none", "kid": "k1"})), part(&good));
    let confused = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let secret = EncodingKey::from_secret(issuer_key().verifying_key().as_bytes());
    let mut elsewhere = header("evil");
    elsewhere.jku = Some("https://evil.example/jwks".into());
    vec![
        ("alg none", unsigned, "signed with none"),
        (
            "HS256 with the public key",
            encode(&confused, &good, &secret).expect("a token"),
            "signed with HS256",
        ),
        ("another key under its name", signed(&header("k1"), &stranger, &good), "does not verify"),
        ("an unknown key", signed(&header("k9"), &stranger, &good), "does not have"),
        ("a key of the attacker's address", signed(&elsewhere, &stranger, &good), "does not have"),
        ("expired", token("ada", nonce, json!({"exp": now - 61})), "expired"),
        ("to come", token("ada", nonce, json!({"nbf": now + 120})), "in the future"),
        ("a login to come", token("ada", nonce, json!({"auth_time": now + 120})), "in the future"),
        ("without a login time", token("ada", nonce, json!({"auth_time": null})), "fresh login"),
        ("an access token", token("ada", nonce, json!({"typ": "Bearer"})), "no ID token"),
        ("another client's", token("ada", nonce, json!({"azp": "other"})), "issued to the client"),
        ("no nonce", token("ada", nonce, json!({"nonce": null})), "nonce"),
        ("another statement's nonce", token("ada", "bm9uY2U", json!({})), "nonce"),
        ("a login of yesterday", token("ada", nonce, json!({"auth_time": 1_700_000_000})), "fresh login"),
        ("another audience", token("ada", nonce, json!({"aud": "other"})), "audience"),
        ("another issuer", token("ada", nonce, json!({"iss": "https://evil.example"})), "no issuer"),
        (
            "not all groups",
            token("ada", nonce, json!({"groups": null, "_claim_names": {"groups": "src1"}})),
            "groups",
        ),
    ]
}

fn reviews(client: &Client) -> ReviewServiceClient<Channel> {
    ReviewServiceClient::new(client.channel())
}

pub fn package(client: &Client, n: u64) -> PromotionDraft {
    let mut draft = client.draft(0, n);
    draft.approvals.clear();
    let request = draft.approval_request.as_mut().expect("a request");
    request.due_at = request.asked_at + 7 * 86_400_000_000;
    draft
}

pub async fn seal(client: &Client, draft: PromotionDraft) -> Result<Seq, Status> {
    seal_with(client, draft, Vec::new()).await
}

/// Seals what is shown first in place of reports with it.
pub async fn seal_with(
    client: &Client,
    draft: PromotionDraft,
    renditions: Vec<StaticRendition>,
) -> Result<Seq, Status> {
    let request = SealReviewRequest { promotion: Some(draft), renditions };
    let sealed = reviews(client).seal_review(request).await?.into_inner();
    let receipt = sealed.receipt.expect("a receipt");
    assert_eq!(sealed.path, format!("/reviews/{}/", receipt.seq));
    Ok(receipt.seq)
}

/// Opens a session and reads what must be read, as a browser would; `skip` of it is left out.
pub async fn read(client: &Client, review_seq: Seq, skip: usize) -> (Review, String) {
    let request = GetReviewRequest { review_seq, open_session: true };
    let answer = reviews(client).get_review(request).await.expect("a review").into_inner();
    let review = answer.review.expect("a review");
    let sealed = review.sealed.clone().expect("what was sealed");
    let screen = sealed.screen.expect("a page").sha256;
    let required = sealed.artefacts.iter().filter(|artefact| artefact.required).map(|it| it.sha256.clone());
    for sha256 in [screen].into_iter().chain(required).skip(skip) {
        let request =
            ReadArtefactRequest { review_seq, sha256: sha256.clone(), session: answer.session.clone() };
        let mut chunks = reviews(client).read_artefact(request).await.expect("bytes").into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = chunks.message().await.expect("a chunk") {
            bytes.extend(message.chunk);
        }
        assert_eq!(promotion_ledger::event::digest::sha256(&bytes).0[..], sha256);
    }
    (review, answer.session)
}

pub fn decision(review: &Review, session: &str, decision: Decision) -> PrepareDecisionRequest {
    let package = review.sealed.clone().and_then(|sealed| sealed.package).expect("a package");
    let form = package.approval_request.and_then(|request| request.form).expect("a form");
    let answer = |question: &promotion_ledger::event::proto::FormQuestion| Answer {
        question: question.id.clone(),
        text: "Yes.".into(),
    };
    PrepareDecisionRequest {
        review_seq: review.seq,
        session: session.into(),
        decision: decision.into(),
        answers: form.questions.iter().map(answer).collect(),
        reason: "As discussed.".into(),
        ..PrepareDecisionRequest::default()
    }
}

pub async fn prepare(client: &Client, request: PrepareDecisionRequest) -> Result<String, Status> {
    Ok(prepare_whole(client, request).await?.nonce)
}

/// The frozen decision, with its statement.
pub async fn prepare_whole(
    client: &Client,
    request: PrepareDecisionRequest,
) -> Result<PrepareDecisionResponse, Status> {
    Ok(reviews(client).prepare_decision(request).await?.into_inner())
}

pub async fn submit(
    client: &Client,
    nonce: &str,
    id_token: String,
) -> Result<SubmitDecisionResponse, Status> {
    let request = SubmitDecisionRequest { nonce: nonce.into(), id_token };
    Ok(reviews(client).submit_decision(request).await?.into_inner())
}

async fn state(client: &Client, review_seq: Seq) -> ReviewState {
    let request = GetReviewRequest { review_seq, open_session: false };
    let answer = reviews(client).get_review(request).await.expect("a review").into_inner();
    answer.review.expect("a review").state()
}

fn says(error: &Status, code: Code, words: &str) {
    assert!(error.code() == code && error.message().contains(words), "{error:?} does not say {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_sealed_shown_approved_and_promoted() {
    let bank = Bank::open();
    let client = bank.node.client().await;
    client.upload_all().await;
    let review_seq = seal(&client, package(&client, 0)).await.expect("sealed");
    assert_eq!(seal(&client, package(&client, 0)).await.expect("the same again"), review_seq);
    let mut other = package(&client, 0);
    other.approval_request.as_mut().expect("a request").asked_groups.push("committee".into());
    says(&seal(&client, other).await.expect_err("other content"), Code::AlreadyExists, "asked_groups");

    // Nothing is approved that was not served in full in that session.
    let (review, half) = read(&client, review_seq, 1).await;
    let unseen = prepare(&client, decision(&review, &half, Decision::Approve)).await;
    says(&unseen.expect_err("the page was not served"), Code::InvalidArgument, "the page was not served");
    let (review, session) = read(&client, review_seq, 0).await;
    let mut unanswered = decision(&review, &session, Decision::Approve);
    unanswered.answers.clear();
    says(
        &prepare(&client, unanswered).await.expect_err("no answers"),
        Code::InvalidArgument,
        "is not answered",
    );

    let nonce = prepare(&client, decision(&review, &session, Decision::Approve)).await.expect("frozen");
    for (name, id_token, words) in attacks(&nonce) {
        let refused = submit(&client, &nonce, id_token).await.expect_err(name);
        says(&refused, Code::FailedPrecondition, words);
    }
    let decided = submit(&client, &nonce, token("ada", &nonce, json!({}))).await.expect("approved");
    assert!(decided.quorum);
    // The approver's own receipt holds offline, and so does the promotion's.
    let key = client.log_key().await;
    Client::check_receipt(decided.receipt.as_ref().expect("a receipt"), &key);
    let promotion = decided.promotion.expect("the promotion");
    Client::check_receipt(&promotion, &key);
    let promotion = promotion.seq;
    // Double click, and the back button: the same event.
    let again = submit(&client, &nonce, token("ada", &nonce, json!({}))).await.expect("the same again");
    assert_eq!(again.receipt.expect("a receipt").seq, decided.receipt.as_ref().expect("a receipt").seq);
    assert_eq!(state(&client, review_seq).await, ReviewState::Promoted);
    // That login, replayed for something else: its nonce is of no other decision.
    let replayed = submit(&client, "bm9uY2U", token("ada", &nonce, json!({}))).await.expect_err("replayed");
    says(&replayed, Code::FailedPrecondition, "no decision that this node has frozen");
    let late = prepare(&client, decision(&review, &session, Decision::Approve)).await.expect_err("over");
    says(&late, Code::FailedPrecondition, "approved and recorded as entry");
    says(
        &seal(&client, package(&client, 0)).await.expect_err("recorded"),
        Code::FailedPrecondition,
        "recorded already",
    );

    let entries = client.entries().await;
    let at = |seq: Seq| {
        let entry = &entries[usize::try_from(seq).expect("small")];
        (
            EntryHeader::decode(&entry.header).expect("a header"),
            canonical::decode(&entry.record).expect("a record").body,
        )
    };
    let (header, body) = at(decided.receipt.expect("a receipt").seq);
    assert_eq!(
        (header.kind, header.outcome, header.flags),
        (Some(Kind::Approved), Outcome::Accepted, FLAG_QUORUM)
    );
    assert_eq!(body.sealed.len(), 1);
    let Some(Event::Promoted(promoted)) = at(promotion).1.event else { panic!("no promotion") };
    let named = promoted.review.expect("a review");
    let page = |screen: Option<promotion_ledger::event::proto::EvidenceRef>| screen.expect("a page").sha256;
    assert_eq!((named.seq, page(named.screen)), (review_seq, page(review.sealed.expect("sealed").screen)));
    // No personal data in clear, in any record.
    let clear = entries.iter().any(|entry| entry.record.windows(7).any(|window| window == b"\"nonce\""));
    assert!(!clear);
    client.check().await;
    bank.node.stop();
    drop(bank.dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_people_conditions_declines_and_withdrawals() {
    let bank = Bank::open();
    let client = bank.node.client().await;
    client.upload_all().await;
    let mut draft = package(&client, 0);
    let requester = Person { issuer: ISSUER.into(), subject: "rita".into(), name: "Rita".into() };
    draft.approval_request.as_mut().expect("a request").requested_by = Some(requester.clone());
    let first = seal(&client, draft.clone()).await.expect("sealed");
    let (review, session) = read(&client, first, 0).await;
    let nonce = prepare(&client, decision(&review, &session, Decision::Approve)).await.expect("frozen");
    let own = submit(&client, &nonce, token("rita", &nonce, json!({}))).await.expect_err("the requester");
    says(&own, Code::FailedPrecondition, "somebody else must decide");
    let mut silent = decision(&review, &session, Decision::Decline);
    silent.reason.clear();
    says(&prepare(&client, silent).await.expect_err("no reason"), Code::InvalidArgument, "reason");
    let nonce = prepare(&client, decision(&review, &session, Decision::Decline)).await.expect("frozen");
    assert!(!submit(&client, &nonce, token("ada", &nonce, json!({}))).await.expect("declined").quorum);
    assert_eq!(state(&client, first).await, ReviewState::Ended);

    // The next round is withdrawn, by the requester only.
    let second = seal(&client, draft.clone()).await.expect("sealed again");
    assert_ne!(second, first);
    let (rita, eve) = (bank.client_of("rita").await, bank.client_of("eve").await);
    let withdraw = |client: &Client, actor: Person| {
        let mut reviews = reviews(client);
        let request =
            CloseReviewRequest { review_seq: second, actor: Some(actor), detail: "Not yet.".into() };
        async move { reviews.close_review(request).await }
    };
    let stranger = Person { subject: "eve".into(), ..requester.clone() };
    says(
        &withdraw(&eve, stranger).await.expect_err("a stranger"),
        Code::FailedPrecondition,
        "did not request",
    );
    let borrowed = withdraw(&eve, requester.clone()).await.expect_err("in another name");
    says(&borrowed, Code::PermissionDenied, "somebody else than the caller");
    withdraw(&rita, requester.clone()).await.expect("withdrawn");
    let (review, session) = read(&client, second, 0).await;
    let late = prepare(&client, decision(&review, &session, Decision::Approve)).await.expect_err("withdrawn");
    says(&late, Code::FailedPrecondition, "ended with entry");

    // Approved with a condition, which then stops the next promotion of the slot.
    let third = seal(&client, draft).await.expect("sealed a third time");
    let (review, session) = read(&client, third, 0).await;
    let mut conditional = decision(&review, &session, Decision::ApproveWithConditions);
    says(
        &prepare(&client, conditional.clone()).await.expect_err("none"),
        Code::InvalidArgument,
        "conditions",
    );
    conditional.conditions.push(ConditionDraft {
        title: "Calibration by age band".into(),
        owner: Some(requester),
        due_at: SystemClock.now() + 86_400_000_000,
        slice: "age_band".into(),
        ..ConditionDraft::default()
    });
    let nonce = prepare(&client, conditional).await.expect("frozen");
    let decided = submit(&client, &nonce, token("ada", &nonce, json!({}))).await.expect("approved");
    assert!(decided.promotion.is_some());
    let list =
        reviews(&client).list_reviews(ListReviewsRequest { pending: true, limit: 0 }).await.expect("a list");
    assert!(list.into_inner().reviews.is_empty());
    client.check().await;
    bank.node.stop();
    drop(bank.dir);
}

/// A front door that swaps the decision or the answers afterwards is caught without it: nonce, statement, answers and
/// assertion hold each other.
#[test]
fn a_swapped_decision_does_not_fit_the_login() {
    let mut ledger = crate::samples::Ledger::new();
    let sealed = crate::review_samples::review_sealed("fraud", 1, None);
    let record = ledger.record(Event::ReviewSealed(sealed));
    ledger.push(record);
    let statement = crate::review_samples::decision_statement(&ledger, 1, Decision::Approve);
    let bytes = statement.encode_to_vec();
    let nonce =
        BASE64_URL_SAFE_NO_PAD.encode(promotion_ledger::event::digest::decision_nonce(&bytes, &[0x58; 32]).0);
    let assertion = token("ada", &nonce, json!({}));
    let answers = crate::review_samples::answers();
    let claims = SealedClaims {
        issuer: ISSUER.into(),
        subject: "ada".into(),
        assertion: assertion.clone(),
        answers: answers.encode_to_vec(),
        ..SealedClaims::default()
    };
    let mut decider = crate::review_samples::decider(&ledger, "ada", &["model-risk"]);
    decider.assertion_sha256 = sha256(assertion.as_bytes()).0.to_vec();
    let Event::Approved(honest) = crate::review_samples::decided(1, &statement, Decision::Approve, decider)
    else {
        panic!("no approval")
    };
    assert_eq!(review::decision_findings(&honest, &claims), Vec::<String>::new());
    let mut swapped = statement.clone();
    swapped.words = "Something else.".into();
    let forged = promotion_ledger::event::proto::ReviewDecision {
        statement: swapped.encode_to_vec(),
        ..honest.clone()
    };
    assert_eq!(review::decision_findings(&forged, &claims).len(), 1, "another statement");
    let other = DecisionAnswers { reason: "Nothing of that.".into(), ..answers };
    let swapped = SealedClaims { answers: other.encode_to_vec(), ..claims.clone() };
    assert_eq!(review::decision_findings(&honest, &swapped).len(), 1, "other answers");
    let swapped = SealedClaims { assertion: token("ada", "bm9uY2U", json!({})), ..claims };
    assert_eq!(review::decision_findings(&honest, &swapped).len(), 2, "another login");
    assert_ne!(ledger.pinned, Digest::ZERO);
}

/// What is sealed for a person is named on the page that outlives an erasure, and never shown there; approvers need
/// something that they can read.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_names_sealed_evidence_and_never_shows_it() {
    use promotion_ledger::event::proto::{
        SealEvidenceRequest, SealedDescription, seal_evidence_request::Part,
    };
    let bank = Bank::open();
    let Bank { dir, node } = bank;
    node.stop();
    let file = dir.path().join("promotion-ledger.toml");
    let config = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, config.replace("encrypt = false", "encrypt = true")).expect("written");
    let bank = Bank { node: Node::serve(&dir.path()), dir };
    let client = bank.node.client().await;
    client.upload_all().await;
    let content = b"declined: income below the threshold".to_vec();
    let description = SealedDescription {
        about: Some(Person { issuer: ISSUER.into(), subject: "c-1042".into(), name: String::new() }),
        sha256: sha256(&content).0.to_vec(),
        length: content.len() as u64,
        media_type: "text/plain".into(),
    };
    let parts = [Part::Description(description), Part::Chunk(content)];
    let messages = parts.map(|part| SealEvidenceRequest { part: Some(part) });
    let sealed = client.emitter().seal_evidence(tokio_stream::iter(messages)).await.expect("sealed");
    let sealed = sealed.into_inner().evidence.expect("a reference");

    let mut draft = package(&client, 0);
    let mut explanation = draft.explanations[0].clone();
    explanation.content = Some(sealed.clone());
    explanation.sample_manifest = None;
    draft.explanations.insert(0, explanation);
    let shown = StaticRendition {
        of: sealed.sha256.clone(),
        content: Some(EvidenceRef {
            media_type: "text/html".into(),
            ..draft.explanations[1].content.clone().expect("one")
        }),
    };
    let refused = seal_with(&client, draft.clone(), vec![shown]).await.expect_err("it would be shown");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let only = PromotionDraft { explanations: draft.explanations[..1].to_vec(), ..draft.clone() };
    let refused = seal(&client, only).await.expect_err("nothing to read");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");

    let seq = seal(&client, draft).await.expect("a review");
    let (review, _) = read(&client, seq, 0).await;
    let whole = review.sealed.expect("what was sealed");
    let artefact = whole.artefacts.iter().find(|it| it.sha256 == sealed.sha256).expect("it is named");
    assert!(!artefact.required, "nobody can be asked to read it");
    let request = ReadArtefactRequest {
        review_seq: seq,
        sha256: whole.screen.expect("a page").sha256,
        session: String::new(),
    };
    let mut chunks = reviews(&client).read_artefact(request).await.expect("bytes").into_inner();
    let mut page = Vec::new();
    while let Some(message) = chunks.message().await.expect("a chunk") {
        page.extend(message.chunk);
    }
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("Sealed for the person whom it is about"), "{page}");
    assert!(!page.contains("below the threshold"), "the page shows what an erasure could not take back");
    client.check().await;
    bank.node.stop();
}

/// The comparison report as a page without scripts.
pub fn rendition() -> Piece {
    let bytes = format!("<p>the report as approvers see it, {}</p>", unique("rendition")).into_bytes();
    Piece { bytes, media_type: "text/html" }
}

/// What shows a piece first, in place of the comparison report of a draft.
pub fn in_place_of_the_report(draft: &PromotionDraft, shown: &Piece) -> StaticRendition {
    let report = draft.challenger_comparison.as_ref().and_then(|it| it.report.as_ref()).expect("a report");
    let sha256 = sha256(&shown.bytes).0.to_vec();
    let content = EvidenceRef { sha256, media_type: shown.media_type.into(), ..EvidenceRef::default() };
    StaticRendition { of: report.sha256.clone(), content: Some(content) }
}

/// Reads and approves a review, as the one person whom it needs; the promotion.
pub async fn approve(client: &Client, review_seq: Seq) -> Seq {
    let (review, session) = read(client, review_seq, 0).await;
    let nonce = prepare(client, decision(&review, &session, Decision::Approve)).await.expect("frozen");
    let decided = submit(client, &nonce, token("ada", &nonce, json!({}))).await.expect("approved");
    decided.promotion.expect("the promotion").seq
}

/// What only the approvers were shown is relied on by the promotion that they made: it is named, tainted and missed like
/// everything that the promotion names itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_relies_on_what_its_approvers_were_shown() {
    let bank = Bank::open();
    let client = bank.node.client().await;
    client.upload_all().await;
    let shown = rendition();
    let digest = sha256(&shown.bytes).to_string();
    let draft = package(&client, 0);
    let artifact = draft.model_version.as_ref().expect("a model").artifact_sha256.clone();
    let with = vec![in_place_of_the_report(&draft, &shown)];
    let refused = seal_with(&client, draft.clone(), with.clone()).await.expect_err("nobody uploaded it");
    says(&refused, Code::InvalidArgument, "renditions[0].content");
    client.upload(&shown).await.expect("an upload");
    let review_seq = seal_with(&client, draft.clone(), with).await.expect("sealed");
    let json = |args: &[&str], code: i32| -> Value {
        let done = run(&[args, &["--url", &bank.node.url, "--format", "json"]].concat());
        assert_eq!(done.status.code(), Some(code), "{args:?}: {done:?}");
        serde_json::from_slice(&done.stdout).expect("JSON")
    };
    assert_eq!(json(&["evidence", "relies", &digest], 0)["promotions"], json!([]), "nobody approved yet");
    let seq = approve(&client, review_seq).await;
    let relying = json(&["evidence", "relies", &digest], 0);
    let promotion = &relying["promotions"][0];
    assert_eq!((&promotion["seq"], &promotion["current"]), (&json!(seq), &json!(true)), "{relying}");
    let field = promotion["fields"][0].as_str().expect("a field");
    assert!(field.starts_with("review.artefacts["), "{relying}");
    assert_eq!(promotion["approvers"].as_array().map(Vec::len), Some(1), "{relying}");

    // A review that is open refers to the same report later, and hides nothing.
    let report = sha256(&client.pieces[0].bytes).to_string();
    seal(&client, package(&client, 1)).await.expect("sealed");
    assert_eq!(json(&["evidence", "relies", &report], 0)["promotions"][0]["seq"], seq);

    let artifact = hex::encode(artifact);
    let gate =
        ["gate", "check", "--artifact", &artifact, "--environment", "production", "--region", "eu-central"];
    assert_eq!(json(&gate, 0)["allowed"], true);
    let file = bank.dir.path().join("evidence/sha256").join(&digest[..2]).join(&digest[2..]);
    fs::rename(&file, bank.dir.path().join("away")).expect("taken away");
    let (code, found) = crate::rechecks::check(&["--url", &bank.node.url]);
    assert_eq!((code, &found["findings"][0]["promotions"]), (1, &json!([seq])), "{found}");
    fs::rename(bank.dir.path().join("away"), &file).expect("put back");
    for tainted in [digest, report] {
        let args = ["evidence", "taint", &tainted, "--reason", "it hid a column", "--url", &bank.node.url];
        assert!(run(&args).status.success(), "{tainted}");
    }
    let refused = json(&gate, 1);
    assert_eq!(refused.to_string().matches("tainted by entry").count(), 2, "{refused}");
    client.check().await;
    bank.node.stop();
}
