//! The archive whose SHA-256 is a model's digest: a POSIX ustar that follows from names and contents alone, byte for byte
//! what Python's `tarfile` writes for `promotion_ledger.freeze.mlflow_model.directory`: no times, no owners, members in
//! order of their names, filled up to whole records. Pure.

/// Bytes of a block.
pub const BLOCK: usize = 512;
/// Bytes of a record: the archive is filled up to a whole number of them.
pub const RECORD: u64 = 10_240;
/// Largest member: eleven octal digits.
const SIZE_MAX: u64 = (1 << 33) - 1;
const NAME_LEN: usize = 100;
const PREFIX_LEN: usize = 155;

/// The header of a member; `None` if ustar cannot say its name or size.
pub fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    let (prefix, name) = split(name)?;
    if size > SIZE_MAX {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The checksum counts its own place as spaces.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = block.get_mut(148..155) {
        place.copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    Some(block)
}

/// Prefix and name, as `tarfile` divides a long name: at the first slash where both parts fit.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    if name.len() <= NAME_LEN {
        return Some(("", name));
    }
    name.match_indices('/')
        .filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)))
        .find(|(prefix, rest)| prefix.len() <= PREFIX_LEN && rest.len() <= NAME_LEN)
}

/// Zeros after a member of this size.
pub fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

/// Zeros after the last member of an archive with this many bytes.
pub fn end(length: u64) -> usize {
    let ended = length + 2 * BLOCK as u64;
    usize::try_from(ended.div_ceil(RECORD) * RECORD - length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Computed with Python's tarfile by `directory` of the Python client, over the same names and contents.
    #[test]
    fn archives_are_the_ones_that_python_writes() {
        let long = format!("{}/{}.bin", "d".repeat(80), "f".repeat(60));
        let members: [(&str, &[u8]); 4] = [
            ("MLmodel", b"flavors: {}\n"),
            (&long, b"x"),
            ("model.pkl", &[7; 1_000]),
            ("\u{fc}ber.txt", b""),
        ];
        let mut archive = Vec::new();
        for (name, content) in members {
            archive.extend(header(name, content.len() as u64).unwrap());
            archive.extend(content);
            archive.extend(vec![0; padding(content.len() as u64)]);
        }
        archive.extend(vec![0; end(archive.len() as u64)]);
        assert_eq!(archive.len(), 10_240);
        assert_eq!(
            hex::encode(Sha256::digest(&archive)),
            "3cf3598b61ea8d72bb8bc0a00022e0cb1cb1e7371b3f3d9b8f46fe016ba5a29b"
        );
    }

    #[test]
    fn what_ustar_cannot_say_is_refused() {
        assert!(header(&"n".repeat(101), 1).is_none());
        assert!(header("n", 1 << 33).is_none());
        assert!(header("", 1).is_none());
        assert_eq!((padding(0), padding(1), padding(512)), (0, 511, 0));
        assert_eq!((end(0), end(9_728), end(10_240)), (10_240, 10_752, 10_240));
    }
}
