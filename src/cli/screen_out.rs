//! `show --screen`: what a promotion looks like, as a directory that any browser opens: the page, and below
//! `artefacts/` every piece of evidence under its digest, each compared with the ledger on its way.

use std::{fs, path::Path};

use crate::{
    event::{
        Header, canonical, content,
        proto::{
            AsOfRequest, GetEntryRequest, GetEntryResponse, Opened, Promoted, ReviewSealed, body::Event,
            get_entry_request::By,
        },
    },
    page::{
        Check, Exhibits, Found, file_name,
        people::People,
        promotion::{self, Promotion},
        sealed,
        sections::Reading,
        shell::Shell,
    },
    readable::READ_LEN_MAX,
    review::screen::SHEET_PATH,
};

use super::{
    evidence_out::{Written, write},
    output::{Exit, Failure, Result},
    source::Source,
};

/// Name of the page in the directory.
const PAGE: &str = "index.html";

/// The entry whose screen is written.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// What the ledger answered.
    pub answer: &'a GetEntryResponse,
    /// Its header.
    pub header: &'a Header,
    /// Names, where they were opened.
    pub people: &'a People,
}

/// Writes the screen of a promotion.
///
/// # Errors
/// If the directory cannot be written. Evidence that is absent or changed is in the answer, and on the page.
pub async fn write_all(
    source: &Source,
    shown: &Shown<'_>,
    event: Option<&Event>,
    dir: &Path,
) -> Result<Vec<Written>> {
    match event {
        Some(Event::ReviewSealed(review)) => review_out(source, review, &shown.answer.opened, dir).await,
        Some(Event::Promoted(Promoted { review: Some(review), .. })) => {
            let request =
                GetEntryRequest { by: Some(By::Seq(review.seq)), unseal: !shown.answer.opened.is_empty() };
            let answer = source.get_entry(request).await?;
            let record = answer.entry.as_ref().and_then(|entry| canonical::decode(&entry.record).ok());
            match record.and_then(|record| record.body.event) {
                Some(Event::ReviewSealed(sealed))
                    if sealed.screen.as_ref().map(|s| &s.sha256)
                        == review.screen.as_ref().map(|s| &s.sha256) =>
                {
                    review_out(source, &sealed, &answer.opened, dir).await
                }
                _ => Err(Failure::new(
                    Exit::No,
                    format!("entry {} is not the review that the promotion names", review.seq),
                )),
            }
        }
        Some(Event::Promoted(promoted)) => promotion_out(source, shown, promoted, dir).await,
        _ => Err(Failure::usage(format!("entry {} is not a promotion: it has no screen", shown.header.seq))),
    }
}

/// The sealed page, byte for byte, and everything that could be opened from it. The sheet of people where it is open.
async fn review_out(
    source: &Source,
    review: &ReviewSealed,
    opened: &[Opened],
    dir: &Path,
) -> Result<Vec<Written>> {
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    let artefacts = dir.join("artefacts");
    fs::create_dir_all(&artefacts).map_err(failed)?;
    let mut written = Vec::new();
    for (i, (name, reference)) in sealed::evidence(review).into_iter().enumerate() {
        let file = if i == 0 { dir.join(PAGE) } else { artefacts.join(file_name(&reference)) };
        written.push(write(source, name, &reference, file, false).await.map_err(failed)?);
    }
    if !opened.is_empty() {
        fs::write(dir.join(SHEET_PATH), sealed::sheet(opened)).map_err(failed)?;
    }
    Ok(written)
}

/// The page of the six fields, made now from the entry.
async fn promotion_out(
    source: &Source,
    shown: &Shown<'_>,
    promoted: &Promoted,
    dir: &Path,
) -> Result<Vec<Written>> {
    let Shown { answer, header, people } = *shown;
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", dir.display()));
    let artefacts = dir.join("artefacts");
    fs::create_dir_all(&artefacts).map_err(failed)?;
    let (mut exhibits, mut checks, mut written) = (Exhibits::default(), Vec::new(), Vec::new());
    for (field, reference) in content::evidence(promoted) {
        let file = artefacts.join(file_name(reference));
        let one = write(source, field.clone().into_owned(), reference, file.clone(), false)
            .await
            .map_err(failed)?;
        let found = match one.problem() {
            None => Found::Match,
            Some(problem) => Found::Mismatch(problem.to_owned()),
        };
        let in_clear = reference.subject_id.is_empty();
        if in_clear && one.is_good() && reference.length <= READ_LEN_MAX {
            exhibits.insert(&reference.sha256, fs::read(&file).map_err(failed)?);
        }
        checks.push(Check { field: field.into_owned(), reference: reference.clone(), found });
        written.push(one);
    }
    let slot = promoted.slot.clone().unwrap_or_default();
    let now = AsOfRequest { model: slot.model, environment: slot.environment, time: u64::MAX };
    let slots = source.as_of(now).await?.slots;
    let origin = source.get_status(Default::default()).await?.origin;
    let title = promotion::title(promoted);
    let page = promotion::page(
        Shell { title: &title, origin: &origin, home: None, mark: None, leave: None },
        &Promotion {
            header,
            date: answer.date,
            promoted,
            taints: &answer.taints,
            current: slots.iter().any(|slot| slot.promoted_seq == Some(header.seq)),
            as_of_size: answer.as_of_size,
            checks: &checks,
            reading: Reading { people, exhibits: &exhibits },
        },
    );
    fs::write(dir.join(PAGE), page).map_err(failed)?;
    Ok(written)
}
