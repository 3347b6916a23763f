//! The file of a bundle: a zip of stored members in ascending order of their names, in exactly one spelling.
//!
//! Every byte of the container follows from names and contents. A reader that finds anything else (compression, comments,
//! extra fields, another order, a name twice, bytes before, between or behind) refuses it, so zip bombs and files that
//! two readers read differently do not exist.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::event::Digest;

/// Most members: the format counts them in 16 bits.
pub const MEMBERS_MAX: usize = 65_535;
/// Longest name, bytes.
pub const NAME_LEN_MAX: usize = 200;
/// Largest container, bytes: the format counts them in 32 bits.
pub const LEN_MAX: u64 = u32::MAX as u64;
/// Bytes copied at a time.
const CHUNK: usize = 64 * 1024;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const LOCAL_LEN: usize = 30;

/// Why a file is no bundle, or a bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the one spelling.
    #[error("byte {at} of the file: {problem}")]
    Format {
        /// Where the part begins that is wrong.
        at: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// More than the format counts.
    #[error("{0}")]
    TooMuch(&'static str),
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A member as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its bytes, where they were asked for.
    pub bytes: Option<Vec<u8>>,
}

/// Whether a name may be a member's: parts of letters, digits, `.`, `-` and `_`, separated by `/`; none is empty, `.` or `..`.
pub fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(allowed);
    name.len() <= NAME_LEN_MAX && name.split('/').all(part)
}

/// What the container says of a member, in both places.
struct Entry {
    name: String,
    crc: u32,
    length: u32,
    at: u32,
}

