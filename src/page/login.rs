//! The development issuer's login page: who to be.

use maud::html;

use crate::readable::visible;

use super::shell::{Shell, document};

/// Somebody who can be chosen.
pub struct Choice<'a> {
    /// `sub`.
    pub subject: &'a str,
    /// Name; may be empty.
    pub name: &'a str,
    /// Groups.
    pub groups: &'a [String],
}

/// The page; `hidden`: what the login was asked for with, sent along with the choice.
pub fn choose(origin: &str, people: &[Choice<'_>], hidden: &[(&str, &str)]) -> Vec<u8> {
    let shell = Shell {
        title: "Development login",
        origin,
        home: None,
        leave: None,
        mark: Some("Development issuer: nobody is asked to prove anything here. Never for real decisions."),
    };
    let content = html! {
        h1 { "Who are you?" }
        p { "This node has no identity provider. Choose one of the people of its configuration; what you then approve is recorded as approved by a development login." }
        @if people.is_empty() {
            p.notice.bad role="alert" { "Nobody is listed under [[identity.development.people]] in promotion-ledger.toml." }
        }
        form action="authorize" method="post" {
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            @for person in people {
                div.actions {
                    button type="submit" name="subject" value=(person.subject) {
                        @if person.name.is_empty() { (visible(person.subject)) } @else { (visible(person.name)) }
                    }
                    " " (visible(person.subject))
                    @if !person.groups.is_empty() { ", " (visible(&person.groups.join(", "))) }
                }
            }
        }
    };
    document(shell, &content)
}
