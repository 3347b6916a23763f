//! Days between two dates of the Gregorian calendar. No clock: the dates stand in a profile.

/// Days from the first date to the last, both included; `None` unless both are dates and in order.
pub(super) fn days_between(first: &str, last: &str) -> Option<u32> {
    let days = day_number(last)? - day_number(first)? + 1;
    u32::try_from(days).ok().filter(|days| *days > 0)
}

/// Days since 1970-01-01 of a date written `YYYY-MM-DD`.
fn day_number(text: &str) -> Option<i64> {
    let digits = |part: &str, len: usize| -> Option<i64> {
        (part.len() == len && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
    };
    let mut parts = text.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) {
        return None;
    }
    // Count from March, so that the leap day is the last one of its year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era_days = year.div_euclid(400) * 146_097;
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era_days + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_with_both_ends() {
        assert_eq!(day_number("1970-01-01"), Some(0));
        assert_eq!(day_number("2000-03-01"), Some(11_017));
        assert_eq!(days_between("2025-06-02", "2025-09-14"), Some(105));
        assert_eq!(days_between("2024-02-28", "2024-03-01"), Some(3));
        assert_eq!(days_between("2026-01-01", "2026-01-01"), Some(1));
    }

    #[test]
    fn what_is_no_date_has_no_days() {
        for wrong in
            ["2025-02-29", "1900-02-29", "2025-13-01", "2025-00-10", "2025-1-1", "2025-01-01T", "+025-01-01"]
        {
            assert_eq!(days_between(wrong, "2026-01-01"), None, "{wrong}");
        }
        assert_eq!(days_between("2026-01-02", "2026-01-01"), None);
    }
}
