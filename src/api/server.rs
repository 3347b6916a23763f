//! The gRPC server: all services on one socket, bounded, stopped under a deadline.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::{
    clock::SystemClock,
    config::Limits,
    event::{
        canonical::RECORD_LEN_MAX,
        proto::{
            auditor_service_server::AuditorServiceServer, consumer_service_server::ConsumerServiceServer,
            custodian_service_server::CustodianServiceServer, emitter_service_server::EmitterServiceServer,
            gate_service_server::GateServiceServer, operator_service_server::OperatorServiceServer,
            registry_service_server::RegistryServiceServer, review_service_server::ReviewServiceServer,
        },
    },
    node::Node,
};

use super::{
    auditor::Auditor, authorize::Authorize, consumer::Consumer, custodian::Custodian, emitter::Emitter,
    operator::Operator, registry::Registry, reviewer::Reviewer,
};

const KEEPALIVE: Duration = Duration::from_secs(30);
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3600);
/// How long open calls may take after the server was told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Binds the address of the services.
///
/// # Errors
/// Of the operating system, for instance when the port is taken.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves until `stop` resolves.
///
/// # Errors
/// Of the transport.
pub async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    limits: &Limits,
    tls: Option<RustlsConfig>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), tonic::transport::Error> {
    let emitter = EmitterServiceServer::new(Emitter { gateway: node.gateway.clone() })
        .max_decoding_message_size(RECORD_LEN_MAX);
    let auditor = AuditorServiceServer::new(node.auditor()).max_decoding_message_size(RECORD_LEN_MAX);
    let (stopping_tx, mut stopping) = tokio::sync::watch::channel(false);
    let consumer = Consumer { ledger: node.ledger.clone(), stopping: stopping.clone() };
    let consumer = ConsumerServiceServer::new(consumer).max_decoding_message_size(RECORD_LEN_MAX);
    let operator = OperatorServiceServer::new(Operator { gateway: node.gateway.clone() })
        .max_decoding_message_size(RECORD_LEN_MAX);
    let custodian = Custodian { gateway: node.gateway.clone(), auditor: node.auditor() };
    let custodian = CustodianServiceServer::new(custodian).max_decoding_message_size(RECORD_LEN_MAX);
    let gate = GateServiceServer::new(node.gate()).max_decoding_message_size(RECORD_LEN_MAX);
    let reviewer = Reviewer { gateway: node.gateway.clone() };
    let reviewer = ReviewServiceServer::new(reviewer).max_decoding_message_size(RECORD_LEN_MAX);
    let registry =
        RegistryServiceServer::new(Registry { node: node.clone() }).max_decoding_message_size(RECORD_LEN_MAX);
    let authorize = Authorize { callers: node.callers.clone(), clock: Arc::new(SystemClock) };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<EmitterServiceServer<Emitter>>().await;
    health.set_serving::<AuditorServiceServer<Auditor>>().await;

    let graceful = async move {
        stop.await;
        health.set_not_serving::<EmitterServiceServer<Emitter>>().await;
        // The other end waits for this below; if it is gone, so is the server.
        let _ = stopping_tx.send(true);
    };
    // Too many calls at once are refused at once (RESOURCE_EXHAUSTED), not queued.
    let server = Server::builder()
        .max_concurrent_streams(limits.streams)
        .http2_max_local_error_reset_streams(Some(1024))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_connection_age(CONNECTION_AGE_MAX)
        .load_shed(true)
        .layer(GlobalConcurrencyLimitLayer::new(limits.calls))
        .layer(authorize)
        .add_service(health_service)
        .add_service(emitter)
        .add_service(auditor)
        .add_service(consumer)
        .add_service(operator)
        .add_service(custodian)
        .add_service(reviewer)
        .add_service(gate)
        .add_service(registry);
    let served = async move {
        match tls {
            None => {
                // Without it answers wait for the client's delayed acknowledgements, 40 ms each.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                server.serve_with_incoming_shutdown(incoming, graceful).await
            }
            Some(tls) => {
                let incoming = super::tls::incoming(listener, tls);
                server.serve_with_incoming_shutdown(incoming, graceful).await
            }
        }
    };
    let deadline = async move {
        if stopping.wait_for(|stopping| *stopping).await.is_ok() {
            tokio::time::sleep(STOP_WITHIN).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = served => served,
        () = deadline => Ok(()),
    }
}
