//! `export`: reads the chain from a position and writes a line for each entry.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::ocsf;
use crate::{
    cli::{
        event_json, examiner,
        output::{self, Exit, Failure, Format, Result},
        source::{Source, SourceArgs},
    },
    event::{
        Header, Seq,
        proto::{GetStatusRequest, ReadChainRequest},
    },
};

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Header and event, as `tail --format json` prints them.
    JsonLines,
    /// An OCSF 1.3.0 event.
    Ocsf,
}

/// Entries for a SIEM, or promotions for an examiner.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  promotion-ledger export --format ocsf --from 1200\n  promotion-ledger export --format jsonl --output ledger.jsonl     (again and again: it goes on after the last line)\n  promotion-ledger export 7 -o bundle.zip\n  promotion-ledger export --model credit --from 2026-01-01 --to 2026-03-31 -o bundle.zip\n  promotion-ledger export 7 --redact -o for-outsiders.zip\n  promotion-ledger export 7 --attestation --signing-key key.pem -o promotion.intoto.json\n\n--format is ocsf (OCSF 1.3.0: Entity Management 3004, Detection Finding 2004) or jsonl (header and event; the default).\nEvery entry up to the node's end is there, refused and malformed ones too. What a file holds says where to go on; half a\nline of an export that was stopped is cut off. The number of the next entry is the last line on standard error.\n\nA bundle is what you get with promotions, --model, --to, or an output that ends with .zip. Whoever gets it checks it without\na network: promotion-ledger verify bundle.zip, or python3 verify_bundle.py bundle.zip. Opening sealed names is logged by the\nnode; --redact opens none. Exit code 1 if evidence is missing or was changed: the bundle says which."
)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// First entry (0 if not given; with --output only where the file is new); of a bundle, the time or date from which on
    #[arg(long, value_name = "SEQ|TIME")]
    from: Option<String>,
    /// Append to this file, from where it ends; a bundle never replaces one
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    bundle: examiner::Args,
}

/// Runs the command.
pub async fn run(args: Args, shape: Shape, format: Format) -> Result {
    if shape == Shape::JsonLines && args.bundle.is_asked(args.output.as_deref()) {
        let (from, output) = (args.from.as_deref(), args.output.as_deref());
        return examiner::run(args.bundle, from, output, &args.source, format).await;
    }
    let from: Seq = match &args.from {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            Failure::usage(format!("--from {text} is no entry's number; for promotions from a time on, give an output that ends with .zip"))
        })?,
    };
    let (mut file, mut next) = match &args.output {
        Some(path) => {
            let (file, resumed) =
                resume(path).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
            (Some(file), resumed.unwrap_or(from))
        }
        None => (None, from),
    };
    let source = Source::open(&args.source).await?;
    let origin = source.get_status(GetStatusRequest {}).await?.origin;
    let request = ReadChainRequest { from: next, to: 0, with_records: true };
    let mut stream = source.read_chain(request).await?;
    while let Some(message) = tokio_stream::StreamExt::next(&mut stream).await {
        for entry in message?.entries {
            let header = Header::decode(&entry.header)
                .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
            if header.seq != next {
                let what = format!("entry {next} is due, but the node sent entry {}", header.seq);
                return Err(Failure::new(Exit::Internal, what));
            }
            let line = line(&origin, &header, &entry.record, shape).to_string();
            match &mut file {
                Some(file) => writeln!(file, "{line}")
                    .map_err(|error| Failure::new(Exit::Internal, format!("the file: {error}")))?,
                None => output::line(format_args!("{line}")),
            }
            next += 1;
        }
    }
    if let Some(file) = &file {
        file.sync_all().map_err(|error| Failure::new(Exit::Internal, format!("the file: {error}")))?;
    }
    eprintln!("{next}");
    Ok(Exit::Ok)
}

fn line(origin: &str, header: &Header, record: &[u8], shape: Shape) -> Value {
    match shape {
        Shape::Ocsf => ocsf::event(origin, header, record),
        Shape::JsonLines => {
            let event = event_json::body(record).as_ref().map(event_json::event);
            json!({ "header": event_json::header(header), "event": event })
        }
    }
}

/// Opens a file at the end of its last whole line. The entry that comes next; `None`: it holds none.
fn resume(path: &Path) -> std::result::Result<(File, Option<Seq>), String> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.map_err(|error| error.to_string())?;
    let (mut whole, mut last, mut line) = (0, None, Vec::new());
    let mut reader = BufReader::new(&file);
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if length == 0 || line.last() != Some(&b'\n') {
            break;
        }
        whole += length as u64;
        last = Some(line.clone());
    }
    let next = last.map(|line| seq_of(&line).ok_or("its last line is no line of an export")).transpose()?;
    file.set_len(whole)
        .and_then(|()| file.seek(SeekFrom::Start(whole)))
        .map_err(|error| error.to_string())?;
    Ok((file, next.map(|seq| seq + 1)))
}

fn seq_of(line: &[u8]) -> Option<Seq> {
    let value: Value = serde_json::from_slice(line).ok()?;
    value["header"]["seq"].as_u64().or_else(|| value["unmapped"]["header"]["seq"].as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_where_to_go_on_and_half_a_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        assert_eq!(resume(&path).unwrap().1, None);
        std::fs::write(
            &path,
            "{\"header\":{\"seq\":3}}\n{\"unmapped\":{\"header\":{\"seq\":4}}}\n{\"header\":{\"se",
        )
        .unwrap();
        let (mut file, next) = resume(&path).unwrap();
        assert_eq!(next, Some(5));
        writeln!(file, "x").unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("{\"seq\":4}}}\nx\n"));
        assert!(resume(&path).is_err(), "not an export's line");
    }
}
