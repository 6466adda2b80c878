//! Modbus, TCP and RTU: registers that are polled.
//!
//! One task a bus, since on a serial line only one may speak. What it promises:
//! - **On time.** Each device is polled on its own grid of moments, which does not drift; what a stall has missed is left
//!   out, not made up for.
//! - **A dead slave costs little.** A slave that does not answer is asked again after growing pauses, up to a minute or
//!   its poll interval, and by one device on behalf of all that share it. The others on the bus go on.
//! - **One mishap is no fault.** A slave that answered last time is asked a second time before anything is said: at once
//!   where a new connection can be opened, since gateways close idle ones and nothing late can come over a new one; at its
//!   next turn on a serial line, since there a late answer could be taken for the second's.
//! - **One wrong address costs nothing else.** Neighbouring registers are read in one request ([`plan`]); what a slave
//!   refuses is divided until only the value it does not have is missing.
//! - **No answer is taken for another's**: see [`line`].

mod bus;
pub mod line;
pub mod plan;
mod timetable;
mod value;

use std::{collections::BTreeMap, time::Duration};

use snowgate_core::{backoff::Backoff, ids::Id};
use tokio::time::{Instant, sleep_until};
use tokio_modbus::ExceptionCode;
use tokio_util::sync::CancellationToken;

use self::{
    line::{Failure, Line},
    plan::{Answer, Block, Stretch},
    timetable::next_due,
};
use crate::{
    intake::{Device, Fault, Intake, Rejected},
    spec::ModbusSource,
};

pub use bus::{Bus, Port};

/// Pauses before a line that is gone is opened again.
const FIRST_LINE_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_LINE_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause before a slave that does not answer is asked again, unless its poll interval is longer.
const LONGEST_SLAVE_PAUSE: Duration = Duration::from_secs(60);
/// A slave that has not answered is left alone for so many time-outs: on a serial line, where an answer does not say to
/// which request, one that comes later still would be taken for another's.
const LATE: u32 = 3;

/// Polls a bus's devices until the shutdown.
pub async fn poll(bus: Bus, devices: Vec<Device<ModbusSource>>, intake: Intake, shutdown: CancellationToken) {
    let mut poller = Poller::new(bus, devices, intake);
    shutdown.run_until_cancelled(poller.run()).await;
}

/// A bus and everything on it.
struct Poller {
    bus: Bus,
    intake: Intake,
    /// `None` while it is not open.
    line: Option<Line>,
    reconnect: Backoff,
    /// Before this the line is not opened.
    connect_at: Instant,
    /// Whether everybody has been told that the line is gone, and nothing has been heard on it since.
    gone: bool,
    devices: Vec<Polled>,
    slaves: BTreeMap<u8, Slave>,
}

/// A device on its grid.
struct Polled {
    sensor: Id,
    slave: u8,
    every: Duration,
    timeout: Duration,
    blocks: Vec<Block>,
    due: Instant,
}

/// What is known of a slave's health.
struct Slave {
    backoff: Backoff,
    health: Health,
}

enum Health {
    /// It has not been asked yet.
    Unknown,
    /// It answered last time.
    Answers,
    /// It missed its last turn, which nobody has been told; it is not asked before this.
    Missed(Instant),
    /// It does not answer, and is not asked before this.
    Fails(Instant),
}

impl Poller {
    fn new(bus: Bus, devices: Vec<Device<ModbusSource>>, intake: Intake) -> Self {
        let now = Instant::now();
        let mut slaves = BTreeMap::<u8, Duration>::new();
        for Device { source, .. } in &devices {
            let pause = (**source.poll_every).max(**source.timeout * LATE);
            let least = slaves.entry(*source.slave).or_insert(pause);
            *least = pause.min(*least);
        }
        // A pause is at least half of its span.
        let slave = |least: Duration| Slave {
            backoff: Backoff::new(least * 2, LONGEST_SLAVE_PAUSE.max(least * 2)),
            health: Health::Unknown,
        };
        Self {
            bus,
            intake,
            line: None,
            reconnect: Backoff::new(FIRST_LINE_PAUSE, LONGEST_LINE_PAUSE),
            connect_at: now,
            gone: false,
            devices: devices
                .into_iter()
                .map(|Device { sensor, source, .. }| Polled {
                    sensor,
                    slave: *source.slave,
                    every: **source.poll_every,
                    timeout: **source.timeout,
                    blocks: plan::blocks(&source.values),
                    due: now,
                })
                .collect(),
            slaves: slaves.into_iter().map(|(number, least)| (number, slave(least))).collect(),
        }
    }

