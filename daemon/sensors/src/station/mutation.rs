//! Valid frames with seeded mistakes, through decoder and mapping.

use jiff::Timestamp;
use snowgate_core::sensor::codec::{Framing, StreamDecoder};
use snowgate_simulators::noise::{Noise, inputs};

use super::{MOST_SAMPLES, Outcome, Protocol};

/// No mutated input panics, and what is made of it stays within its limits. `seal` makes length and checksum right again, so
/// that mutated content reaches the mapping.
pub(crate) fn survive<P: Protocol>(protocol: &P, seeds: &[Vec<u8>], seal: impl Fn(&mut Vec<u8>)) {
    let inputs = inputs();
    let now: Timestamp = "2016-08-01T12:00:00Z".parse().unwrap();
    let (mut noise, mut decoder) = (Noise::new(0x5EED), StreamDecoder::<P::Framing>::new());
    let mut conversation = P::Conversation::default();
    let (mut heard, mut samples, mut refused) = (0usize, 0usize, 0usize);
    for _ in 0..inputs {
        let mut bytes = seeds[noise.below(seeds.len())].clone();
        for _ in 0..=noise.below(4) {
            noise.spoil(&mut bytes, seeds);
        }
        if noise.below(4) != 0 {
            seal(&mut bytes);
        }
        if noise.below(2) == 0 {
            decoder.clear();
        }
        let mut input = bytes.as_slice();
        while let Some(event) = decoder.next_frame(&mut input) {
            let Ok(frame) = event else {
                refused += 1;
                continue;
            };
            let outcome = protocol.hear(frame, &mut conversation, now);
            check::<P>(&outcome, protocol.sensors().len());
            heard += usize::from(!outcome.heard.is_empty());
            samples += outcome.heard.iter().map(|(_, samples)| samples.len()).sum::<usize>();
            refused += usize::from(!outcome.refused.is_empty());
        }
    }
    // A harness whose inputs all fail at once, or none, tries nothing.
    for (what, count) in [("heard", heard), ("samples", samples), ("refused", refused)] {
        assert!(count > inputs / 10, "{count} {what} of {inputs} inputs");
    }
}

fn check<P: Protocol>(outcome: &Outcome, sensors: usize) {
    assert!(!outcome.heard.is_empty() || !outcome.refused.is_empty(), "a frame that nobody hears of");
    assert!(outcome.heard.len() <= sensors && outcome.refused.len() <= 4);
    for (sensor, samples) in &outcome.heard {
        assert!(*sensor < sensors && samples.len() <= MOST_SAMPLES);
        assert!(samples.iter().all(|(_, sample)| !sample.value.is_infinite()));
    }
    assert!(outcome.refused.iter().all(|refused| !refused.why.is_empty()));
    assert!(outcome.answer.as_ref().is_none_or(|answer| answer.len() <= P::Framing::MAX_FRAME));
}
