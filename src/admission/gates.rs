//! What gates answer from, recorded: models that were in production before the ledger.

use crate::{
    event::{
        digest,
        gate::undocumented_problems,
        promotion::{Problem, Problems},
        proto::{PersonRef, Preconditions, Receipt, Undocumented, body::Event},
    },
    ledger::state::Lookup,
};

use super::{Error, acts::Asked, gateway::Gateway};

impl Gateway {
    /// Records a model that was in production before the ledger. `model` has everything but the person and the request.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn undocumented(&self, model: Undocumented, asked: Asked) -> Result<Receipt, Error> {
        self.admitting()?;
        let make = |actor, request_id| {
            Event::Undocumented(Undocumented { actor: Some(actor), request_id, ..model.clone() })
        };
        let mut own = Problems::default();
        // The person and the request id are checked where they are stated.
        let stated = Undocumented {
            actor: Some(PersonRef { issuer: "urn:x".into(), subject_id: vec![0; 32] }),
            request_id: "x".into(),
            ..model.clone()
        };
        undocumented_problems(&mut own, &stated, self.clock.now());
        let slot = model.slot.clone().unwrap_or_default();
        let fillable = || {
            let state = self.ledger.store.slot(&digest::slot(&slot))?;
            let problem =
                |description: String| Err(Error::Precondition(Problem { field: "slot".into(), description }));
            match state {
                Some(state) if state.promoted => {
                    problem("held a promotion already: nothing undocumented can fill it".into())
                }
                Some(state) if state.baseline.is_some() => {
                    let seq = state.baseline.map_or(0, |baseline| baseline.seq);
                    problem(format!("is filled by the undocumented model of entry {seq}; retire that first"))
                }
                _ => Ok(Some(Preconditions {
                    slot_changed_at: state.map(|state| state.changed_at),
                    policy_activated_at: None,
                })),
            }
        };
        self.acted(own, asked, &slot.model, make, fillable).await
    }
}
