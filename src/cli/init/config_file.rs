//! The configuration file that `init` writes, with a comment for every setting.

use super::Args;
use crate::{event::Digest, identity::development::ISSUER_DEFAULT};

/// The table of librdkafka's properties, or what it would look like.
fn kafka_properties(args: &Args) -> String {
    let about = "# Further properties of librdkafka, for instance TLS and SASL. A value \"file:PATH\" is read from that file:\n# passwords need not stand here.";
    if args.properties.is_empty() {
        return format!(
            "{about}\n# [log.kafka.properties]\n# \"security.protocol\" = \"SASL_SSL\"\n# \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n# \"sasl.username\" = \"ledger\"\n# \"sasl.password\" = \"file:/run/secrets/kafka-password\"\n# \"ssl.ca.location\" = \"/etc/kafka/ca.pem\""
        );
    }
    let lines = args.properties.iter().map(|(name, value)| format!("\n{name:?} = {value:?}"));
    format!("{about}\n[log.kafka.properties]{}", lines.collect::<String>())
}

/// Whether a new node gets a development issuer: only one that listens on this machine alone.
pub(super) fn has_development_issuer(args: &Args) -> bool {
    args.listen.ip().is_loopback()
}

/// The development issuer, with the people of the credit example; only for a node that listens on this machine alone.
fn development(args: &Args) -> String {
    let section = format!(
        r#"# An identity provider of this node's own, for trying things out: it proves nothing. Whoever can read
# keys/development.pem can be anybody, and its login page lets everybody on this machine choose who to be. Refused in
# production and beyond loopback. Take it out when you name a real one.
[identity.development]
issuer = "{ISSUER_DEFAULT}"
[[identity.development.people]]
subject = "u-1001"
name = "Jonas Weber"
groups = ["data-science", "staff"]
roles = ["emitter"]
[[identity.development.people]]
subject = "u-2001"
name = "Maria Keller"
groups = ["model-risk-approvers", "staff"]
roles = ["approver", "auditor"]
[[identity.development.people]]
subject = "u-2002"
name = "Tomas Novak"
groups = ["credit-risk-committee", "staff"]
roles = ["approver", "auditor"]
[[identity.development.people]]
subject = "u-2003"
name = "Ingrid Solberg"
groups = ["credit-risk-committee", "staff"]
roles = ["approver"]
[[identity.development.people]]
subject = "u-3001"
name = "Olga Petrova"
groups = ["model-operations", "staff"]
roles = ["operator", "auditor"]
"#
    );
    if has_development_issuer(args) {
        return section;
    }
    section.lines().map(|line| format!("# {line}\n").replace("# # ", "# ")).collect()
}

