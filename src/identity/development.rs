//! The development issuer: an identity provider of a node's own, so that tokens, logins and the click can be tried
//! without one.
//!
//! It proves nothing: whoever can read its key can be anybody, and its login page lets anybody choose who to be. So its
//! keys are named [`KEY_PREFIX`] and their own public key: every event that relies on it says so in clear (the key that
//! verified a login), and what it signed can be verified again with the event alone. The configuration refuses it beyond
//! loopback and in production.

mod codes;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, VerifyingKey, pkcs8::EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::JwkSet};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::codes::{Codes, Granted};
use super::{
    issuer::Issuer,
    principal::{Holder, Role},
    token::IssuerRules,
};
use crate::event::{
    Micros,
    digest::{draft_key, login_nonce},
    proto::PromotionDraft,
};

/// How the id of its key begins; the public key follows, base64url.
pub const KEY_PREFIX: &str = "development:";
/// Audience of its access tokens: calls of the API.
pub const API_AUDIENCE: &str = "promotion-ledger-api";
/// The client as which people log in: audience of its ID tokens.
pub const CLIENT_ID: &str = "promotion-ledger";
/// Where it is below a node's HTTP address.
pub const PATH: &str = "/development";
/// Its name where nobody chose another: its address on a node that listens where `init` says.
pub const ISSUER_DEFAULT: &str = "http://127.0.0.1:7421/development";
/// How long its tokens are good, seconds.
pub const TOKEN_LIFE: u64 = 600;
/// Class and method of its logins: chosen from a list, nothing proven.
const ACR: &str = "urn:promotion-ledger:acr:development";
const AMR: &str = "none";
const ROLE_PREFIX: &str = "role:";

/// `[identity.development]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `iss` of its tokens. Part of who somebody is: with another one the same names are other people.
    pub issuer: String,
    /// Who can be chosen on its login page.
    #[serde(default)]
    pub people: Vec<Somebody>,
}

/// Somebody whom the development issuer says that a caller is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Somebody {
    /// `sub`.
    pub subject: String,
    /// `name`.
    #[serde(default)]
    pub name: String,
    /// Groups that policies and reviews know.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What that one may do with this API.
    #[serde(default)]
    pub roles: Vec<Role>,
}

impl Somebody {
    fn all_groups(&self) -> Vec<String> {
        let roles = self.roles.iter().map(|role| format!("{ROLE_PREFIX}{}", role.name()));
        self.groups.iter().cloned().chain(roles).collect()
    }
}

/// A login that the issuer states.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// What the login commits to.
    pub nonce: &'a str,
    /// When it was, microseconds.
    pub auth_time: Micros,
    /// When the token was made, microseconds.
    pub issued_at: Micros,
    /// Authentication context class; empty: the issuer's own, which says that nothing was proven.
    pub acr: &'a str,
    /// Authentication methods; none: the issuer's own.
    pub amr: &'a [String],
}

/// The issuer, with its key.
#[derive(Clone)]
pub struct Development {
    /// `iss`.
    pub issuer: String,
    /// Who can be chosen.
    pub people: Vec<Somebody>,
    public: VerifyingKey,
    signing: EncodingKey,
}

