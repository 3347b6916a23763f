//! The S3 service that the test run started: buckets of each test's own.

use std::{path::PathBuf, process::Command};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use promotion_ledger::{
    clock::{Clock, SystemClock},
    evidence::s3::{Bucket, S3, Settings},
};

use crate::harness::unique;

/// Microseconds of a day.
pub const DAY: u64 = 24 * 3600 * 1_000_000;

/// A service, and its owner's client.
#[derive(Clone)]
pub struct Service {
    /// Address.
    pub endpoint: String,
    /// File with its owner's credentials.
    pub credentials: PathBuf,
    /// Its owner's client, past everything that a test puts in front of the service.
    pub client: Client,
}

/// The service that the test run started, or a loud skip.
pub fn service(test: &str) -> Option<Service> {
    let found = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(endpoint), Some(credentials)) = (found("S3_ENDPOINT"), found("S3_CREDENTIALS")) else {
        assert!(
            std::env::var("REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test}: S3_ENDPOINT is not set, but REQUIRE_SERVICES=1"
        );
        eprintln!("SKIPPED {test}: no S3 (S3_ENDPOINT is not set); run it with `make test`");
        return None;
    };
    Some(Service::at(endpoint, credentials.into()))
}

/// Id and secret in a file of credentials.
pub fn keys(credentials: &std::path::Path) -> [String; 2] {
    let text = std::fs::read_to_string(credentials).expect("credentials");
    ["aws_access_key_id", "aws_secret_access_key"].map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a credential");
        line.trim_start_matches([' ', '=']).to_owned()
    })
}

/// A second service, with an owner and credentials of its own; it ends when this is dropped.
pub struct Other {
    /// How it is reached.
    pub service: Service,
    dir: tempfile::TempDir,
}

fn control() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/services/versitygw.sh")
}

impl Other {
    /// Starts it where the test run started the first one.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let started = Command::new(control()).arg("start").arg(dir.path()).output().expect("a shell");
        let line = String::from_utf8_lossy(&started.stdout).into_owned();
        let endpoint = line.split_whitespace().find_map(|part| part.strip_prefix("S3_ENDPOINT="));
        let endpoint = endpoint.unwrap_or_else(|| panic!("no second service: {started:?}")).to_owned();
        Self { service: Service::at(endpoint, dir.path().join("credentials")), dir }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Ended already where it could not start.
        let _ = Command::new(control()).arg("stop").arg(self.dir.path()).status();
    }
}

impl Service {
    /// A service at an address, and the client of whom a file of credentials names.
    pub fn at(endpoint: String, credentials: PathBuf) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&endpoint)
            .force_path_style(true)
            .credentials_provider({
                let [id, secret] = keys(&credentials);
                Credentials::new(id, secret, None, None, "test")
            });
        let client = Client::from_conf(config.build());
        Self { endpoint, credentials, client }
    }

    /// A bucket with Object Lock.
    pub async fn locked_bucket(&self, test: &str) -> String {
        let name = unique(test);
        let create = self.client.create_bucket().bucket(&name).object_lock_enabled_for_bucket(true);
        create.send().await.expect("a bucket");
        name
    }

    /// A bucket that keeps versions, or not even those, but locks nothing.
    pub async fn unlocked_bucket(&self, test: &str, versions: bool) -> String {
        let name = unique(test);
        self.client.create_bucket().bucket(&name).send().await.expect("a bucket");
        if versions {
            let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let put = self.client.put_bucket_versioning().bucket(&name).versioning_configuration(on);
            put.send().await.expect("versions");
        }
        name
    }

    /// How a node reaches a bucket, as its configuration says it.
    pub fn settings(&self, bucket: &str) -> serde_json::Value {
        serde_json::json!({
            "bucket": bucket, "endpoint": self.endpoint, "path_style": true, "credentials": self.credentials,
            "timeout_seconds": 20,
        })
    }

    /// A store in a bucket, with `more` settings; evidence is locked for a day. `spool`: for uploads on their way.
    pub async fn store(&self, bucket: &str, spool: &std::path::Path, more: serde_json::Value) -> S3 {
        let mut settings = self.settings(bucket);
        for (name, value) in more.as_object().expect("settings") {
            settings[name] = value.clone();
        }
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        assert_eq!(settings.problems("evidence.s3"), Vec::<String>::new());
        let bucket = Bucket::connect(&settings, spool).await.expect("credentials");
        S3::open(bucket, spool, 1 << 30, DAY, SystemClock.now()).expect("a store")
    }
}
