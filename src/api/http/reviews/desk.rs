//! What every request of a review's pages goes through: is it for this host, from its own pages, from somebody known.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    admission::reviews::standing::Known,
    event::{Digest, Micros, Seq, proto::PersonRef},
    identity::principal::Principal,
    node::Node,
    page::{
        desk::{self, About, Link},
        promotion::title,
        shell::Shell,
        words,
    },
};

use super::{
    super::pages::html,
    browser::{Browsers, Cookie, Cookies, Visitor},
    decide, enter, inbox, leave, show,
};

/// What the review pages of a node share.
pub struct Desk {
    /// The node.
    pub node: Arc<Node>,
    /// Who logged in.
    pub browsers: Browsers,
    /// Scheme and host at which browsers find it.
    pub public: String,
    /// Names of its cookies.
    pub cookies: Cookies,
}

/// Everything for the people who decide.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/inbox", get(inbox::list))
        .route(leave::PATH, get(leave::ask).post(leave::end))
        .route("/login/callback", get(enter::back))
        .route("/login/{issuer}/inbox", get(enter::to_inbox))
        .route("/login/{issuer}/ledger", get(enter::to_ledger))
        .route("/login/{issuer}/reviews/{seq}", get(enter::to_review))
        .route("/reviews/{seq}", get(show::slashed))
        .route("/reviews/{seq}/", get(show::review))
        .route("/reviews/{seq}/decided/{entry}", get(decide::decided))
        .route("/reviews/{seq}/decided/{entry}/receipt", get(decide::receipt))
        .route("/reviews/{seq}/in/{token}/", get(show::page))
        .route("/reviews/{seq}/in/{token}/people", get(show::people))
        .route("/reviews/{seq}/in/{token}/artefacts/{file}", get(show::artefact))
        .route("/reviews/{seq}/in/{token}/decide", post(decide::freeze).get(show::reopen))
        .route("/reviews/{seq}/in/{token}/sign/{nonce}", get(decide::sign))
        .layer(middleware::from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

/// Another name of this host is sent to the right one, whatever it is: no request says where. A form is taken from our
/// own pages only: the browser says from where it comes, and a page of somebody else's cannot make it say something else.
async fn guard(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    match desk.instead(request.method(), request.headers(), request.uri()) {
        Some(instead) => instead,
        None => next.run(request).await,
    }
}

/// Go and see another page (RFC 9110 section 15.4.4).
pub fn see(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(path) => {
            let headers =
                [(header::LOCATION, path), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// What a request is answered with instead of what it asked for.
pub type Instead = Box<Response>;

impl Desk {
    /// `public`: scheme and host at which browsers find it.
    pub fn new(node: Arc<Node>, public: String) -> Self {
        // Browsers leave out the port that the scheme has anyway.
        let own = |scheme: &str, port: &str| {
            public.strip_prefix(scheme)?.strip_suffix(port).map(|host| format!("{scheme}{host}"))
        };
        let short = own("http://", ":80").or_else(|| own("https://", ":443"));
        let public = short.unwrap_or(public);
        let cookies = Cookies { secure: public.starts_with("https:") };
        Self { node, browsers: Browsers::new(), public, cookies }
    }

    /// What to answer to a request that did not come the right way.
    fn instead(&self, method: &Method, headers: &HeaderMap, uri: &Uri) -> Option<Response> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let reads = matches!(*method, Method::GET | Method::HEAD);
        if !self.is_published_at(headers) {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let at = format!("forms are taken at {} only", self.public);
            return Some(match reads {
                true => see(&format!("{}{path}", self.public)),
                false => self.refused(&Status::permission_denied(at)),
            });
        }
        let own = match text("origin") {
            Some(origin) => origin == self.public,
            None => text("sec-fetch-site") == Some("same-origin"),
        };
        (!reads && !own).then(|| {
            self.refused(&Status::permission_denied(
                "this form was not sent from a page of this ledger; open the review itself and decide there",
            ))
        })
    }

    /// Whether a request asks for the name at which the ledger is published.
    pub fn is_published_at(&self, headers: &HeaderMap) -> bool {
        let authority = self.public.split_once("//").map_or("", |(_, authority)| authority);
        headers.get(header::HOST).and_then(|host| host.to_str().ok()) == Some(authority)
    }

    /// Whether there is anywhere to log in.
    pub fn has_logins(&self) -> bool {
        self.node.gateway.logins.clients().next().is_some()
    }

    /// Time.
    pub fn now(&self) -> Micros {
        self.node.gateway.clock.now()
    }

    /// Where issuers send browsers back to.
    pub fn callback(&self) -> String {
        format!("{}/login/callback", self.public)
    }

    /// Who sends a request, by its session cookie.
    pub fn visitor(&self, headers: &HeaderMap) -> Option<Arc<Visitor>> {
        let cookie = self.cookies.read(headers, Cookie::Session)?;
        self.browsers.visitor(&cookie, self.now())
    }

    /// A review, and its reader, who may open it; otherwise what to answer.
    pub async fn reader(&self, headers: &HeaderMap, seq: Seq) -> Result<(Arc<Visitor>, Known), Instead> {
        let Some(visitor) = self.visitor(headers) else {
            return Err(Box::new(self.login_page("Log in to open this review", &format!("reviews/{seq}"))));
        };
        let known = self.node.gateway.shown_review(seq).await;
        let known = known.map_err(|error| Box::new(self.refused(&Status::from(error))))?;
        if self.may_open(&visitor.principal, &known) {
            return Ok((visitor, known));
        }
        let groups: Vec<_> = known.state.required.iter().map(|(group, _)| group.as_str()).collect();
        let who = who(&visitor.principal);
        let status = Status::permission_denied(format!(
            "{who} is in none of the groups that decide it ({}), was not asked, and has no part in it",
            groups.join(", ")
        ));
        Err(Box::new(self.closed("You cannot open this review", &status, &format!("reviews/{seq}"))))
    }

    /// Not for this person; for another one perhaps, or later.
    pub fn closed(&self, what: &str, status: &Status, target: &str) -> Response {
        let again = self.login_links(target);
        let links: Vec<Link<'_>> =
            again.iter().map(|(href, _)| (href.as_str(), "Log in as somebody else")).collect();
        self.refusal(what, status, "Ask to be taken into one of the groups, then log in again.", &links)
    }

    /// The same below a visitor's own address; another visitor's token leads to one's own.
    pub async fn reader_at(
        &self,
        headers: &HeaderMap,
        seq: Seq,
        token: &str,
    ) -> Result<(Arc<Visitor>, Known), Instead> {
        let (visitor, known) = self.reader(headers, seq).await?;
        if visitor.token == token {
            Ok((visitor, known))
        } else {
            Err(Box::new(see(&format!("/reviews/{seq}/"))))
        }
    }

    /// Who decides, was asked, or has a part in it. Without any of these: everybody who can log in.
    fn may_open(&self, principal: &Principal, known: &Known) -> bool {
        let request = known.sealed.package.as_ref().and_then(|package| package.approval_request.as_ref());
        let asked = request.map(|request| request.asked_groups.as_slice()).unwrap_or_default();
        let mut groups = known.state.required.iter().map(|(group, _)| group).chain(asked).peekable();
        if groups.peek().is_none() || groups.any(|group| principal.groups.contains(group)) {
            return true;
        }
        let Some(id) = self.subject(principal) else { return false };
        let is = |person: &PersonRef| Digest::from_slice(&person.subject_id) == Some(id);
        known.state.excluded.contains(&id)
            || request.is_some_and(|request| request.asked_people.iter().any(is))
    }

    /// The pseudonym of somebody who has one.
    pub fn subject(&self, principal: &Principal) -> Option<Digest> {
        let found = self.node.subjects.existing(&principal.issuer, &principal.subject);
        found.ok().flatten().map(|subject| subject.id)
    }

    fn login_links(&self, target: &str) -> Vec<(String, String)> {
        let issuers = self.node.gateway.logins.clients().enumerate();
        issuers.map(|(at, (issuer, _))| (format!("/login/{at}/{target}"), issuer.to_owned())).collect()
    }

    /// Who are you?
    pub fn login_page(&self, what: &str, target: &str) -> Response {
        let origin = self.origin();
        let bytes = desk::login(shell("Log in", &origin), what, &self.login_links(target));
        html(StatusCode::FORBIDDEN, bytes)
    }

    /// Name of the ledger.
    pub fn origin(&self) -> String {
        self.node.ledger.head().state.origin.clone()
    }

    /// What went wrong, with nothing to go on with but the inbox.
    pub fn refused(&self, status: &Status) -> Response {
        self.refusal("This cannot be done", status, "", &[("/inbox", "Inbox")])
    }

    /// What was sealed cannot be shown: its bytes are gone, or they are other bytes.
    pub fn not_shown(&self, seq: Seq, what: &str, status: &Status) -> Response {
        let advice = match status.code() {
            Code::Unavailable => "Try again in a moment.",
            _ => {
                "Nothing else is shown in its place, and nobody can approve by it. Tell the operator of the ledger."
            }
        };
        let review = format!("/reviews/{seq}/");
        let title = format!("{what} cannot be shown");
        self.refusal(&title, status, advice, &[(&review, "The review"), ("/inbox", "Inbox")])
    }

    /// What went wrong, what to do, where to go on.
    pub fn refusal(&self, what: &str, status: &Status, advice: &str, on: &[Link<'_>]) -> Response {
        let code = match status.code() {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let mut problems: Vec<_> =
            violations.iter().map(|one| (one.field.clone(), one.description.clone())).collect();
        if problems.is_empty() {
            problems.push((String::new(), status.message().to_owned()));
        }
        let origin = self.origin();
        html(code, desk::refused(shell(what, &origin), what, &problems, advice, on))
    }
}

/// What stands around these pages.
pub fn shell<'a>(title: &'a str, origin: &'a str) -> Shell<'a> {
    Shell { title, origin, home: Some("/inbox"), mark: None, leave: Some(leave::PATH) }
}

/// Somebody in words.
pub fn who(principal: &Principal) -> String {
    let Principal { name, subject, issuer, .. } = principal;
    if name.is_empty() { format!("{subject} of {issuer}") } else { format!("{name} ({subject} of {issuer})") }
}

/// What a review is about, in words: model and version, slot.
pub fn words_of(known: &Known) -> (String, String) {
    let package = known.sealed.package.clone().unwrap_or_default();
    (title(&package), words::slot(package.slot.as_ref()))
}

/// The same for a page.
pub fn about(words: &(String, String)) -> About<'_> {
    About { title: &words.0, slot: &words.1 }
}
