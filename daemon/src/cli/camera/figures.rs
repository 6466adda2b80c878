//! Figures of a stream, from when its pictures were taken and when they arrived.

use std::time::Duration;

use serde::Serialize;

use crate::camera::observe::Seen;

/// A clock is not judged over less.
pub const DRIFT_NEEDS: Duration = Duration::from_secs(60);

/// What was measured. Times are those of the camera's timestamps where not said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Pictures seen.
    pub pictures: usize,
    /// From the first to the last one taken, seconds.
    pub seconds: f64,
    /// Pictures a second.
    pub fps: Option<f64>,
    /// Key frames seen.
    pub key_frames: usize,
    /// Pictures from one key frame to the next, on average.
    pub gop_pictures: Option<f64>,
    /// The shortest and the longest time from one key frame to the next, seconds.
    pub gop_seconds: Option<(f64, f64)>,
    /// Whether these differ by less than a picture's time. Numbers of pictures do not tell: they arrive in another order than they are
    /// shown in, and those before a key frame may come after it.
    pub gop_is_regular: bool,
    /// Whether a picture is shown before one that arrived earlier.
    pub b_frames: bool,
    /// Bits a second over all.
    pub mean_bits: Option<f64>,
    /// Bits that arrived in the fullest second.
    pub peak_second_bits: f64,
    /// Bytes of the largest key frame.
    pub largest_key_bytes: usize,
    /// How far apart the delays (arrival less timestamp) of 95 of 100 pictures are, milliseconds. Pictures shown out of order are left out.
    pub arrival_spread_ms: f64,
    /// Interarrival jitter of pictures (RFC 3550, section 6.4.1), milliseconds; of the same ones.
    pub jitter_ms: f64,
    /// How much faster the camera's clock goes than ours, parts in a million; none before [`DRIFT_NEEDS`].
    pub drift_ppm: Option<f64>,
}

impl Figures {
    /// Measures these pictures.
    pub fn of(seen: &[Seen]) -> Self {
        let at = |seen: &Seen| seen.at.0 as f64 / 1e9;
        let first = seen.iter().map(at).fold(f64::INFINITY, f64::min);
        let seconds = (seen.iter().map(at).fold(first, f64::max) - first).max(0.0);
        let seconds = if seconds.is_finite() { seconds } else { 0.0 };
        let keys: Vec<usize> = (0..seen.len()).filter(|index| seen[*index].key).collect();
        let gaps = || keys.windows(2).map(|pair| (pair[0], pair[1]));
        let gop_pictures = match keys[..] {
            [first, .., last] => Some((last - first) as f64 / (keys.len() - 1) as f64),
            _ => None,
        };
        let lengths = gaps().map(|(a, b)| (at(&seen[b]) - at(&seen[a])).max(0.0));
        let gop_seconds = lengths.map(|s| (s, s)).reduce(|x, y| (x.0.min(y.0), x.1.max(y.1)));
        let bits = seen.iter().map(|seen| seen.size as f64 * 8.0).sum::<f64>();
        let delays = delays(seen);
        let fps = (seconds > 0.0).then(|| (seen.len() - 1) as f64 / seconds);
        let is_regular = |(least, most): (f64, f64)| fps.is_some_and(|fps| (most - least) * fps < 1.0);
        Self {
            pictures: seen.len(),
            seconds,
            fps,
            key_frames: keys.len(),
            gop_pictures,
            gop_seconds,
            gop_is_regular: gop_seconds.is_some_and(is_regular),
            b_frames: seen.windows(2).any(|pair| pair[1].at < pair[0].at),
            mean_bits: (seconds > 0.0).then(|| bits / seconds),
            peak_second_bits: peak_second(seen),
            largest_key_bytes: keys.iter().map(|index| seen[*index].size).max().unwrap_or(0),
            arrival_spread_ms: spread(&delays),
            jitter_ms: jitter(&delays),
            drift_ppm: (seconds >= DRIFT_NEEDS.as_secs_f64()).then(|| drift(&delays)).flatten(),
        }
    }
}

/// Time taken and delay, seconds, of those pictures that are shown in the order of arrival.
fn delays(seen: &[Seen]) -> Vec<(f64, f64)> {
    let mut newest = None;
    let in_order = seen.iter().filter(|seen| {
        let is_newer = newest.is_none_or(|newest| seen.at > newest);
        if is_newer {
            newest = Some(seen.at);
        }
        is_newer
    });
    let delay = |seen: &Seen| (i128::from(seen.arrived.0) - i128::from(seen.at.0)) as f64 / 1e9;
    in_order.map(|seen| (seen.at.0 as f64 / 1e9, delay(seen))).collect()
}

