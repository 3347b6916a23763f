//! The S3 service that the test run started: buckets of each test's own.

use std::path::PathBuf;

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
    let text = std::fs::read_to_string(&credentials).expect("credentials");
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a credential");
        line.trim_start_matches([' ', '=']).to_owned()
    };
    let keys =
        Credentials::new(value("aws_access_key_id"), value("aws_secret_access_key"), None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&endpoint)
        .force_path_style(true)
        .credentials_provider(keys);
    Some(Service { endpoint, credentials: credentials.into(), client: Client::from_conf(config.build()) })
}

impl Service {
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
            "timeout_seconds": 5,
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
