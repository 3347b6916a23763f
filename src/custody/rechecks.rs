//! Evidence stays alive: the node walks over all evidence and over its archive, again and again within a period. What is
//! wrong is an entry and an alert, and so is that it is over; locks are made longer as their ends come nearer.
//!
//! Every node walks by itself; an equal finding of the same day is one entry, unless it was over in between: findings name
//! the end that they follow, which all nodes read from the ledger.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use tokio::task::JoinHandle;

use crate::{
    admission::gateway::Gateway,
    alert::Alerts,
    archive::{
        check::{self, Against},
        reader::Archive,
    },
    event::{
        Digest, Micros, Seq,
        proto::{EvidenceFinding, EvidenceProblem, body::Event},
    },
    ledger::Ledger,
    projection::{
        held::{self, Windows},
        worker::Workers,
    },
};

use super::{
    examination::{Care, Locks, examine, of_archive},
    probing::{DAY, day},
    reached::{Pace, Progress},
    round::Round,
};

/// Before a look that did not succeed is taken again.
const RETRY_WAIT: Duration = Duration::from_secs(5);
/// Longest time between two looks at what is due.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// Between two looks at evidence with findings that are not over.
const REVISIT: Micros = 600 * 1_000_000;
/// Between two looks at evidence of which the store said nothing.
const ASK_AGAIN: Micros = 10 * 1_000_000;
/// Findings that are looked at again, and stand as alerts; and evidence that is asked for again.
const OPEN_MAX: usize = 500;
/// Between two writes of the file, microseconds: a restart looks at so much again.
const KEEP_AFTER: Micros = 1_000_000;
/// How often what is found is stated anew because it was over meanwhile.
const OCCURRENCES_MAX: u32 = 5;
/// How long the projections may take for what was recorded a moment ago.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(10);
/// Name of the alerts about the walk itself.
const ALERT: &str = "evidence-checks";

/// What the walk works with.
pub struct Parts {
    /// The front door: findings are recorded.
    pub gateway: Arc<Gateway>,
    /// Say what was found before.
    pub workers: Arc<Workers>,
    /// Where findings stand until they are over.
    pub alerts: Arc<Alerts>,
    /// The ledger's archive.
    pub archive: Archive,
    /// Signs its checkpoints.
    pub log_key: SigningKey,
    /// Where the walk is kept.
    pub file: PathBuf,
    /// How it goes.
    pub pace: Pace,
}

/// The running task.
pub struct Rechecks {
    /// How it goes.
    pub pace: Pace,
    /// How far it is.
    pub progress: Progress,
    task: JoinHandle<()>,
}

impl Rechecks {
    /// Goes on where it was.
    ///
    /// # Errors
    /// Of the file that says where.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let round = Round::read(&parts.file)?.unwrap_or_default();
        let progress = Progress::default();
        progress.lock().round.clone_from(&round);
        let walk = Walk {
            windows: Windows::new(parts.pace.retain_days),
            parts,
            round,
            revisited: 0,
            kept: 0,
            kept_round: true,
            progress: progress.clone(),
        };
        Ok(Self { pace: walk.parts.pace, progress, task: tokio::spawn(walk.run()) })
    }

    /// Stops it. What it looked at since the file was written is looked at again.
    pub fn stop(&self) {
        self.task.abort();
    }
}

/// Why a look did not succeed: store, ledger or front door, in words.
type Failed = String;

struct Walk {
    parts: Parts,
    windows: Windows,
    round: Round,
    /// When open findings were looked at last.
    revisited: Micros,
    /// When the file was written last, and whether it says what `round` does.
    kept: Micros,
    kept_round: bool,
    progress: Progress,
}

