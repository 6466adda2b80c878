//! Modbus slaves on a TCP port or at the end of a serial line, written from the standard and not from the library that
//! Snowgate uses: each checks the other.
//!
//! ```no_run
//! use snowgate_simulators::modbus::{Fault, ModbusSlaves};
//! let slaves = ModbusSlaves::tcp()?;
//! slaves.set_holding(5, 100, 1234);
//! slaves.set_fault(5, Fault::Silence);
//! println!("slave 5 is at {}", slaves.address());
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! A slave is there once something is set on it; an address of it exists once it is set, and reading any other is answered
//! with exception 2. Whoever asks a slave that is not there hears nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use snowgate_core::sensor::codec::crc;

/// How often threads look whether they are to stop; also the quiet that ends a frame on the serial line.
const TICK: Duration = Duration::from_millis(20);

/// What a slave does instead of answering well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It says nothing.
    Silence,
    /// It refuses with this code.
    Exception(u8),
    /// It answers, but so much later.
    Late(Duration),
    /// On a serial line the check sum is wrong; over TCP the transaction's number.
    WrongCheck,
    /// The answer bears the next slave's number.
    WrongSlave,
    /// The answer bears another function's number.
    WrongFunction,
    /// These bytes come first.
    Noise(Vec<u8>),
    /// Only so many bytes of the answer come.
    Cut(usize),
    /// The answer holds one byte of data less than was asked for, and says so.
    Short,
    /// All connections are closed; on a serial line the same as silence.
    Disconnect,
}

/// A request that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The slave.
    pub slave: u8,
    /// The function.
    pub function: u8,
    /// The first address.
    pub start: u16,
    /// How many.
    pub count: u16,
}

/// Slaves that share a TCP port or a serial line, until dropped.
pub struct ModbusSlaves {
    shared: Arc<Shared>,
    address: String,
    thread: Option<JoinHandle<()>>,
    /// Keeps the serial line up while nobody has it open.
    _line: Option<OwnedFd>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slaves: BTreeMap<u8, Slave>,
    asked: Vec<Asked>,
    connections: Vec<TcpStream>,
    connected: usize,
}

#[derive(Default)]
struct Slave {
    /// By function and address; bits are 0 or 1.
    tables: BTreeMap<(u8, u16), u16>,
    fault: Option<Fault>,
    /// Used up before `fault`.
    next: VecDeque<Option<Fault>>,
}

impl ModbusSlaves {
    /// On a free TCP port of this machine.
    ///
    /// # Errors
    /// The system's.
    pub fn tcp() -> io::Result<Self> {
        Self::tcp_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// On a given TCP port.
    ///
    /// # Errors
    /// The system's.
    pub fn tcp_at(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { shared, address, thread: Some(thread), _line: None })
    }

    /// At the other end of a serial line: a pair of pseudo-terminals.
    ///
    /// # Errors
    /// The system's.
    pub fn rtu() -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let address = ptsname(&ours, Vec::new())?.into_string().map_err(io::Error::other)?;
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        // Otherwise it would send back what it gets, until somebody opens it as a serial port.
        let mut settings = tcgetattr(&theirs)?;
        settings.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &settings)?;
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || drop(serve(&Arc::new(File::from(ours)), Framing::Rtu, &shared))
        });
        Ok(Self { shared, address, thread: Some(thread), _line: Some(theirs) })
    }

    /// Host and port, or the device to open as serial port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sets a coil.
    pub fn set_coil(&self, slave: u8, address: u16, value: bool) {
        self.set(slave, 1, address, value.into());
    }

    /// Sets a discrete input.
    pub fn set_discrete(&self, slave: u8, address: u16, value: bool) {
        self.set(slave, 2, address, value.into());
    }

    /// Sets a holding register.
    pub fn set_holding(&self, slave: u8, address: u16, value: u16) {
        self.set(slave, 3, address, value);
    }

    /// Sets an input register.
    pub fn set_input(&self, slave: u8, address: u16, value: u16) {
        self.set(slave, 4, address, value);
    }

    fn set(&self, slave: u8, function: u8, address: u16, value: u16) {
        self.shared.state().slaves.entry(slave).or_default().tables.insert((function, address), value);
    }

    /// From now on the slave does this; nothing that was set for its next answers is kept.
    pub fn set_fault(&self, slave: u8, fault: Fault) {
        let mut state = self.shared.state();
        let slave = state.slaves.entry(slave).or_default();
        slave.fault = Some(fault);
        slave.next.clear();
    }

    /// The slave does these one after another at its next requests (`None`: it answers well), then as before.
    pub fn set_next(&self, slave: u8, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.shared.state().slaves.entry(slave).or_default().next.extend(faults);
    }

    /// From now on the slave answers well.
    pub fn clear_fault(&self, slave: u8) {
        let mut state = self.shared.state();
        let slave = state.slaves.entry(slave).or_default();
        slave.fault = None;
        slave.next.clear();
    }

    /// All requests that came, in order; those to slaves that are not there, too.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// How many connections there have been.
    pub fn connected(&self) -> usize {
        self.shared.state().connected
    }

    /// Closes all connections.
    pub fn disconnect(&self) {
        self.shared.state().disconnect();
    }
}

