//! Sensors and platforms that post their messages: `POST /sensors/ID`, JSON, `Authorization: Bearer TOKEN`.
//!
//! | answer | when |
//! |---|---|
//! | 204 | the intake has taken the readings |
//! | 401 | no such sensor, or not its token: the answer is the same, and takes as long |
//! | 404, 405 | another path; another method than POST |
//! | 408, 413 | the message did not come in time; it is longer than 64 KiB |
//! | 415, 422 | it is compressed; it is no JSON, or nothing in it can be used |
//! | 429 | this sensor sends more than it may: again after `Retry-After` seconds |
//! | 503 | the gateway cannot take it now: again after `Retry-After` seconds |
//!
//! All others than 204 have a body of one line, `{"error":"…"}`. A reading counts only when 204 has come: whoever gets another
//! answer, or none, sends it again. So a press of an SOS button is never limited away: a sensor may send as many messages as
//! its share allows, many times what one in order needs, and ten seconds' share at once; whoever is refused is told when to
//! repeat. What is refused for any reason is told to the intake, so that a sensor that floods is named.
//!
//! A hostile client costs a place in a table and nothing else: heads, messages, the time for either and the connections have
//! limits; when the table is full, the connection that has gone the longest without a request of a known sensor gives way to
//! the next. Nothing is read of a message before its token is known to be right.
//!
//! There is no TLS here: beyond a trusted line a reverse proxy on this box does it (listen on 127.0.0.1 then).

mod answer;
mod connections;
mod door;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    answer::Refusal,
    connections::{Connections, Place},
    door::Door,
};
use crate::{
    intake::{Device, Intake},
    listening::ListeningPort,
    spec::HttpSource,
};

/// Longest time until a request's head is complete, or a connection without a request is kept.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// The largest head, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// Longest time that requests under way have when it is time to stop.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Connections beyond the limit that are answered 503 at once; any more are closed without a word.
const TURNED_AWAY: usize = 16;
/// Pause after the system could not give us a connection: it is out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// The most connections at once; at least 1.
    pub max_connections: usize,
    /// The most messages a second of one sensor, on average; ten times as many at once. At least 1.
    pub most_a_second: u32,
}

/// Takes messages of all sensors until it is time to stop. Where it cannot listen it tries again.
pub async fn serve(
    settings: HttpSettings,
    devices: Vec<Device<HttpSource>>,
    intake: Intake,
    shutdown: CancellationToken,
) {
    let sensors: Vec<_> = devices.iter().map(|device| device.sensor.clone()).collect();
    let door = Arc::new(Door::new(devices, settings.most_a_second, intake.clone()));
    let port = ListeningPort { address: settings.listen, sensors: &sensors, intake: &intake };
    if let Some(listener) = shutdown.run_until_cancelled(port.bind()).await {
        accept(&listener, settings.max_connections, &door, &shutdown).await;
    }
}

async fn accept(listener: &TcpListener, limit: usize, door: &Arc<Door>, shutdown: &CancellationToken) {
    let connections = Connections::new(limit);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_ended) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match connections.admit() {
                    Some(place) => drop(tasks.spawn(attend(stream, peer, place, door.clone(), shutdown.clone()))),
                    None => {
                        if let Ok(permit) = turned_away.clone().try_acquire_owned() {
                            let door = door.clone();
                            tasks.spawn(async move {
                                tokio::join!(turn_away(stream), door.tell(None, &Refusal::Full, peer));
                                drop(permit);
                            });
                        }
                    }
                },
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // Each has seen the token, too.
    let ended = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(CLOSE_LIMIT, ended).await;
}

/// One connection's whole life.
async fn attend(stream: TcpStream, peer: SocketAddr, place: Place, door: Arc<Door>, shutdown: CancellationToken) {
    let place = Arc::new(place);
    let service = service_fn(|request| {
        let (door, place) = (door.clone(), place.clone());
        async move { Ok::<_, Infallible>(door.answer(request, peer, &place).await) }
    });
    let mut connection = pin!(http().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Whatever ends a connection, its sender knows what was answered.
        _ = connection.as_mut() => {}
        () = place.given_away() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn turn_away(stream: TcpStream) {
    let service = service_fn(|_| async { Ok::<_, Infallible>(Refusal::Full.response()) });
    let connection = http().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    let _ = timeout(Duration::from_secs(1), connection).await;
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(LARGEST_HEAD);
    http
}
