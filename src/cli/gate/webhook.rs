//! `gate webhook`: a validating admission webhook for Kubernetes. It asks a node, and stores nothing.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::cli::source::{self, Channel};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};

use crate::{
    cli::{
        output::{self, Exit, Failure, Result},
        source::URL_DEFAULT,
    },
    event::proto::{
        CheckRequest, GateMode, GetModeRequest, Slot, check_request::Subject,
        gate_service_client::GateServiceClient,
    },
    gate::{
        admission_review::{self, ANNOTATION, Review},
        question,
    },
};

/// Longest review: an object of 3 MiB, old and new.
const REVIEW_LEN_MAX: usize = 8 << 20;
/// Within the shipped configuration's timeoutSeconds, so that people read why.
const NODE_WITHIN: Duration = Duration::from_secs(8);
/// How often the certificate is read again.
const RELOAD_EVERY: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Kubernetes cuts longer warnings.
const WARNING_LEN_MAX: usize = 240;

/// Arguments of `gate webhook`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Judges Deployments (and everything with spec.template.spec) and KServe InferenceServices when they are created or\nwhen what they run changes; never pods. What runs must be named by digest: image@sha256:…, an image volume, an\noci://…@sha256:… storage URI, gated+URI#sha256:…, or an init container of a --runtime image that runs `gate fetch`.\nManifests: examples/kubernetes."
)]
pub struct Args {
    /// Address
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Certificate chain, PEM; read again every minute
    #[arg(long)]
    cert: PathBuf,
    /// Its private key, PEM
    #[arg(long)]
    key: PathBuf,
    /// Environment that the cluster, or the selected namespaces, stand for
    #[arg(long, env = "GATE_ENVIRONMENT")]
    environment: String,
    /// Region
    #[arg(long, env = "GATE_REGION", default_value = "")]
    region: String,
    /// Image, exactly as written in objects, that serves models and holds none; once for each
    #[arg(long = "runtime", value_name = "IMAGE")]
    runtimes: Vec<String>,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = URL_DEFAULT)]
    url: String,
}

struct Webhook {
    environment: String,
    region: String,
    runtimes: BTreeSet<String>,
    node: GateServiceClient<Channel>,
}

/// Runs the command until it is told to stop.
pub async fn run(args: Args) -> Result {
    // Logs of what was decided go to standard error; a second subscriber exists only in tests.
    let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).try_init();
    // Taken once; a process that has one already keeps it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let usage = |error: std::io::Error| Failure::usage(format!("--cert, --key: {error}"));
    let tls = RustlsConfig::from_pem_file(&args.cert, &args.key).await.map_err(usage)?;
    let node = GateServiceClient::new(source::connect_lazily(&args.url)?);
    let runtimes = args.runtimes.into_iter().collect();
    let webhook = Webhook { environment: args.environment, region: args.region, runtimes, node };
    let app = Router::new()
        .route("/admit", post(admit))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(REVIEW_LEN_MAX))
        .with_state(Arc::new(webhook));
    let listener = std::net::TcpListener::bind(args.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| Failure::usage(format!("--listen {}: {error}", args.listen)))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    output::json(&serde_json::json!({ "webhook": format!("https://{address}/admit") }));
    let handle = Handle::new();
    tokio::spawn(stop(handle.clone()));
    tokio::spawn(reload(tls.clone(), args.cert, args.key));
    let server = axum_server::from_tcp_rustls(listener, tls)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let served = server.handle(handle).serve(app.into_make_service()).await;
    served.map(|()| Exit::Ok).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
}

async fn stop(handle: Handle<SocketAddr>) {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut terminate) = terminate else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    handle.graceful_shutdown(Some(STOP_WITHIN));
}

/// Certificates are renewed under a running process.
async fn reload(tls: RustlsConfig, cert: PathBuf, key: PathBuf) {
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        if let Err(error) = tls.reload_from_pem_file(&cert, &key).await {
            tracing::error!(%error, "the certificate could not be read again; the old one stays");
        }
    }
}

