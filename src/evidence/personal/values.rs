//! Values that are personal data by their form: with check digits wherever the form alone would be too weak.

use super::scan::Kind;

/// Longest text that is looked at as one value.
const VALUE_LEN_MAX: usize = 4_096;

/// What a text holds. `alone`: it is a whole cell, so that a number without other signs may count.
pub fn kinds(text: &str, alone: bool) -> Vec<Kind> {
    let text = text.get(..VALUE_LEN_MAX).unwrap_or(text);
    let mut found = Vec::new();
    if text.contains('@') && emails(text) {
        found.push(Kind::Email);
    }
    if text.contains('+') && phones(text) {
        found.push(Kind::Phone);
    }
    if ibans(text) {
        found.push(Kind::Account);
    }
    if text.split(|c: char| c.is_whitespace() || ",;()\"'<>".contains(c)).any(marked_id)
        || (alone && bare_id(text.trim()))
    {
        found.push(Kind::NationalId);
    }
    found
}

/// Mailboxes of nobody, and domains that RFC 2606 and 6761 reserve.
const NOBODY: [&str; 6] = ["git", "noreply", "no-reply", "donotreply", "do-not-reply", "mailer-daemon"];
const RESERVED: [&str; 8] =
    ["example.com", "example.org", "example.net", "example", "invalid", "test", "localhost", "local"];
/// Endings of files, where an at sign is part of a file name (`logo@2x.png`).
const FILE_ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js"];

fn emails(text: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    text.match_indices('@').any(|(at, _)| {
        let (before, after) = text.split_at(at);
        let local = before.rsplit(|c| !atext(c)).next().unwrap_or_default();
        let local = local.trim_start_matches(['\'', '`', '/', '=', '{', '*', '.']);
        let domain = after.get(1..).unwrap_or_default();
        let domain = domain.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).next();
        let domain = domain.unwrap_or_default().trim_end_matches(['.', '-']).to_ascii_lowercase();
        let scheme = before.get(..before.len() - local.len()).is_some_and(|rest| rest.ends_with("://"));
        !local.is_empty() && local.len() <= 64 && !scheme && mailbox(&local.to_ascii_lowercase(), &domain)
    })
}

fn mailbox(local: &str, domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    let Some(last) = labels.last() else { return false };
    labels.len() >= 2
        && labels.iter().all(|label| !label.is_empty() && label.len() <= 63 && !label.starts_with('-'))
        && (2..=24).contains(&last.len())
        && last.chars().all(|c| c.is_ascii_alphabetic())
        && !FILE_ENDINGS.contains(last)
        && !NOBODY.contains(&local)
        && !RESERVED.iter().any(|reserved| domain == *reserved || domain.ends_with(&format!(".{reserved}")))
}

/// International form only (ITU-T E.123): `+`, then 8 to 15 digits, grouped. A number alone is not one.
fn phones(text: &str) -> bool {
    text.match_indices('+').any(|(at, _)| {
        let (before, after) = text.split_at(at);
        if before.ends_with(|c: char| c.is_alphanumeric()) {
            return false;
        }
        let (mut digits, mut groups, mut last) = (0, 0, '+');
        for c in after.chars().skip(1) {
            match c {
                c if c.is_ascii_digit() => {
                    groups += u32::from(!last.is_ascii_digit());
                    digits += 1;
                }
                ' ' | '-' | '(' | ')' | '/' | '.' if last != ' ' || matches!(c, '(') => {}
                _ => {
                    if c.is_alphabetic() || c == '+' || c == '*' || c == '=' {
                        return false;
                    }
                    break;
                }
            }
            last = c;
        }
        let starts = after.get(1..2).is_some_and(|first| first.chars().all(|c| matches!(c, '1'..='9')));
        starts && (8..=15).contains(&digits) && (groups >= 2 || digits >= 10) && !after.contains("e+")
    })
}

/// Lengths of IBANs by country (ISO 13616 registry).
const IBANS: [(&str, usize); 32] = [
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("SE", 24),
    ("SK", 24),
];

fn ibans(text: &str) -> bool {
    let bytes = text.as_bytes();
    let upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (0..bytes.len()).any(|at| {
        let begins = at == 0 || bytes.get(at - 1).is_some_and(|before| !before.is_ascii_alphanumeric());
        begins && upper(at) && upper(at + 1) && digit(at + 2) && digit(at + 3) && {
            let country = text.get(at..at + 2).unwrap_or_default();
            let length = IBANS.iter().find(|(code, _)| *code == country).map(|(_, length)| *length);
            length.is_some_and(|length| iban(&bytes[at..], length))
        }
    })
}

/// Whether so many letters and digits stand here, in groups or not, and the rest modulo 97 is 1 (ISO 7064).
fn iban(bytes: &[u8], length: usize) -> bool {
    let mut number = Vec::with_capacity(length);
    let mut rest = bytes.iter().peekable();
    while number.len() < length {
        match rest.next() {
            Some(byte) if byte.is_ascii_digit() || byte.is_ascii_uppercase() => number.push(*byte),
            Some(b' ') if number.len().is_multiple_of(4) && !number.is_empty() => {}
            _ => return false,
        }
    }
    if rest.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    number.rotate_left(4);
    let value =
        |byte: u8| if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::from(byte - b'A') + 10 };
    let modulo = number.into_iter().map(value).fold(0, |modulo, value| {
        if value < 10 { (modulo * 10 + value) % 97 } else { (modulo * 100 + value) % 97 }
    });
    modulo == 1
}

