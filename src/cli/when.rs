//! Times as people write them -> intervals in UTC. Pure.
//!
//! A date is a whole day in a time zone: 23 or 25 hours when clocks change. A time without an offset that does
//! not exist on that day, or exists twice, is refused, not guessed.

use jiff::{Timestamp, Zoned, civil, tz::TimeZone};

use crate::event::Micros;

/// `[from, to)` in UTC; an open end is 0, as in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// Inclusive.
    pub from: Micros,
    /// Exclusive.
    pub to: Micros,
}

/// What `--on`, `--from` and `--to` say together.
///
/// # Errors
/// What is wrong, with the option that says it.
pub fn interval(
    on: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
    zone: &TimeZone,
) -> Result<Interval, String> {
    if let Some(on) = on {
        let date = date(on).ok_or_else(|| format!("--on {on:?} is not a date such as 2026-11-21"))?;
        let (from, to) = day(date, zone).map_err(|problem| format!("--on {on}: {problem}"))?;
        return Ok(Interval { from, to });
    }
    let read = |name: &str, text: Option<&str>| {
        text.map(|text| span(text, zone).map_err(|problem| format!("{name} {text:?} {problem}"))).transpose()
    };
    let (first, last) = (read("--from", from)?, read("--to", to)?);
    // A date counts whole: --to 2026-11-30 ends when that day ends.
    let interval = Interval { from: first.map_or(0, |span| span.0), to: last.map_or(0, |span| span.1) };
    if interval.to != 0 && interval.to <= interval.from {
        return Err("--to is not after --from".into());
    }
    Ok(interval)
}

/// The moment at which something is asked: a time, or the last microsecond of a date.
///
/// # Errors
/// What is wrong.
pub fn moment(text: &str, zone: &TimeZone) -> Result<Micros, String> {
    let (from, to) = span(text, zone).map_err(|problem| format!("{text:?} {problem}"))?;
    Ok(if date(text).is_some() { to - 1 } else { from })
}

/// A time as an empty interval, a date as its day.
fn span(text: &str, zone: &TimeZone) -> Result<(Micros, Micros), String> {
    if let Some(date) = date(text) {
        return day(date, zone);
    }
    let time = instant(text, zone)?;
    Ok((time, time))
}

fn date(text: &str) -> Option<civil::Date> {
    if text.len() == 10 { text.parse().ok() } else { None }
}

fn day(date: civil::Date, zone: &TimeZone) -> Result<(Micros, Micros), String> {
    let start = |date: civil::Date| date.to_zoned(zone.clone()).map_err(|error| error.to_string());
    let next = date.tomorrow().map_err(|error| error.to_string())?;
    Ok((micros(start(date)?.timestamp())?, micros(start(next)?.timestamp())?))
}

fn instant(text: &str, zone: &TimeZone) -> Result<Micros, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return micros(time);
    }
    if text.contains('[') {
        let zoned = text.parse::<Zoned>().map_err(|error| format!("cannot be read: {error}"))?;
        return micros(zoned.timestamp());
    }
    let Ok(time) = text.parse::<civil::DateTime>() else {
        return Err("is no time; write 2026-11-21, 2026-11-21T09:30, or 2026-11-21T09:30:00+01:00".into());
    };
    let zoned = zone.to_ambiguous_zoned(time);
    if zoned.is_ambiguous() {
        let name = zone.iana_name().unwrap_or("that time zone");
        return Err(format!(
            "does not exist or exists twice in {name}, where clocks change then; add an offset such as +01:00"
        ));
    }
    micros(zoned.compatible().map_err(|error| error.to_string())?.timestamp())
}

fn micros(time: Timestamp) -> Result<Micros, String> {
    u64::try_from(time.as_microsecond()).map_err(|_| "lies before 1970".into())
}

/// A time in UTC, with microseconds where it has some.
pub fn utc(micros: Micros) -> String {
    let time = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    time.map_or_else(|| format!("{micros} µs"), |time| time.to_string())
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.from, self.to) {
            (0, 0) => f.write_str("all times"),
            (from, 0) => write!(f, "from {} on", utc(from)),
            (0, to) => write!(f, "before {}", utc(to)),
            (from, to) => write!(f, "from {} to {} (not included)", utc(from), utc(to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[track_caller]
    fn check(on: Option<&str>, from: Option<&str>, to: Option<&str>, expected: (&str, &str)) {
        let found = interval(on, from, to, &berlin()).unwrap();
        let end = |micros: u64| if micros == 0 { String::new() } else { utc(micros) };
        assert_eq!((end(found.from).as_str(), end(found.to).as_str()), expected);
    }

    #[test]
    fn a_date_is_its_day_in_the_time_zone() {
        check(Some("2026-11-21"), None, None, ("2026-11-20T23:00:00Z", "2026-11-21T23:00:00Z"));
    }

    #[test]
    fn days_have_23_and_25_hours_when_clocks_change() {
        for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)] {
            let found = interval(Some(date), None, None, &berlin()).unwrap();
            assert_eq!(found.to - found.from, hours * HOUR, "{date}");
        }
        // In Chile clocks change at midnight: the day begins at one o'clock.
        let santiago = TimeZone::get("America/Santiago").unwrap();
        let found = interval(Some("2026-09-06"), None, None, &santiago).unwrap();
        assert_eq!((utc(found.from).as_str(), found.to - found.from), ("2026-09-06T04:00:00Z", 23 * HOUR));
    }

    #[test]
    fn bounds_are_times_with_an_offset_local_times_or_whole_dates() {
        check(None, Some("2026-11-14T08:00:00Z"), None, ("2026-11-14T08:00:00Z", ""));
        check(
            None,
            Some("2026-11-14T08:00"),
            Some("2026-11-14T09:00:00.5"),
            ("2026-11-14T07:00:00Z", "2026-11-14T08:00:00.5Z"),
        );
        check(None, Some("2026-11-14T08:00:00-05:00"), None, ("2026-11-14T13:00:00Z", ""));
        check(None, Some("2026-11-01"), Some("2026-11-30"), ("2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"));
        check(None, None, Some("2026-11-14T08:00[America/New_York]"), ("", "2026-11-14T13:00:00Z"));
    }

    #[test]
    fn rejects_what_cannot_be_meant_one_way() {
        for (from, needle) in [
            ("2026-10-25T02:30", "twice"),
            ("2026-03-29T02:30", "does not exist"),
            ("yesterday", "is no time"),
            ("2026-13-01", "is no time"),
            ("1969-12-31", "before 1970"),
        ] {
            let problem = interval(None, Some(from), None, &berlin()).unwrap_err();
            assert!(problem.contains(needle) && problem.contains("--from"), "{problem}");
        }
        assert!(interval(None, Some("2026-11-15"), Some("2026-11-14"), &berlin()).is_err());
        assert!(interval(Some("2026-11-14T08:00"), None, None, &berlin()).unwrap_err().contains("--on"));
    }

    #[test]
    fn a_moment_is_a_time_or_the_end_of_a_date() {
        let utc = |text| utc(moment(text, &berlin()).unwrap());
        assert_eq!(utc("2026-11-21"), "2026-11-21T22:59:59.999999Z");
        assert_eq!(utc("2026-11-21T12:00"), "2026-11-21T11:00:00Z");
    }
}
