//! Names of columns and keys that hold personal data.

use super::scan::Kind;

/// Whom a column may be about; what follows is what counts.
const WHOSE: [&str; 20] = [
    "account_holder",
    "applicant",
    "approver",
    "borrower",
    "client",
    "co_applicant",
    "contact",
    "customer",
    "debtor",
    "employee",
    "guarantor",
    "home",
    "holder",
    "insured",
    "kunde",
    "kunden",
    "patient",
    "person",
    "user",
    "work",
];

const NAMES: [(Kind, &[&str]); 7] = [
    (
        Kind::Email,
        &["email", "e_mail", "email_address", "e_mail_address", "mail_address", "emailadresse", "courriel"],
    ),
    (
        Kind::Phone,
        &[
            "phone",
            "phone_no",
            "phone_number",
            "telephone",
            "telephone_number",
            "telefon",
            "telefonnummer",
            "mobile_phone",
            "mobile_number",
            "cell_phone",
            "handynummer",
            "mobilnummer",
        ],
    ),
    (Kind::Account, &["iban", "bank_account_number", "kontonummer", "credit_card_number", "card_number"]),
    (
        Kind::NationalId,
        &[
            "ssn",
            "social_security_no",
            "social_security_number",
            "national_id",
            "national_insurance_number",
            "nino",
            "taxpayer_id",
            "tax_id",
            "steuer_id",
            "steueridentifikationsnummer",
            "steuernummer",
            "sozialversicherungsnummer",
            "passport_no",
            "passport_number",
            "id_card_number",
            "personalausweis",
            "personalausweisnummer",
            "ausweisnummer",
            "personnummer",
            "aadhaar",
            "codice_fiscale",
            "pesel",
            "bsn",
            "cpf",
            "driving_licence_number",
            "drivers_license_number",
        ],
    ),
    (
        Kind::Name,
        &[
            "first_name",
            "firstname",
            "last_name",
            "lastname",
            "surname",
            "full_name",
            "fullname",
            "given_name",
            "family_name",
            "middle_name",
            "maiden_name",
            "vorname",
            "nachname",
            "familienname",
            "geburtsname",
        ],
    ),
    (
        Kind::BirthDate,
        &["birth_date", "birthdate", "birthday", "date_of_birth", "dob", "geburtsdatum", "geburtstag"],
    ),
    (
        Kind::Address,
        &[
            "street",
            "street_address",
            "home_address",
            "postal_address",
            "mailing_address",
            "residential_address",
            "strasse",
            "straße",
            "hausnummer",
            "anschrift",
        ],
    ),
];

/// What says something about a person only with whose it is.
const WITH_WHOSE: [(Kind, &str); 2] = [(Kind::Name, "name"), (Kind::Address, "address")];

/// What a column or key with this name holds, if its name says that it is about a person.
pub fn kind(name: &str) -> Option<Kind> {
    let name = normal(name);
    if name.len() > 64 {
        return None;
    }
    let bare = WHOSE.iter().find_map(|whose| name.strip_prefix(whose)?.strip_prefix('_'));
    let listed = |name: &str| NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(kind, _)| *kind);
    let with_whose = || {
        let bare = bare?;
        WITH_WHOSE.iter().find(|(_, name)| bare == *name).map(|(kind, _)| *kind)
    };
    listed(&name).or_else(|| bare.and_then(listed)).or_else(with_whose)
}

/// `dateOfBirth`, `Date of birth` and `DATE-OF-BIRTH` are one name.
fn normal(name: &str) -> String {
    let mut normal = String::new();
    let mut before = ' ';
    for c in name.trim().chars() {
        let begins = c.is_uppercase() && before.is_lowercase();
        if (begins || !c.is_alphanumeric()) && !normal.is_empty() && !normal.ends_with('_') {
            normal.push('_');
        }
        if c.is_alphanumeric() {
            normal.extend(c.to_lowercase());
        }
        before = c;
    }
    normal.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_found_and_names_of_features_are_not() {
        let found = [
            ("e-mail", Kind::Email),
            ("CustomerEmail", Kind::Email),
            ("Telefonnummer", Kind::Phone),
            ("dateOfBirth", Kind::BirthDate),
            ("applicant_name", Kind::Name),
            ("Last Name", Kind::Name),
            ("customer.address", Kind::Address),
            ("SSN", Kind::NationalId),
            ("steuer_id", Kind::NationalId),
            ("IBAN", Kind::Account),
        ];
        for (name, expected) in found {
            assert_eq!(kind(name), Some(expected), "{name}");
        }
        let features = [
            "name",
            "model_name",
            "feature_name",
            "file_name",
            "address",
            "ip_address",
            "email_count",
            "has_phone",
            "age",
            "age_band",
            "foreign_worker",
            "phone_verified",
            "account_age",
            "mobile",
            "birth_order",
            "user_id",
            "id",
            "duration_in_month",
            "personal_status_and_sex",
            "employment",
            "host",
            "street_count",
            "",
        ];
        for name in features {
            assert_eq!(kind(name), None, "{name}");
        }
    }
}
