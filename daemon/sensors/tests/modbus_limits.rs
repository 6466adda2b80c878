//! Whatever a slave sends: no panic, no wait beyond the time-out, no answer of another length than was asked for, and no
//! more memory than a limit. Answers with seeded mistakes go through the client as it runs, over a stream in memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use snowgate_core::sensor::codec::crc;
use snowgate_sensors::{
    modbus::{
        line::{Failure, Framing, Line},
        plan::{Answer, Stretch},
    },
    spec::ModbusTable,
};
use snowgate_simulators::noise::{Noise, inputs};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// The most that a request and its answer may hold at a time: the longest frame that a length of two bytes can announce,
/// in a buffer that doubles.
const MEMORY: isize = 256 << 10;
/// The time-out of each request.
const WITHIN: Duration = Duration::from_secs(1);
/// Quiet time before each request on a serial line; also the library's [`Line`] waits 50 ms after a failure.
const PAUSE: Duration = Duration::from_millis(2);

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, adding up what each thread holds.
struct Counting;

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that the thread has held since `before`, beyond what it held then.
fn most_since(before: isize) -> isize {
    MOST.get() - before
}

fn begin_count() -> isize {
    MOST.set(HELD.get());
    HELD.get()
}

/// The other side: once asked it gives the answer that was laid out, in pieces, and then stays silent or closes.
#[derive(Default)]
struct Script {
    /// What is on its way.
    coming: VecDeque<u8>,
    /// What a request will bring.
    answer: Vec<u8>,
    piece: usize,
    /// Whether the end comes after the answer.
    closes: bool,
    closed: bool,
}

#[derive(Clone, Default)]
struct Slave(Arc<Mutex<Script>>);

impl Slave {
    /// What has not been read yet of earlier answers stays on its way.
    fn will_answer(&self, answer: Vec<u8>, piece: usize, closes: bool) {
        let mut script = self.0.lock().unwrap();
        (script.answer, script.piece, script.closes) = (answer, piece, closes);
    }
}

