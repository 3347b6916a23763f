//! Undocumented models and break-glass in words.

use crate::event::proto::{PersonRef, Slot, body::Event};

use super::{output, words::People};

/// The slot and a few words; `None` for other kinds.
pub fn summary(event: &Event) -> Option<(Option<&Slot>, String)> {
    match event {
        Event::BreakGlass(e) => {
            let words = format!("{} until {}", hex::encode(&e.artifact_sha256), output::utc(e.expires_at));
            Some((e.slot.as_ref(), words))
        }
        Event::Undocumented(e) => {
            let words = format!("{} {}, sunset {}", e.name, e.version, output::utc(e.sunset));
            Some((e.slot.as_ref(), words.trim_start().to_owned()))
        }
        _ => None,
    }
}

/// Named lines of the event, its slot left out; `None` for other kinds.
pub fn lines(event: &Event, people: &People) -> Option<Vec<(&'static str, String)>> {
    let artifact = |sha256: &[u8]| match sha256.is_empty() {
        true => "not known: no gate lets it pass".to_owned(),
        false => hex::encode(sha256),
    };
    let asked = |actor: &Option<PersonRef>, request: &str| {
        let mut lines = vec![("asked by", format!("{}, request {request}", people.name(actor.as_ref())))];
        lines.extend(people.statements("reason").into_iter().map(|(_, text)| ("reason", text)));
        lines
    };
    let mut lines = Vec::new();
    match event {
        Event::BreakGlass(e) => {
            lines.push(("artefact", artifact(&e.artifact_sha256)));
            lines.push(("expires", output::utc(e.expires_at)));
            lines.push(("group", e.group.clone()));
            let login = format!("{} by {} ({})", output::utc(e.auth_time), e.acr, e.amr.join(", "));
            lines.push(("login", login));
            lines.extend(asked(&e.actor, &e.request_id));
        }
        Event::Undocumented(e) => {
            lines.push(("artefact", artifact(&e.artifact_sha256)));
            if !e.version.is_empty() {
                lines.push(("registry", format!("{} {} {}", e.registry_uri, e.name, e.version)));
            }
            lines.push(("sunset", output::utc(e.sunset)));
            lines.push(("missing", e.missing.join(", ")));
            let known =
                e.known.iter().map(|it| ("known", format!("{} = {} ({})", it.fact, it.value, it.source)));
            lines.extend(known);
            lines.extend(asked(&e.actor, &e.request_id));
        }
        _ => return None,
    }
    Some(lines)
}
