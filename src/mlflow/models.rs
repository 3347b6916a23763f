//! Registered models: their versions, tags and aliases.

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::client::{Client, Error};

/// Things in one answer.
const PAGE: &str = "200";
/// Things of one kind, at most: beyond it a registry is not looked through.
const COUNT_MAX: usize = 100_000;

/// A registered model.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// Names of versions.
    #[serde(default)]
    pub aliases: Vec<Alias>,
    /// On older servers: the newest version of each stage.
    #[serde(default)]
    pub latest_versions: Vec<Version>,
}

/// A name that can be moved from version to version.
#[derive(Debug, Clone, Deserialize)]
pub struct Alias {
    /// The name.
    pub alias: String,
    /// The version that it points to.
    #[serde(deserialize_with = "text")]
    pub version: String,
}

/// A version.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Version {
    /// Name of its model.
    pub name: String,
    /// Its number.
    #[serde(deserialize_with = "text")]
    pub version: String,
    /// On older servers.
    #[serde(default)]
    pub current_stage: String,
    /// The run that made it; may be empty.
    #[serde(default)]
    pub run_id: String,
    /// Where its files were registered from.
    #[serde(default)]
    pub source: String,
    /// Who registered it.
    #[serde(default)]
    pub user_id: String,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub creation_timestamp: u64,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Anything.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// A tag of a version or a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// Its text.
    #[serde(default)]
    pub value: String,
}

/// Version numbers are text in most answers, numbers in some.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("{other} is no version"))),
    }
}

#[derive(Deserialize)]
struct Models {
    #[serde(default)]
    registered_models: Vec<Registered>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    model_versions: Vec<Version>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct OneModel {
    registered_model: Registered,
}

#[derive(Deserialize)]
struct OneVersion {
    model_version: Version,
}

#[derive(Deserialize)]
struct Download {
    #[serde(default)]
    artifact_uri: String,
}

impl Client {
    /// Every registered model, with its aliases.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn models(&self) -> Result<Vec<Registered>, Error> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let query = [("max_results", PAGE), ("page_token", &token)];
            let page: Models = self.get("registered-models/search", &query).await?;
            found.extend(page.registered_models);
            token = page.next_page_token;
            more(found.len(), "models")?;
            if token.is_empty() {
                return Ok(found);
            }
        }
    }

    /// One registered model; `None`: there is none of this name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn model(&self, name: &str) -> Result<Option<Registered>, Error> {
        let found = self.get::<OneModel>("registered-models/get", &[("name", name)]).await;
        there(found.map(|one| one.registered_model))
    }

    /// Every version of a model, newest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn versions(&self, name: &str) -> Result<Vec<Version>, Error> {
        let filter = format!("name='{}'", name.replace('\'', "\\'"));
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let query = [("filter", filter.as_str()), ("max_results", PAGE), ("page_token", &token)];
            let page: Versions = self.get("model-versions/search", &query).await?;
            // Whatever a server makes of quotes in a filter, other models' versions are none of this one.
            found.extend(page.model_versions.into_iter().filter(|version| version.name == name));
            token = page.next_page_token;
            more(found.len(), "versions")?;
            if token.is_empty() {
                found.sort_by_key(|version| std::cmp::Reverse(version.version.parse::<u64>().unwrap_or(0)));
                return Ok(found);
            }
        }
    }

    /// One version; `None`: there is none of this number.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn version(&self, name: &str, version: &str) -> Result<Option<Version>, Error> {
        let query = [("name", name), ("version", version)];
        let found = self.get::<OneVersion>("model-versions/get", &query).await;
        there(found.map(|one| one.model_version))
    }

    /// Where the files of a version are.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn download_uri(&self, name: &str, version: &str) -> Result<String, Error> {
        let query = [("name", name), ("version", version)];
        Ok(self.get::<Download>("model-versions/get-download-uri", &query).await?.artifact_uri)
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_tag(&self, name: &str, version: &str, key: &str, value: &str) -> Result<(), Error> {
        let body = json!({ "name": name, "version": version, "key": key, "value": value });
        self.act(Method::POST, "model-versions/set-tag", &body).await
    }

    /// Moves an alias.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_alias(&self, name: &str, alias: &str, version: &str) -> Result<(), Error> {
        let body = json!({ "name": name, "alias": alias, "version": version });
        self.act(Method::POST, "registered-models/alias", &body).await
    }

    /// Takes an alias away.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete_alias(&self, name: &str, alias: &str) -> Result<(), Error> {
        self.act(Method::DELETE, "registered-models/alias", &json!({ "name": name, "alias": alias })).await
    }
}

fn more(count: usize, what: &str) -> Result<(), Error> {
    match count > COUNT_MAX {
        true => Err(Error::Answer(format!("it names more than {COUNT_MAX} {what}"))),
        false => Ok(()),
    }
}

fn there<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
