//! What administrators sign: statement <-> bytes <-> words. Pure.

use prost::Message;

use crate::event::{
    Digest, Kind, Seq, canonical, digest, gate, issuer,
    model::role,
    proto::{
        self, AdminStatement, ClockReset, FrontDoorKey, GateMode, GateModeSet, IssuerListed, KeyAdded,
        KeyCompromised, KeyRetired, PolicyActivated, RulesActivated, SlotPattern,
    },
};

/// The act, as the command line gives it.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Act {
    /// A key may sign from now on
    KeyAdded {
        /// Ed25519 public key, hex (`admin key` prints it)
        #[arg(long)]
        public_key: String,
        /// What it may sign; an `admin` is one of the n administrators and no front door
        #[arg(long, value_enum, value_delimiter = ',', default_value = "decision,admin-carrier,observation")]
        roles: Vec<Role>,
    },
    /// A key may no longer sign
    KeyRetired {
        /// key_id, hex, or the public key
        #[arg(long)]
        key: String,
    },
    /// A key was stolen: retires it, and flags what it signed since
    KeyCompromised {
        /// key_id, hex, or the public key
        #[arg(long)]
        key: String,
        /// First entry in doubt
        #[arg(long)]
        from_seq: Seq,
    },
    /// Correct the dates of the newest entries
    ClockReset {
        /// First entry with a wrong date
        #[arg(long)]
        from_seq: Seq,
        /// The right date, RFC 3339
        #[arg(long)]
        time: jiff::Timestamp,
    },
    /// How strict gates are for the targets that are named; one named by more fields wins
    GateMode {
        /// Model; any if it is not given
        #[arg(long, default_value = "")]
        model: String,
        /// Environment, for instance production; any if it is not given
        #[arg(long, default_value = "")]
        environment: String,
        /// Region; any if it is not given
        #[arg(long, default_value = "")]
        region: String,
        /// Role of the slot; any if it is not given
        #[arg(long, value_enum)]
        role: Option<SlotRole>,
        /// observe: only say it; warn: let pass and warn; enforce: refuse; inherit: take this target's mode away
        #[arg(long, value_enum)]
        mode: Mode,
    },
    /// List an issuer: its logins may decide. The first one closes the list
    Issuer {
        /// `iss` of its tokens
        #[arg(long)]
        issuer: String,
        /// The client as which people log in
        #[arg(long)]
        audience: String,
        /// What its tokens may be signed with, for instance RS256; none takes the issuer off the list
        #[arg(long = "algorithm")]
        algorithms: Vec<String>,
        /// SHA-256 (hex) of a JWK, as an issuer_keys entry holds it, that alone may verify; none: any
        #[arg(long = "pin")]
        pins: Vec<String>,
    },
    /// Raise the rules version
    RulesActivated {
        /// The next version
        #[arg(long)]
        rules: u32,
    },
}

/// `--role` of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SlotRole {
    /// The model that decides
    Champion,
    /// A model that is compared with it
    Challenger,
    /// A model that sees the traffic and decides nothing
    Shadow,
    /// A model that decides for a part of the traffic
    Canary,
}

impl SlotRole {
    /// Its number in events.
    pub fn number(self) -> i32 {
        let role = match self {
            Self::Champion => proto::SlotRole::Champion,
            Self::Challenger => proto::SlotRole::Challenger,
            Self::Shadow => proto::SlotRole::Shadow,
            Self::Canary => proto::SlotRole::Canary,
        };
        role.into()
    }
}

/// `--mode` of gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Say what would be refused, and let it pass
    Observe,
    /// Let it pass with a warning
    Warn,
    /// Refuse
    Enforce,
    /// No mode of its own any more
    Inherit,
}

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Promotions, roll-backs, revocations
    Decision,
    /// Carries acts of the administrators
    AdminCarrier,
    /// Findings of nodes
    Observation,
    /// One of the n administrators; no front door
    Admin,
}

const ROLES: [(Role, u32, &str); 4] = [
    (Role::Decision, role::DECISION, "decisions"),
    (Role::AdminCarrier, role::ADMIN_CARRIER, "admin acts (carried)"),
    (Role::Observation, role::OBSERVATION, "observations"),
    (Role::Admin, role::ADMIN_SIGNER, "one of the administrators"),
];

/// A key: who knows its public key or its id, in hex, gets its id.
///
/// A public key is told from an id by asking which keys the ledger has; offline it is taken as an id.
fn key_id(text: &str, known: &[(Digest, Digest)]) -> Result<Vec<u8>, String> {
    let given = Digest::from_hex(text.trim()).ok_or(format!("{text:?} is not 64 hexadecimal digits"))?;
    let of_public = known.iter().find(|(_, public)| *public == given).map(|(id, _)| *id);
    Ok(of_public.unwrap_or(given).0.to_vec())
}

