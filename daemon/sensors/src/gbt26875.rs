//! GB/T 26875.3-2011 (消防): transmission devices of fire alarm systems that connect over TCP.
//!
//! A message counts for the sensors whose `device` is its source. States of systems, of their parts and of the device itself,
//! and alarms given by hand, give samples of 0 and 1; anything else is a sign of life. What the device sends (command 2) is
//! confirmed (3) once the intake has taken it, and denied (6) if it cannot be used.
//!
//! **A fire is never muted.**
//! - A quantity may be about many parts: it is 1 while any of them is in the state. A part that is well does not end the fire
//!   of another; the part itself, the end of the alarm, or a reset of its system does.
//! - Samples carry no time of measurement: clocks of panels are set wrong often enough, and a fire that looks older than the
//!   last message would be put aside as out of order.
//! - Bit 0 ("normal operation") is not looked at: makers disagree about it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use snowgate_core::{
    ids::Id,
    sensor::{
        codec::gbt26875::{Address, Entry, Frame, Gbt26875, Object},
        reading::Sample,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    intake::{Device, Intake},
    spec::{FireState, Gbt26875Part, Gbt26875Source},
    station::{self, Outcome, Protocol, Roster},
};

pub use crate::station::Listen;

/// So many systems and parts in one state are remembered a quantity. Any beyond that are told, but the quantity is 0 again
/// once those remembered are well.
const REMEMBERED: usize = 4096;

/// Listens for transmission devices until it is time to stop.
pub async fn serve(listen: Listen, devices: Vec<Device<Gbt26875Source>>, intake: Intake, shutdown: CancellationToken) {
    let devices = Devices::new(devices);
    devices.0.tell_unusable(&intake).await;
    station::serve(listen, devices, intake, shutdown).await;
}

impl Gbt26875Source {
    /// The device's address: six bytes in the order in which they are sent.
    ///
    /// # Errors
    /// It is none; the message says what one looks like.
    pub fn address(&self) -> Result<Address, String> {
        let text = self.device.as_str();
        let error = || {
            format!(
                "{text:?} is no device's address: write twelve hexadecimal digits as they are sent, such as \"010203040506\""
            )
        };
        if text.len() != 12 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(error());
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| error())?;
        let [_, _, address @ ..] = number.to_be_bytes();
        Ok(Address(address))
    }
}

/// As it is sent, like `device` in a sensor's file.
fn as_sent(Address(bytes): Address) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The devices by their address.
struct Devices(Roster<[u8; 6], Watched>);

/// What a sensor's file asks about a device, and what is known of it.
struct Watched {
    values: Vec<Gbt26875Part>,
    /// For each value, who is in its state now.
    present: Mutex<Vec<BTreeSet<Origin>>>,
}

/// Who is in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// The transmission device.
    Device,
    /// Somebody who gave the alarm at the transmission device.
    DeviceByHand,
    /// The system at this address.
    System(u8),
    /// Somebody who gave the alarm at this system.
    SystemByHand(u8),
    /// A part of the system, by both addresses.
    Part(u8, u32),
}

impl Origin {
    /// The system it belongs to.
    fn system(self) -> Option<u8> {
        match self {
            Self::Device | Self::DeviceByHand => None,
            Self::System(system) | Self::SystemByHand(system) | Self::Part(system, _) => Some(system),
        }
    }
}

/// What an entry says about one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Begins(Origin),
    Ends(Origin),
    /// It is over for all of a system, or for the transmission device itself.
    Over(Option<u8>),
}

