//! RegistryService: sweeps of the model registries that follow this ledger.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    event::proto::{RegistryStatus, SweepRequest, SweepResponse, registry_service_server::RegistryService},
    node::Node,
    registry::Registry as Followed,
};

use super::status::invalid_field;

/// The service.
pub struct Registry {
    /// The node, whose registries they are.
    pub node: Arc<Node>,
}

/// How far a registry is.
pub fn status(registry: &Followed) -> RegistryStatus {
    let status = registry.status();
    RegistryStatus {
        name: registry.name.clone(),
        uri: registry.uri.clone(),
        size: status.done,
        trouble: status.trouble,
        swept_at: status.swept_at,
        open_findings: status.open,
    }
}

impl Registry {
    fn named(&self, name: &str) -> Result<&Arc<Followed>, Status> {
        let registries = &self.node.registries;
        match (registries.list(), name) {
            ([], _) => Err(Status::failed_precondition("no registry is configured; add [[registries]]")),
            ([only], "") => Ok(only),
            (several, "") => {
                let names: Vec<_> = several.iter().map(|it| it.name.as_str()).collect();
                Err(invalid_field("registry", format!("is missing; one of {}", names.join(", "))))
            }
            _ => registries
                .get(name)
                .ok_or_else(|| invalid_field("registry", "is none of the configured ones")),
        }
    }
}

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn sweep(&self, request: Request<SweepRequest>) -> Result<Response<SweepResponse>, Status> {
        let SweepRequest { registry, model } = request.into_inner();
        let registry = self.named(&registry)?;
        let model = Some(model).filter(|model| !model.is_empty());
        let swept = registry.sweep(model).await.map_err(Status::unavailable)?;
        Ok(Response::new(SweepResponse {
            registry_uri: registry.uri.clone(),
            models: swept.models,
            bytes: swept.bytes,
            unread: swept.unread,
            findings: swept.findings,
        }))
    }
}
