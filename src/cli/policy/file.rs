//! `policy check` and `policy test`: a file, and what is wrong with it.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, coloured, say},
        xml::escaped,
    },
    policy::{
        self, BelowFloor, Finding, Policy,
        cases::{self, CaseResult},
    },
};

/// Arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The policy, YAML
    file: PathBuf,
}

/// Arguments of `policy test`.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// The policy, YAML
    file: PathBuf,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Bytes of a file that the user named.
///
/// # Errors
/// Exit code 2.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn findings(path: &Path, findings: &[Finding], format: Format) -> Exit {
    match format {
        Format::Json => output::json(&serde_json::json!({ "ok": false, "findings": findings })),
        Format::Text => {
            for finding in findings {
                say!("{}:{finding}", path.display());
            }
            let plural = if findings.len() == 1 { "" } else { "s" };
            say!("{} {} finding{plural}", coloured("31", "refused:"), findings.len());
        }
    }
    Exit::No
}

/// A policy that was checked whole, or its findings printed.
///
/// # Errors
/// Exit code 2 if the file cannot be read.
pub fn load(path: &Path, format: Format) -> Result<std::result::Result<Policy, Exit>> {
    Ok(policy::load(&bytes(path)?).map_err(|found| findings(path, &found, format)))
}

/// `policy check`.
///
/// # Errors
/// Exit code 2 if the file cannot be read.
pub fn check(args: &Check, format: Format) -> Result {
    let policy = match load(&args.file, format)? {
        Ok(policy) => policy,
        Err(exit) => return Ok(exit),
    };
    let below: Vec<BelowFloor> = policy::below_floor(&policy);
    match format {
        Format::Json => output::json(&serde_json::json!({
            "ok": true, "id": policy.id(), "version": policy.version(), "sha256": policy.digest().to_string(),
            "tiers": policy.tiers().iter().map(|tier| tier.id.value.clone()).collect::<Vec<_>>(),
            "rules": policy.file().rules.len(), "tests": policy.file().tests.len(), "below_floor": below,
        })),
        Format::Text => {
            let tiers: Vec<_> = policy.tiers().iter().map(|tier| tier.id.value.as_str()).collect();
            say!("{} {} version {}", coloured("32", "ok:"), policy.id(), policy.version());
            say!("  sha256   {}", policy.digest());
            say!("  tiers    {}", tiers.join(" < "));
            say!("  rules    {}, each reached by a test", policy.file().rules.len());
            say!("  tests    {}, all pass", policy.file().tests.len());
            for below in &below {
                say!(
                    "  {}    {}: the rules alone would give {}, the floor gives {}",
                    coloured("33", "floor"),
                    below.change,
                    below.policy_tier,
                    below.floor_tier
                );
            }
            if below.is_empty() {
                say!("  floor    never below it for a single material change");
            }
        }
    }
    Ok(Exit::Ok)
}

/// `policy test`.
///
/// # Errors
/// Exit code 2 if the file cannot be read, 4 if the report cannot be written.
pub fn test(args: &Test, format: Format) -> Result {
    let policy = match policy::compile(&bytes(&args.file)?) {
        Ok(policy) => policy,
        Err(found) => return Ok(findings(&args.file, &found, format)),
    };
    let results = cases::run(&policy);
    let failed = results.iter().filter(|result| !result.passed()).count();
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(policy.id(), &results))
            .map_err(|error| Failure::new(Exit::Internal, format!("{}: {error}", path.display())))?;
    }
    match format {
        Format::Json => output::json(&serde_json::json!({
            "passed": results.len() - failed, "failed": failed,
            "tests": results.iter().map(|result| serde_json::json!({
                "name": result.name, "line": result.place.0, "failures": result.failures, "route": result.route,
            })).collect::<Vec<_>>(),
        })),
        Format::Text => {
            for result in &results {
                let tier = result.route.as_ref().map(|route| route.tier.as_str()).unwrap_or("-");
                let mark = if result.passed() { coloured("32", "ok  ") } else { coloured("31", "FAIL") };
                say!("{mark} {:<10} {}", tier, result.name);
                for failure in &result.failures {
                    say!("     {}:{}: {failure}", args.file.display(), result.place.0);
                }
            }
            say!("{} passed, {failed} failed", results.len() - failed);
        }
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::No })
}

/// `policy schema`.
///
/// # Errors
/// None.
pub fn schema() -> Result {
    say!("{}", policy::schema::text().trim_end());
    Ok(Exit::Ok)
}

/// The results as JUnit XML, which every CI shows.
fn junit(suite: &str, results: &[CaseResult]) -> String {
    let failed = results.iter().filter(|result| !result.passed()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">\n",
        escaped(suite),
        results.len()
    );
    for result in results {
        // Writing to a string does not fail.
        let _ =
            write!(xml, "  <testcase name=\"{}\" classname=\"{}\"", escaped(&result.name), escaped(suite));
        if result.passed() {
            xml.push_str("/>\n");
            continue;
        }
        let text = escaped(&result.failures.join("\n"));
        let first = escaped(result.failures.first().map(String::as_str).unwrap_or_default());
        let _ = writeln!(xml, "><failure message=\"{first}\">{text}</failure></testcase>");
    }
    xml.push_str("</testsuite>\n");
    xml
}