impl AsyncRead for Slave {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut script = self.0.lock().unwrap();
        if script.coming.is_empty() {
            return if script.closed { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let piece = script.coming.len().min(script.piece).min(buf.remaining());
        script.coming.drain(..piece).for_each(|byte| buf.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slave {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock().unwrap();
        let answer = std::mem::take(&mut script.answer);
        script.coming.extend(answer);
        script.closed = script.closes;
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const SLAVE: u8 = 7;

/// The frame of an answer to the first request of a client.
fn frame(framing: Framing, pdu: &[u8]) -> Vec<u8> {
    let mut frame = match framing {
        Framing::Tcp => vec![0, 0, 0, 0, 0, 0, SLAVE],
        Framing::Rtu => vec![SLAVE],
    };
    frame.extend(pdu);
    if framing == Framing::Rtu {
        frame.extend([0, 0]);
    }
    seal(framing, &mut frame);
    frame
}

/// Makes length, number and check sum right again, so that mutated content reaches the decoder.
fn seal(framing: Framing, frame: &mut [u8]) {
    match framing {
        Framing::Tcp if frame.len() >= 7 => {
            let length = u16::try_from(frame.len() - 6).unwrap_or(u16::MAX).to_be_bytes();
            frame[..6].copy_from_slice(&[0, 0, 0, 0, length[0], length[1]]);
        }
        Framing::Rtu if frame.len() >= 3 => {
            let (content, check) = frame.split_at_mut(frame.len() - 2);
            check.copy_from_slice(&crc::modbus(content).to_le_bytes());
        }
        _ => {}
    }
}

/// A stretch, and a right answer's PDU.
fn right(table: ModbusTable, count: u16) -> (Stretch, Vec<u8>) {
    let bytes = if table.is_bits() { count.div_ceil(8) } else { count * 2 };
    let mut pdu = vec![table.function(), bytes.try_into().unwrap()];
    pdu.extend((0..bytes).map(|byte| byte as u8));
    (Stretch { table, start: 100, count }, pdu)
}

/// What became of the mutated answers.
#[derive(Debug, Default)]
struct Outcomes {
    answered: usize,
    refused: usize,
    silent: usize,
    garbled: usize,
    lost: usize,
}

async fn survive(framing: Framing) -> Outcomes {
    use ModbusTable::{Coils, Discrete, Holding, Input};
    let asked = [(Coils, 1), (Coils, 2000), (Discrete, 19), (Holding, 1), (Holding, 125), (Input, 2), (Input, 60)];
    let asked = asked.map(|(table, count)| right(table, count));
    // Answers to requests that are never made: their decoders are reached all the same.
    let strange: [&[u8]; 6] = [
        &[0x11, 4, 1, 0xFF, 9, 9],
        &[0x17, 4, 0, 1, 0, 2],
        &[0x18, 0, 6, 0, 2, 1, 2, 3, 4],
        &[0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 2, b'a', b'b', 1, 1, b'c'],
        &[0x10, 0, 1, 0, 2],
        &[0x66, 1, 2, 3],
    ];
    let others: Vec<Vec<u8>> = asked.iter().map(|(_, pdu)| frame(framing, pdu)).collect();
    let mut noise = Noise::new(0x5EED);
    let mut outcomes = Outcomes::default();
    let pause = if framing == Framing::Rtu { PAUSE } else { Duration::ZERO };
    for _ in 0..inputs() {
        let (stretch, pdu) = &asked[noise.below(asked.len())];
        let exception = [stretch.table.function() | 0x80, noise.byte()];
        let pdu = match noise.below(8) {
            0 | 1 => strange[noise.below(strange.len())],
            2 => &exception,
            _ => pdu.as_slice(),
        };
        let mut bytes = frame(framing, pdu);
        for _ in 0..=noise.below(3) {
            noise.spoil(&mut bytes, &others);
        }
        // Rarely as much as the longest length can announce.
        if noise.below(200) == 0 {
            bytes.resize(bytes.len() + noise.below(70_000), noise.byte());
        }
        if noise.below(2) == 0 {
            seal(framing, &mut bytes);
        }
        let slave = Slave::default();
        let (piece, closes) = (1 + noise.below(300), noise.below(4) == 0);
        slave.will_answer(bytes, piece, closes);

        let (held, begun) = (begin_count(), Instant::now());
        let mut line = Line::over(slave.clone(), framing, pause);
        let answer = line.read(SLAVE, *stretch, WITHIN).await;
        assert!(most_since(held) <= MEMORY, "{} bytes held", most_since(held));
        assert!(begun.elapsed() <= WITHIN + pause + Duration::from_millis(10), "{:?}", begun.elapsed());
        let failure = match answer {
            Ok(answer) => {
                outcomes.answered += 1;
                let length = match &answer {
                    Answer::Bits(bits) => bits.len(),
                    Answer::Registers(registers) => registers.len(),
                };
                assert_eq!(length, usize::from(stretch.count));
                continue;
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Refused(_) => outcomes.refused += 1,
            Failure::Silent => outcomes.silent += 1,
            Failure::Garbled(_) => outcomes.garbled += 1,
            Failure::Lost(_) => outcomes.lost += 1,
        }
        // A line that goes on is in step again, whatever is still on its way.
        if framing == Framing::Rtu && !closes && !matches!(failure, Failure::Refused(_)) {
            let mut line = line.after_failure(&failure).expect("a serial line outlives bad answers");
            let (stretch, pdu) = right(Holding, 3);
            slave.will_answer(frame(framing, &pdu), 300, false);
            let answer = line.read(SLAVE, stretch, WITHIN).await;
            assert_eq!(answer, Ok(Answer::Registers(vec![0x0001, 0x0203, 0x0405])));
        }
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn mutated_answers_over_tcp_do_no_harm() {
    let outcomes = survive(Framing::Tcp).await;
    check(&outcomes);
}

#[tokio::test(start_paused = true)]
async fn mutated_answers_over_rtu_do_no_harm() {
    let outcomes = survive(Framing::Rtu).await;
    check(&outcomes);
}

/// A harness whose inputs all fare alike tries nothing.
fn check(outcomes: &Outcomes) {
    let Outcomes { answered, refused, silent, garbled, lost } = *outcomes;
    for part in [answered, refused, silent, garbled, lost] {
        assert!(part > inputs() / 200, "{outcomes:?}");
    }
}

/// Sends noise without end.
struct Flood;

impl AsyncRead for Flood {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let noise = [SLAVE, 0x18, 0xFF, 0xFF, 0, 0, 0, 0];
        buf.put_slice(&noise[..buf.remaining().min(noise.len())]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn noise_without_end_ends_the_request_and_not_the_daemon() {
    for (framing, pause) in [(Framing::Tcp, Duration::ZERO), (Framing::Rtu, Duration::ZERO), (Framing::Rtu, PAUSE)] {
        let (held, begun) = (begin_count(), Instant::now());
        let mut line = Line::over(Flood, framing, pause);
        let (stretch, _) = right(ModbusTable::Holding, 3);
        let answer = line.read(SLAVE, stretch, Duration::from_millis(100)).await;
        assert!(matches!(answer, Err(Failure::Garbled(_))), "{answer:?}");
        assert!(most_since(held) <= MEMORY, "{} bytes held", most_since(held));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
