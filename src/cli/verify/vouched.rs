//! Who else saw the ledger: witnesses and authorities that the auditor names, and the bucket of anchored checkpoints.

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    providers::{Format as _, Toml},
};

use crate::{
    cli::{
        output::{Exit, Failure, Result},
        verification::{Named, Tally, Verification},
        verify_bundle,
    },
    event::{Digest, proto::StampedCheckpoint},
    evidence::s3::Settings,
    proof::{
        bracket::Seen,
        checkpoint::LogKey,
        cosignature::{WitnessKey, cosignatures},
        timestamp::{self, Root},
    },
    witness::{
        anchored::{Anchored, Standing},
        kept::evenly,
    },
};

/// Anchored checkpoints that are read at most: of more, so many of them, evenly, and always the newest.
const ANCHORED_MAX: usize = 512;

/// Whose word counts.
#[derive(Default)]
pub struct Who {
    witnesses: Vec<WitnessKey>,
    roots: Vec<Root>,
    anchor: Option<(PathBuf, Settings)>,
}

/// Checkpoints that were found, before the ledger is compared with them.
#[derive(Default)]
pub struct Found {
    /// The node's own: cosigned, or time-stamped.
    pub kept: Vec<StampedCheckpoint>,
    /// Those in the anchor's bucket.
    pub anchored: Option<InAnchor>,
}

/// Checkpoints in an anchor's bucket.
pub struct InAnchor {
    /// How the bucket is called.
    place: String,
    /// How many there are.
    there: u64,
    /// Those that were read, the newest last.
    standing: Vec<Standing>,
}

impl Found {
    /// How many checkpoints of each kind there are, and how many of them were read.
    fn tallies(&self) -> Vec<Tally> {
        let kept = |kind, of: fn(&StampedCheckpoint) -> bool| {
            let read: Vec<_> = self.kept.iter().filter(|it| of(it)).collect();
            let there = read.iter().map(|it| it.kept).max().unwrap_or(0);
            Tally { kind, there: there.max(read.len() as u64), read: read.len() as u64 }
        };
        let stamped = kept("time-stamped", |it| !it.timestamps.is_empty());
        let cosigned = kept("cosigned", |it| it.timestamps.is_empty());
        let anchored = self.anchored.as_ref().map(|it| Tally {
            kind: "anchored",
            there: it.there,
            read: it.standing.len() as u64,
        });
        [stamped, cosigned].into_iter().chain(anchored).filter(|it| it.there > 0).collect()
    }
}

impl Who {
    /// As options say it.
    ///
    /// # Errors
    /// Exit code 2 for an option that cannot be read.
    pub fn named(witnesses: &[String], roots: &[PathBuf], anchor: Option<&str>) -> Result<Self> {
        let known = verify_bundle::known(None, None, witnesses, roots)?;
        let anchor = anchor.map(settings).transpose()?;
        Ok(Self { witnesses: known.witnesses, roots: known.roots, anchor })
    }

    /// Whether nobody was named.
    pub const fn is_nobody(&self) -> bool {
        self.witnesses.is_empty() && self.roots.is_empty() && self.anchor.is_none()
    }

    /// Whether the anchor's bucket was named.
    pub const fn has_anchor(&self) -> bool {
        self.anchor.is_some()
    }

    /// Reads the anchor's bucket, where one was named.
    ///
    /// # Errors
    /// Exit code 3 where it cannot be asked, 1 where it knows nothing of this ledger.
    pub async fn anchored(&self, ledger_id: Digest) -> Result<Option<InAnchor>> {
        let Some((dir, settings)) = &self.anchor else { return Ok(None) };
        let connected = Anchored::connect(dir, settings, ledger_id).await;
        let anchored = connected.map_err(|error| Failure::usage(format!("--anchor: {error}")))?;
        let failed = |why| Failure::new(Exit::Unreachable, format!("the anchor {}: {why}", anchored.uri()));
        let count = anchored.count().await.map_err(failed)?;
        if count == 0 {
            let what =
                format!("the anchor holds no checkpoint of this ledger: nothing is at {}", anchored.uri());
            return Err(Failure::new(Exit::No, what));
        }
        let mut standing = Vec::new();
        for n in evenly((0..count).collect(), ANCHORED_MAX) {
            standing.push(anchored.get(n).await.map_err(failed)?);
        }
        Ok(Some(InAnchor { place: anchored.place(), there: count, standing }))
    }

