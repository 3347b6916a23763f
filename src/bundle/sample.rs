//! Which promotions of a period an auditor looks at: chosen by a checkpoint that was made after the period, so that nobody
//! chose them. Who has the bundle draws the same.

use crate::event::{Digest, Seq, digest::audit_sample};

use super::manifest::Period;

/// What draws: a checkpoint over the whole period and more, and a witness's cosignature where one is asked for. Without one,
/// an operator who makes the first entry after the period can try several until a sample suits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Root of the checkpoint's tree.
    pub root: Digest,
    /// Its size.
    pub size: u64,
    /// The period.
    pub period: Period,
    /// Time and signature of a witness, or empty.
    pub cosignature: Vec<u8>,
}

/// `n` of the promotions, or all where there are fewer, in ascending order.
pub fn draw(seed: &Seed, promotions: &[Seq], n: usize) -> Vec<Seq> {
    let place = |seq: &Seq| {
        audit_sample((&seed.root, seed.size), (seed.period.from, seed.period.to), &seed.cosignature, *seq)
    };
    let mut ranked: Vec<_> = promotions.iter().map(|seq| (place(seq).0, *seq)).collect();
    ranked.sort_unstable();
    let mut drawn: Vec<_> = ranked.into_iter().take(n).map(|(_, seq)| seq).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(root: u8) -> Seed {
        Seed { root: Digest([root; 32]), size: 9, period: Period { from: 1, to: 2 }, cosignature: Vec::new() }
    }

    #[test]
    fn everybody_draws_the_same_and_another_checkpoint_draws_others() {
        let all: Vec<_> = (0..1000).collect();
        let one = draw(&seed(1), &all, 25);
        let mut reversed = all.clone();
        reversed.reverse();
        assert_eq!(one, draw(&seed(1), &reversed, 25));
        assert_eq!(one.len(), 25);
        assert_ne!(one, draw(&seed(2), &all, 25));
        assert_ne!(one, draw(&Seed { cosignature: vec![1], ..seed(1) }, &all, 25));
        assert_eq!(draw(&seed(1), &all[..3], 25), [0, 1, 2]);
    }

    /// No promotion is drawn more often than another.
    #[test]
    fn draws_are_even() {
        let all: Vec<_> = (0..20).collect();
        let mut counts = [0; 20];
        for root in 0..200 {
            for seq in draw(&seed(root), &all, 5) {
                counts[seq as usize] += 1;
            }
        }
        assert!(counts.iter().all(|count| (25..=80).contains(count)), "{counts:?}");
    }
}
