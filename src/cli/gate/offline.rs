//! A gate's decision without a node: a receipt, and a signed status list.

use std::path::{Path, PathBuf};

use super::report::Outcome;
use crate::{
    cli::output::{self, Failure, Result},
    clock::{Clock, SystemClock},
    event::{Digest, proto::Slot},
    gate::status,
    proof::{
        checkpoint::LogKey,
        receipt::Receipt,
        status_list::{self, StatusList},
    },
};

/// What is needed to decide offline.
#[derive(Debug, Clone, clap::Args)]
pub struct OfflineArgs {
    /// Decide with this signed list, and ask no node
    #[arg(long, value_name = "FILE", requires_all = ["receipt", "log_key"])]
    status_list: Option<PathBuf>,
    /// Receipt of the entry that allows it, from `promote --receipt` or `show --receipt`
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The ledger's log key (`<name>+<hash>+<base64>`), or a file with it
    #[arg(long, env = "PROMOTION_LEDGER_LOG_KEY", value_name = "VKEY")]
    log_key: Option<String>,
}

/// A list whose signature holds.
pub struct Offline {
    list: StatusList,
    receipt: Receipt,
    key: LogKey,
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

impl OfflineArgs {
    /// The key that the caller trusts.
    ///
    /// # Errors
    /// Exit code 2.
    pub fn log_key(&self) -> Result<Option<LogKey>> {
        let Some(given) = &self.log_key else { return Ok(None) };
        let text = std::fs::read_to_string(given).unwrap_or_else(|_| given.clone());
        LogKey::parse(&text).map(Some).map_err(|error| Failure::usage(format!("--log-key: {error}")))
    }

    /// List and receipt, if they were given.
    ///
    /// # Errors
    /// Exit code 2 if they cannot be read, 1 if the list is not this ledger's.
    pub fn open(&self) -> Result<Option<Offline>> {
        let (Some(list), Some(receipt), Some(key)) = (&self.status_list, &self.receipt, self.log_key()?)
        else {
            return Ok(None);
        };
        let list = status_list::open(&read(list)?, &key)
            .map_err(|error| Failure::new(output::Exit::No, error.to_string()))?;
        let receipt =
            Receipt::parse(&read(receipt)?).map_err(|error| Failure::usage(format!("--receipt: {error}")))?;
        Ok(Some(Offline { list, receipt, key }))
    }
}

impl Offline {
    /// Whether an artefact may run in a target now.
    pub fn decide(&self, artifact: &Digest, slot: &Slot) -> Outcome {
        let target = status::target(slot);
        let decided = self.list.decide(artifact, &target, &self.receipt, &self.key, SystemClock.now());
        let head = &self.list.head;
        let mut outcome = Outcome {
            allowed: decided.is_ok(),
            basis: "none".into(),
            mode: "enforce (offline)".into(),
            as_of: format!(
                "{}, {} entries; the list may be used until {}",
                output::utc(head.issued_at),
                head.size,
                output::utc(head.fresh_until)
            ),
            ..Outcome::default()
        };
        match decided {
            Ok(line) => {
                outcome.basis = line.status.words().into();
                outcome.seq = Some(line.seq);
                outcome.slot = Some(Slot {
                    model: line.target.model.clone(),
                    environment: line.target.environment.clone(),
                    region: line.target.region.clone(),
                    role: slot.role,
                });
            }
            Err(error) => outcome.refusals.push(error.to_string()),
        }
        outcome.document = serde_json::json!({
            "allowed": outcome.allowed, "offline": true, "basis": outcome.basis, "seq": outcome.seq,
            "refusals": outcome.refusals, "list": head,
        });
        outcome
    }
}
