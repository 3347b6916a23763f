//! Processor time of this process, which other work on the machine changes less than it changes rates.

use std::{fs, time::Duration};

/// Unit of times in `/proc/<pid>/stat` (proc(5); USER_HZ is 100 on every architecture that Linux has today).
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads so far; `None` where there is no procfs.
pub fn used() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces. After it: state, then utime and stime as the 12th and 13th field.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<u32> =
        fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse().ok()).collect();
    (ticks.len() == 2).then(|| TICK * ticks.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let before = used().expect("procfs");
        let mut n = 1_u64;
        while used().expect("procfs") < before + 2 * TICK {
            n = std::hint::black_box(n.wrapping_mul(31));
        }
        assert!(used().expect("procfs") > before);
    }
}
