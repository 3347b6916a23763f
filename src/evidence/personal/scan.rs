//! Samples of CSV, JSON and text: columns and keys by their names, values by their form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{names, values};

/// Bytes from the beginning that are worth looking at, and the most that are looked at.
pub const SAMPLE_LEN: usize = 256 * 1024;
/// Rows of a table that are looked at.
const ROWS_MAX: usize = 1_000;
/// Findings of one piece of evidence.
const FINDINGS_MAX: usize = 20;
/// Cells of a column that must all be good before a check digit alone counts.
const WEAK_CELLS_MIN: usize = 5;

/// What kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Bank accounts and cards.
    Account,
    /// Identity, tax and insurance numbers.
    NationalId,
    /// Names of people.
    Name,
    /// Dates of birth.
    BirthDate,
    /// Addresses.
    Address,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "e-mail addresses",
            Self::Phone => "telephone numbers",
            Self::Account => "bank account or card numbers",
            Self::NationalId => "identity, tax or insurance numbers",
            Self::Name => "names of people",
            Self::BirthDate => "dates of birth",
            Self::Address => "addresses",
        })
    }
}

/// Something that somebody should look at. Never holds the data itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where: a column, a key, or the text.
    pub place: String,
    /// How many values have that form; 0: only the name says so.
    pub values: usize,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, values } = self;
        match values {
            0 => write!(f, "{place} is named like {kind}"),
            1 => write!(f, "{place} holds what looks like {kind} (1 value)"),
            n => write!(f, "{place} holds what looks like {kind} ({n} values in the sample)"),
        }
    }
}

/// What is obvious in the beginning of a piece of evidence, in order; nothing for formats that cannot be read here.
pub fn scan(media_type: &str, sample: &[u8]) -> Vec<Finding> {
    let sample = sample.get(..SAMPLE_LEN).unwrap_or(sample);
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut places = Places::default();
    match essence.as_str() {
        "text/csv" => table(&mut places, sample, b','),
        "text/tab-separated-values" => table(&mut places, sample, b'\t'),
        other
            if other == "application/json" || other.ends_with("+json") || other == "application/x-ndjson" =>
        {
            json(&mut places, &String::from_utf8_lossy(sample));
        }
        other if other.starts_with("text/") || other.ends_with("yaml") || other.ends_with("+xml") => {
            for line in String::from_utf8_lossy(sample).lines() {
                places.values("the text", line, false);
            }
        }
        _ => {}
    }
    places.findings()
}

/// What was seen under each name.
#[derive(Default)]
struct Places(BTreeMap<String, Seen>);

#[derive(Default)]
struct Seen {
    named: Option<Kind>,
    cells: usize,
    /// Up to a few different ones: a column of two values is a flag, whatever its name.
    different: BTreeSet<u64>,
    values: BTreeMap<Kind, usize>,
    weak: usize,
}

/// Different values from which on a column is no flag.
const DIFFERENT_MIN: usize = 3;

impl Places {
    fn seen(&mut self, place: &str) -> &mut Seen {
        if !self.0.contains_key(place) {
            self.0.insert(place.to_owned(), Seen::default());
        }
        self.0.entry(place.to_owned()).or_default()
    }

    fn values(&mut self, place: &str, text: &str, alone: bool) {
        if text.trim().is_empty() {
            return;
        }
        let seen = self.seen(place);
        seen.cells += 1;
        if seen.different.len() < DIFFERENT_MIN {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            seen.different.insert(hasher.finish());
        }
        self.form(place, text, alone);
    }

    /// Counts what a text is by its form.
    fn form(&mut self, place: &str, text: &str, alone: bool) {
        for kind in values::kinds(text, alone) {
            let seen = self.seen(place);
            if kind == Kind::NationalId && values::is_weak(text) {
                seen.weak += 1;
            } else {
                *seen.values.entry(kind).or_default() += 1;
            }
        }
    }

    fn findings(self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (place, mut seen) in self.0 {
            if seen.weak >= WEAK_CELLS_MIN && seen.weak == seen.cells && seen.different.len() >= DIFFERENT_MIN
            {
                *seen.values.entry(Kind::NationalId).or_default() += seen.weak;
            }
            // Where there are cells at all, they must not be flags such as yes and no.
            let few = seen.cells > 2 * DIFFERENT_MIN && seen.different.len() < DIFFERENT_MIN;
            if let Some(kind) = seen.named.filter(|_| !few) {
                seen.values.entry(kind).or_default();
            }
            let found = |(kind, values)| Finding { kind, place: place.clone(), values };
            findings.extend(seen.values.into_iter().map(found));
        }
        findings.sort();
        findings.truncate(FINDINGS_MAX);
        findings
    }
}