/// What an object says about a state; `None` if nothing.
fn change(object: &Object<'_>, state: FireState) -> Option<Change> {
    let is = |origin, present| if present { Change::Begins(origin) } else { Change::Ends(origin) };
    // A reset ends everything, and what persists is told anew; the end of an alarm ends fires.
    let by_hand = |origin: Origin, called: bool, cleared: bool, reset: bool| match state {
        FireState::Fire if called => Some(Change::Begins(origin)),
        FireState::Fire if cleared => Some(Change::Over(origin.system())),
        _ => reset.then_some(Change::Over(origin.system())),
    };
    match *object {
        Object::SystemState { system, state: word } => {
            let present = match state {
                FireState::Fire => word.fire(),
                FireState::Fault => word.fault(),
                FireState::Shielded => word.shielded(),
                FireState::Supervised => word.supervisory(),
            };
            if word.reset() && !present {
                return Some(Change::Over(Some(system.address)));
            }
            Some(is(Origin::System(system.address), present))
        }
        Object::ComponentState { system, component, state: word, .. } => {
            let present = match state {
                FireState::Fire => word.fire(),
                FireState::Fault => word.fault(),
                FireState::Shielded => word.shielded(),
                FireState::Supervised => word.supervisory(),
            };
            Some(is(Origin::Part(system.address, component.address), present))
        }
        Object::DeviceState(word) => match state {
            FireState::Fire => Some(is(Origin::Device, word.fire())),
            FireState::Fault => Some(is(Origin::Device, word.fault())),
            FireState::Shielded | FireState::Supervised => None,
        },
        Object::SystemOperation { system, operation, .. } => by_hand(
            Origin::SystemByHand(system.address),
            operation.manual_alarm(),
            operation.alarm_cleared(),
            operation.reset(),
        ),
        Object::DeviceOperation { operation, .. } => {
            by_hand(Origin::DeviceByHand, operation.manual_alarm(), operation.alarm_cleared(), operation.reset())
        }
        _ => None,
    }
}

/// Whether a quantity is about an origin.
fn is_about(value: &Gbt26875Part, origin: Origin) -> bool {
    let part = match origin {
        Origin::Part(_, part) => Some(part),
        _ => None,
    };
    value.system.is_none_or(|system| origin.system() == Some(system))
        && value.part.is_none_or(|wanted| part == Some(wanted))
}

impl Watched {
    /// What the entries of one message come to, for each value that they are about: whether its state was there, and whether
    /// it still is.
    fn follow(&self, entries: &[Entry<'_>]) -> Vec<Option<Course>> {
        // Every change is complete before anything can panic.
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = self.values.iter().zip(present.iter_mut()).map(|(value, present)| {
            let mut course: Option<Course> = None;
            for change in entries.iter().filter_map(|entry| change(&entry.object, value.state)) {
                match change {
                    Change::Begins(origin) if is_about(value, origin) => {
                        if present.len() < REMEMBERED {
                            present.insert(origin);
                        }
                        course = Some(Course { was: true, is: true });
                    }
                    Change::Ends(origin) if is_about(value, origin) => {
                        present.remove(&origin);
                        course = Some(Course { is: !present.is_empty(), ..course.unwrap_or_default() });
                    }
                    Change::Over(system) if value.system.is_none_or(|wanted| system == Some(wanted)) => {
                        present.retain(|origin| origin.system() != system);
                        course = Some(Course { is: !present.is_empty(), ..course.unwrap_or_default() });
                    }
                    _ => {}
                }
            }
            course
        });
        followed.collect()
    }
}

/// What one message says of a quantity. A fire that is told and ended in one message has been one.
#[derive(Debug, Clone, Copy, Default)]
struct Course {
    was: bool,
    is: bool,
}

impl Course {
    fn values(self) -> impl Iterator<Item = f64> {
        [(self.was || self.is).then_some(1.0), (!self.is).then_some(0.0)].into_iter().flatten()
    }
}

impl Devices {
    fn new(devices: Vec<Device<Gbt26875Source>>) -> Self {
        Self(Roster::new(devices, |device| {
            let Address(address) = device.source.address()?;
            let values = device.source.values.clone();
            let present = Mutex::new(vec![BTreeSet::new(); values.len()]);
            Ok((address, Watched { values, present }))
        }))
    }
}

impl Protocol for Devices {
    const NAME: &'static str = "gbt26875";
    type Framing = Gbt26875;
    type Conversation = ();

