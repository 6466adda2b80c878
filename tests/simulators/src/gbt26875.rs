//! A GB/T 26875.3-2011 transmission device: it connects, sends states, and waits to be confirmed.

use std::{io, net::SocketAddr};

use jiff::Timestamp;
use snowgate_core::sensor::codec::gbt26875::{Address, Command, Frame, Gbt26875, Version};

use crate::line::{Line, invalid};

/// States as their bits, for systems and parts alike.
pub mod state {
    /// In normal operation.
    pub const NORMAL: u16 = 1;
    /// Fire.
    pub const FIRE: u16 = 1 << 1;
    /// Fault.
    pub const FAULT: u16 = 1 << 2;
    /// Shielded.
    pub const SHIELDED: u16 = 1 << 3;
    /// Supervised.
    pub const SUPERVISED: u16 = 1 << 4;
}

/// A device; its connection is closed when it is dropped.
///
/// ```no_run
/// # use snowgate_simulators::gbt26875::{FireDevice, state};
/// # use snowgate_core::sensor::codec::gbt26875::Command;
/// # fn main() -> std::io::Result<()> {
/// let mut device = FireDevice::connect("127.0.0.1:9268".parse().unwrap(), [1, 2, 3, 4, 5, 6])?;
/// assert_eq!(device.send_part(1, 42, state::FIRE)?, Command::Confirm);
/// # Ok(())
/// # }
/// ```
pub struct FireDevice {
    /// The connection, for what no device should send.
    pub line: Line<Gbt26875>,
    address: Address,
    serial: u16,
    /// The time on its clock; the system's if left out.
    pub clock: Option<Timestamp>,
}

impl FireDevice {
    /// Connects a device with this address.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(centre: SocketAddr, address: [u8; 6]) -> io::Result<Self> {
        Ok(Self { line: Line::connect(centre)?, address: Address(address), serial: 0, clock: None })
    }

    /// Sends the state of a fire alarm system and waits for the answer.
    ///
    /// # Errors
    /// No answer comes.
    pub fn send_system(&mut self, system: u8, state: u16) -> io::Result<Command> {
        let [low, high] = state.to_le_bytes();
        self.send(&[1, 1, 1, system, low, high])
    }

    /// Sends the state of a smoke detector and waits for the answer.
    ///
    /// # Errors
    /// No answer comes.
    pub fn send_part(&mut self, system: u8, part: u32, state: u16) -> io::Result<Command> {
        let ([low, high], [a, b, c, d]) = (state.to_le_bytes(), part.to_le_bytes());
        self.send(&[&[2, 1, 1, system, 40, a, b, c, d, low, high][..], &[0; 31]].concat())
    }

    /// Sends what was done at a system (bit 0 reset, bit 2 alarm given by hand, bit 3 alarm over) and waits for the answer.
    ///
    /// # Errors
    /// No answer comes.
    pub fn send_operation(&mut self, system: u8, operation: u8) -> io::Result<Command> {
        self.send(&[4, 1, 1, system, operation, 0])
    }

    /// Sends objects without their times, and waits for the answer: confirmed or denied.
    ///
    /// # Errors
    /// No answer comes, or one to something else.
    pub fn send(&mut self, data: &[u8]) -> io::Result<Command> {
        let bytes = self.frame(Command::Send, data).build().map_err(invalid)?;
        self.line.send(&bytes)?;
        self.answer()
    }

    /// The centre's answer to what was sent last.
    ///
    /// # Errors
    /// None comes, or one to something else.
    pub fn answer(&mut self) -> io::Result<Command> {
        let (serial, address) = (self.serial, self.address);
        self.line.receive(|frame| {
            if frame.serial != serial || frame.destination != address {
                return Err(invalid(format!("{frame:?} is no answer to number {serial} of {address}")));
            }
            Ok(frame.command)
        })?
    }

    /// A frame with the next serial number, to be changed as need be.
    pub fn frame<'a>(&mut self, command: Command, data: &'a [u8]) -> Frame<'a> {
        self.serial = self.serial.wrapping_add(1);
        Frame {
            serial: self.serial,
            version: Version { main: 1, user: 1 },
            sent_at: Some(self.clock.unwrap_or_else(Timestamp::now)),
            source: self.address,
            destination: Address([9, 0, 0, 0, 0, 0]),
            command,
            data,
        }
    }
}
