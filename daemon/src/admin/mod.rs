//! The admin interface: `/metrics`, `/healthz` (alive) and `/readyz` (doing its job) over HTTP, on a thread and runtime
//! of its own, so that a busy box still answers.

pub mod spec;

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::TextEncoder;
use tokio::net::TcpListener;

use crate::{events::REGISTRY, health::Health, shutdown::Shutdown};

/// Why the admin interface cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error("admin interface: cannot listen on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// No thread or runtime could be had.
    #[error("admin interface: cannot start its thread: {0}")]
    Thread(std::io::Error),
}

/// Serves until the token is triggered. Answers the thread and the address really bound.
///
/// # Errors
/// The address is taken or not this machine's.
pub fn spawn(
    address: SocketAddr,
    health: Arc<Health>,
    shutdown: Shutdown,
) -> Result<(JoinHandle<()>, SocketAddr), AdminError> {
    let listen = |source| AdminError::Listen { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let (failed, failure) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return failed.send(error).unwrap_or_default(),
            };
            drop(failed);
            runtime.block_on(serve(listener, health, shutdown));
        })
        .map_err(AdminError::Thread)?;
    // The channel closes without a word as soon as the runtime stands.
    match failure.recv() {
        Ok(error) => Err(AdminError::Thread(error)),
        Err(mpsc::RecvError) => Ok((thread, bound)),
    }
}

/// An answer that takes longer has lost its reader.
const STOP_WITHIN: Duration = Duration::from_secs(2);

async fn serve(listener: std::net::TcpListener, health: Arc<Health>, shutdown: Shutdown) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "admin interface: cannot serve"),
    };
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(health);
    let stopping = shutdown.clone();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move { stopping.triggered().await });
    tokio::select! {
        result = server => if let Err(error) = result { tracing::error!(%error, "admin interface stopped") },
        () = async { shutdown.triggered().await; tokio::time::sleep(STOP_WITHIN).await } => {}
    }
}

async fn metrics() -> Result<String, (StatusCode, String)> {
    let failed = |error: prometheus::Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    TextEncoder::new().encode_to_string(&REGISTRY.gather()).map_err(failed)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    match health.not_ready() {
        reasons if reasons.is_empty() => (StatusCode::OK, "ready\n".to_owned()),
        reasons => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
    }
}