fn table(places: &mut Places, sample: &[u8], separator: u8) {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true);
    // The example's tables, and many others, separate with a semicolon.
    let first = sample.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let semicolons = first.contains(&b';') && !first.contains(&separator);
    builder.delimiter(if semicolons { b';' } else { separator });
    let mut reader = builder.from_reader(sample);
    let mut columns: Vec<String> = Vec::new();
    for (row, record) in reader.byte_records().take(ROWS_MAX + 1).enumerate() {
        // A cut last row, or no table after all.
        let Ok(record) = record else { break };
        for (i, cell) in record.iter().enumerate() {
            let cell = String::from_utf8_lossy(cell);
            if row == 0 {
                let place = format!("column {:?}", cell.trim());
                if let Some(kind) = names::kind(&cell) {
                    places.seen(&place).named = Some(kind);
                }
                columns.push(place);
                // A table without a header begins with data.
                places.form(columns.last().unwrap_or(&String::new()), &cell, false);
            } else {
                let beyond = format!("column {}", i + 1);
                places.values(columns.get(i).unwrap_or(&beyond), &cell, true);
            }
        }
    }
}

/// Strings of JSON, cut or not: those before a colon are keys, the others values of the key before them.
fn json(places: &mut Places, text: &str) {
    let mut key = "the document".to_owned();
    let mut rest = text;
    while let Some((string, after)) = next_string(rest) {
        if after.trim_start().starts_with(':') {
            key = format!("key {string:?}");
            if let Some(kind) = names::kind(&string) {
                places.seen(&key).named = Some(kind);
            }
        } else {
            places.values(&key, &string, true);
        }
        rest = after;
    }
}

/// The next string literal and what comes after it. Escapes other than quotes stay as they are.
fn next_string(text: &str) -> Option<(String, &str)> {
    let begin = text.find('"')? + 1;
    let body = text.get(begin..)?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((body.get(..at)?.replace("\\\"", "\""), body.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(media_type: &str, sample: &str) -> Vec<String> {
        scan(media_type, sample.as_bytes()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tables_are_looked_at_by_column() {
        let table = "id,Last Name,contact,amount\n1,Doe,jane.doe@bank.de,12\n2,Roe,+49 30 1234567,13\n3,Poe,x@bank.de,9\n";
        assert_eq!(
            words("text/csv; charset=utf-8", table),
            [
                "column \"contact\" holds what looks like e-mail addresses (2 values in the sample)",
                "column \"contact\" holds what looks like telephone numbers (1 value)",
                "column \"Last Name\" is named like names of people",
            ]
        );
        let ids = (0..20).map(|n| format!("{n};86095742719\n")).collect::<String>();
        assert_eq!(
            words("text/csv", &format!("n;x\n{ids}")),
            [""; 0],
            "one value again and again is no register"
        );
    }

    #[test]
    fn numbers_count_only_where_a_whole_column_has_good_check_digits() {
        let good = ["111222333", "123456782", "232262536", "111222333", "010464554", "123456782"];
        let column: String = good.iter().map(|id| format!("{id}\n")).collect();
        assert_eq!(
            words("text/csv", &format!("reference\n{column}")),
            [
                "column \"reference\" holds what looks like identity, tax or insurance numbers (6 values in the sample)"
            ]
        );
        let amounts: String = (0..500).map(|n| format!("{}\n", 100_000_000 + 7 * n)).collect();
        assert_eq!(words("text/csv", &format!("amount\n{amounts}")), [""; 0]);
    }

    #[test]
    fn a_flag_is_no_telephone_number() {
        let column: String = (0..100).map(|n| format!("{}\n", ["A191", "A192"][n % 2])).collect();
        assert_eq!(words("text/csv", &format!("telephone\n{column}")), [""; 0]);
        assert_eq!(
            words("text/csv", "telephone\n0301\n0302\n0303\n"),
            ["column \"telephone\" is named like telephone numbers"]
        );
    }

    #[test]
    fn json_is_looked_at_by_key_also_when_it_is_cut() {
        let whole = r#"{"rows":[{"dateOfBirth":"1980-01-01","note":"call +49 30 1234567"},{"contact":"jane@bank.de"}]}"#;
        let expected = [
            "key \"contact\" holds what looks like e-mail addresses (1 value)",
            "key \"note\" holds what looks like telephone numbers (1 value)",
            "key \"dateOfBirth\" is named like dates of birth",
        ];
        assert_eq!(words("application/json", whole), expected);
        assert_eq!(words("application/vnd.report+json", &whole[..whole.len() - 3]), expected);
    }

    #[test]
    fn text_is_looked_at_line_by_line_and_other_formats_not_at_all() {
        let html = "<html><p>Written by <a href=\"mailto:jane@bank.de\">Jane</a></p></html>";
        assert_eq!(words("text/html", html), ["the text holds what looks like e-mail addresses (1 value)"]);
        assert_eq!(words("application/pdf", html), [""; 0]);
        assert_eq!(words("application/octet-stream", "email\na@b.de"), [""; 0]);
        let _ = scan("application/json", &[0xff; 100]);
    }
}
