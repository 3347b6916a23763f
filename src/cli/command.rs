//! The command line itself: arguments in, one command run, an exit code out.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use super::{
    admin, as_of, audit, baseline, bench, completions, credentials, demo, evidence, export, gate, hold, init,
    list, output,
    output::{Exit, Failure, Format},
    policy, privacy, promote, proof, rebuild, registry, relay, republish, review, serve, show, slot_act,
    status, tail, token, verify, walk,
};
use crate::{event::proto::Decision, log::kafka};

/// How long the end of a process waits for clients of Kafka.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// Records what was decided: one immutable, signed event for each model promotion.
#[derive(Debug, Parser)]
#[command(
    name = "promotion-ledger",
    version,
    after_help = "Exit codes: 0 ok, 1 the answer is no or tampering was found, 2 usage, 3 unreachable, 4 internal, 5 awaiting approval.\nStart with `promotion-ledger demo`."
)]
struct Cli {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Shown::Text)]
    format: Shown,
    /// A file with the access token that calls of a node carry
    #[arg(long, global = true, env = "PROMOTION_LEDGER_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificates, in PEM, of the authority that vouches for a node at https://…, beside the public ones
    #[arg(long, global = true, value_name = "PEM", env = "PROMOTION_LEDGER_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// A service's own certificate, in PEM, by which a node at https://… knows it without a token
    #[arg(
        long,
        global = true,
        value_name = "PEM",
        env = "PROMOTION_LEDGER_CLIENT_CERT",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// Its private key, in PEM, mode 0600
    #[arg(
        long,
        global = true,
        value_name = "PEM",
        env = "PROMOTION_LEDGER_CLIENT_KEY",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
    /// With a node's development issuer: who calls
    #[arg(long = "as", global = true, value_name = "SUBJECT", conflicts_with = "token_file")]
    subject: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// `--format` as it is given: `export` has shapes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shown {
    /// For people.
    Text,
    /// For programs: one JSON document, or one line for each item of a stream.
    Json,
    /// `export`: JSON lines.
    #[value(hide = true)]
    Jsonl,
    /// `export`: OCSF.
    #[value(hide = true)]
    Ocsf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new ledger: genesis, keys, configuration file
    Init(init::Args),
    /// Run a node
    Serve(serve::Args),
    /// The whole story on a real node, in under a minute: start here
    Demo(demo::Args),
    /// Measure a node under load, beside the bare disk
    Bench(bench::Args),
    /// Show one entry: the six fields, who approved, what was decided
    Show(show::Args),
    /// List entries, newest first
    List(list::Args),
    /// What was current in a model's slots at a time
    AsOf(as_of::Args),
    /// Entries in order, from a position, and new ones as they come
    Tail(tail::Args),
    /// How a node is doing
    Status(status::Args),
    /// Fold a stopped node's projections again, or make its ledger anew from the archive
    Rebuild(rebuild::Args),
    /// Write a stopped node's records onto an empty Kafka topic
    Republish(republish::Args),
    /// Record a promotion: hash and upload its evidence, submit, verify the receipt
    Promote(promote::Args),
    /// Go on with a promotion that waits for its approval
    Resume(review::follow::Args),
    /// Reviews: seal, show, list, withdraw
    Review(review::Args),
    /// Approve in a review: see what is approved, log in, sign
    Approve(Box<review::decide::Args>),
    /// Send a review back for changes
    RequestChanges(Box<review::decide::Args>),
    /// Decline in a review
    Decline(Box<review::decide::Args>),
    /// Let somebody else decide in reviews for you, for a while
    Delegate(review::delegate::Args),
    /// Close a condition that an approval set, with what shows that it is met
    CloseCondition(review::condition::Args),
    /// Make an earlier promotion current again
    Rollback(slot_act::Args),
    /// Take a promotion back for good; if it is current, its slot becomes empty
    Revoke(slot_act::Args),
    /// Take the current promotion of a slot out of service
    Retire(slot_act::Args),
    /// Evidence: what relies on it, and what must not be relied on any more
    Evidence(evidence::Args),
    /// Personal data that must be kept: set, release and list legal holds
    Hold(hold::Args),
    /// Personal data: erase a person
    Privacy(privacy::Args),
    /// Acts of the administrators: keys, rules, dates
    Admin(admin::Args),
    /// A token of a node's development issuer, for a terminal, a pipeline or a test
    Token(token::Args),
    /// Materiality routing: check, test, explain, replay and activate a policy
    Policy(policy::Args),
    /// The gate in front of production: check, fetch, status lists, coverage, Kubernetes
    Gate(gate::Args),
    /// Models from before the ledger: import an inventory as undocumented
    Baseline(baseline::Args),
    /// The model registry: compare it with the ledger now
    Registry(registry::Args),
    /// One model through the six fields: what is frozen, what would have to be reconstructed
    Walk(walk::Args),
    /// Entries for a SIEM (JSON lines or OCSF), promotions as an examiner bundle, or one as an attestation
    Export(export::Args),
    /// Publish accepted entries to an output topic, each exactly once
    Relay(relay::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Prove that an entry is in the ledger, or that one checkpoint continues another
    Proof(proof::Args),
    /// The auditor's procedure: the population of a period, a sample that nobody chose, a workpaper
    Audit(audit::Args),
    /// Recompute the ledger from genesis: links, tree, digests, signatures, the writer's rules
    Verify(verify::Args),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing help fails only if nobody reads it.
            let _ = error.print();
            let asked = !error.use_stderr();
            return (if asked { Exit::Ok } else { Exit::Usage }).into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::failure(&Failure::new(Exit::Internal, error.to_string()), Format::Text);
            return Exit::Internal.into();
        }
    };
    let (format, shape) = match cli.format {
        Shown::Text => (Format::Text, export::Shape::JsonLines),
        Shown::Json | Shown::Jsonl => (Format::Json, export::Shape::JsonLines),
        Shown::Ocsf => (Format::Json, export::Shape::Ocsf),
    };
    let exports = matches!(cli.command, Command::Export(_));
    if !exports && matches!(cli.format, Shown::Jsonl | Shown::Ocsf) {
        output::failure(&Failure::usage("--format jsonl and --format ocsf are shapes of `export`"), format);
        return Exit::Usage.into();
    }
    credentials::given(credentials::Given {
        token_file: cli.token_file,
        ca_file: cli.ca_file,
        certificate: cli.client_cert.zip(cli.client_key),
        subject: cli.subject,
    });
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Init(args) => init::run(args, format).await,
            Command::Serve(args) => serve::run(args, format).await,
            Command::Demo(args) => demo::run(args, format).await,
            Command::Bench(args) => bench::run(args, format).await,
            Command::Show(args) => show::run(args, format).await,
            Command::List(args) => list::run(args, format).await,
            Command::AsOf(args) => as_of::run(args, format).await,
            Command::Tail(args) => tail::run(args, format).await,
            Command::Status(args) => status::run(args, format).await,
            Command::Rebuild(args) => rebuild::run(&args, format).await,
            Command::Republish(args) => republish::run(args, format).await,
            Command::Promote(args) => promote::run(args, format).await,
            Command::Resume(args) => review::follow::run(args, format).await,
            Command::Review(args) => review::run(args, format).await,
            Command::Approve(args) => review::decide::run(Decision::Approve, *args, format).await,
            Command::RequestChanges(args) => {
                review::decide::run(Decision::RequestChanges, *args, format).await
            }
            Command::Decline(args) => review::decide::run(Decision::Decline, *args, format).await,
            Command::Delegate(args) => review::delegate::run(args, format).await,
            Command::CloseCondition(args) => review::condition::run(args, format).await,
            Command::Rollback(args) => slot_act::run(slot_act::Act::RollBack, args, format).await,
            Command::Revoke(args) => slot_act::run(slot_act::Act::Revoke, args, format).await,
            Command::Retire(args) => slot_act::run(slot_act::Act::Retire, args, format).await,
            Command::Evidence(args) => evidence::run(args, format).await,
            Command::Hold(args) => hold::run(args, format).await,
            Command::Privacy(args) => privacy::run(args, format).await,
            Command::Admin(args) => admin::run(args, format).await,
            Command::Token(args) => token::run(args, format),
            Command::Policy(args) => policy::run(args, format).await,
            Command::Baseline(args) => baseline::run(args, format).await,
            Command::Walk(args) => walk::run(args, format).await,
            Command::Export(args) => export::run(args, shape, format).await,
            Command::Relay(args) => relay::run(args, format).await,
            Command::Registry(args) => registry::run(args, format).await,
            Command::Gate(args) => gate::run(args, format).await,
            Command::Completions(args) => completions::run(&args, <Cli as clap::CommandFactory>::command()),
            Command::Proof(args) => proof::run(args, format).await,
            Command::Audit(args) => audit::run(args, format).await,
            Command::Verify(args) => verify::run(args, format).await,
        }
    });
    drop(runtime);
    kafka::wait_until_closed(CLOSED_WITHIN);
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure, format);
            failure.exit.into()
        }
    }
}