/// Identity numbers whose form is marked: by letters, or by the place of its separators.
fn marked_id(word: &str) -> bool {
    let bytes = word.trim_end_matches(['.', ':']).as_bytes();
    social_security(bytes) || national_insurance(bytes) || codice_fiscale(bytes) || dni(bytes)
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0u32, |number, byte| {
        byte.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')))
    })
}

/// United States: 123-45-6789; areas 000, 666 and 900 up, groups 00 and serials 0000 are never given out.
fn social_security(bytes: &[u8]) -> bool {
    let [a @ .., b'-', g1, g2, b'-', _, _, _, _] = bytes else { return false };
    let serial = bytes.get(7..).and_then(digits);
    let (Some(area), Some(group)) = (digits(a).filter(|_| a.len() == 3), digits(&[*g1, *g2])) else {
        return false;
    };
    area != 0 && area != 666 && area < 900 && group != 0 && serial.is_some_and(|serial| serial != 0)
}

/// United Kingdom: QQ123456C without the letters that are never given out.
fn national_insurance(bytes: &[u8]) -> bool {
    let [first, second, number @ .., suffix] = bytes else { return false };
    let prefix = [*first, *second];
    number.len() == 6
        && digits(number).is_some()
        && first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && ![*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"].contains(&prefix)
        && b"ABCD".contains(suffix)
}

/// Italy: 16 letters and digits, the last one a check letter.
fn codice_fiscale(bytes: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    const FORM: &[u8; 16] = b"AAAAAA00A00A000A";
    if bytes.len() != 16 {
        return false;
    }
    let fits = |(byte, form): (&u8, &u8)| {
        if *form == b'0' { byte.is_ascii_digit() } else { byte.is_ascii_uppercase() }
    };
    if !bytes.iter().zip(FORM).all(fits) {
        return false;
    }
    let place = |byte: u8| usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 = bytes
        .iter()
        .take(15)
        .enumerate()
        .map(|(i, byte)| match i % 2 {
            0 => ODD.get(place(*byte)).copied().unwrap_or_default(),
            _ => place(*byte) as u32,
        })
        .sum();
    bytes.last().is_some_and(|last| u32::from(last - b'A') == sum % 26)
}

/// Spain: eight digits and the letter that they give.
fn dni(bytes: &[u8]) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let [number @ .., letter] = bytes else { return false };
    number.len() == 8
        && digits(number).is_some_and(|number| LETTERS.get((number % 23) as usize) == Some(letter))
}

/// Identity numbers of digits alone, by their check digits: one in ten or eleven numbers of that length passes, so only
/// a column whose cells all do counts.
fn bare_id(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(10)).collect();
    match digits.as_deref() {
        Some(digits) if digits.len() == 11 => steuer_id(digits),
        Some(digits) if digits.len() == 9 => bsn(digits),
        _ => false,
    }
}

/// Whether a national id has no sign but its check digit.
pub fn is_weak(text: &str) -> bool {
    bare_id(text.trim()) && !marked_id(text.trim())
}

/// Germany: ISO 7064 MOD 11,10; it does not begin with 0.
fn steuer_id(digits: &[u32]) -> bool {
    let [first, ..] = digits else { return false };
    let Some((check, rest)) = digits.split_last() else { return false };
    let product = rest.iter().fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum } * 2) % 11
    });
    *first != 0 && (11 - product) % 10 == *check
}

/// Netherlands: weights 9 to 2 and -1, divisible by 11.
fn bsn(digits: &[u32]) -> bool {
    let Some((check, rest)) = digits.split_last() else { return false };
    let sum: u32 = rest.iter().zip((2..=9).rev()).map(|(digit, weight)| digit * weight).sum();
    sum != 0 && sum % 11 == *check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Kind]) {
        assert_eq!(kinds(text, true), expected, "{text}");
    }

    #[test]
    fn values_of_people_are_found() {
        check("jane.doe@bank.de", &[Kind::Email]);
        check("Approved by Jane Doe <jane.doe+risk@mail.bank.co.uk>.", &[Kind::Email]);
        check("+49 30 1234567", &[Kind::Phone]);
        check("call +1 (212) 555-0123, please", &[Kind::Phone]);
        check("DE89370400440532013000", &[Kind::Account]);
        check("paid to DE89 3704 0044 0532 0130 00 on Monday", &[Kind::Account]);
        check("GB82 WEST 1234 5698 7654 32", &[Kind::Account]);
        check("123-45-6789", &[Kind::NationalId]);
        check("AB123456C", &[Kind::NationalId]);
        check("RSSMRA85T10A562S", &[Kind::NationalId]);
        check("12345678Z", &[Kind::NationalId]);
        check("86095742719", &[Kind::NationalId]);
        check("111222333", &[Kind::NationalId]);
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in [
            "models:/credit@champion",
            "registry/model@sha256:0123456789abcdef",
            "git@github.com:org/repository",
            "noreply@bank.de",
            "somebody@example.com",
            "logo@2x.png",
            "https://user:secret@host/path",
            "left-pad@1.3.0",
            "x = a+12345678",
            "1.5e+10",
            "+0.123456789",
            "+1",
            "duration 30123456",
            "DE89370400440532013001",
            "DE12 is a version",
            "2026-11-07",
            "000-12-3456",
            "123-45-678",
            "12345678A",
            "12345678901",
            "0.123456789",
            "",
        ] {
            check(text, &[]);
        }
        assert_eq!(
            kinds("86095742719", false),
            [],
            "a number in running text has no column that speaks for it"
        );
        assert!(is_weak("86095742719") && !is_weak("123-45-6789"));
    }
}
