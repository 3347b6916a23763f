//! Runs: what a training or comparison job recorded.

use serde::Deserialize;

use super::{
    client::{Client, Error, Listing},
    models::Tag,
};

/// Pages of a run's files that are looked at.
const DIRECTORIES_MAX: usize = 50;

/// A run.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Run {
    /// Names and numbers.
    #[serde(default)]
    pub data: Data,
    /// What it read.
    #[serde(default)]
    pub inputs: Inputs,
}

/// What a run logged.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Data {
    /// The last value of each metric.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// A metric.
#[derive(Debug, Clone, Deserialize)]
pub struct Metric {
    /// Its name.
    pub key: String,
}

/// What a run read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Inputs {
    /// Datasets.
    #[serde(default)]
    pub dataset_inputs: Vec<DatasetInput>,
}

/// A dataset that a run read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DatasetInput {
    /// Which.
    #[serde(default)]
    pub dataset: Dataset,
}

/// A dataset as MLflow knows it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Dataset {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// MLflow's own digest: 8 hexadecimal characters.
    #[serde(default)]
    pub digest: String,
    /// What kind of source it is.
    #[serde(default)]
    pub source_type: String,
}

#[derive(Deserialize)]
struct OneRun {
    run: Run,
}

impl Client {
    /// A run; `None`: there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn run(&self, run_id: &str) -> Result<Option<Run>, Error> {
        match self.get::<OneRun>("runs/get", &[("run_id", run_id)]).await {
            Ok(one) => Ok(Some(one.run)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Paths of a run's own files, in order; those of many directories in part.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn run_files(&self, run_id: &str) -> Result<Vec<String>, Error> {
        let (mut files, mut open) = (Vec::new(), vec![String::new()]);
        for _ in 0..DIRECTORIES_MAX {
            let Some(dir) = open.pop() else { break };
            let query = [("run_id", run_id), ("path", dir.as_str())];
            let query = if dir.is_empty() { &query[..1] } else { &query[..] };
            for listed in self.get::<Listing>("artifacts/list", query).await?.files {
                if listed.is_dir { open.push(listed.path) } else { files.push(listed.path) }
            }
        }
        files.sort();
        Ok(files)
    }
}