    async fn run(&mut self) {
        while let Some((index, at)) = self.next() {
            sleep_until(at).await;
            self.poll(index).await;
            if let Some(polled) = self.devices.get_mut(index) {
                polled.due = next_due(polled.due, polled.every, Instant::now());
            }
        }
    }

    /// Whose turn it is, and when: the one that has been due the longest.
    fn next(&self) -> Option<(usize, Instant)> {
        let turns = self.devices.iter().enumerate().map(|(index, polled)| {
            let at = match self.slaves.get(&polled.slave).map(|slave| &slave.health) {
                Some(Health::Missed(retry_at) | Health::Fails(retry_at)) => polled.due.max(*retry_at),
                Some(Health::Unknown | Health::Answers) | None => polled.due,
            };
            (index, at)
        });
        turns.min_by_key(|&(_, at)| at)
    }

    /// Reads everything a device measures, and tells.
    async fn poll(&mut self, index: usize) {
        let Some(polled) = self.devices.get_mut(index) else { return };
        let (sensor, slave, within) = (polled.sensor.clone(), polled.slave, polled.timeout);
        let mut blocks = std::mem::take(&mut polled.blocks);
        // One mishap of a slave that answered last time is forgiven.
        let mut forgiving = self.slaves.get(&slave).is_some_and(|slave| matches!(slave.health, Health::Answers));
        let (mut samples, mut refused) = (Vec::new(), None);
        let (mut health, mut failed) = (Health::Answers, None);
        let mut at = 0;
        while let Some(block) = blocks.get(at) {
            match self.ask(&sensor, slave, block.stretch, within).await {
                Ok(answer) => {
                    samples.extend(block.samples(&answer));
                    at += 1;
                }
                Err(Failure::Refused(code)) if !is_for_a_gateway(code) => {
                    if is_for_a_part(code)
                        && let Some(parts) = block.split()
                    {
                        blocks.splice(at..=at, parts);
                    } else {
                        refused.get_or_insert_with(|| self.refusal(slave, block.stretch, code));
                        at += 1;
                    }
                }
                // Over a new connection nothing late can come: the same block is asked for again at once.
                Err(_) if forgiving && self.line.is_none() => forgiving = false,
                Err(_) if forgiving => {
                    health = Health::Missed(Instant::now() + within * LATE);
                    break;
                }
                Err(failure) => {
                    failed = Some(self.fault(slave, block.stretch, within, failure));
                    break;
                }
            }
        }
        if let Some(polled) = self.devices.get_mut(index) {
            polled.blocks = blocks;
        }
        if !samples.is_empty() {
            // A slave is told nothing: if it was not taken, everything is about to stop, this too.
            let _ = self.intake.heard(&sensor, samples).await;
        }
        match failed {
            Some(fault) => self.failed(slave, fault).await,
            None => self.turned_out(slave, health),
        }
        if let Some(fault) = refused {
            self.intake.fault(&sensor, fault).await;
        }
    }

