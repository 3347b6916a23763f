//! Which bucket, and how it is reached.

use std::path::PathBuf;

use serde::Deserialize;

/// Bytes that one PUT takes at most (S3: 5 GiB).
const PUT_LEN_MAX: u64 = 5 << 30;
/// Bytes of a part that is not the last at least (S3: 5 MiB).
const PART_LEN_MIN: u64 = 5 << 20;

/// Which bucket, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the bucket, made with Object Lock.
    pub bucket: String,
    /// Region.
    #[serde(default = "region")]
    pub region: String,
    /// Address of a store that is not AWS.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Before every object's name; ends with `/` or is empty.
    #[serde(default)]
    pub prefix: String,
    /// The bucket in the path and not in the host's name.
    #[serde(default)]
    pub path_style: bool,
    /// File with `aws_access_key_id`, `aws_secret_access_key` and perhaps `aws_session_token`, mode 0600, read again
    /// every 15 minutes. Without it: the environment, a profile, or the machine's role, as every AWS tool does.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
    /// Takes an endpoint without encryption that is not loopback: inside one host or a private network.
    #[serde(default)]
    pub allow_http: bool,
    /// Seconds for one call, its retries included; a large upload gets longer by its length.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// Bytes from which an upload goes in parts, and is read back whole: S3 keeps no SHA-256 of such an object.
    #[serde(default = "multipart_from")]
    pub multipart_from: u64,
}

fn region() -> String {
    "us-east-1".into()
}

const fn timeout_seconds() -> u64 {
    30
}

const fn multipart_from() -> u64 {
    PUT_LEN_MAX
}

impl Settings {
    /// Everything that is wrong with them. `section`: what the configuration calls them.
    pub fn problems(&self, section: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.bucket.len() < 3 {
            problems.push(format!("{section}.bucket needs 3 characters or more"));
        }
        if !(self.prefix.is_empty() || self.prefix.ends_with('/')) {
            problems.push(format!("{section}.prefix must end with /"));
        }
        if self.timeout_seconds == 0 {
            problems.push(format!("{section}.timeout_seconds is 0"));
        }
        if !(PART_LEN_MIN..=PUT_LEN_MAX).contains(&self.multipart_from) {
            problems
                .push(format!("{section}.multipart_from is not between {PART_LEN_MIN} and {PUT_LEN_MAX}"));
        }
        if let Some(endpoint) = &self.endpoint {
            let plain = endpoint.strip_prefix("http://");
            if plain.is_some_and(|host| !self.allow_http && !is_loopback(host)) {
                problems.push(format!(
                    "{section}.endpoint = {endpoint} is not encrypted; use https, or set {section}.allow_http = true inside a private network"
                ));
            }
            if plain.is_none() && !endpoint.starts_with("https://") {
                problems.push(format!("{section}.endpoint = {endpoint} is no http or https address"));
            }
        }
        problems
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(endpoint: &str, rest: &str) -> usize {
        let text = format!("bucket = \"evidence\"\nendpoint = {endpoint:?}\n{rest}");
        figment::Figment::from(<figment::providers::Toml as figment::providers::Format>::string(&text))
            .extract::<Settings>()
            .expect("settings")
            .problems("evidence.s3")
            .len()
    }

    #[test]
    fn evidence_never_travels_in_clear_unless_somebody_says_so() {
        for encrypted in
            ["https://s3.example.bank", "http://127.0.0.1:7070", "http://localhost", "http://[::1]:1/"]
        {
            assert_eq!(problems(encrypted, ""), 0, "{encrypted}");
        }
        for clear in
            ["http://s3:7070", "http://127.0.0.1.evil.example", "http://localhost.example", "s3:7070"]
        {
            assert_eq!(problems(clear, ""), 1, "{clear}");
        }
        assert_eq!(problems("http://s3:7070", "allow_http = true"), 0);
    }
}
