//! A login: the authorization code flow of OpenID Connect Core 1.0 section 3.1 with PKCE (RFC 7636), as the pages and
//! the command line start and redeem it.
//!
//! NOT where a token is believed: what comes back is verified by [`super::logins`].

use std::{borrow::Cow, future::Future, pin::Pin, time::Duration};

use oauth2::{
    AsyncHttpClient, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};

use super::issuer::is_protected;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_LEN_MAX: usize = 256 * 1024;

/// Why there is no ID token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Try again.
    #[error("{issuer} cannot be asked now: {why}")]
    Unavailable {
        /// Whom.
        issuer: String,
        /// Why, in words.
        why: String,
    },
    /// Start another login.
    #[error("{issuer} does not redeem this login: {why}")]
    Refused {
        /// Who.
        issuer: String,
        /// Why, in words.
        why: String,
    },
}

/// What a login is for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Where the issuer sends the browser back to.
    pub redirect: &'a str,
    /// `nonce` of the ID token.
    pub nonce: &'a str,
    /// The person must log in now, whatever session the issuer still has.
    pub fresh: bool,
}

/// A login that was started.
#[derive(Debug, Clone)]
pub struct Started {
    /// Where the browser must go.
    pub url: String,
    /// `state`: what comes back belongs to this login.
    pub state: String,
    /// Redeems the code; never leaves this process.
    pub verifier: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

type Flow = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    /// Absent: not said.
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
}

/// A client of one issuer.
pub struct Client {
    issuer: String,
    http: reqwest::Client,
    flow: Flow,
    scopes: Vec<String>,
}

/// What asking an issuer failed with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl Client {
    /// Reads where an issuer's endpoints are (OpenID Connect Discovery 1.0 section 4). `at`: where its document is, for a
    /// development issuer whose name is not its address.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn discover(
        issuer: &str,
        at: &str,
        client_id: &str,
        client_secret: Option<String>,
        scopes: &[String],
    ) -> Result<Self, Error> {
        let unavailable = |why: String| Error::Unavailable { issuer: issuer.to_owned(), why };
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| unavailable(error.to_string()))?;
        let document = format!("{}/.well-known/openid-configuration", at.trim_end_matches('/'));
        if !is_protected(&document) {
            return Err(unavailable("it is neither https nor http on loopback".into()));
        }
        let answer = http.get(&document).send().await.map_err(|e| unavailable(e.to_string()))?;
        let (status, bytes) = whole(answer).await.map_err(|error| unavailable(error.0))?;
        if !status.is_success() {
            return Err(unavailable(format!("{document} answers {status}")));
        }
        let found: Discovered =
            serde_json::from_slice(&bytes).map_err(|error| unavailable(format!("{document}: {error}")))?;
        if found.issuer != issuer {
            return Err(unavailable(format!("{document} is about {:?}", found.issuer)));
        }
        let methods = &found.code_challenge_methods_supported;
        if !methods.is_empty() && !methods.iter().any(|method| method == "S256") {
            return Err(unavailable("it does not take PKCE with S256".into()));
        }
        for endpoint in [&found.authorization_endpoint, &found.token_endpoint] {
            if !is_protected(endpoint) {
                return Err(unavailable(format!("{endpoint} is neither https nor http on loopback")));
            }
        }
        let auth = AuthUrl::new(found.authorization_endpoint).map_err(|e| unavailable(e.to_string()))?;
        let token = TokenUrl::new(found.token_endpoint).map_err(|e| unavailable(e.to_string()))?;
        let mut flow: Flow =
            oauth2::Client::new(ClientId::new(client_id.into())).set_auth_uri(auth).set_token_uri(token);
        if let Some(secret) = client_secret {
            flow = flow.set_client_secret(ClientSecret::new(secret));
        }
        Ok(Self { issuer: issuer.into(), http, flow, scopes: scopes.to_vec() })
    }

    /// Whose client it is.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Starts a login.
    ///
    /// # Errors
    /// [`Error::Refused`] if `redirect` is no address.
    pub fn start(&self, ask: Ask<'_>) -> Result<Started, Error> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = self
            .flow
            .authorize_url(CsrfToken::new_random)
            .set_redirect_uri(Cow::Owned(self.redirect(ask.redirect)?))
            .set_pkce_challenge(challenge)
            .add_extra_param("nonce", ask.nonce)
            .add_scopes(self.scopes.iter().cloned().map(Scope::new));
        if ask.fresh {
            // Each for the issuers that heed only one of them; that the login is fresh is verified by auth_time.
            request = request.add_extra_param("prompt", "login").add_extra_param("max_age", "0");
        }
        let (url, state) = request.url();
        Ok(Started { url: url.into(), state: state.into_secret(), verifier: verifier.into_secret() })
    }

    /// Redeems the code with which the browser came back: the ID token, not verified.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn redeem(&self, redirect: &str, code: &str, verifier: &str) -> Result<String, Error> {
        let request = self
            .flow
            .exchange_code(AuthorizationCode::new(code.into()))
            .set_redirect_uri(Cow::Owned(self.redirect(redirect)?))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.into()));
        let answer = request.request_async(&Http(self.http.clone())).await;
        let issuer = self.issuer.clone();
        match answer {
            Ok(tokens) => tokens.extra_fields().id_token.clone().ok_or(Error::Refused {
                issuer,
                why: "it gave no ID token; does the client have the scope openid?".into(),
            }),
            Err(RequestTokenError::ServerResponse(refusal)) => {
                Err(Error::Refused { issuer, why: refusal.to_string() })
            }
            Err(RequestTokenError::Request(failed)) => Err(Error::Unavailable { issuer, why: failed.0 }),
            Err(error) => Err(Error::Unavailable { issuer, why: error.to_string() }),
        }
    }

    fn redirect(&self, url: &str) -> Result<RedirectUrl, Error> {
        let refused = |error: oauth2::url::ParseError| Error::Refused {
            issuer: self.issuer.clone(),
            why: format!("{url} is no address to come back to: {error}"),
        };
        RedirectUrl::new(url.into()).map_err(refused)
    }
}

/// Asks the token endpoint.
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Failed>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let http = self.0.clone();
        Box::pin(async move {
            let failed = |error: reqwest::Error| Failed(error.without_url().to_string());
            let request = reqwest::Request::try_from(request).map_err(failed)?;
            let answer = http.execute(request).await.map_err(failed)?;
            let headers = answer.headers().clone();
            let (status, bytes) = whole(answer).await?;
            let mut response = HttpResponse::new(bytes);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        })
    }
}

async fn whole(mut answer: reqwest::Response) -> Result<(reqwest::StatusCode, Vec<u8>), Failed> {
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Failed(e.without_url().to_string()))? {
        if bytes.len() + chunk.len() > ANSWER_LEN_MAX {
            return Err(Failed(format!("it answers more than {ANSWER_LEN_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((status, bytes))
}