impl Drop for ModbusSlaves {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.disconnect();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

impl State {
    fn disconnect(&mut self) {
        for connection in self.connections.drain(..) {
            // One that is closed already is what is wanted.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    while !shared.stopped() {
        if !readable(listener).unwrap_or(false) {
            continue;
        }
        let Ok((stream, _)) = listener.accept() else { continue };
        {
            let mut state = shared.state();
            state.connected += 1;
            state.connections.extend(stream.try_clone());
        }
        let shared = Arc::clone(shared);
        connections.push(thread::spawn(move || drop(serve(&Arc::new(stream), Framing::Tcp, &shared))));
    }
    for connection in connections {
        let _ = connection.join();
    }
}

/// Waits a little for something to read.
fn readable(port: &impl AsFd) -> io::Result<bool> {
    let wait = Timespec::try_from(TICK).map_err(io::Error::other)?;
    Ok(poll(&mut [PollFd::new(port, PollFlags::IN)], Some(&wait))? > 0)
}

/// Answers requests until the other side or the simulator stops.
fn serve<T>(port: &Arc<T>, framing: Framing, shared: &Shared) -> io::Result<()>
where
    T: AsFd + Send + Sync + 'static,
    for<'a> &'a T: Read + Write,
{
    let mut received = Vec::new();
    let mut piece = [0; 512];
    while !shared.stopped() {
        if !readable(port)? {
            if framing == Framing::Rtu {
                received.clear();
            }
            continue;
        }
        let got = (&**port).read(&mut piece)?;
        if got == 0 {
            return Ok(());
        }
        received.extend_from_slice(&piece[..got]);
        while let Some(request) = framing.cut(&mut received) {
            match shared.reply(framing, &request) {
                Reply::Nothing => {}
                Reply::Now(bytes) => (&**port).write_all(&bytes)?,
                Reply::Later(after, bytes) => {
                    let port = Arc::clone(port);
                    drop(thread::spawn(move || {
                        thread::sleep(after);
                        // Nobody may be there to hear it.
                        let _ = (&*port).write_all(&bytes);
                    }));
                }
            }
        }
    }
    Ok(())
}

enum Reply {
    Nothing,
    Now(Vec<u8>),
    Later(Duration, Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Tcp,
    Rtu,
}

/// A request as it came.
struct Request {
    transaction: u16,
    slave: u8,
    pdu: Vec<u8>,
}

impl Framing {
    /// Takes a whole request from the front of what was received.
    fn cut(self, received: &mut Vec<u8>) -> Option<Request> {
        match self {
            Self::Tcp => {
                let header = received.get(..7)?;
                let transaction = u16::from_be_bytes([header[0], header[1]]);
                let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
                let slave = header[6];
                let pdu = received.get(7..6 + length)?.to_vec();
                received.drain(..6 + length);
                Some(Request { transaction, slave, pdu })
            }
            // Requests of functions 1 to 4 are eight bytes.
            Self::Rtu => loop {
                let frame = received.get(..8)?;
                let (content, check) = frame.split_at(6);
                if check == crc::modbus(content).to_le_bytes() {
                    let request = Request { transaction: 0, slave: content[0], pdu: content[1..].to_vec() };
                    received.drain(..8);
                    return Some(request);
                }
                received.remove(0);
            },
        }
    }

