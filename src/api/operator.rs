//! OperatorService: acts of the administrators.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    admission::gateway::Gateway,
    event::proto::{
        GetAdminStateRequest, GetAdminStateResponse, KeyStatus, SubmitStatementRequest,
        SubmitStatementResponse, operator_service_server::OperatorService,
    },
};

use super::status::invalid_field;

/// The service.
pub struct Operator {
    /// The front door.
    pub gateway: Arc<Gateway>,
}

#[tonic::async_trait]
impl OperatorService for Operator {
    async fn submit_statement(
        &self,
        request: Request<SubmitStatementRequest>,
    ) -> Result<Response<SubmitStatementResponse>, Status> {
        let act = request.into_inner().act.ok_or_else(|| invalid_field("act", "is missing"))?;
        Ok(Response::new(SubmitStatementResponse { receipt: Some(self.gateway.admin(act).await?) }))
    }

    async fn get_admin_state(
        &self,
        _: Request<GetAdminStateRequest>,
    ) -> Result<Response<GetAdminStateResponse>, Status> {
        let head = self.gateway.ledger.head();
        let state = &head.state;
        let keys = state.keys.iter().map(|(id, key)| KeyStatus {
            key_id: id.0.to_vec(),
            public_key: key.public_key.to_vec(),
            roles: key.roles,
            retired_at: key.retired_at,
            compromised_from: key.compromised_from,
        });
        Ok(Response::new(GetAdminStateResponse {
            ledger_id: state.ledger_id.0.to_vec(),
            next_admin_seq: state.admin_seq + 1,
            rules: state.rules.into(),
            admin_keys: state.admin_keys.iter().map(|key| key.to_vec()).collect(),
            admin_quorum: state.admin_quorum,
            keys: keys.collect(),
        }))
    }
}