impl Entry {
    /// Version needed to name: what local header and directory have in common.
    fn common(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Version 1.0, no flags, stored; 1980-01-01 00:00.
        for number in [10_u16, 0, 0, 0, 0x0021] {
            out.extend(number.to_le_bytes());
        }
        for number in [self.crc, self.length, self.length] {
            out.extend(number.to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        // No extra field.
        out.extend([0, 0]);
        out
    }

    fn local(&self) -> Vec<u8> {
        [&LOCAL[..], &self.common(), self.name.as_bytes()].concat()
    }

    fn central(&self) -> Vec<u8> {
        // Made by version 1.0; no comment, first disk, no attributes.
        let mut out = [&CENTRAL[..], &10_u16.to_le_bytes(), &self.common(), &[0; 10]].concat();
        out.extend(self.at.to_le_bytes());
        out.extend(self.name.as_bytes());
        out
    }
}

fn directory(entries: &[Entry], at: u64) -> Result<Vec<u8>, Error> {
    let too_long =
        || Error::TooMuch("a bundle has at most 4 GiB: take fewer promotions, or leave evidence out");
    let mut out: Vec<u8> = entries.iter().flat_map(Entry::central).collect();
    let length = u32::try_from(out.len()).map_err(|_| too_long())?;
    let at = u32::try_from(at).map_err(|_| too_long())?;
    let count = (entries.len() as u16).to_le_bytes();
    out.extend(END);
    // This disk and the directory's disk; entries on it, and in all.
    out.extend([0; 4]);
    out.extend(count);
    out.extend(count);
    out.extend(length.to_le_bytes());
    out.extend(at.to_le_bytes());
    // No comment.
    out.extend([0, 0]);
    Ok(out)
}

/// Writes a container, member by member in ascending order of their names.
pub struct Writer<W> {
    out: W,
    at: u64,
    entries: Vec<Entry>,
}

impl<W: Write> Writer<W> {
    /// An empty container.
    pub fn new(out: W) -> Self {
        Self { out, at: 0, entries: Vec::new() }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// [`Error`]; a name that may not be one, or does not come after the last, is a bug and panics.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let follows = self.entries.last().is_none_or(|last| last.name.as_str() < name);
        assert!(is_name(name) && follows, "{name} is no name that may come here");
        let too_long =
            Error::TooMuch("a bundle has at most 4 GiB: take fewer promotions, or leave evidence out");
        let (Ok(length), Ok(at)) = (u32::try_from(bytes.len()), u32::try_from(self.at)) else {
            return Err(too_long);
        };
        if self.entries.len() == MEMBERS_MAX {
            return Err(Error::TooMuch("a bundle has at most 65,535 files: take fewer promotions"));
        }
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let entry = Entry { name: name.to_owned(), crc: crc.sum(), length, at };
        let local = entry.local();
        self.out.write_all(&local)?;
        self.out.write_all(bytes)?;
        self.at += (local.len() + bytes.len()) as u64;
        self.entries.push(entry);
        Ok(())
    }

    /// Ends the container.
    ///
    /// # Errors
    /// [`Error`].
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.write_all(&directory(&self.entries, self.at)?)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a container from its start to its end. The bytes of members for whose name `wanted` says a longest length are
/// kept; a longer one is refused. All others are hashed on their way, so memory does not grow with them.
///
/// # Errors
/// [`Error`], with the byte at which the wrong part begins.
pub fn read(input: &mut impl Read, wanted: impl Fn(&str) -> Option<u64>) -> Result<Vec<Member>, Error> {
    let mut from = Counted { input, at: 0 };
    let (mut entries, mut members) = (Vec::<Entry>::new(), Vec::new());
    loop {
        let at = from.at;
        let format = |problem: &str| Error::Format { at, problem: problem.to_owned() };
        let signature = from.take::<4>()?;
        if signature != LOCAL {
            if entries.is_empty() {
                return Err(format("it does not begin with a member of a zip file"));
            }
            return from.end(&entries, at, signature).map(|()| members);
        }
        if entries.len() == MEMBERS_MAX {
            return Err(format("it has more than 65,535 members"));
        }
        let fixed = from.take::<{ LOCAL_LEN - 4 }>()?;
        let number =
            |at: usize| fixed.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let name_len = usize::from(fixed[22]) | usize::from(fixed[23]) << 8;
        if name_len > NAME_LEN_MAX {
            return Err(format("the name of a member is longer than 200 bytes"));
        }
        let name = String::from_utf8(from.bytes(name_len)?).ok().filter(|name| is_name(name));
        let name = name.ok_or_else(|| format("the name of a member is no path inside a bundle"))?;
        if entries.last().is_some_and(|last| last.name >= name) {
            return Err(format(&format!("{name} is there twice, or out of order")));
        }
        let at = u32::try_from(at).map_err(|_| format("it is longer than 4 GiB"))?;
        let entry = Entry { crc: number(10), length: number(14), at, name };
        if entry.common() != fixed {
            let why = "is compressed, dated, commented or marked in a way that bundles are not: as it was exported, nothing of it is";
            return Err(format(&format!("{} {why}", entry.name)));
        }
        members.push(from.member(&entry, wanted(&entry.name))?);
        entries.push(entry);
    }
}

/// A reader that knows where it is.
struct Counted<'a, R> {
    input: &'a mut R,
    at: u64,
}

impl<R: Read> Counted<'_, R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let at = self.at;
        match self.input.read_exact(bytes) {
            Ok(()) => self.at += bytes.len() as u64,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::Format { at, problem: "the file ends too early".into() });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map(|()| bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let from = bytes.len();
            bytes.resize(length.min(from + CHUNK), 0);
            self.fill(bytes.get_mut(from..).unwrap_or_default())?;
        }
        Ok(bytes)
    }

    fn member(&mut self, entry: &Entry, keep: Option<u64>) -> Result<Member, Error> {
        let at = self.at;
        let format = |problem: String| Error::Format { at, problem };
        let length = u64::from(entry.length);
        if let Some(most) = keep.filter(|most| length > *most) {
            return Err(format(format!(
                "{} has {length} bytes; {most} are the most that it may have",
                entry.name
            )));
        }
        let (mut crc, mut hash, mut left) = (flate2::Crc::new(), Sha256::new(), entry.length as usize);
        let mut kept = Vec::new();
        while left > 0 {
            let chunk = self.bytes(left.min(CHUNK))?;
            crc.update(&chunk);
            hash.update(&chunk);
            left -= chunk.len();
            if keep.is_some() {
                kept.extend(chunk);
            }
        }
        if crc.sum() != entry.crc {
            return Err(format(format!(
                "the bytes of {} do not have their checksum: the file is damaged",
                entry.name
            )));
        }
        let (name, sha256) = (entry.name.clone(), Digest(hash.finalize().into()));
        Ok(Member { name, length, sha256, bytes: keep.map(|_| kept) })
    }

