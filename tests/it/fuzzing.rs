//! Every decoder of outside bytes over its seeds and over mutations of them: the fuzz targets of `make fuzz`, on the stable
//! compiler, in every test run. `SEED=…` repeats a run; a failure prints the seed, the target and the bytes.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use allocation_counter::measure;

use targets::{TARGETS, Target};

use crate::random::Random;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// What decoding may hold at a time: fixed tables and engines, and a multiple of the input. A length in the input that is
/// believed before the bytes are there would be far beyond it.
const MEMORY_BASE: u64 = 8 << 20;
const MEMORY_PER_BYTE: u64 = 400;
/// Longest input that a mutation makes.
const LEN_MAX: usize = 1 << 20;

/// Bytes that decoders treat specially: lengths, ends, signs, quotes, numbers at their limits.
const SPECIAL: &[&[u8]] = &[
    &[0xff; 9],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80; 10],
    &[0; 8],
    b"\n",
    b"\n\n",
    b"\"",
    b"\\u0000",
    b"-1",
    b"1e999",
    b"18446744073709551615",
    b"null",
    b"{}",
    b"[]",
    b"&a *a",
    b"<script>",
    b"../",
    b"%00",
    "\u{202e}".as_bytes(),
];

fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.index(seeds.len())].clone();
    for _ in 0..=random.index(4) {
        let at = random.range(bytes.len());
        match random.index(7) {
            0 if !bytes.is_empty() => {
                let at = random.index(bytes.len());
                bytes[at] ^= 1 << random.index(8);
            }
            1 if !bytes.is_empty() => {
                let at = random.index(bytes.len());
                bytes[at] = random.next() as u8;
            }
            2 => bytes.truncate(at.start),
            3 => drop(bytes.drain(at)),
            4 => {
                let again = bytes[at.clone()].to_vec();
                bytes.splice(at.start..at.start, again);
            }
            5 => {
                let special = SPECIAL[random.index(SPECIAL.len())];
                bytes.splice(at, special.iter().copied());
            }
            _ => {
                let other = &seeds[random.index(seeds.len())];
                let part = random.range(other.len());
                bytes.splice(at, other[part].iter().copied());
            }
        }
    }
    bytes.truncate(LEN_MAX);
    bytes
}

/// Runs a target over some bytes; what does not hold, in words.
fn broken(target: &Target, bytes: &[u8]) -> Option<String> {
    let mut ended = Ok(());
    let used = measure(|| ended = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))));
    let most = MEMORY_BASE + MEMORY_PER_BYTE * bytes.len() as u64;
    match ended {
        Err(_) => Some("it panicked".into()),
        Ok(()) if used.bytes_max > most => {
            Some(format!("it held {} bytes for an input of {}", used.bytes_max, bytes.len()))
        }
        Ok(()) => None,
    }
}

#[test]
fn every_decoder_survives_its_seeds_and_their_mutations() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_126);
    println!("SEED={seed}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in TARGETS {
        let mut random = Random(seed);
        let seeds = (target.seeds)(root);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        let mutations = (0..target.mutations).map(|_| mutated(&mut random, &seeds));
        for bytes in seeds.iter().cloned().chain(mutations) {
            if let Some(what) = broken(target, &bytes) {
                let shown = &bytes[..bytes.len().min(2_000)];
                panic!("SEED={seed}, target {}: {what}\n{}", target.name, shown.escape_ascii());
            }
        }
        println!("{}: {} seeds, {} mutations", target.name, seeds.len(), target.mutations);
    }
}

/// A decoder that believes a length is caught: the limit on memory is not decoration.
#[test]
fn a_decoder_that_believes_a_length_is_found() {
    let believing = Target {
        name: "believing",
        run: |bytes| {
            let len = bytes.first().map_or(0, |len| usize::from(*len) << 20);
            drop(std::hint::black_box(vec![1_u8; len]));
        },
        seeds: |_| Vec::new(),
        mutations: 0,
    };
    assert_eq!(broken(&believing, &[1]), None);
    assert!(broken(&believing, &[200]).is_some_and(|what| what.contains("held")));
}