impl Walk {
    async fn run(mut self) {
        let every = Duration::from_secs(1) / self.parts.pace.per_second.max(1);
        loop {
            let wait = match self.step().await {
                Ok(true) => every,
                Ok(false) => every.max(self.idle()),
                Err(_) => RETRY_WAIT,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// A short period is walked at a finer pace.
    fn idle(&self) -> Duration {
        (self.parts.pace.within / 50).clamp(Duration::from_millis(10), IDLE_WAIT)
    }

    fn within(&self) -> Micros {
        u64::try_from(self.parts.pace.within.as_micros()).unwrap_or(u64::MAX)
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.parts.gateway.ledger
    }

    fn now(&self) -> Micros {
        self.parts.gateway.clock.now()
    }

    /// Takes one look, if one is due. Whether it did.
    async fn step(&mut self) -> Result<bool, Failed> {
        let looked = self.look().await;
        let now = self.now();
        if !self.kept_round && now >= self.kept.saturating_add(KEEP_AFTER) {
            self.keep();
        }
        match &looked {
            Err(why) => {
                let words = format!("evidence cannot be looked at again: {why}");
                self.parts.alerts.raise(ALERT, &words, now);
            }
            Ok(_) if !self.round.unanswered.is_empty() => {}
            Ok(_) if self.round.is_late(now, self.within()) => {
                let words = "looking at all evidence takes longer than evidence.checks.within_seconds; allow more per_second, or more time";
                self.parts.alerts.raise(ALERT, words, now);
            }
            Ok(_) => self.parts.alerts.clear(ALERT),
        }
        let mut reached = self.progress.lock();
        reached.round = self.round.clone();
        match &looked {
            Err(why) => reached.trouble.clone_from(why),
            Ok(_) if self.round.unanswered.is_empty() => reached.trouble.clear(),
            Ok(_) => {}
        }
        drop(reached);
        looked
    }

    async fn look(&mut self) -> Result<bool, Failed> {
        let now = self.now();
        if self.round.began == 0 {
            self.begin(now);
        }
        let often = if self.round.unanswered.is_empty() { REVISIT } else { ASK_AGAIN };
        if now >= self.revisited.saturating_add(often.min(self.within())) {
            self.revisited = now;
            return self.revisit().await.map(|()| true);
        }
        if !self.round.evidence_done && self.round.unanswered.len() < OPEN_MAX {
            let after = self.round.after();
            let next = tokio::task::block_in_place(|| held::after(self.ledger(), after.as_ref(), 1));
            match next.map_err(words)?.first() {
                None => self.round.evidence_done = true,
                Some(next) if self.round.evidence_due(next, self.within()) <= now => {
                    // One that is not answered does not keep the others waiting.
                    let looked = self.evidence(next).await;
                    if looked.is_err() {
                        self.round.unanswered.insert(next.to_string());
                    }
                    self.round.evidence = next.to_string();
                    self.looked();
                    return looked;
                }
                Some(_) => {}
            }
        }
        let archived = self.parts.gateway.archive.reached();
        let bundles = check::bundles(if archived.agrees { archived.size } else { 0 });
        let bundle = self.round.bundles;
        if bundle < bundles && self.round.bundle_due(bundle, bundles, self.within()) <= now {
            self.bundle(bundle, archived.size).await?;
            self.round.bundles += 1;
            self.looked();
            return Ok(true);
        }
        let over = now >= self.round.began.saturating_add(self.within());
        if over && self.round.evidence_done && bundle >= bundles {
            self.begin(now);
        }
        Ok(false)
    }

    fn begin(&mut self, now: Micros) {
        self.round = self.round.next(now, self.within());
        self.keep();
    }

    fn looked(&mut self) {
        self.round.looks += 1;
        self.kept_round = false;
    }

    fn keep(&mut self) {
        (self.kept, self.kept_round) = (self.now(), true);
        if let Err(error) = tokio::task::block_in_place(|| self.round.write(&self.parts.file)) {
            tracing::warn!(%error, "where the walk over the evidence is was not kept; a restart looks at some again");
        }
    }

    /// Evidence with findings that are not over, more often than the rest: somebody may have mended it. What is wrong with
    /// the archive stands until its turn comes.
    async fn revisit(&mut self) -> Result<(), Failed> {
        for finding in self.open()? {
            let Some(sha256) = Digest::from_slice(&finding.sha256) else { continue };
            if !self.evidence(&sha256).await? {
                self.raise(&finding, false);
            }
        }
        for unanswered in self.round.unanswered.clone() {
            if let Some(sha256) = Digest::from_hex(&unanswered) {
                self.evidence(&sha256).await?;
            }
            self.round.unanswered.remove(&unanswered);
            self.kept_round = false;
        }
        Ok(())
    }

    /// Looks at one piece of evidence; false if the ledger holds none with this digest.
    async fn evidence(&mut self, sha256: &Digest) -> Result<bool, Failed> {
        let (ledger, now) = (self.ledger().clone(), self.now());
        let windows = &mut self.windows;
        let held = tokio::task::block_in_place(|| held::held(&ledger, &ledger.head(), sha256, windows, now));
        let Some(held) = held.map_err(words)? else { return Ok(false) };
        let ahead = self.within().saturating_mul(2).min(DAY * 60);
        let care = Care { deep: self.parts.pace.deep, locks: Locks::Extend(ahead) };
        let examined =
            examine(self.parts.gateway.evidence.as_ref(), &held, care, now).await.map_err(words)?;
        self.progress.lock().extended += examined.extended;
        for found in &examined.found {
            self.found(found.event(sha256, now), true).await?;
        }
        if examined.found.is_empty() {
            self.sound(sha256).await?;
        }
        Ok(true)
    }

    /// Looks at one bundle of the archive. What was missing is there again then, and that is looked at at once.
    async fn bundle(&mut self, bundle: u64, size: u64) -> Result<(), Failed> {
        let now = self.now();
        let against = Against {
            archive: &self.parts.archive,
            ledger: &self.parts.gateway.ledger,
            log_key: &self.parts.log_key,
            until: now.saturating_add(u64::from(self.parts.pace.retain_days) * DAY),
            care: check::Care::Mend,
        };
        let mut checked = against.bundle(bundle, size).await.map_err(words)?;
        let missing = checked.findings.iter().any(|finding| finding.problem == EvidenceProblem::Missing);
        for finding in &checked.findings {
            self.found(of_archive(finding, now), false).await?;
        }
        if missing {
            checked = against.bundle(bundle, size).await.map_err(words)?;
        }
        for finding in self.open()?.into_iter().filter(|finding| against.is_of(&finding.uri, bundle)) {
            let sound = checked.sound.iter().any(|sound| sound.0 == finding.sha256.as_slice());
            if sound || checked.findings.is_empty() {
                self.over(finding).await?;
            }
        }
        Ok(())
    }

    /// Something is wrong: an alert, and an entry.
    async fn found(&self, finding: EvidenceFinding, relied_on: bool) -> Result<(), Failed> {
        self.raise(&finding, relied_on);
        self.observe(finding).await
    }

    /// Records what a look found, in the occurrence that it belongs to. Afterwards the newest entry about that evidence says
    /// so: another node may have recorded the same, and also that it is over already.
    async fn observe(&self, mut finding: EvidenceFinding) -> Result<(), Failed> {
        let sha256 = Digest::from_slice(&finding.sha256).unwrap_or_default();
        for _ in 0..OCCURRENCES_MAX {
            let (_, over) = self.known(&sha256).await?;
            finding.follows = over;
            let recorded = self.parts.gateway.observe(Event::EvidenceFinding(finding.clone()), "").await;
            let recorded = recorded.map_err(|error| format!("a finding is not recorded yet: {error}"))?;
            let (newest, _) = self.known(&sha256).await?;
            if recorded.is_some() || newest.is_some_and(|it| held::is_open(&it) == held::is_open(&finding)) {
                return self.open().map(|_| ());
            }
        }
        Err("a finding is not recorded yet: it comes and goes".into())
    }

    /// The newest finding about evidence and its newest end, once the projections have all that this node recorded.
    async fn known(&self, sha256: &Digest) -> Result<(Option<EvidenceFinding>, Option<Seq>), Failed> {
        let (ledger, head) = (self.ledger(), self.ledger().head());
        if !self.parts.workers.reach(head.state.size(), CATCH_UP_WITHIN).await {
            return Err("the projections are behind".into());
        }
        let newest = tokio::task::block_in_place(|| held::newest_finding(ledger, &head, sha256));
        let over = tokio::task::block_in_place(|| held::newest_over(ledger, &head, sha256));
        Ok((newest.map_err(words)?, over.map_err(words)?))
    }

    /// Findings that are not over, and how many they are for those who ask how the walk goes.
    fn open(&self) -> Result<Vec<EvidenceFinding>, Failed> {
        let ledger = self.ledger();
        let open = tokio::task::block_in_place(|| held::open_findings(ledger, &ledger.head(), OPEN_MAX));
        let open = open.map_err(words)?;
        self.progress.lock().open = open.len() as u64;
        Ok(open)
    }

    fn raise(&self, finding: &EvidenceFinding, relied_on: bool) {
        let sha256 = hex::encode(&finding.sha256);
        let whose = if relied_on {
            format!("; `evidence relies {sha256}` names what relies on it")
        } else {
            String::new()
        };
        let words = format!("{} is not as it must be: {}{whose}", finding.uri, finding.detail);
        self.parts.alerts.raise(&name(&sha256), &words, self.now());
    }

    /// All is well: what was found before is over.
    async fn sound(&self, sha256: &Digest) -> Result<(), Failed> {
        match self.known(sha256).await?.0.filter(held::is_open) {
            Some(finding) => self.over(finding).await?,
            None => self.parts.alerts.clear(&name(&sha256.to_string())),
        }
        Ok(())
    }

    /// What a finding says is over: an entry says that too.
    async fn over(&self, finding: EvidenceFinding) -> Result<(), Failed> {
        let name = name(&hex::encode(&finding.sha256));
        let over = EvidenceFinding {
            problem: EvidenceProblem::Over.into(),
            detail: "what was found before is over".into(),
            day: day(self.now()),
            ..finding
        };
        self.observe(over).await?;
        self.parts.alerts.clear(&name);
        Ok(())
    }
}

fn name(sha256: &str) -> String {
    format!("evidence {sha256}")
}

fn words(error: impl ToString) -> Failed {
    error.to_string()
}