    /// The directory, whose first four bytes were read, and nothing behind it.
    fn end(&mut self, entries: &[Entry], at: u64, first: [u8; 4]) -> Result<(), Error> {
        let expected = directory(entries, at)?;
        let format = |problem: &str| Error::Format { at, problem: problem.to_owned() };
        let rest = self.bytes(expected.len() - first.len())?;
        if [&first[..], &rest].concat() != expected {
            return Err(format("the directory does not say what the members are"));
        }
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(format("the file goes on after its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn written(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (name, bytes) in members {
            writer.add(name, bytes).unwrap();
        }
        writer.finish().unwrap()
    }

    fn all(_: &str) -> Option<u64> {
        Some(1 << 20)
    }

    fn sample() -> Vec<u8> {
        written(&[("a.txt", b"one"), ("b/c.bin", &[7; 300]), ("b/d", b"")])
    }

    #[test]
    fn members_read_back_and_any_zip_reader_takes_them() {
        let bytes = sample();
        let members = read(&mut Cursor::new(&bytes), all).unwrap();
        let found: Vec<_> =
            members.iter().map(|m| (m.name.as_str(), m.bytes.clone().unwrap().len())).collect();
        assert_eq!(found, [("a.txt", 3), ("b/c.bin", 300), ("b/d", 0)]);
        let hashed = read(&mut Cursor::new(&bytes), |_| None).unwrap();
        assert!(hashed.iter().all(|m| m.bytes.is_none()));
        assert_eq!(hashed[0].sha256, crate::event::digest::sha256(b"one"));
    }

    #[cfg(feature = "node")]
    #[test]
    fn the_zip_crate_reads_the_same_members() {
        let mut archive = zip::ZipArchive::new(Cursor::new(sample())).unwrap();
        let mut text = String::new();
        archive.by_name("a.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((archive.len(), text.as_str()), (3, "one"));
    }

    #[cfg(feature = "node")]
    #[test]
    fn a_compressed_member_is_refused_so_no_bomb_is_unpacked() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("a.txt", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&[0; 100_000]).unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let error = read(&mut Cursor::new(bytes), all).unwrap_err().to_string();
        assert!(error.contains("a.txt is compressed"), "{error}");
    }

    #[test]
    fn names_stay_inside() {
        for name in ["../x", "a/../b", "/x", "a//b", "a/", "", ".", "a\\b", "C:x", "a b", "\u{e9}", "x\0y"] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_name("artefacts/0a.html") && is_name("README.txt"));
    }

    #[test]
    fn longer_than_may_be_is_refused_before_it_is_read() {
        let error = read(&mut Cursor::new(sample()), |_| Some(10)).unwrap_err().to_string();
        assert!(error.contains("b/c.bin has 300 bytes; 10 are the most"), "{error}");
    }

    #[test]
    fn every_changed_missing_or_further_byte_is_found() {
        let good = sample();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(read(&mut Cursor::new(&bad), all).is_err(), "byte {at}, bit {bit}");
            }
            assert!(read(&mut Cursor::new(&good[..at]), all).is_err(), "cut at {at}");
        }
        assert!(read(&mut Cursor::new([&good[..], b"x"].concat()), all).is_err());
        assert!(read(&mut Cursor::new([b"x", &good[..]].concat()), all).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), zip in any::<bool>()) {
            let bytes = if zip { [&LOCAL[..], &bytes].concat() } else { bytes };
            let _ = read(&mut Cursor::new(&bytes), all);
        }
    }
}
