//! The subcommands of `policy`.

use super::{activate, explain, file, history};
use crate::cli::output::{Format, Result};

/// Materiality routing: check, test, explain, replay and activate a policy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger policy check examples/credit/policy.yaml\n  promotion-ledger policy test policy.yaml --junit report.xml\n  promotion-ledger policy explain policy.yaml --candidate profile.json --model credit --url http://127.0.0.1:7420\n  promotion-ledger policy explain policy.yaml --candidate profile.json --previous last-week.json --model credit\n  promotion-ledger policy replay policy.yaml --url http://127.0.0.1:7420\n  promotion-ledger policy activate policy.yaml --repository https://git.example.bank/mrm --commit 4f2a --reviewer mkeller --admin-key admin.pem"
)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Compile, type-check, run its own tests, and show where the floor holds above it
    Check(file::Check),
    /// Run the tests inside the file, one by one
    Test(file::Test),
    /// Which tier, which rules, why, and what would be required
    Explain(explain::Args),
    /// What would have been routed otherwise in the ledger's history
    Replay(history::Args),
    /// Put a policy in force: an act of the administrators
    Activate(activate::Args),
    /// Print the JSON Schema of policy files, for editors
    Schema,
}

/// Runs the command.
pub async fn run(args: Args, format: Format) -> Result {
    match args.step {
        Step::Check(args) => file::check(&args, format),
        Step::Test(args) => file::test(&args, format),
        Step::Explain(args) => explain::run(&args, format).await,
        Step::Replay(args) => history::run(&args, format).await,
        Step::Activate(args) => activate::run(&args, format).await,
        Step::Schema => file::schema(),
    }
}