/// The bytes that are signed. `known`: (key_id, public key) of the ledger's keys, where a node was asked.
///
/// # Errors
/// What is wrong with the arguments, in words.
pub fn encode(
    act: &Act,
    ledger_id: &Digest,
    admin_seq: u64,
    known: &[(Digest, Digest)],
) -> Result<Vec<u8>, String> {
    let (kind, payload) = match act {
        Act::KeyAdded { public_key, roles } => {
            let key =
                hex::decode(public_key.trim()).ok().filter(|bytes| canonical::public_key(bytes).is_some());
            let public_key =
                key.ok_or(format!("--public-key {public_key} is not an Ed25519 public key in hex"))?;
            let has = |role: &Role| roles.contains(role);
            let roles = ROLES.iter().filter(|(role, ..)| has(role)).fold(0, |bits, (_, bit, _)| bits | bit);
            if roles & role::ADMIN_SIGNER != 0 && roles != role::ADMIN_SIGNER {
                return Err("--roles: an administrator's key signs nothing else".into());
            }
            (Kind::KeyAdded, KeyAdded { key: Some(FrontDoorKey { public_key, roles }) }.encode_to_vec())
        }
        Act::KeyRetired { key } => {
            (Kind::KeyRetired, KeyRetired { key_id: key_id(key, known)? }.encode_to_vec())
        }
        Act::KeyCompromised { key, from_seq } => {
            let payload = KeyCompromised { key_id: key_id(key, known)?, from_seq: *from_seq };
            (Kind::KeyCompromised, payload.encode_to_vec())
        }
        Act::ClockReset { from_seq, time } => {
            let time =
                u64::try_from(time.as_microsecond()).map_err(|_| "--time lies before 1970".to_owned())?;
            (Kind::ClockReset, ClockReset { from_seq: *from_seq, time }.encode_to_vec())
        }
        Act::GateMode { model, environment, region, role, mode } => {
            let [model, environment, region] = [model, environment, region].map(String::clone);
            let role = role.map_or(0, SlotRole::number);
            let target = SlotPattern { model, environment, region, role };
            if !gate::pattern_is_whole(&target) {
                return Err("name at least one of --model, --environment, --region and --role".into());
            }
            let mode = match mode {
                Mode::Observe => GateMode::Observe,
                Mode::Warn => GateMode::Warn,
                Mode::Enforce => GateMode::Enforce,
                Mode::Inherit => GateMode::Unspecified,
            };
            let payload = GateModeSet { target: Some(target), mode: mode.into() };
            (Kind::GateModeSet, payload.encode_to_vec())
        }
        Act::Issuer { issuer, audience, algorithms, pins } => {
            (Kind::IssuerListed, issuer_listed(issuer, audience, algorithms, pins)?.encode_to_vec())
        }
        Act::RulesActivated { rules } => {
            (Kind::RulesActivated, RulesActivated { rules: *rules }.encode_to_vec())
        }
    };
    let statement =
        AdminStatement { ledger_id: ledger_id.0.to_vec(), kind: kind.number().into(), admin_seq, payload };
    Ok(statement.encode_to_vec())
}

fn issuer_listed(
    issuer: &str,
    audience: &str,
    algorithms: &[String],
    pins: &[String],
) -> Result<IssuerListed, String> {
    let digest = |text: &String| {
        Digest::from_hex(text.trim())
            .map(|digest| digest.0.to_vec())
            .ok_or_else(|| format!("--pin {text} is not 64 hexadecimal digits"))
    };
    let listed = IssuerListed {
        issuer: issuer.to_owned(),
        audience: audience.to_owned(),
        algorithms: algorithms.to_vec(),
        pinned: pins.iter().map(digest).collect::<Result<_, _>>()?,
    };
    if !issuer::listing_is_whole(&listed) {
        return Err(
            "--issuer is a URI, --audience and --algorithm are names, and at most 32 are pinned".into()
        );
    }
    Ok(listed)
}

