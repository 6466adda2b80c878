//! A media gateway as those that speak GB/T 28181 with their cameras are: asked over HTTP for a channel, it gives an RTSP
//! address that holds until it is taken back. Addresses and answers are shaped like those of WVP (`/api/play/start/…`).

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Path as Of, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::json;

use crate::rtsp::RtspServer;

/// What has to stand in the header `access-token`.
pub const TOKEN: &str = "a token of the gateway";

/// The gateway, and the streams it gives.
pub struct MediaGateway {
    address: SocketAddr,
    known: Arc<Known>,
    // Ends what runs when it is dropped.
    _runtime: tokio::runtime::Runtime,
}

struct Known {
    rtsp: RtspServer,
    clip: PathBuf,
    channel: String,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    times: usize,
    mount: Option<String>,
}

impl MediaGateway {
    /// One whose channel `DEVICE/CHANNEL` plays a clip.
    pub fn start(channel: &str, clip: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let known = Arc::new(Known {
            rtsp: RtspServer::start(),
            clip: clip.to_owned(),
            channel: channel.to_owned(),
            given: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/play/start/{device}/{channel}", get(play))
            .route("/endless", get(endless))
            .with_state(Arc::clone(&known));
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, known, _runtime: runtime }
    }

    /// Where a channel is asked for.
    pub fn url(&self, channel: &str) -> String {
        format!("http://{}/api/play/start/{channel}", self.address)
    }

    /// Where an answer without end comes from.
    pub fn endless_url(&self) -> String {
        format!("http://{}/endless", self.address)
    }

    /// How often an address was given.
    pub fn given(&self) -> usize {
        self.known.lock().times
    }

    /// Takes the address back that was given last, and ends what is seen there.
    pub fn take_back(&self) {
        if let Some(mount) = self.known.lock().mount.take() {
            self.known.rtsp.remove(&mount);
            self.known.rtsp.close_connections();
        }
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn play(
    State(known): State<Arc<Known>>,
    Of((device, channel)): Of<(String, String)>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if headers.get("access-token").is_none_or(|token| token != TOKEN) {
        return (StatusCode::UNAUTHORIZED, json!({"code": 401, "msg": "请登录后重新请求"}).to_string());
    }
    if format!("{device}/{channel}") != known.channel {
        return (StatusCode::OK, json!({"code": 100, "msg": "通道不存在", "data": null}).to_string());
    }
    let mut given = known.lock();
    given.times += 1;
    let mount = format!("/rtp/{}", given.times);
    known.rtsp.loop_file(&mount, &known.clip);
    given.mount = Some(mount.clone());
    let data = json!({"app": "rtp", "stream": given.times.to_string(), "rtsp": known.rtsp.url(&mount)});
    (StatusCode::OK, json!({"code": 0, "msg": "成功", "data": data}).to_string())
}

async fn endless() -> String {
    "rtsp://".repeat(100_000)
}
