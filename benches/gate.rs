//! What a gate's question costs at a fixed rate: latency from the moment at which a question was due, over gRPC, asked of a
//! real node (the built binary) over a ledger of promotions. Receipts are part of every answer.
//!
//! `GATE_RATE` (questions a second, 2000), `GATE_SECONDS` (10) and `GATE_MODELS` (500) change it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use promotion_ledger::{
    cli::{
        bench::sample,
        credentials,
        source::{self, Channel},
    },
    clock::{Clock, SystemClock},
    event::proto::{
        CheckRequest, PromoteRequest, PromotionDraft, check_request::Subject,
        emitter_service_client::EmitterServiceClient, gate_service_client::GateServiceClient,
    },
};

/// Connections: each is limited to so many streams.
const CONNECTIONS: usize = 8;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn serve(dir: &std::path::Path) -> (Running, String) {
    let binary = env!("CARGO_BIN_EXE_promotion-ledger");
    let dir = dir.join("node");
    let made = Command::new(binary).args(["init", "--name", "localhost/bench", "--dir"]).arg(&dir).output();
    assert!(made.expect("init").status.success());
    let mut child = Command::new(binary)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
            "--format",
            "json",
            "--dir",
        ])
        .arg(&dir)
        .env("PROMOTION_LEDGER_LOG_LEVEL", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .expect("serve");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let url = said["listening"].as_str().expect("an address");
    let url = if url.starts_with("http") { url.to_owned() } else { format!("http://{url}") };
    (Running(child), url)
}

async fn promote(url: &str, channel: &Channel, models: usize) -> Vec<PromotionDraft> {
    let pieces = sample::evidence();
    sample::upload(channel, &pieces).await.expect("uploads");
    let now = SystemClock.now();
    let issuer =
        credentials::development(url).unwrap_or_else(|why| panic!("{}", why.message)).expect("an issuer");
    let mut drafts: Vec<_> =
        (0..models).map(|model| sample::promotion(&pieces, "gate", model, 0, now)).collect();
    for draft in &mut drafts {
        issuer.log_in(draft).expect("logins");
    }
    for some in drafts.chunks(32) {
        let calls: Vec<_> = some
            .iter()
            .cloned()
            .map(|draft| {
                let mut emitter = EmitterServiceClient::new(channel.clone());
                tokio::spawn(async move { emitter.promote(PromoteRequest { promotion: Some(draft) }).await })
            })
            .collect();
        for call in calls {
            call.await.expect("a task").expect("a promotion");
        }
    }
    drafts
}

#[tokio::main]
async fn main() {
    let (rate, seconds, models) =
        (setting("GATE_RATE", 2_000), setting("GATE_SECONDS", 10), setting("GATE_MODELS", 500));
    let dir = tempfile::tempdir().expect("a directory");
    let (node, url) = serve(dir.path());
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(source::connect(Some(&url)).await.unwrap_or_else(|why| panic!("{}", why.message)));
    }
    let drafts = promote(&url, &channels[0], models as usize).await;
    let (sender, mut answers) = tokio::sync::mpsc::channel(1 << 16);
    let (begin, total) = (Instant::now(), rate * seconds);
    for n in 0..total {
        let due = begin + Duration::from_nanos(1_000_000_000 / rate * n);
        tokio::time::sleep_until(due.into()).await;
        let draft = &drafts[(n % models) as usize];
        let artifact = draft.model_version.as_ref().map(|model| model.artifact_sha256.clone());
        let request =
            CheckRequest { subject: artifact.map(Subject::ArtifactSha256), target: draft.slot.clone() };
        let (mut gate, sender) =
            (GateServiceClient::new(channels[n as usize % CONNECTIONS].clone()), sender.clone());
        tokio::spawn(async move {
            let allowed = gate.check(request).await.is_ok_and(|answer| answer.into_inner().allowed);
            // The receiver outlives every question.
            let _ = sender.send((due.elapsed(), allowed)).await;
        });
    }
    drop(sender);
    let mut latencies = Histogram::<u64>::new(3).expect("a histogram");
    let mut wrong = 0;
    while let Some((latency, allowed)) = answers.recv().await {
        // Grows as it needs to; saturating it would stop at two milliseconds.
        latencies.record(latency.as_micros() as u64).expect("a latency that fits");
        wrong += u64::from(!allowed);
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "gate: {total} questions at {rate}/s over {models} promotions, {:.0}/s reached, {wrong} not allowed",
        total as f64 / took
    );
    for quantile in [0.5, 0.9, 0.99, 0.999] {
        println!(
            "  p{:<5} {:>8.2} ms",
            quantile * 100.0,
            latencies.value_at_quantile(quantile) as f64 / 1000.0
        );
    }
    drop(node);
}
