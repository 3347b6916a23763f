//! Alerts are told too. They are not entries: what is open is looked at every second, and what is still open after a
//! restart is told again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::alert::{Alert, Alerts};

use super::{
    message::{self, From, Message},
    worker::Destination,
};

const LOOK: Duration = Duration::from_secs(1);

/// Tells one destination of alerts that are raised and cleared. Its own failures are no news to it.
pub(super) async fn follow(destination: Arc<Destination>, from: From, alerts: Arc<Alerts>) {
    let own = format!("notify.{}", destination.name);
    let mut known = BTreeMap::new();
    loop {
        let open = alerts.open().into_iter().filter(|alert| !alert.name.starts_with(&own));
        let open: BTreeMap<String, Alert> = open.map(|alert| (alert.name.clone(), alert)).collect();
        for message in news(&from, &known, &open) {
            if destination.wants(&message) {
                destination.deliver(&message, &alerts).await;
            }
        }
        known = open;
        tokio::time::sleep(LOOK).await;
    }
}

/// What was raised and what is over, between two looks. New words for the same alert are no news.
fn news(from: &From, known: &BTreeMap<String, Alert>, open: &BTreeMap<String, Alert>) -> Vec<Message> {
    let message =
        |alert: &Alert, raised| message::of_alert(from, &alert.name, &alert.words, alert.since, raised);
    let is_new = |alert: &&Alert| known.get(&alert.name).is_none_or(|known| known.since != alert.since);
    let raised = open.values().filter(is_new).map(|alert| message(alert, true));
    let over =
        known.values().filter(|alert| !open.contains_key(&alert.name)).map(|alert| message(alert, false));
    raised.chain(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_once_when_raised_and_once_when_over() {
        let from = From { origin: "localhost/test".into(), ledger_id: "ab".repeat(32) };
        let alert = |words: &str, since| Alert { name: "store".into(), words: words.into(), since };
        let map = |alert: Alert| BTreeMap::from([(alert.name.clone(), alert)]);
        let (none, first, reworded) = (BTreeMap::new(), map(alert("full", 5)), map(alert("fuller", 5)));
        let events =
            |known: &_, open: &_| news(&from, known, open).iter().map(|m| m.told.event).collect::<Vec<_>>();
        assert_eq!(events(&none, &first), ["alert.raised"]);
        assert_eq!(events(&first, &reworded), Vec::<&str>::new());
        let again = map(alert("full", 9));
        assert_eq!(events(&reworded, &again), ["alert.raised"]);
        assert_eq!(events(&reworded, &none), ["alert.cleared"]);
    }
}
