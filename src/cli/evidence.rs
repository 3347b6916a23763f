//! `evidence`: what relies on it, and what must not be relied on any more.

use tokio_stream::StreamExt;

use crate::event::{
    Digest,
    proto::{
        ListRelianceRequest, ListRelianceResponse, TaintRequest,
        custodian_service_client::CustodianServiceClient as Custodian,
    },
};

use super::{
    act::ActArgs,
    evidence_check::{self, CheckArgs},
    output::{self, Exit, Failure, Format, Result, coloured, say},
    seal_evidence::{self, SealArgs},
    six_fields,
    source::{Source, SourceArgs},
    submit::request,
    words::People,
};

/// Evidence: what relies on it, and what must not be relied on any more.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say that evidence must not be relied on any more, and learn at once what relied on it
    #[command(
        after_help = "Example:\n  promotion-ledger evidence taint 5f3a…e1 --reason \"the snapshot held the label\"\n\nThe promotions stay recorded as they are. Gates refuse what relies on it."
    )]
    Taint {
        /// SHA-256 of the evidence or of an artefact
        sha256: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Store evidence about one person so that erasing the person makes it unreadable
    #[command(
        after_help = "Example:\n  promotion-ledger evidence seal reasons-for-1042.pdf --media-type application/pdf --about-issuer https://bank.example/customers --about-subject 1042\n\nFor ledgers made with --encrypt-evidence. The promotion file refers to it by the sha256 and about that are printed;\n`show --unseal --evidence DIR` opens it."
    )]
    Seal(SealArgs),
    /// Look at all evidence: is it there, unchanged, and locked; and which promotions rely on what is not
    #[command(
        after_help = "Examples:\n  promotion-ledger evidence check --url http://ledger.example.bank:7420\n  promotion-ledger evidence check --deep --resume check.json --format json --dir DIR\n\nThe node, or with --dir this program, asks the store with its own credentials. Exit code 1 on any finding.\nNothing is recorded and nothing is mended: that is for the node's own walk (`status`)."
    )]
    Check(CheckArgs),
    /// Promotions that rely on it, who approved them, and which of them are current
    Relies {
        /// SHA-256 of the evidence or of an artefact
        sha256: String,
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.command {
        Command::Relies { sha256, source } => {
            let sha256 = digest(&sha256)?;
            let relying = reliance(&Source::open(&source).await?, &sha256).await?;
            print(&sha256, &relying, format);
            Ok(Exit::Ok)
        }
        Command::Check(args) => evidence_check::run(args, format).await,
        Command::Seal(args) => seal_evidence::run(args, format).await,
        Command::Taint { sha256, act } => taint(digest(&sha256)?, &act, format).await,
    }
}

fn digest(text: &str) -> Result<Digest> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    Digest::from_hex(digits)
        .ok_or_else(|| Failure::usage(format!("{text} is not a SHA-256 (64 hexadecimal digits)")))
}

async fn taint(sha256: Digest, act: &ActArgs, format: Format) -> Result {
    let asked = act.open().await?;
    let custodian = Custodian::new(asked.channel.clone());
    let call = || {
        let mut custodian = custodian.clone();
        let message = TaintRequest {
            sha256: sha256.0.to_vec(),
            actor: asked.actor.clone(),
            reason: asked.reason.clone(),
            request_id: asked.request_id.clone(),
        };
        async move { Ok(custodian.taint(request(message)).await?.map(|answer| answer.receipt)) }
    };
    asked.send(&format!("taint of {sha256}"), call, format).await?;
    let source = SourceArgs { url: Some(act.url.clone()), dir: None };
    print(&sha256, &reliance(&Source::open(&source).await?, &sha256).await?, format);
    Ok(Exit::Ok)
}

/// Everything that relies on a digest, newest first.
///
/// # Errors
/// Of the call.
pub async fn reliance(source: &Source, sha256: &Digest) -> Result<Vec<ListRelianceResponse>> {
    let mut stream = source.list_reliance(ListRelianceRequest { sha256: sha256.0.to_vec() }).await?;
    let mut found = Vec::new();
    while let Some(message) = stream.next().await {
        found.push(message?);
    }
    Ok(found)
}

fn print(sha256: &Digest, relying: &[ListRelianceResponse], format: Format) {
    if format == Format::Json {
        return output::json(&serde_json::json!({ "sha256": sha256.to_string(), "promotions": relying }));
    }
    let current = relying.iter().filter(|promotion| promotion.current).count();
    say!("{} rely on it, {current} of them current", count(relying.len()));
    let people = People::new(None);
    for promotion in relying {
        let now = if promotion.current { coloured("31", "current") } else { "earlier".into() };
        say!("  entry {:<8} {now}  {}", promotion.seq, six_fields::slot(promotion.slot.as_ref()));
        say!("    as             {}", promotion.fields.join(", "));
        for approver in &promotion.approvers {
            say!("    approved by    {}", people.name(Some(approver)));
        }
    }
}

fn count(n: usize) -> String {
    if n == 1 { "1 promotion".into() } else { format!("{n} promotions") }
}