    /// One request, on a line that is opened if need be.
    async fn ask(&mut self, sensor: &Id, slave: u8, stretch: Stretch, within: Duration) -> Result<Answer, Failure> {
        let mut line = self.open().await;
        let answer = line.read(slave, stretch, within).await;
        self.line = match &answer {
            Ok(_) | Err(Failure::Refused(_)) => {
                self.reconnect.reset();
                Some(line)
            }
            Err(failure) => line.after_failure(failure),
        };
        if self.line.is_some() && std::mem::take(&mut self.gone) {
            for polled in &self.devices {
                self.intake.reached(&polled.sensor).await;
            }
        }
        if let Err(Failure::Garbled(why)) = &answer {
            let message = format!("{}: {why}", self.address(slave));
            let sensor = Some(sensor.clone());
            self.intake.rejected(Rejected { protocol: "modbus", sensor, reason: "malformed", message }).await;
        }
        answer
    }

    /// The open line; while it cannot be opened, nothing on the bus is reached.
    async fn open(&mut self) -> Line {
        loop {
            if let Some(line) = self.line.take() {
                return line;
            }
            sleep_until(self.connect_at).await;
            match self.bus.port.open(self.bus.pause).await {
                Ok(line) => self.line = Some(line),
                Err(why) => {
                    self.connect_at = Instant::now() + self.reconnect.next_pause();
                    self.unreachable(why).await;
                }
            }
        }
    }

    async fn unreachable(&mut self, why: String) {
        let fault = Fault::Unreachable { address: self.bus.port.to_string(), why };
        self.gone = true;
        self.tell(&fault, |_| true).await;
    }

    /// Tells the fault of all devices on some slaves. (`&mut`, because the library's client cannot be shared by threads.)
    async fn tell(&mut self, fault: &Fault, of_slave: impl Fn(u8) -> bool) {
        for polled in self.devices.iter().filter(|polled| of_slave(polled.slave)) {
            self.intake.fault(&polled.sensor, fault.clone()).await;
        }
    }

    /// A slave has answered, or there is nothing to say yet.
    fn turned_out(&mut self, slave: u8, health: Health) {
        if let Some(slave) = self.slaves.get_mut(&slave) {
            slave.backoff.reset();
            slave.health = health;
        }
    }

    /// A slave has failed twice, or again: it is left alone for a while, and whoever needs it is told. With the whole line
    /// gone that is everybody; the slave is left alone all the same, since asking it may be what breaks the line.
    async fn failed(&mut self, slave: u8, fault: Fault) {
        let now = Instant::now();
        if let Some(slave) = self.slaves.get_mut(&slave) {
            slave.health = Health::Fails(now + slave.backoff.next_pause());
        }
        if let Fault::Unreachable { why, .. } = fault {
            // Connections that open and break at once must not be opened without end.
            self.connect_at = now + self.reconnect.next_pause();
            return self.unreachable(why).await;
        }
        self.tell(&fault, |number| number == slave).await;
    }

    fn address(&self, slave: u8) -> String {
        format!("slave {slave} at {}", self.bus.port)
    }

    fn refusal(&self, slave: u8, stretch: Stretch, code: ExceptionCode) -> Fault {
        let Stretch { table, start, count } = stretch;
        let last = u32::from(start) + u32::from(count) - 1;
        let addresses = if count == 1 { format!("address {start}") } else { format!("addresses {start} to {last}") };
        let why = format!("function {} ({table}), {addresses}: {code}", table.function());
        Fault::Refused { address: self.address(slave), why }
    }

    fn fault(&self, slave: u8, stretch: Stretch, within: Duration, failure: Failure) -> Fault {
        match failure {
            Failure::Refused(code) => self.refusal(slave, stretch, code),
            Failure::Silent => Fault::NoAnswer { address: self.address(slave), within },
            Failure::Garbled(why) => Fault::Malformed { why: format!("{}: {why}", self.address(slave)) },
            Failure::Lost(why) => Fault::Unreachable { address: self.bus.port.to_string(), why },
        }
    }
}

/// Whether something in a block may not exist, or the block be too long, while the rest can be read.
fn is_for_a_part(code: ExceptionCode) -> bool {
    matches!(code, ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalDataValue)
}

/// Whether a gateway says that the slave does not answer: it has waited for it as long as we would.
fn is_for_a_gateway(code: ExceptionCode) -> bool {
    matches!(code, ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice)
}