    /// Everything that was found is compared with the ledger, and dates it where somebody's word counts.
    pub fn compare(&self, found: Found, key: &LogKey, done: &mut Verification) {
        done.vouched = found.tallies();
        for kept in found.kept {
            let stamped = kept.timestamps.iter().filter_map(|answer| self.stamped(answer, &kept.checkpoint));
            let dated: Vec<_> = stamped.collect();
            done.unread_stamps += (kept.timestamps.len() - dated.len()) as u64;
            let from = format!("the node's files (size {})", kept.tree_size);
            done.compare_silently(&from, kept.checkpoint, key, dated);
        }
        let Some(InAnchor { place, standing, .. }) = found.anchored else { return };
        let newest = standing.len() - 1;
        for (i, Standing { uri, note, put_at }) in standing.into_iter().enumerate() {
            let from = format!("the anchor {uri}");
            let dated = vec![(put_at, format!("the anchor {place}"))];
            match i == newest {
                true => done.compare_dated(&from, note, key, dated),
                false => done.compare_silently(&from, note, key, dated),
            }
        }
    }

    /// When a checkpoint was stamped, by the first root that verifies it.
    fn stamped(&self, answer: &[u8], note: &str) -> Option<(u64, String)> {
        let time = self.roots.iter().find_map(|root| timestamp::verify(answer, note, root).ok());
        time.map(|time| (time, "the time-stamp authority".to_owned()))
    }

    /// Who saw trees that are this ledger's.
    pub fn seen(&self, done: &Verification) -> Vec<Seen> {
        let of = |named: &Named| {
            let size = named.checkpoint.size;
            let cosigned = cosignatures(&named.note, &self.witnesses).into_iter();
            let cosigned = cosigned.map(|one| (one.seconds.saturating_mul(1_000_000), one.witness));
            let dated = cosigned.chain(named.dated.iter().cloned());
            dated.map(|(time, by)| Seen { size, time, by }).collect::<Vec<_>>()
        };
        done.agreed.iter().flat_map(of).collect()
    }
}

/// The bucket: `s3://BUCKET[/PREFIX]`, reached as every AWS tool does, or a TOML file with the settings of
/// `[witnesses.anchor.s3]`, alone or in a node's configuration. With the directory that its paths are relative to.
fn settings(place: &str) -> Result<(PathBuf, Settings)> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("--anchor {place}: {error}"));
    let (dir, settings): (PathBuf, Settings) = match place.strip_prefix("s3://") {
        Some(rest) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = match prefix.trim_end_matches('/') {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            };
            let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
            let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
            let json = serde_json::json!({
                "bucket": bucket, "prefix": prefix, "path_style": endpoint.is_some(), "endpoint": endpoint,
                "region": region.unwrap_or_else(|| "us-east-1".into()),
            });
            (PathBuf::new(), serde_json::from_value(json).map_err(|error| wrong(&error))?)
        }
        None => {
            let file = Figment::from(Toml::file_exact(place));
            let inside = file.find_value("witnesses.anchor.s3").is_ok();
            let read = if inside { file.extract_inner("witnesses.anchor.s3") } else { file.extract() };
            let dir = Path::new(place).parent().map(Path::to_path_buf).unwrap_or_default();
            (dir, read.map_err(|error| wrong(&error))?)
        }
    };
    match settings.problems("--anchor").first() {
        Some(problem) => Err(Failure::usage(problem.clone())),
        None => Ok((dir, settings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_counted_by_kind() {
        let kept = |kept, stamps: usize| StampedCheckpoint {
            kept,
            timestamps: vec![Vec::new(); stamps],
            ..StampedCheckpoint::default()
        };
        let standing = Standing { uri: String::new(), note: String::new(), put_at: 1 };
        let anchored = InAnchor { place: String::new(), there: 700, standing: vec![standing] };
        let found = Found { kept: vec![kept(9, 2), kept(5, 0), kept(5, 0)], anchored: Some(anchored) };
        let counted: Vec<_> = found.tallies().iter().map(|it| (it.kind, it.there, it.read)).collect();
        assert_eq!(counted, [("time-stamped", 9, 1), ("cosigned", 5, 2), ("anchored", 700, 1)]);
        assert_eq!(Found::default().tallies(), []);
    }

    #[test]
    fn the_anchor_is_a_url_or_a_file_with_settings() {
        let (_, found) = settings("s3://kept/by/us/").unwrap();
        assert_eq!((found.bucket.as_str(), found.prefix.as_str()), ("kept", "by/us/"));
        assert_eq!(settings("s3://kept").unwrap().1.prefix, "");
        assert!(settings("s3://x").is_err(), "too short for a bucket");
        assert!(settings("nowhere.toml").is_err());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("anchor.toml");
        let place = file.to_str().unwrap();
        for (text, bucket) in [
            ("bucket = \"alone\"\ncredentials = \"c\"\n", "alone"),
            (
                "profile = \"x\"\n[witnesses.anchor]\nevery_seconds = 1\n[witnesses.anchor.s3]\nbucket = \"inside\"\n",
                "inside",
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            let (relative_to, found) = settings(place).unwrap();
            assert_eq!((relative_to.as_path(), found.bucket.as_str()), (dir.path(), bucket));
        }
        std::fs::write(&file, "bucket = \"alone\"\nendpoint = \"http://elsewhere\"\n").unwrap();
        assert!(settings(place).is_err(), "in clear");
    }
}
