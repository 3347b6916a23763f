//! Checkpoints that somebody vouches for, as a node keeps them beside its database: `timestamps/` (see `stamps`),
//! `witnessed.txt`, the newest one that was cosigned, and `witnessed/<size>.txt`, one in ten minutes at most.

use std::path::{Path, PathBuf};

use crate::event::proto::StampedCheckpoint;

use super::stamps;

/// Directory of cosigned checkpoints, below the node's.
pub(super) const COSIGNED: &str = "witnessed";
/// The newest checkpoint with enough cosignatures, so that it is there after a restart.
pub(super) const NEWEST: &str = "witnessed.txt";
/// Checkpoints of one kind that are listed at most; of more, so many of them, evenly.
pub const LISTED_MAX: usize = 4_096;

/// At most `max` of them, evenly, the last one among them.
pub fn evenly<T>(all: Vec<T>, max: usize) -> Vec<T> {
    let len = all.len();
    let keep = |i: usize| len <= max || (i + 1) * max / len > i * max / len;
    all.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, one)| one).collect()
}

/// Sizes of the trees whose checkpoints are in a directory, smallest first.
pub(super) fn sizes(dir: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let size = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".txt")?.parse().ok();
    let mut sizes: Vec<u64> = entries.filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}

/// The node's checkpoints that were cosigned or time-stamped, with their stamps, and how many of each kind there are. Only
/// their names are held.
pub fn kept(node: &Path) -> impl Iterator<Item = StampedCheckpoint> + Send + use<> {
    at_most(node, LISTED_MAX)
}

fn at_most(node: &Path, max: usize) -> impl Iterator<Item = StampedCheckpoint> + Send + use<> {
    let (dir, cosigned) = (node.join(stamps::DIR), node.join(COSIGNED));
    let newest = Some(node.join(NEWEST)).filter(|newest| newest.exists());
    let (stamped, witnessed) = (sizes(&dir), sizes(&cosigned));
    let (of_stamped, of_cosigned) = (stamped.len(), witnessed.len() + usize::from(newest.is_some()));
    let counted =
        |of: usize| move |checkpoint: StampedCheckpoint| StampedCheckpoint { kept: of as u64, ..checkpoint };
    let stamped = evenly(stamped, max).into_iter().filter_map(move |size| stamps::read(&dir, size));
    let witnessed = evenly(witnessed, max).into_iter().map(move |size| cosigned.join(format!("{size}.txt")));
    let witnessed = witnessed.chain(newest).filter_map(|file| cosigned_in(&file));
    stamped.map(counted(of_stamped)).chain(witnessed.map(counted(of_cosigned)))
}

fn cosigned_in(file: &PathBuf) -> Option<StampedCheckpoint> {
    let checkpoint = std::fs::read_to_string(file).ok()?;
    let tree_size = checkpoint.lines().nth(1)?.parse().ok()?;
    Some(StampedCheckpoint { tree_size, checkpoint, ..StampedCheckpoint::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thinned_keeps_the_last_and_the_distances() {
        let thin = |n: u64, max| evenly((0..n).collect::<Vec<_>>(), max);
        assert_eq!(thin(3, 4), [0, 1, 2]);
        assert_eq!(thin(8, 4), [1, 3, 5, 7]);
        assert_eq!(thin(9, 2), [4, 8]);
        assert!(thin(0, 4).is_empty());
        assert_eq!(thin(100_000, 4_096).len(), 4_096);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let node = tempfile::tempdir().expect("a directory");
        let write = |name: &str, size: u64| {
            let file = node.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
            std::fs::write(file, format!("origin\n{size}\nroot\n\n")).expect("written");
        };
        let found = |max| {
            let found = at_most(node.path(), max);
            found.map(|it| (it.timestamps.len(), it.tree_size, it.kept)).collect::<Vec<_>>()
        };
        assert_eq!(found(2), []);
        for size in [2, 4, 6, 8, 10] {
            write(&format!("witnessed/{size}.txt"), size);
        }
        assert_eq!(found(2), [(0, 6, 5), (0, 10, 5)]);
        write("witnessed.txt", 11);
        for size in [3, 5, 7] {
            write(&format!("timestamps/{size}.txt"), size);
            write(&format!("timestamps/{size}-0.tsr"), size);
        }
        assert_eq!(found(2), [(1, 5, 3), (1, 7, 3), (0, 6, 6), (0, 10, 6), (0, 11, 6)]);
        assert_eq!(found(5).len(), 9);
    }
}