/// The id of a development key.
pub fn key_id(key: &VerifyingKey) -> String {
    format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

/// The public key (JWK set) that such an id names; `None` for ids of other issuers' keys.
pub fn keys_named(kid: &str) -> Option<JwkSet> {
    let x = kid.strip_prefix(KEY_PREFIX)?;
    let bytes: [u8; 32] = BASE64_URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()?;
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": x});
    serde_json::from_value(json!({ "keys": [jwk] })).ok()
}

/// What is pinned of a development issuer.
pub fn rules(issuer: &str) -> IssuerRules {
    IssuerRules {
        issuer: issuer.to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        groups_claim: "groups".into(),
    }
}

impl Development {
    /// The issuer with a key of its own.
    pub fn new(config: &Config, key: &SigningKey) -> Option<Self> {
        let der = key.to_pkcs8_der().ok()?;
        Some(Self {
            issuer: config.issuer.clone(),
            people: config.people.clone(),
            public: key.verifying_key(),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }

    /// Its public keys.
    pub fn keys(&self) -> JwkSet {
        keys_named(&key_id(&self.public)).unwrap_or(JwkSet { keys: Vec::new() })
    }

    /// As callers' tokens are verified: whoever it says has a role has it.
    pub fn callers(&self) -> Issuer {
        let one = |role: &Role| (*role, vec![Holder::Group(format!("{ROLE_PREFIX}{}", role.name()))]);
        Issuer {
            rules: rules(&self.issuer),
            audience: API_AUDIENCE.into(),
            roles: Role::ALL.iter().map(one).collect(),
            jwks_url: None,
            keys: Some(self.keys()),
        }
    }

    /// An access token for this API.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn access_token(&self, who: &Somebody, now: Micros, life_seconds: u64) -> Result<String, String> {
        let seconds = now / 1_000_000;
        self.sign(&json!({
            "iss": self.issuer, "sub": who.subject, "aud": API_AUDIENCE, "azp": CLIENT_ID, "typ": "Bearer",
            "iat": seconds, "exp": seconds + life_seconds, "name": who.name, "groups": who.all_groups(),
        }))
    }

    /// An ID token: a login that commits to a nonce.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn id_token(&self, who: &Somebody, login: &Login<'_>) -> Result<String, String> {
        let (at, issued) = (login.auth_time / 1_000_000, login.issued_at / 1_000_000);
        let own = [AMR.to_owned()];
        let amr = if login.amr.is_empty() { &own[..] } else { login.amr };
        self.sign(&json!({
            "iss": self.issuer, "sub": who.subject, "aud": CLIENT_ID, "azp": CLIENT_ID, "typ": "ID",
            "iat": issued, "exp": issued + TOKEN_LIFE, "auth_time": at, "nonce": login.nonce,
            "acr": if login.acr.is_empty() { ACR } else { login.acr }, "amr": amr,
            "name": who.name, "groups": who.all_groups(),
        }))
    }

    /// Logs in for the approvals of a promotion that bring no assertion and name one of this issuer's people: a login that
    /// proves nothing, as the approval states it. Gives back how many.
    ///
    /// # Errors
    /// If one cannot be signed.
    pub fn log_in(&self, draft: &mut PromotionDraft) -> Result<usize, String> {
        let nonce = login_nonce(&draft_key(draft));
        let mut made = 0;
        for approval in &mut draft.approvals {
            let Some(person) = approval.approver.as_ref() else { continue };
            if !approval.assertion.is_empty() || person.issuer != self.issuer {
                continue;
            }
            let who = Somebody {
                subject: person.subject.clone(),
                name: person.name.clone(),
                groups: approval.groups.clone(),
                roles: Vec::new(),
            };
            let login = Login {
                nonce: &nonce,
                auth_time: approval.auth_time,
                issued_at: approval.decided_at,
                acr: &approval.acr,
                amr: &approval.amr,
            };
            approval.assertion = self.id_token(&who, &login)?;
            made += 1;
        }
        Ok(made)
    }

    /// Its discovery document (OpenID Connect Discovery 1.0 section 3); `base`: the node's HTTP address.
    pub fn discovery(&self, base: &str) -> Value {
        let at = |path: &str| format!("{base}{PATH}/{path}");
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "jwks_uri": at("jwks"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "scopes_supported": ["openid", "profile", "groups"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "name", "groups"],
        })
    }

    fn sign(&self, claims: &Value) -> Result<String, String> {
        let header = Header { kid: Some(key_id(&self.public)), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &self.signing).map_err(|error| format!("the development issuer: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::token::{Expected, Refusal, Use, verify};

    const NOW: Micros = 1_795_000_000_000_000;

    fn issuer() -> Development {
        let config = Config { issuer: "http://127.0.0.1:7421/development".into(), people: Vec::new() };
        Development::new(&config, &SigningKey::from_bytes(&[3; 32])).unwrap()
    }

    fn maria() -> Somebody {
        Somebody {
            subject: "u-2001".into(),
            name: "Maria Keller".into(),
            groups: vec!["model-risk-approvers".into()],
            roles: vec![Role::Approver],
        }
    }

    #[test]
    fn its_logins_verify_with_the_name_of_the_key_alone() {
        let login = Login { nonce: "n", auth_time: NOW, issued_at: NOW, acr: "", amr: &[] };
        let token = issuer().id_token(&maria(), &login).unwrap();
        let kid = key_id(&SigningKey::from_bytes(&[3; 32]).verifying_key());
        let keys = keys_named(&kid).unwrap();
        let expected = |usage, audience| Expected {
            usage,
            audience,
            nonce: Some("n"),
            auth_time_min: Some(NOW),
            acr: &[],
        };
        let rules = rules(&issuer().issuer);
        let who = verify(&token, &keys, &rules, &expected(Use::Login, CLIENT_ID), NOW).unwrap();
        assert_eq!(
            (who.subject.as_str(), who.name.as_str(), who.verified_by),
            ("u-2001", "Maria Keller", kid)
        );
        assert!(who.groups_complete && who.groups.contains(&"role:approver".to_owned()));
        let call = verify(&token, &keys, &rules, &expected(Use::Call, API_AUDIENCE), NOW);
        assert!(matches!(call, Err(Refusal::Audience { .. })), "a login is no access token: {call:?}");
        assert!(keys_named("k1").is_none() && keys_named("development:AA").is_none());
    }
}
