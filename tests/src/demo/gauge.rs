//! The demo's water level gauge: calm at first, then the water rises over the warning level, and falls again.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use snowgate_simulators::mqtt::{Delivery, Publisher, Uplink};

/// Where it publishes; configs/demo/sensors.d says the same.
pub const TOPIC: &str = "gauges/bridge";
/// What lies between two readings.
const EVERY: Duration = Duration::from_secs(1);
/// Calm, rising, falling, and anew.
const CALM: f64 = 8.0;
const RISING: f64 = 16.0;
const FALLING: f64 = 16.0;
/// The level when it is calm and at its highest, in centimetres.
const LEVELS: (f64, f64) = (205.0, 412.0);

/// The gauge, on a thread of its own; it stops when dropped.
pub struct Gauge {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gauge {
    /// Publishes at this broker from now on.
    ///
    /// # Errors
    /// No thread or runtime could be had.
    pub fn start(broker: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("gauge".to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut publisher = Publisher::new("bridge-gauge", broker);
                let (began, mut next) = (Instant::now(), Instant::now());
                while !stop.load(Ordering::Acquire) {
                    let level = level(began.elapsed().as_secs_f64());
                    let reading = format!("{{\"level\":{level:.1},\"at\":\"{}\"}}", jiff::Timestamp::now());
                    // A reading that is lost is followed by another one.
                    let _ = runtime.block_on(publisher.publish(&Uplink::plain(TOPIC, reading), Delivery::AtLeastOnce));
                    next += EVERY;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The level in centimetres so many seconds after the start, with a little ripple.
fn level(seconds: f64) -> f64 {
    let (calm, high) = LEVELS;
    let second = seconds % (CALM + RISING + FALLING);
    let share = if second < CALM {
        0.0
    } else if second < CALM + RISING {
        (second - CALM) / RISING
    } else {
        1.0 - (second - CALM - RISING) / FALLING
    };
    calm + (high - calm) * share + 0.6 * (seconds * 1.7).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_water_rises_over_the_warning_level_and_falls_again() {
        assert!(level(4.0) < 220.0 && level(23.5) > 380.0 && level(39.5) < 230.0 && level(44.0) < 220.0);
    }
}
