//! The command line itself: arguments in, one command run, an exit code out.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{
    admin, as_of, bench, completions, demo, init, list, output,
    output::{Exit, Failure, Format},
    policy, promote, rebuild, republish, serve, show, slot_act, status, tail, verify,
};

/// Records what was decided: one immutable, signed event for each model promotion.
#[derive(Debug, Parser)]
#[command(
    name = "promotion-ledger",
    version,
    after_help = "Exit codes: 0 ok, 1 the answer is no or tampering was found, 2 usage, 3 unreachable, 4 internal, 5 awaiting approval.\nStart with `promotion-ledger demo`."
)]
struct Cli {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    command: Command,
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
    /// Drop the projections of a stopped node and fold them again
    Rebuild(rebuild::Args),
    /// Write a stopped node's records onto an empty Kafka topic
    Republish(republish::Args),
    /// Record a promotion: hash and upload its evidence, submit, verify the receipt
    Promote(promote::Args),
    /// Make an earlier promotion current again
    Rollback(slot_act::Args),
    /// Take a promotion back for good; if it is current, its slot becomes empty
    Revoke(slot_act::Args),
    /// Take the current promotion of a slot out of service
    Retire(slot_act::Args),
    /// Acts of the administrators: keys, rules, dates
    Admin(admin::Args),
    /// Materiality routing: check, test, explain, replay and activate a policy
    Policy(policy::Args),
    /// Print completions for a shell
    Completions(completions::Args),
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
            output::failure(&Failure::new(Exit::Internal, error.to_string()), cli.format);
            return Exit::Internal.into();
        }
    };
    let format = cli.format;
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
            Command::Rebuild(args) => rebuild::run(&args, format),
            Command::Republish(args) => republish::run(args, format).await,
            Command::Promote(args) => promote::run(args, format).await,
            Command::Rollback(args) => slot_act::run(slot_act::Act::RollBack, args, format).await,
            Command::Revoke(args) => slot_act::run(slot_act::Act::Revoke, args, format).await,
            Command::Retire(args) => slot_act::run(slot_act::Act::Retire, args, format).await,
            Command::Admin(args) => admin::run(args, format).await,
            Command::Policy(args) => policy::run(args, format).await,
            Command::Completions(args) => completions::run(&args, <Cli as clap::CommandFactory>::command()),
            Command::Verify(args) => verify::run(args, format).await,
        }
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure, format);
            failure.exit.into()
        }
    }
}
