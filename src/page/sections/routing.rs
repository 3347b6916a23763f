//! The tier, why, and by which policy.

use maud::{Markup, html};

use crate::{
    event::proto::Routing,
    page::parts::{digest, facts},
    readable::visible,
};

use super::section;

/// How the promotion was routed.
pub fn routing(routing: &Routing) -> Markup {
    let mut rows = vec![("Tier", html! { b { (visible(&routing.tier)) } })];
    for matched in &routing.matched {
        rows.push(("Because", html! {
            (visible(&matched.reason)) " " span.none { "(rule " (visible(&matched.rule)) ", tier " (visible(&matched.tier)) ")" }
        }));
    }
    for reason in &routing.floor_reasons {
        rows.push(("Because", html! {
            (visible(reason)) " " span.none { "(the floor in code, tier " (visible(&routing.floor_tier)) ")" }
        }));
    }
    if routing.matched.is_empty() && routing.floor_reasons.is_empty() {
        rows.push(("Because", html! { "no rule matches it, and nothing means the highest tier" }));
    }
    if routing.policy_sha256.is_empty() {
        rows.push(("Policy", html! { "none was active" }));
    } else {
        rows.push(("Policy", html! {
            (visible(&routing.policy_id)) " version " (routing.policy_version) br; (digest(&routing.policy_sha256))
        }));
    }
    if !routing.standing_policy.is_empty() {
        let band = if routing.in_band { "inside its band" } else { "outside its band" };
        rows.push(("Standing policy", html! { (visible(&routing.standing_policy)) ", " (band) }));
    }
    rows.push(("Routed by", html! { (visible(&routing.engine)) }));
    section("tier", "Tier and why", Some("policy: derived by the server"), &facts(&rows))
}
