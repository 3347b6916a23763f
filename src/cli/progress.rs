//! A progress bar on standard error, on a terminal, for work that takes a while.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Items below which no bar is shown.
const LONG: u64 = 5_000;

/// A bar over so many items, or none that is seen.
pub fn bar(items: u64, what: &'static str) -> ProgressBar {
    if items < LONG { ProgressBar::hidden() } else { shown(items, what) }
}

/// The same for items that take long each.
pub fn shown(items: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left");
    let bar = ProgressBar::new(items).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