    fn frame(self, transaction: u16, slave: u8, pdu: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        match self {
            Self::Tcp => {
                frame.extend(transaction.to_be_bytes());
                frame.extend([0, 0]);
                frame.extend(u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes());
                frame.push(slave);
                frame.extend(pdu);
            }
            Self::Rtu => {
                frame.push(slave);
                frame.extend(pdu);
                frame.extend(crc::modbus(&frame).to_le_bytes());
            }
        }
        frame
    }
}

impl Shared {
    fn reply(&self, framing: Framing, request: &Request) -> Reply {
        let Request { mut transaction, slave: mut number, ref pdu } = *request;
        let &[function, start_high, start_low, count_high, count_low] = pdu.as_slice() else { return Reply::Nothing };
        let (start, count) = (u16::from_be_bytes([start_high, start_low]), u16::from_be_bytes([count_high, count_low]));
        let mut state = self.state();
        state.asked.push(Asked { slave: number, function, start, count });
        let Some(slave) = state.slaves.get_mut(&number) else { return Reply::Nothing };
        let fault = slave.next.pop_front().unwrap_or_else(|| slave.fault.clone());
        let mut answer = slave.answer(function, start, count);
        match &fault {
            Some(Fault::Silence) => return Reply::Nothing,
            Some(Fault::Disconnect) => {
                state.disconnect();
                return Reply::Nothing;
            }
            Some(Fault::Exception(code)) => answer = vec![function | 0x80, *code],
            Some(Fault::WrongCheck) => transaction = transaction.wrapping_add(1),
            Some(Fault::WrongSlave) => number = number.wrapping_add(1),
            // 1 and 2, and 3 and 4, have answers of the same form.
            Some(Fault::WrongFunction) => answer[0] = ((function - 1) ^ 1) + 1,
            Some(Fault::Short) if answer.len() > 3 => {
                answer.truncate(answer.len() - 2);
                answer[1] = answer[1].saturating_sub(2);
            }
            _ => {}
        }
        let mut frame = framing.frame(transaction, number, &answer);
        match fault {
            Some(Fault::Late(after)) => return Reply::Later(after, frame),
            Some(Fault::WrongCheck) if framing == Framing::Rtu => {
                if let Some(last) = frame.last_mut() {
                    *last ^= 0x55;
                }
            }
            Some(Fault::Noise(mut noise)) => {
                noise.append(&mut frame);
                frame = noise;
            }
            Some(Fault::Cut(bytes)) => frame.truncate(bytes),
            _ => {}
        }
        Reply::Now(frame)
    }
}

impl Slave {
    fn answer(&self, function: u8, start: u16, count: u16) -> Vec<u8> {
        let longest = match function {
            1 | 2 => 2000,
            3 | 4 => 125,
            _ => return vec![function | 0x80, 1],
        };
        if count == 0 || count > longest {
            return vec![function | 0x80, 3];
        }
        let values: Option<Vec<u16>> = (u32::from(start)..u32::from(start) + u32::from(count))
            .map(|address| self.tables.get(&(function, u16::try_from(address).ok()?)).copied())
            .collect();
        let Some(values) = values else { return vec![function | 0x80, 2] };
        let data: Vec<u8> = if function <= 2 {
            let byte = |bits: &[u16]| bits.iter().rev().fold(0, |byte, &bit| (byte << 1) | u8::from(bit != 0));
            values.chunks(8).map(byte).collect()
        } else {
            values.iter().flat_map(|value| value.to_be_bytes()).collect()
        };
        // At most 250 bytes: the limits above see to it.
        let mut pdu = vec![function, u8::try_from(data.len()).unwrap_or(u8::MAX)];
        pdu.extend(data);
        pdu
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The standard's own examples (MODBUS Application Protocol V1.1b3, 6.1 and 6.3).
    #[test]
    fn answers_are_the_standards_examples() {
        let mut slave = Slave::default();
        for (register, value) in [(107, 0x022B), (108, 0x0000), (109, 0x0064)] {
            slave.tables.insert((3, register), value);
        }
        assert_eq!(slave.answer(3, 107, 3), [0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64]);
        assert_eq!(slave.answer(3, 107, 4), [0x83, 0x02]);
        assert_eq!(slave.answer(3, 107, 126), [0x83, 0x03]);
        assert_eq!(slave.answer(7, 107, 1), [0x87, 0x01]);
        let coils = [0xCD_u8, 0x6B, 0x05];
        for index in 0..19_u16 {
            let bit = (coils[usize::from(index / 8)] >> (index % 8)) & 1;
            slave.tables.insert((1, 19 + index), bit.into());
        }
        assert_eq!(slave.answer(1, 19, 19), [0x01, 0x03, 0xCD, 0x6B, 0x05]);
    }

    #[test]
    fn requests_are_found_behind_noise_and_in_pieces() {
        let frame = Framing::Rtu.frame(0, 17, &[3, 0, 107, 0, 3]);
        assert_eq!(frame, [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87]);
        let mut received = vec![0xFF];
        received.extend(&frame[..5]);
        assert!(Framing::Rtu.cut(&mut received).is_none());
        received.extend(&frame[5..]);
        let request = Framing::Rtu.cut(&mut received).unwrap();
        assert_eq!((request.slave, request.pdu), (17, vec![3, 0, 107, 0, 3]));
        let mut received = Framing::Tcp.frame(7, 255, &[4, 0, 0, 0, 1]);
        assert_eq!(Framing::Tcp.cut(&mut received).unwrap().transaction, 7);
        assert!(received.is_empty());
    }
}
