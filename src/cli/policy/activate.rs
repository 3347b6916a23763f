//! `policy activate`: the statement that puts a policy in force; signed and handed in at once where one key is enough.

use std::{path::PathBuf, sync::Arc};

use prost::Message;

use crate::{
    cli::{
        admin,
        output::{Exit, Failure, Format, Result, say},
        source::{Source, SourceArgs, URL_DEFAULT},
    },
    event::{Kind, proto::PolicyActivated},
    keyfile,
    policy::Policy,
};

use super::{file, history};

/// Arguments of `policy activate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With a quorum of two or more administrators: --output writes the statement, then `admin sign` and `admin submit`.\nThe author may not be among the signers there: name their key with --author-key."
)]
pub struct Args {
    /// The policy, YAML
    file: PathBuf,
    /// Where its history is
    #[arg(long)]
    repository: String,
    /// Its commit there
    #[arg(long)]
    commit: String,
    /// Who reviewed it; once for each
    #[arg(long = "reviewer", required = true)]
    reviewers: Vec<String>,
    /// The author's public key, hex, if the author is an administrator
    #[arg(long, value_name = "HEX")]
    author_key: Option<String>,
    /// An administrator's key: sign and hand in at once
    #[arg(long, value_name = "FILE", required_unless_present = "output")]
    admin_key: Option<PathBuf>,
    /// Only write the statement, for `admin sign`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A running node
    #[arg(long, env = "PROMOTION_LEDGER_URL", default_value = URL_DEFAULT)]
    url: String,
}

/// A policy file, and what it states about itself.
pub fn stating(policy: &Policy, yaml: Vec<u8>) -> PolicyActivated {
    PolicyActivated {
        yaml,
        sha256: policy.digest().0.to_vec(),
        id: policy.id().into(),
        version: policy.version(),
        ..PolicyActivated::default()
    }
}

/// Runs the command.
///
/// # Errors
/// If the file, the key or the node cannot be read, or the ledger refuses the act.
pub async fn run(args: &Args, format: Format) -> Result {
    let policy = match file::load(&args.file, format)? {
        Ok(policy) => policy,
        Err(exit) => return Ok(exit),
    };
    let author_key = args.author_key.as_deref().map(hex::decode).transpose();
    let author_key =
        author_key.ok().filter(|key| key.as_ref().is_none_or(|key| key.len() == 32)).ok_or_else(|| {
            Failure::usage("--author-key is not an Ed25519 public key in hex (64 digits)".to_owned())
        })?;
    let source = Source::open(&SourceArgs { url: Some(args.url.clone()), dir: None }).await?;
    let tried = history::tried(&policy, Arc::new(source), 0, None).await?;
    if let Some((seq, what)) = tried.findings.first() {
        return Err(Failure::new(
            Exit::No,
            format!("the ledger has a routing finding, entry {seq}: {what}; settle it first"),
        ));
    }
    let yaml = file::bytes(&args.file)?;
    let payload = PolicyActivated {
        repository: args.repository.clone(),
        commit: args.commit.clone(),
        reviewers: args.reviewers.clone(),
        author_key: author_key.unwrap_or_default(),
        impact: Some(tried.impact()),
        ..stating(&policy, yaml)
    };
    let statement = admin::next_statement(Kind::PolicyActivated, payload.encode_to_vec(), &args.url).await?;
    match (&args.output, &args.admin_key) {
        (Some(path), _) => admin::write_statement(&statement, path, format),
        (None, Some(path)) => {
            let key = keyfile::signing_key(path).map_err(|error| Failure::usage(error.to_string()))?;
            if format == Format::Text {
                say!("impact       {} higher, {} lower of {}", tried.higher, tried.lower, tried.promotions);
            }
            let recorded = admin::sign_and_hand_in(statement.clone(), &key, &args.url).await?;
            admin::print(&statement, &recorded, 1, format);
            Ok(Exit::Ok)
        }
        (None, None) => Err(Failure::usage("give --admin-key or --output".to_owned())),
    }
}
