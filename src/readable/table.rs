//! CSV as a table, bounded.

use maud::{Markup, html};

use super::{Shown, plain, visible};

/// Rows that are shown in a page.
const ROWS_MAX: usize = 200;
/// Columns of one table.
const COLUMNS_MAX: usize = 64;
/// Separators that are tried, by the first line.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// CSV with one line of names above its rows. What is not a table is shown as text.
pub fn fragment(text: &str) -> Shown {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: &u8| first.bytes().filter(|byte| byte == separator).count();
    let separator = SEPARATORS.into_iter().rev().max_by_key(count).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
    let Ok(names) = reader.headers().cloned() else { return plain::fragment(text) };
    if names.len() > COLUMNS_MAX || names.is_empty() {
        return plain::fragment(text);
    }
    let mut rows = Vec::new();
    let mut total = 0;
    for record in reader.records() {
        let Ok(record) = record else { return plain::fragment(text) };
        total += 1;
        if rows.len() < ROWS_MAX {
            rows.push(record);
        }
    }
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let names: Vec<String> = names.iter().map(str::to_owned).collect();
    let markup = html! {
        (table(&names, &rows))
        @if total > ROWS_MAX {
            p.left-out { "The first " (ROWS_MAX) " of " (total) " rows are shown here; the file has the rest." }
        } @else {
            p.left-out { (total) " rows, all shown." }
        }
    };
    Shown::Fragment { markup, whole: total <= ROWS_MAX }
}

/// A table of texts: the first column names its row if no two rows have the same; numbers stand to the right.
pub(super) fn table(names: &[String], rows: &[Vec<String>]) -> Markup {
    let mut first: Vec<_> = rows.iter().map(|row| row.first()).collect();
    first.sort();
    let named = first.windows(2).all(|pair| pair.first() != pair.last());
    let column = |at: usize| rows.iter().filter_map(move |row| row.get(at)).map(String::as_str);
    let numeric: Vec<bool> = (0..names.len()).map(|at| all_numbers(column(at))).collect();
    let class = |at: usize| numeric.get(at).is_some_and(|numeric| *numeric).then_some("n");
    html! {
        div.scroll tabindex="0" {
            table.data {
                thead { tr { @for (at, name) in names.iter().enumerate() {
                    th scope="col" class=[class(at)] { (visible(name)) }
                } } }
                tbody { @for row in rows {
                    tr { @for (at, cell) in row.iter().enumerate() {
                        @if at == 0 && named {
                            th scope="row" class=[class(at)] { (visible(cell)) }
                        } @else {
                            td class=[class(at)] { (visible(cell)) }
                        }
                    } }
                } }
            }
        }
    }
}

fn all_numbers<'a>(mut cells: impl Iterator<Item = &'a str>) -> bool {
    let mut some = false;
    let all = cells.all(|cell| {
        let number = cell.trim().parse::<f64>().is_ok();
        some |= number;
        number || matches!(cell.trim(), "" | "-" | "\u{2013}")
    });
    all && some
}