async fn admit(State(webhook): State<Arc<Webhook>>, body: Bytes) -> Response {
    let review = match admission_review::read(&body, &webhook.runtimes) {
        Ok(review) => review,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let verdict = webhook.judge(&review).await;
    let (object, dry_run) = (&review.object, review.dry_run);
    match &verdict {
        Ok(warnings) => tracing::info!(object, dry_run, ?warnings, "admitted"),
        Err(why) => tracing::warn!(object, dry_run, why, "denied"),
    }
    let verdict = verdict.as_deref().map_err(String::as_str);
    Json(admission_review::response(&review.uid, verdict)).into_response()
}

impl Webhook {
    /// Warnings of what may pass, or why it may not: all reasons at once.
    async fn judge(&self, review: &Review) -> std::result::Result<Vec<String>, String> {
        if !review.changes {
            return Ok(Vec::new());
        }
        let role = question::role(&review.role);
        let role = role.ok_or_else(|| format!("the label {} is no role", admission_review::LABEL_ROLE))?;
        let target = Slot {
            model: review.model.clone(),
            environment: self.environment.clone(),
            region: self.region.clone(),
            role: role.into(),
        };
        let (mut unverified, mut warnings) = (Vec::new(), Vec::new());
        let mut refused = false;
        if review.references.is_empty() {
            unverified.push(nothing(review));
        }
        for reference in &review.references {
            let digest = match &reference.digest {
                Ok(digest) => digest,
                Err(why) => {
                    unverified.push(format!("{} ({}) {why}", reference.path, reference.text));
                    continue;
                }
            };
            let subject = Some(Subject::ArtifactSha256(digest.0.to_vec()));
            let message = CheckRequest { subject, target: Some(target.clone()) };
            let answer = self.node.clone().check(within(message)).await.map_err(unavailable)?.into_inner();
            refused |= !answer.allowed;
            let words = answer.refusals.iter().map(|refusal| refusal.words.clone());
            let silent = answer.mode() == GateMode::Observe;
            let words = words.map(|words| format!("{} ({}): {words}", reference.path, reference.text));
            if answer.allowed {
                warnings.extend(words.filter(|_| !silent));
                warnings.extend(
                    (answer.refusals.is_empty() && !answer.warning.is_empty()).then_some(answer.warning),
                );
            } else {
                unverified.extend(words);
            }
        }
        if unverified.is_empty() {
            return Ok(shortened(warnings));
        }
        let mode = match refused {
            true => GateMode::Enforce,
            false => {
                let message = GetModeRequest { target: Some(target) };
                self.node.clone().get_mode(within(message)).await.map_err(unavailable)?.into_inner().mode()
            }
        };
        match mode {
            GateMode::Observe => {
                tracing::info!(object = review.object, ?unverified, "would be denied");
                Ok(shortened(warnings))
            }
            GateMode::Warn => {
                warnings.extend(unverified);
                Ok(shortened(warnings))
            }
            _ => Err(format!("promotion-ledger: {}", unverified.join("; "))),
        }
    }
}

fn nothing(review: &Review) -> String {
    match &review.annotation {
        Some(text) => format!(
            "the annotation {ANNOTATION} ({text}) says what should run, not what runs: it is unverified. Name the bytes by digest"
        ),
        None => "it names no model bytes by digest".into(),
    }
}

fn shortened(mut warnings: Vec<String>) -> Vec<String> {
    for warning in &mut warnings {
        if let Some((at, _)) = warning.char_indices().nth(WARNING_LEN_MAX) {
            warning.truncate(at);
        }
    }
    warnings
}

fn within<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(NODE_WITHIN);
    request
}

/// No answer is no permission.
fn unavailable(status: tonic::Status) -> String {
    format!("promotion-ledger: no node could say whether this may run: {}", status.message())
}
