//! Who may call what, in one table; and the one place where a bearer token (RFC 6750) becomes a caller.
//!
//! Every call needs a token whose holder has a role of the method; a method without a row is refused to everybody. Health
//! (grpc.health.v1) is open.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tonic::{
    Request, Status,
    body::Body,
    codegen::http,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};
use tower::{Layer, Service};

use crate::{
    clock::Clock,
    event::proto::Person,
    identity::{
        caller::{Caller, Callers, Error},
        principal::Role::{self, Approver, Auditor, Consumer, Emitter, Gate, Operator},
    },
};

const OPEN: &str = "/grpc.health.v1.Health/";
const PACKAGE: &str = "/promotion.v1.";
const EVERYBODY: &[Role] = &Role::ALL;
const READS: &[Role] = &[Auditor, Operator];

/// Method, and the roles of which one is enough.
const METHODS: &[(&str, &[Role])] = &[
    ("EmitterService/Promote", &[Emitter]),
    ("EmitterService/CheckPromotion", &[Emitter]),
    ("EmitterService/RollBack", &[Emitter, Operator]),
    ("EmitterService/Revoke", &[Emitter, Operator]),
    ("EmitterService/Retire", &[Emitter, Operator]),
    ("EmitterService/SealEvidence", &[Emitter]),
    ("EmitterService/UploadEvidence", &[Emitter]),
    ("EmitterService/StatEvidence", &[Emitter, Auditor]),
    // Opens sealed data for who asks for it: auditors alone.
    ("AuditorService/GetEntry", &[Auditor]),
    ("AuditorService/ListEntries", READS),
    ("AuditorService/AsOf", READS),
    ("AuditorService/ReadChain", READS),
    ("AuditorService/GetCheckpoint", EVERYBODY),
    ("AuditorService/GetReceipt", EVERYBODY),
    ("AuditorService/GetInclusionProof", EVERYBODY),
    ("AuditorService/GetConsistencyProof", EVERYBODY),
    ("AuditorService/GetTimestamps", EVERYBODY),
    ("AuditorService/ListCheckpoints", EVERYBODY),
    ("AuditorService/ReadEvidence", &[Auditor]),
    ("AuditorService/ListReliance", READS),
    ("AuditorService/CheckEvidence", READS),
    ("AuditorService/CheckArchive", READS),
    ("AuditorService/ListLegalHolds", READS),
    // The log's key, which every receipt needs.
    ("AuditorService/GetStatus", EVERYBODY),
    ("ConsumerService/Subscribe", &[Consumer, Auditor]),
    ("CustodianService/Taint", &[Operator]),
    ("CustodianService/SetLegalHold", &[Operator]),
    ("CustodianService/ReleaseLegalHold", &[Operator]),
    ("CustodianService/EraseSubject", &[Operator]),
    ("GateService/Check", &[Gate, Emitter, Auditor, Operator]),
    ("GateService/GetMode", &[Gate, Emitter, Auditor, Operator]),
    ("GateService/GetStatusList", &[Gate, Emitter, Auditor, Operator]),
    ("GateService/GetCoverage", READS),
    ("GateService/ListBreakGlass", READS),
    ("GateService/BreakGlass", &[Operator]),
    ("GateService/RecordUndocumented", &[Operator]),
    ("ReviewService/SealReview", &[Emitter]),
    ("ReviewService/GetReview", &[Emitter, Approver, Auditor]),
    ("ReviewService/ListReviews", &[Emitter, Approver, Auditor]),
    ("ReviewService/ReadArtefact", &[Emitter, Approver, Auditor]),
    // The login's own token proves the decision; a workflow tool carries it.
    ("ReviewService/PrepareDecision", &[Emitter, Approver]),
    ("ReviewService/SubmitDecision", &[Emitter, Approver]),
    ("ReviewService/CloseReview", &[Emitter, Operator]),
    ("ReviewService/Delegate", &[Approver]),
    ("ReviewService/EndDelegation", &[Approver]),
    ("ReviewService/CloseCondition", &[Approver, Operator]),
    ("RegistryService/Sweep", &[Operator]),
    ("OperatorService/SubmitStatement", &[Operator]),
    ("OperatorService/GetAdminState", READS),
];

/// The roles of which one is enough for a method, by its path in HTTP/2; `None`: no such row, nobody may.
pub fn allowed(path: &str) -> Option<&'static [Role]> {
    let method = path.strip_prefix(PACKAGE)?;
    METHODS.iter().find(|(name, _)| *name == method).map(|(_, roles)| *roles)
}

