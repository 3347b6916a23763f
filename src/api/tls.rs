//! TLS under the services: connections whose handshake is done, and certificates that are renewed while they run.

use std::{io, sync::Arc, time::Duration};

use axum_server::{
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    alert::Alerts,
    clock::{Clock, SystemClock},
    config::Tls,
};

/// Handshakes at once; further connections wait in the operating system's queue. Each may take 10 s.
const HANDSHAKES_MAX: usize = 1_024;
/// Between two looks at the files. Some bytes are read; renewals are rare.
const LOOK: Duration = Duration::from_secs(5);
const ALERT: &str = "tls";

/// A connection whose handshake is done.
pub type Secured = <RustlsAcceptor as Accept<TcpStream, ()>>::Stream;

/// Connections over TLS, each with the certificate that is in use when it comes. Ends when nobody takes them any more.
pub fn incoming(listener: TcpListener, tls: RustlsConfig) -> ReceiverStream<io::Result<Secured>> {
    let (ready, connections) = mpsc::channel(1);
    tokio::spawn(accept(listener, RustlsAcceptor::new(tls), ready));
    ReceiverStream::new(connections)
}

async fn accept(listener: TcpListener, tls: RustlsAcceptor, ready: mpsc::Sender<io::Result<Secured>>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            Ok::<_, io::Error>((place, stream))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = ready.closed() => return,
        };
        let (ready, tls) = (ready.clone(), tls.clone());
        match accepted {
            // A handshake that takes its time holds up nobody else.
            Ok((place, stream)) => drop(tokio::spawn(async move {
                let _place = place;
                match secured(&tls, stream).await {
                    // Nobody takes it any more: the server stops.
                    Ok(stream) => drop(ready.send(Ok(stream)).await),
                    Err(error) => tracing::debug!(%error, "a handshake failed"),
                }
            })),
            Err(error) => drop(ready.send(Err(error)).await),
        }
    }
}

async fn secured(tls: &RustlsAcceptor, stream: TcpStream) -> io::Result<Secured> {
    // Without it answers wait for the client's delayed acknowledgements, 40 ms each.
    stream.set_nodelay(true)?;
    tls.accept(stream, ()).await.map(|(stream, ())| stream)
}

/// Looks at the files from time to time: a renewed certificate serves new connections; one that cannot be used is an alert
/// until it can, and the one before stays.
pub async fn renewed(mut tls: Tls, alerts: Arc<Alerts>) {
    loop {
        tokio::time::sleep(LOOK).await;
        match tokio::task::block_in_place(|| tls.renew()) {
            Ok(changed) => {
                if changed {
                    tracing::info!("new connections are served with the renewed certificate");
                }
                alerts.clear(ALERT);
            }
            Err(why) => {
                let words = format!("{why}; new connections are still served with the certificate before");
                alerts.raise(ALERT, &words, SystemClock.now());
            }
        }
    }
}
