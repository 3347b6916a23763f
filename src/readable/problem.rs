//! Why evidence cannot be put before an approver as it is, and what to do about it.

use crate::event::promotion::Problem;

use super::{Form, READ_LEN_MAX, needs};

/// A static rendition: what is shown first, instead of what needs scripts.
#[derive(Debug, Clone, Copy)]
pub struct Static<'a> {
    /// RFC 6838.
    pub media_type: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// How to make one.
const HOW: &str = "give a static rendition with it, made by the same job: a picture (plotly: fig.write_image(\"report.svg\"); matplotlib: fig.savefig(\"report.png\"); shap: matplotlib=True), a PDF (chromium --headless --print-to-pdf=report.pdf report.html) or HTML without scripts (quarto: embed-resources: true; pictures as data: addresses)";

/// What is wrong with a piece of evidence at a field's path; `None` if an approver can read it as its author meant.
pub fn problem(path: &str, media_type: &str, bytes: &[u8], rendition: Option<Static<'_>>) -> Option<Problem> {
    let at = |field: String, description: String| Some(Problem { field, description });
    if let Err(words) = Form::of(media_type, bytes) {
        return at(path.to_owned(), words);
    }
    let needed = needs(media_type, bytes);
    if needed.is_empty() && bytes.len() as u64 <= READ_LEN_MAX {
        return None;
    }
    let Some(rendition) = rendition else {
        let mut words: Vec<_> = needed.iter().map(ToString::to_string).collect();
        if bytes.len() as u64 > READ_LEN_MAX {
            words.push(format!("has {} bytes, and at most {READ_LEN_MAX} are shown", bytes.len()));
        }
        let words = words.join(", and ");
        return at(
            path.to_owned(),
            format!("{words}. Approvers see it without scripts and without a network: {HOW}"),
        );
    };
    let field = format!("{path}.rendition");
    match Form::of(rendition.media_type, rendition.bytes) {
        Err(words) => return at(field, words),
        Ok(Form::File) => {
            let words = format!("is {}, which a browser does not show: {HOW}", rendition.media_type);
            return at(field, words);
        }
        Ok(_) => {}
    }
    let needed = needs(rendition.media_type, rendition.bytes);
    let words: Vec<_> = needed.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| Problem { field, description: format!("{}: {HOW}", words.join(", and ")) })
}