    fn sensors(&self) -> &[Id] {
        self.0.sensors()
    }

    fn hear(&self, frame: Frame<'_>, (): &mut (), now: Timestamp) -> Outcome {
        let wanted = frame.wants_confirmation();
        let answer = |answer: Frame<'_>| if wanted { answer.build().ok() } else { None };
        let known = self.0.of(&frame.source.0);
        let Some(first) = known.first() else {
            let why = format!("no sensor has device = \"{}\"", as_sent(frame.source));
            return Outcome { answer: answer(frame.denial(now)), ..Outcome::refused(None, "unknown_sensor", why) };
        };
        let entries = match frame.entries() {
            Ok(entries) => entries,
            Err(error) => {
                let refused = Outcome::refused(Some(first.sensor), "malformed", error.to_string());
                return Outcome { answer: answer(frame.denial(now)), ..refused };
            }
        };
        let mut outcome = Outcome { answer: answer(frame.confirmation(now)), ..Outcome::default() };
        for listed in known {
            let watched = &listed.expected;
            let courses = watched
                .values
                .iter()
                .zip(watched.follow(&entries))
                .filter_map(|(value, course)| Some((value, course?)));
            let samples = courses.flat_map(|(value, course)| {
                let sample = |value| Sample { value, measured: None, flagged: false };
                course.values().map(move |number| (value.quantity.id.value.clone(), sample(number)))
            });
            let samples = samples.collect();
            outcome.heard.push((listed.sensor, samples));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::{
        sensor::codec::gbt26875::{Command, Version},
        spec::read_table,
    };

    use super::*;
    use crate::station::mutation;

    const SOURCE: &str = "
        device = '010203040506'
        [[values]]
        id = 'fire'
        state = 'fire'
        [[values]]
        id = 'fault'
        state = 'fault'
        system = 1
        [[values]]
        id = 'off'
        state = 'shielded'
        part = 1
        [[values]]
        id = 'valve'
        state = 'supervised'
    ";

    fn seed(data: &[u8]) -> Vec<u8> {
        let frame = Frame {
            serial: 7,
            version: Version { main: 1, user: 1 },
            sent_at: None,
            source: Address([1, 2, 3, 4, 5, 6]),
            destination: Address([9; 6]),
            command: Command::Send,
            data,
        };
        frame.build().unwrap()
    }

    fn seal(frame: &mut Vec<u8>) {
        frame.resize(frame.len().clamp(30, 1054), 0);
        let (data, end) = (frame.len() - 30, frame.len() - 3);
        frame[..2].copy_from_slice(b"@@");
        frame[24..26].copy_from_slice(&u16::try_from(data).unwrap().to_le_bytes());
        frame[end] = frame[2..end].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        frame[end + 1..].copy_from_slice(b"##");
    }

    #[test]
    fn mutated_frames_never_panic_and_what_they_give_is_bounded() {
        let source = read_table(&mut toml_span::parse(SOURCE).unwrap()).unwrap();
        let devices = Devices::new(vec![Device { sensor: "school".parse().unwrap(), source, secret: None }]);
        let part = [&[2u8, 1, 1, 1, 40, 1, 0, 0, 0, 2, 0][..], &[0; 31]].concat();
        let seeds = [
            seed(&[1, 2, 1, 1, 2, 0, 1, 2, 28, 0]),
            seed(&part),
            seed(&[21, 1, 6]),
            seed(&[4, 1, 1, 1, 5, 0]),
            seed(&[24, 1, 4, 0]),
            seed(&[]),
        ];
        mutation::survive(&devices, &seeds, seal);
        for listed in devices.0.of(&[1, 2, 3, 4, 5, 6]) {
            assert!(listed.expected.present.lock().unwrap().iter().all(|present| present.len() <= REMEMBERED));
        }
    }
}