/// Who calls.
///
/// # Errors
/// UNAUTHENTICATED.
pub fn caller_of<T>(request: &Request<T>) -> Result<&Caller, Status> {
    request.extensions().get::<Caller>().ok_or_else(|| Status::unauthenticated("nobody is known to call"))
}

/// The person of an act: the caller, who may not name somebody else.
///
/// # Errors
/// PERMISSION_DENIED.
pub fn actor<T>(request: &Request<T>, field: &str, stated: Option<Person>) -> Result<Option<Person>, Status> {
    let principal = &caller_of(request)?.principal;
    let (issuer, subject) = (principal.issuer.clone(), principal.subject.clone());
    match stated {
        Some(stated) if (&stated.issuer, &stated.subject) != (&issuer, &subject) => {
            Err(Status::permission_denied(format!(
                "{field} is somebody else than the caller; act in your own name"
            )))
        }
        // The name is the issuer's, where it gives one.
        Some(stated) if principal.name.is_empty() => Ok(Some(stated)),
        _ => Ok(Some(Person { issuer, subject, name: principal.name.clone() })),
    }
}

/// Authenticates and authorizes every call before its service sees it.
#[derive(Clone)]
pub struct Authorize {
    /// Knows who calls.
    pub callers: Arc<Callers>,
    /// Time, by which tokens expire: the system's, whatever clock the ledger goes by.
    pub clock: Arc<dyn Clock>,
}

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized { authorize: self.clone(), inner }
    }
}

/// A service behind [`Authorize`].
#[derive(Clone)]
pub struct Authorized<S> {
    authorize: Authorize,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Authorized<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // The one that was found ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let authorize = self.authorize.clone();
        Box::pin(async move {
            let path = request.uri().path();
            if !path.starts_with(OPEN) {
                let needed = allowed(path).unwrap_or_default();
                let tls = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
                let shown = tls.and_then(TlsConnectInfo::peer_certs);
                let shown = shown.as_ref().and_then(|certificates| Some(certificates.first()?.as_ref()));
                match caller(&authorize, request.headers(), shown, path, needed).await {
                    Ok(caller) => drop(request.extensions_mut().insert(caller)),
                    Err(status) => return Ok(status.into_http()),
                }
            }
            inner.call(request).await
        })
    }
}

/// Who calls, by the bearer token in the headers, or without one by the client certificate (DER) that the connection
/// verified; one of the roles is needed for what is called.
///
/// # Errors
/// UNAUTHENTICATED, PERMISSION_DENIED; UNAVAILABLE if the issuer's keys cannot be had.
pub async fn caller(
    authorize: &Authorize,
    headers: &http::HeaderMap,
    certificate: Option<&[u8]>,
    path: &str,
    needed: &[Role],
) -> Result<Caller, Status> {
    let caller = match (headers.get(http::header::AUTHORIZATION), certificate) {
        // Who sends a token is who the token says, whatever connection it came by.
        (None, Some(certificate)) => {
            let found = authorize.callers.by_certificate(certificate);
            found.map_err(|why| Status::unauthenticated(format!("the client certificate {why}")))?
        }
        (header, _) => by_token(authorize, header.and_then(|value| value.to_str().ok())).await?,
    };
    if needed.iter().any(|role| caller.roles.contains(role)) {
        return Ok(caller);
    }
    let needed: Vec<_> = needed.iter().map(|role| role.name()).collect();
    Err(Status::permission_denied(format!(
        "{path} needs one of the roles [{}]; identity.issuers.roles, or tls.identities.roles for a service by its certificate, gives the caller none of them",
        needed.join(", ")
    )))
}

async fn by_token(authorize: &Authorize, header: Option<&str>) -> Result<Caller, Status> {
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or_else(|| {
        Status::unauthenticated("no token; send `authorization: Bearer TOKEN` (command line: --token-file; for development `promotion-ledger token`)")
    })?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Status::unauthenticated("the authorization is no bearer token"));
    }
    let caller = authorize.callers.authenticate(token.trim(), authorize.clock.now()).await;
    caller.map_err(|error| match &error {
        Error::Unavailable(_) => Status::unavailable(error.to_string()),
        Error::Refused(_) | Error::UnknownIssuer(_) => Status::unauthenticated(error.to_string()),
    })
}
