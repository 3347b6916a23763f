//! `policy explain`: where a candidate would go, why, and what it would need.

use std::path::PathBuf;

use crate::{
    cli::{
        output::{self, Exit, Failure, Format, Result, say},
        source::{Source, SourceArgs},
    },
    event::{Digest, promotion::Problem},
    policy::{self, Facts, ModelProfile, Previous, Provenance, Route, provenance},
};

use super::{
    file,
    incumbent::{self, Wanted},
};

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy, YAML
    file: PathBuf,
    /// The candidate's model profile, JSON
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// The profile of the slot's current model; without it, --url or --dir this is a first promotion
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// A running node: compare with what is current there
    #[arg(long, conflicts_with_all = ["previous", "dir"])]
    url: Option<String>,
    /// The directory of a stopped node: compare with what was current there
    #[arg(long, conflicts_with = "previous")]
    dir: Option<PathBuf>,
    /// The profile of the last model that people approved; the previous one if not given
    #[arg(long, value_name = "FILE", requires = "previous")]
    since_human: Option<PathBuf>,
    /// The model's name, as the slot has it; standing policies name models
    #[arg(long, default_value = "model")]
    model: String,
    /// The slot's environment
    #[arg(long, default_value = "production")]
    environment: String,
    /// The slot's region, where the model is in several
    #[arg(long)]
    region: Option<String>,
    /// The slot's role
    #[arg(long, default_value = "champion")]
    role: String,
    /// How well the profile is known: what a build attests, or only the submitter declares
    #[arg(long, value_enum, default_value_t = Known::Attested)]
    provenance: Known,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Known {
    Attested,
    Declared,
}

fn profile(path: &std::path::Path) -> Result<ModelProfile> {
    ModelProfile::parse(&file::bytes(path)?).map_err(|problems| {
        Failure::usage(format!("{} is no model profile\n{}", path.display(), lines(&problems)))
    })
}

fn lines(problems: &[Problem]) -> String {
    let line = |problem: &Problem| format!("  {}  {}", problem.field, problem.description);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What comes after `sha256:`.
fn digest_of(text: &str) -> Digest {
    Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text)).unwrap_or_default()
}

/// The slot's current promotion and the last one that people approved: from a ledger, or from profiles at hand.
async fn earlier(args: &Args, candidate: &ModelProfile) -> Result<(Option<Previous>, Option<Previous>)> {
    if args.url.is_some() || args.dir.is_some() {
        let source = Source::open(&SourceArgs { url: args.url.clone(), dir: args.dir.clone() }).await?;
        let wanted = Wanted {
            model: &args.model,
            environment: &args.environment,
            role: &args.role,
            region: args.region.as_deref(),
        };
        return incumbent::earlier(&source, &wanted).await;
    }
    // Without a ledger the incumbent that the profile names stands for the slot's current model.
    let incumbent = candidate.incumbent.as_ref().map(|incumbent| digest_of(&incumbent.artifact_sha256));
    let earlier = |profile: ModelProfile| Previous {
        seq: 0,
        artifact_sha256: incumbent.unwrap_or_default(),
        profile: profile.into(),
    };
    let previous = args.previous.as_deref().map(profile).transpose()?.map(earlier);
    let since_human = match &args.since_human {
        Some(path) => Some(earlier(profile(path)?)),
        None => previous.clone(),
    };
    Ok((previous, since_human))
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 if a file cannot be read, or the profile misses something.
pub async fn run(args: &Args, format: Format) -> Result {
    let policy = match file::load(&args.file, format)? {
        Ok(policy) => policy,
        Err(exit) => return Ok(exit),
    };
    let candidate = profile(&args.candidate)?;
    let (previous, since_human) = earlier(args, &candidate).await?;
    let facts = Facts {
        artifact_sha256: Digest([0xff; 32]),
        model: args.model.clone(),
        environment: args.environment.clone(),
        role: args.role.clone(),
        dataset_digest: digest_of(&candidate.snapshot_digest).0.to_vec(),
        definition_digest: digest_of(&candidate.definition_digest).0.to_vec(),
        provenance: Provenance::all(match args.provenance {
            Known::Attested => provenance::Source::Attested,
            Known::Declared => provenance::Source::Declared,
        }),
    };
    let inputs =
        policy::derive(&candidate, &facts, previous.as_ref(), since_human.as_ref()).map_err(|problems| {
            Failure::usage(format!("the candidate would be refused\n{}", lines(&problems)))
        })?;
    let route = policy.route(&inputs).map_err(|error| Failure::new(Exit::No, error.to_string()))?;
    let requirements = policy.in_words(&route.tier).unwrap_or_default();
    let outside = policy.outside_band(&inputs);
    match format {
        Format::Json => output::json(&serde_json::json!({
            "route": route, "requirements": requirements, "outside_band": outside, "inputs": inputs,
        })),
        Format::Text => text(&route, &requirements, &outside),
    }
    Ok(Exit::Ok)
}

fn text(route: &Route, requirements: &[String], outside: &[String]) {
    say!("tier           {}", route.tier);
    for matched in &route.matched {
        say!("rule           {} -> {}: {}", matched.rule, matched.tier, matched.reason);
    }
    if route.matched.is_empty() {
        say!("rule           none matches, so the highest tier");
    }
    for (i, reason) in route.floor.iter().flat_map(|floor| &floor.reasons).enumerate() {
        let tier = route.floor.as_ref().map(|floor| floor.tier.as_str()).unwrap_or_default();
        say!("{:<14} {reason}", if i == 0 { format!("floor {tier}") } else { String::new() });
    }
    for outside in outside {
        say!("band           {outside}");
    }
    if let Some(standing) = &route.standing_policy {
        say!("standing       {standing}");
    }
    for (i, requirement) in requirements.iter().enumerate() {
        say!("{:<14} {requirement}", if i == 0 { "requires" } else { "" });
    }
}