/// A statement in words, one (name, text) for each line; `None` if it is no statement that this binary knows.
pub fn words(bytes: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let statement: AdminStatement = canonical::decode_exact(bytes)?;
    let kind = u8::try_from(statement.kind).ok().and_then(Kind::from_number)?;
    let payload = statement.payload.as_slice();
    let mut lines = vec![
        ("act", kind.name().to_owned()),
        ("ledger_id", hex::encode(&statement.ledger_id)),
        ("admin_seq", statement.admin_seq.to_string()),
    ];
    match kind {
        Kind::KeyAdded => {
            let key = canonical::decode_exact::<KeyAdded>(payload)?.key?;
            let id = canonical::public_key(&key.public_key).map(|key| digest::key_id(&key))?;
            let may: Vec<_> =
                ROLES.iter().filter(|(_, bit, _)| key.roles & bit != 0).map(|(.., text)| *text).collect();
            lines.push(("public key", hex::encode(&key.public_key)));
            lines.push(("key_id", id.to_string()));
            lines.push(("may sign", may.join(", ")));
        }
        Kind::KeyRetired => {
            lines.push(("key_id", hex::encode(canonical::decode_exact::<KeyRetired>(payload)?.key_id)));
            lines.push(("effect", "this key may no longer sign".into()));
        }
        Kind::KeyCompromised => {
            let KeyCompromised { key_id, from_seq } = canonical::decode_exact(payload)?;
            lines.push(("key_id", hex::encode(key_id)));
            lines.push((
                "effect",
                format!("this key may no longer sign; what it signed from entry {from_seq} on is flagged"),
            ));
        }
        Kind::ClockReset => {
            let ClockReset { from_seq, time } = canonical::decode_exact(payload)?;
            let time = crate::cli::output::utc(time);
            lines.push((
                "effect",
                format!("entries from {from_seq} up to this act are dated {time}, and flagged"),
            ));
        }
        Kind::RulesActivated => {
            let RulesActivated { rules } = canonical::decode_exact(payload)?;
            lines.push(("effect", format!("rules version {rules}; nodes that lack it halt")));
        }
        Kind::GateModeSet => {
            let GateModeSet { target, mode } = canonical::decode_exact(payload)?;
            let SlotPattern { model, environment, region, role } = target?;
            let any = |name: String| if name.is_empty() { "any".to_owned() } else { name };
            lines.push(("model", any(model)));
            lines.push(("environment", any(environment)));
            lines.push(("region", any(region)));
            lines.push(("role", any(crate::cli::six_fields::role(role).replace("unspecified", ""))));
            let effect = match GateMode::try_from(mode).ok()? {
                GateMode::Observe => "gates say what they would refuse there, and let it pass",
                GateMode::Warn => "gates let pass there, with a warning, what they would refuse",
                GateMode::Enforce => "gates refuse there what is not promoted",
                GateMode::Unspecified => "this target has no mode of its own any more",
            };
            lines.push(("effect", effect.into()));
        }
        Kind::IssuerListed => {
            let IssuerListed { issuer, audience, algorithms, pinned } = canonical::decode_exact(payload)?;
            lines.push(("issuer", issuer));
            lines.push(("client", audience));
            let effect = match (algorithms.join(", "), pinned.len()) {
                (none, _) if none.is_empty() => "its logins decide nothing any more".into(),
                (names, 0) => format!("its logins may decide, signed with {names}"),
                (names, n) => format!("its logins may decide, signed with {names} by one of {n} pinned keys"),
            };
            lines.push(("effect", effect));
        }
        Kind::PolicyActivated => lines.extend(policy_words(canonical::decode_exact(payload)?)),
        _ => return None,
    }
    Some(lines)
}

fn policy_words(act: PolicyActivated) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("policy", format!("{} version {}, {} bytes", act.id, act.version, act.yaml.len())),
        ("policy sha256", hex::encode(&act.sha256)),
        ("repository", format!("{} at {}", act.repository, act.commit)),
        ("reviewed by", act.reviewers.join(", ")),
    ];
    if !act.author_key.is_empty() {
        lines.push(("author", format!("administrator {}", hex::encode(&act.author_key))));
    }
    let impact = act.impact.map_or("not tried against history".to_owned(), |impact| {
        format!(
            "of {} promotions in entries {} to {}, {} would have been routed higher and {} lower",
            impact.promotions, impact.from_seq, impact.to_seq, impact.higher, impact.lower
        )
    });
    lines.push(("impact", impact));
    lines.push(("effect", "from this act on, this policy routes every promotion".into()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(act: &Act) -> Vec<(&'static str, String)> {
        words(&encode(act, &Digest([7; 32]), 3, &[]).unwrap()).unwrap()
    }

    #[test]
    fn a_statement_says_in_words_what_it_does() {
        let compromised = lines(&Act::KeyCompromised { key: "ab".repeat(32), from_seq: 17 });
        assert_eq!(compromised[0].1, "key_compromised");
        assert_eq!(compromised[2].1, "3");
        assert!(compromised[4].1.contains("from entry 17 on"), "{compromised:?}");
        let reset = lines(&Act::ClockReset { from_seq: 4, time: "2026-11-14T09:00:00Z".parse().unwrap() });
        assert!(reset[3].1.contains("2026-11-14T09:00:00Z"), "{reset:?}");
    }

    #[test]
    fn a_public_key_of_the_ledger_stands_for_its_id() {
        let known = [(Digest([1; 32]), Digest([2; 32]))];
        assert_eq!(key_id(&"02".repeat(32), &known), Ok(vec![1; 32]));
        assert_eq!(key_id(&"03".repeat(32), &known), Ok(vec![3; 32]));
        assert!(key_id("03", &known).is_err());
    }

    #[test]
    fn changed_or_foreign_bytes_are_no_statement() {
        let bytes = encode(&Act::RulesActivated { rules: 2 }, &Digest([7; 32]), 3, &[]).unwrap();
        assert!(words(&[&bytes[..], &[0]].concat()).is_none());
        assert!(words(b"hello").is_none());
    }
}