pub(super) fn config_file(args: &Args, ledger_id: &Digest) -> String {
    let kafka = match (&args.kafka, &args.topic) {
        (Some(bootstrap), Some(topic)) => format!(
            "kind = \"kafka\"\n\n[log.kafka]\nbootstrap = {bootstrap:?}\ntopic = {topic:?}\n# Takes a topic with one replica: a lost disk is a lost ledger.\ndevelopment_topic = {}\n\n{}",
            args.development_topic,
            kafka_properties(args),
        ),
        _ => "kind = \"embedded\"\n\n# For Kafka: kind = \"kafka\", and\n# [log.kafka]\n# bootstrap = \"broker-1:9092\"\n# topic = \"promotions\"\n# development_topic = false  # true takes a topic with one replica".to_owned(),
    };
    let shared = args.kafka.is_some();
    format!(
        r#"# A node of the ledger {name}.
# Environment wins over this file (PROMOTION_LEDGER_ and the path with two underscores, for instance
# PROMOTION_LEDGER_LISTEN=127.0.0.1:7421 or PROMOTION_LEDGER_LOG__KIND=embedded), flags win over both.
# Relative paths are relative to this file's directory.

# SHA-256 of the genesis body. A log or directory with another genesis is refused.
ledger_id = "{ledger_id}"

# "production" refuses to start on what auditors cannot rely on: evidence that is not write-once, checkpoints that no
# witness sees.
profile = "development"

# Address of the gRPC services: anything but loopback also needs listen_beyond_loopback = true, and [tls] below or a proxy
# in front that ends TLS. No token is sent in clear.
listen = "{listen}"
listen_beyond_loopback = false

# TLS of gRPC, and of [http] where that says so; commands then take --url https://… and, where no public authority vouches for it, --ca-file.
# The files are read again every 5 s: a renewed certificate needs no restart.
# [tls]
# cert_file = "tls/node.pem"                    # then those that vouch for it
# key_file = "tls/node.key"                     # mode 0600
# Services that call gRPC by a client certificate instead of a token: who vouches for them, as which issuer events name
# that, and which certificate is whom. One that is not listed may do nothing.
# client_ca_file = "tls/pipelines-ca.pem"
# client_issuer = "https://pki.example.bank"
# [[tls.identities]]
# uri = "spiffe://example.bank/pipeline/train"  # a URI in it; or dns = "…", or fingerprint = SHA-256 of the certificate
# subject = "svc-train"
# roles = ["emitter"]

[identity]
# "refused": people approve in reviews only, where what they see was sealed before. "verified": a promotion may bring their
# logins with it (nonce = promotion key); they are verified, but what people were shown is the workflow tool's to prove.
embedded_approvals = "{embedded}"

{development}
# Whose access tokens are believed; without one nobody calls anything but health, checkpoints and tiles. Repeat it for each.
# [[identity.issuers]]
# url = "https://idp.example.bank/realms/risk"
# audience = "promotion-ledger-api"             # of access tokens; never the client that approvers log in to
# algorithms = ["RS256"]                        # what its tokens may be signed with; pinned
# groups_claim = "groups"
# jwks_url = "https://idp.example.bank/jwks"    # where its keys are; without it what its discovery document says
# keys_file = "keys/idp.jwks.json"              # instead of asking the issuer: callers are known while it is away
# roles = {{ emitter = ["group:pipelines"], approver = ["group:model-risk"], auditor = ["group:audit"], operator = ["subject:u-1"] }}

# Who else sees every checkpoint. A witness (C2SP tlog-witness, for instance omniwitness or litewitness) is run by somebody
# else, and is told this ledger's origin and log key; it cosigns only what continues what it saw before.
[witnesses]
# How many of them must have cosigned a checkpoint before /checkpoint and receipts show it as witnessed.
needed = 0
# True: a promotion is answered only when that has happened, or with "ask again" after wait_seconds.
promotions_wait = false
wait_seconds = 5
# HTTP addresses of other nodes of this ledger. Two roots at one size stop both from admitting.
peers = []
# [[witnesses.witness]]
# url = "https://witness.example.org/"
# key = "witness.example.org/w1+1a2b3c4d+BAbC…"
# Authorities that time-stamp every checkpoint over a new human approval (RFC 3161). Repeat it for each.
# [[witnesses.timestamps]]
# url = "https://tsa.example.org"
# root = "keys/tsa-root.pem"                    # certificate that its own leads to
# A write-once bucket under other credentials than the evidence's, where checkpoints are put, with the settings of [evidence.s3].
# [witnesses.anchor]
# every_seconds = 60                            # between two checkpoints at least
# retain_days = 3650
# s3 = {{ bucket = "anchors", region = "eu-central-1", credentials = "keys/anchors.s3" }}

[http]
# Address of pages, tiles and hooks. Leave the section out to serve gRPC alone.
listen = "127.0.0.1:7421"
# TLS, with the certificate of [tls].
# tls = true                                    # not with the login page of a development issuer
# Where approvers' browsers find them: https, by tls or by way of a proxy that ends TLS, or http on this machine; scheme and
# host alone.
# public_url = "https://ledger.example.bank"

[log]
# "embedded": the ledger itself is the durable log, no server needed. "kafka": one partition of a topic.
{kafka}

[evidence]
# Where uploaded evidence is kept, by its SHA-256. "filesystem": a directory, which locks nothing, and its proofs say so.
# "s3": a bucket made with Object Lock, where nobody deletes or replaces it before its time; dir then holds uploads on
# their way.
kind = "filesystem"
dir = "evidence"
# True if every node of this ledger mounts the same directory. Needed with Kafka, unless the store is s3.
shared = {shared}
# Days for which evidence is locked when it is put; a tier of the policy that needs more extends it.
retain_days = 3650
# Largest evidence, GiB.
max_gib = 64
# Makes the files of a directory immutable (chattr +i), where node and file system can.
immutable = false
# Evidence about one person may be encrypted under that person's subject record (`evidence seal`): erasing the person makes
# it unreadable for good, for auditors too. With false it is refused, and evidence stays readable while it is kept.
encrypt = {encrypt}

# [evidence.s3]
# bucket = "evidence"
# region = "eu-central-1"
# prefix = "ledger/"
# Of a store that is not AWS; with path_style the bucket is in the path and not in the host's name.
# endpoint = "https://s3.example.bank"
# path_style = true
# A file with aws_access_key_id and aws_secret_access_key, mode 0600. Without it: environment, profile or machine role.
# credentials = "keys/s3.credentials"
# True takes an endpoint without encryption that is not on this machine: inside a private network.
# allow_http = false
# Seconds for one call, its retries included; a large upload gets longer by its length.
# timeout_seconds = 30
# Bytes from which an upload goes in parts, and is read back whole: S3 keeps no SHA-256 of such an object.
# multipart_from = 5368709120

[evidence.checks]
# Minutes between two attempts of the node to break its own store. Promotions are refused while one succeeds.
probe_minutes = 60
# All evidence and every archived piece is looked at again within so many seconds, at most per_second times a second: is it
# there, unchanged, locked for long enough? Locks are made longer, missing pieces of the archive are written again, and what
# is wrong becomes an entry and an alert.
within_seconds = 604800
per_second = 20
# True reads all bytes each time, also where the store keeps a checksum and a lock.
deep = false

[archive]
# Headers, records and checkpoints are archived in the evidence store: every 256 entries, and after so many seconds.
every_seconds = 60
# An entry that waits for it longer raises an alert; promotions go on.
alert_seconds = 300
# One that waits longer still stops the node from admitting: only topic and directories would hold it.
refuse_seconds = 86400

[subjects]
# One small record for each person; destroying it erases that person. "directory": the same one for every node. "s3": a
# bucket WITHOUT Object Lock, and another one than the evidence's.
kind = "directory"
dir = "subjects"
# [subjects.s3]
# bucket = "people"
# region = "eu-central-1"

[keys]
# Signs records. Its own on every node.
front_door = "keys/front-door.pem"
# Signs checkpoints. The same on every node.
log = "keys/log.pem"
# Opens subject records. The same on every node.
subjects = "keys/subjects.key"

# People and systems that are told of promotions, refusals, findings and alerts. Leave it out to tell nobody. With
# several nodes configure it on one, or let receivers drop messages whose webhook-id they know.
# [notify]
# public_url = "https://ledger.example.bank"   # how this node's pages are reached, for links
# ca_file = "keys/receivers-ca.pem"             # of an authority that receivers' certificates may come from, beside the public ones
# remind_hours = 24                             # before a review's time is over
# [[notify.webhooks]]                           # Standard Webhooks: HMAC-SHA256 over id.timestamp.body
# name = "tickets"
# url = "https://tickets.example.bank/hooks/ledger"
# secret_file = "keys/tickets.whsec"            # mode 0600: whsec_ and 24 to 64 bytes in base64
# events = []                                   # all; or names such as "promotion.recorded", "alert.raised"
# [notify.smtp]
# host = "mail.example.bank"
# port = 587
# tls = "starttls"                              # or "tls"; "none" on this machine only
# username = ""                                 # empty: no login
# password_file = "keys/smtp.password"          # mode 0600
# from = "Promotion ledger <ledger@example.bank>"
# to = ["model-risk@example.bank"]              # who gets every message
# groups = {{ "model-risk-approvers" = ["approvers@example.bank"] }}
# events = []                                   # as for webhooks

# Model registries that follow the ledger: after a promotion the pointer is set as a tag of the version, then the alias
# moves; a sweep finds what nobody promoted. With several nodes configure each on one.
# [[registries]]
# name = "mlflow"                               # names its cursor, alerts and webhook (/registry/v1/mlflow/webhook)
# uri = "mlflow://registry.example.bank"        # as promotions name it
# url = "https://mlflow.example.bank"
# token_file = "keys/mlflow.token"              # or username = "…" and password_file = "…"; mode 0600
# webhook_secret_file = "keys/mlflow.webhook"   # mode 0600, 16 bytes or more; without it no delivery is taken
# sweep_minutes = 60
# # Where MLflow names files as s3://…: buckets that the sweep reads itself, with the settings of [evidence.s3].
# # s3 = [{{ bucket = "models", region = "eu-central-1", credentials = "keys/models.s3" }}]
# targets = [{{ environment = "production", region = "", role = "champion", alias = "champion" }}]

# Who may let an artefact into production for a while without a promotion (gate break-glass). Without this section
# nobody may. Where administrators list issuers, they list this client and key too.
# [break_glass]
# issuer = "https://idp.example.bank"
# audience = "promotion-ledger"
# algorithms = ["ES256"]
# # The issuer's keys (its jwks_uri), pinned: an emergency may take the identity provider's endpoint with it.
# jwks = "keys/idp.jwks.json"
# groups_claim = "groups"
# groups = ["production-on-call"]
# # Authentication classes, one of which is needed; none named: any.
# acr = []
# # At most 168.
# hours_max = 24

# Where approvers log in (OpenID Connect). Without one nobody can decide in a review. Repeat it for each issuer,
# which must let logins come back to <http.public_url>/login/callback, and to http://127.0.0.1/callback on any port for
# `approve` on the command line.
# [[logins]]
# issuer = "https://idp.example.bank/realms/risk"
# client_id = "promotion-ledger-review"         # audience of the ID tokens, which no API call accepts
# client_secret_file = "keys/logins.secret"     # mode 0600; without it a public client with PKCE alone
# scopes = ["openid", "profile"]
# algorithms = ["RS256"]                        # what its tokens may be signed with; pinned
# groups_claim = "groups"
# acr = []                                      # login classes of which one is needed; empty: any
# keys_file = "keys/issuer.jwks.json"           # instead of asking the issuer (discovery, JWKS)

[limits]
# Calls that wait for their entry at a time; more get RESOURCE_EXHAUSTED at once.
inflight = 2048
# Calls that the node works on at a time.
calls = 2048
# Streams of one connection.
streams = 128
# Seconds until a call that is not confirmed is told so.
confirm_seconds = 30
"#,
        embedded = if has_development_issuer(args) { "verified" } else { "refused" },
        development = development(args),
        encrypt = args.encrypt_evidence.unwrap_or(false),
        name = args.name,
        listen = args.listen,
    )
}
