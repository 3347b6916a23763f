//! An MLflow registry's models: the version that an alias, or a stage of older servers, points to.

use super::model::Model;
use crate::{
    cli::{
        mlflow_server::failed,
        output::{Failure, Result, utc},
    },
    event::{
        Digest,
        proto::{KnownFact, RegistryVersion, Slot},
    },
    mlflow::{Client, Registered, Version},
};

/// Models, at most.
const MODELS_MAX: usize = 10_000;

/// Which versions count, and where they run.
pub struct Inventory<'a> {
    /// The server.
    pub client: Client,
    /// Name of the registry in the ledger, for instance `mlflow://registry.example.bank`.
    pub registry_uri: &'a str,
    /// The alias, or stage, that production uses.
    pub alias: &'a str,
    /// Tag of a version that holds its artefact's SHA-256.
    pub digest_tag: &'a str,
    /// Where they run; the model's name is the registry's.
    pub slot: Slot,
}

/// The models that an alias points to.
///
/// # Errors
/// Exit code 3 if the server cannot be asked.
pub async fn read(inventory: &Inventory<'_>) -> Result<Vec<Model>> {
    let mut models = Vec::new();
    for registered in inventory.client.models().await.map_err(failed)? {
        if let Some(version) = in_production(inventory, &registered).await? {
            models.push(model(inventory, &version));
        }
        if models.len() > MODELS_MAX {
            return Err(Failure::usage(format!("the registry has more than {MODELS_MAX} models there")));
        }
    }
    Ok(models)
}

async fn in_production(inventory: &Inventory<'_>, registered: &Registered) -> Result<Option<Version>> {
    if let Some(alias) = registered.aliases.iter().find(|it| it.alias == inventory.alias) {
        return inventory.client.version(&registered.name, &alias.version).await.map_err(failed);
    }
    let staged = registered.latest_versions.iter();
    Ok(staged.clone().find(|it| it.current_stage.eq_ignore_ascii_case(inventory.alias)).cloned())
}

fn model(inventory: &Inventory<'_>, found: &Version) -> Model {
    let tag = found.tags.iter().find(|tag| tag.key == inventory.digest_tag);
    let artifact =
        tag.and_then(|tag| Digest::from_hex(tag.value.strip_prefix("sha256:").unwrap_or(&tag.value)));
    let created = match found.creation_timestamp {
        0 => String::new(),
        millis => utc(millis.saturating_mul(1000)),
    };
    let facts = [
        ("run_id", &found.run_id),
        ("source", &found.source),
        ("user_id", &found.user_id),
        ("created_at", &created),
    ];
    let fact = |(fact, value): (&str, &String)| KnownFact {
        fact: fact.to_owned(),
        value: value.clone(),
        source: inventory.registry_uri.to_owned(),
    };
    Model {
        slot: Slot { model: found.name.clone(), ..inventory.slot.clone() },
        artifact,
        version: Some(RegistryVersion {
            registry_uri: inventory.registry_uri.to_owned(),
            name: found.name.clone(),
            version: found.version.clone(),
        }),
        known: facts.into_iter().filter(|(_, value)| !value.is_empty()).map(fact).collect(),
        missing: Model::missing_by_default(artifact.as_ref()),
        sunset: None,
    }
}