fn spread(delays: &[(f64, f64)]) -> f64 {
    let mut sorted: Vec<f64> = delays.iter().map(|(_, delay)| *delay).collect();
    sorted.sort_by(f64::total_cmp);
    let most = sorted.len().saturating_sub(1) * 95 / 100;
    sorted.first().map_or(0.0, |least| (sorted[most] - least) * 1e3)
}

fn jitter(delays: &[(f64, f64)]) -> f64 {
    delays.windows(2).fold(0.0, |jitter, pair| jitter + ((pair[1].1 - pair[0].1).abs() - jitter) / 16.0) * 1e3
}

/// The slope of a line (least squares) through the least delay of every five seconds: the network only ever adds to it.
fn drift(delays: &[(f64, f64)]) -> Option<f64> {
    let (begin, _) = *delays.first()?;
    let mut least: Vec<(u64, f64, f64)> = Vec::new();
    for (at, delay) in delays {
        let slot = ((at - begin) / 5.0) as u64;
        match least.last_mut() {
            Some(last) if last.0 == slot => {
                if *delay < last.2 {
                    *last = (slot, at - begin, *delay);
                }
            }
            _ => least.push((slot, at - begin, *delay)),
        }
    }
    let count = least.len() as f64;
    let (x, y) = least.iter().fold((0.0, 0.0), |(x, y), (_, at, delay)| (x + at / count, y + delay / count));
    let (above, below) = least.iter().fold((0.0, 0.0), |(above, below), (_, at, delay)| {
        (above + (at - x) * (delay - y), below + (at - x) * (at - x))
    });
    (below > 0.0).then(|| -above / below * 1e6)
}

fn peak_second(seen: &[Seen]) -> f64 {
    let (mut begin, mut sum, mut peak) = (0, 0, 0);
    for picture in seen {
        sum += picture.size;
        while picture.arrived.since(seen[begin].arrived) >= Duration::from_secs(1) {
            sum -= seen[begin].size;
            begin += 1;
        }
        peak = peak.max(sum);
    }
    peak as f64 * 8.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snowgate_core::time::Mono;

    use super::*;

    fn stream(count: u64, gop: u64, ppm: f64) -> Vec<Seen> {
        let at = |n: u64| n * 40_000_000;
        let arrived = |n: u64| 1_000_000_000 + (at(n) as f64 * (1.0 - ppm / 1e6)) as u64;
        (0..count)
            .map(|n| Seen { key: n.is_multiple_of(gop), at: Mono(at(n)), arrived: Mono(arrived(n)), size: 1_000 })
            .collect()
    }

    #[test]
    fn a_regular_stream_is_measured() {
        let figures = Figures::of(&stream(101, 25, 0.0));
        assert_eq!((figures.gop_pictures, figures.key_frames, figures.b_frames), (Some(25.0), 5, false));
        assert!(figures.gop_is_regular);
        assert!((figures.fps.unwrap() - 25.0).abs() < 1e-6 && figures.jitter_ms < 1e-6);
        assert_eq!((figures.peak_second_bits, figures.drift_ppm), (200_000.0, None));
    }

    #[test]
    fn key_frames_at_odd_times_are_irregular() {
        let mut odd = stream(101, 25, 0.0);
        (odd[50].key, odd[60].key) = (false, true);
        let figures = Figures::of(&odd);
        let (least, most) = figures.gop_seconds.unwrap();
        assert!(!figures.gop_is_regular && (least - 0.6).abs() < 1e-9 && (most - 1.4).abs() < 1e-9, "{least} {most}");
    }

    #[test]
    fn a_fast_clock_drifts_and_pictures_out_of_order_are_b_frames() {
        let drift = Figures::of(&stream(2_000, 25, 120.0)).drift_ppm.unwrap();
        assert!((drift - 120.0).abs() < 1.0, "{drift}");
        let mut swapped = stream(20, 10, 0.0);
        (swapped[3].at, swapped[4].at) = (swapped[4].at, swapped[3].at);
        let figures = Figures::of(&swapped);
        assert!(figures.b_frames);
    }

    proptest! {
        #[test]
        fn anything_gives_finite_figures(
            raw in prop::collection::vec((any::<bool>(), any::<u64>(), any::<u64>(), 0usize..1 << 24), 0..60),
        ) {
            let seen: Vec<_> = raw
                .into_iter()
                .map(|(key, at, arrived, size)| Seen { key, at: Mono(at), arrived: Mono(arrived), size })
                .collect();
            let figures = Figures::of(&seen);
            prop_assert!(figures.jitter_ms.is_finite() && figures.arrival_spread_ms >= 0.0);
            prop_assert!(figures.gop_seconds.is_none_or(|(least, most)| least <= most));
        }
    }
}
