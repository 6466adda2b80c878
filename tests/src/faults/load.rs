//! The load: sensors that post over HTTP, whatever happens to the gateway. Each value beyond the threshold opens an
//! incident, the next one below it ends it. No two such values of a sensor are the same, so that an incident can be found
//! again by the value that opened it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use snowgate_simulators::http::Poster;
use tokio::{
    runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// What all sensors show.
pub const TOKEN: &str = "a-very-secret-token";
/// An answer that takes longer is not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Pause before connecting again.
const RECONNECT: Duration = Duration::from_millis(50);

/// How much is posted.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Sensors.
    pub sensors: usize,
    /// The time between two messages of one sensor.
    pub every: Duration,
}

impl Rate {
    /// Several incidents a second: 12 of them, 24 events.
    pub const STEADY: Self = Self { sensors: 6, every: Duration::from_millis(250) };
    /// Several incidents a second, spread over time, while the machine is busy with something else: 5 of them.
    pub const LIVE: Self = Self { sensors: 4, every: Duration::from_millis(400) };
}

/// The name of a sensor.
pub fn sensor(number: usize) -> String {
    format!("gauge-{number}")
}

/// Sensors that post until they are dropped.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    paused: AtomicBool,
    stopping: AtomicBool,
    /// Messages that the gateway has taken.
    taken: AtomicU64,
    /// When each value that opens an incident was posted.
    posted: Mutex<HashMap<(String, u64), Instant>>,
}

impl Load {
    /// Begins to post, paused.
    pub fn start(gateway: SocketAddr, rate: Rate) -> Self {
        let shared = Arc::new(Shared { paused: AtomicBool::new(true), ..Shared::default() });
        let posting = shared.clone();
        let thread = thread::Builder::new().name("load".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime needs nothing but a thread").block_on(async {
                let mut sensors = JoinSet::new();
                for number in 0..rate.sensors {
                    sensors.spawn(post(posting.clone(), gateway, sensor(number), rate.every));
                }
                while sensors.join_next().await.is_some() {}
            });
        });
        Self { shared, thread: Some(thread.expect("a thread can be had")) }
    }

    /// Posts from now on.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    /// Posts nothing more for now; what is on its way may still arrive.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::SeqCst);
    }

    /// Messages that the gateway has taken.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::SeqCst)
    }

    /// When the value that opened an incident was posted.
    pub fn posted(&self, sensor: &str, value: f64) -> Option<Instant> {
        let posted = self.shared.posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted.get(&(sensor.to_owned(), value.to_bits())).copied()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn post(shared: Arc<Shared>, gateway: SocketAddr, sensor: String, every: Duration) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    let (mut number, mut high) = (0_u32, true);
    while !shared.stopping.load(Ordering::SeqCst) {
        tick.tick().await;
        if shared.paused.load(Ordering::SeqCst) {
            continue;
        }
        let mut poster = match connection.take() {
            Some(poster) => poster,
            None => match Poster::connect(gateway).await {
                Ok(poster) => poster,
                Err(_) => {
                    sleep(RECONNECT).await;
                    continue;
                }
            },
        };
        let value = if high { 4.0 + f64::from(number) / 4096.0 } else { 1.0 };
        if high {
            let mut posted = shared.posted.lock().unwrap_or_else(PoisonError::into_inner);
            posted.insert((sensor.clone(), value.to_bits()), Instant::now());
        }
        let body = format!("{{\"level\":{value}}}");
        // Whatever became of it: a value that opens an incident is never posted twice.
        (number, high) = (number + u32::from(high), !high);
        if let Ok(Ok(answer)) = timeout(ANSWER_WITHIN, poster.post(&sensor, TOKEN, body)).await {
            shared.taken.fetch_add(u64::from(answer.status == 204), Ordering::SeqCst);
            connection = Some(poster);
        }
    }
}
