//! One look at a stream, from the first knock to a bounded number of pictures: for those who set a camera up.
//!
//! It takes the daemon's own way to the stream, and remembers no more than [`MOST_PICTURES`] pictures and
//! [`MOST_BYTES`] of what they are coded in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use snowgate_core::{
    ids::Id,
    secret::Secret,
    spec::{ByteSize, TimeSpan},
    time::{Clock, Mono},
};

use super::{
    access_unit::{AccessUnit, StreamFormat},
    address::Address,
    gop_ring::{GopRing, Next},
    health::CameraFault,
    spec::{RingSpec, StreamSpec, Transport},
    stream::{Packets, Session, SessionEnd},
};
use crate::shutdown::Shutdown;

/// The most pictures that are counted: five minutes of 60 a second.
pub const MOST_PICTURES: usize = 18_000;
/// The most bytes of encoded pictures that are kept.
pub const MOST_BYTES: usize = 32 << 20;
/// How long a camera may take from the first request to its first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(15);
/// The same over UDP, once the camera has told what its streams are.
const FIRST_DATAGRAM: Duration = Duration::from_secs(5);
/// How often new pictures are taken out of the ring.
const LOOK: Duration = Duration::from_millis(50);

/// What is remembered of every picture, in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether decoding can start here.
    pub key: bool,
    /// Presentation time: the camera's clock, laid on ours.
    pub at: Mono,
    /// When it reached us.
    pub arrived: Mono,
    /// Bytes.
    pub size: usize,
}

/// What was seen of a stream.
pub struct Observed {
    /// From the first key frame on.
    pub pictures: Vec<Seen>,
    /// The first of them, encoded, up to [`MOST_BYTES`].
    pub encoded: Vec<AccessUnit>,
    /// How the last one was coded.
    pub format: Arc<StreamFormat>,
    /// RTP packets, if the jitter buffer has told.
    pub packets: Option<Packets>,
    /// Why it ended before its time.
    pub ended: Option<CameraFault>,
}

/// Watches the stream at `address` for `span`, counted from its first key frame.
///
/// # Errors
/// The stream cannot be opened, or no key frame came of it.
pub fn observe(
    camera: &Id,
    address: &Address,
    stream: &StreamSpec,
    password: Option<&Secret>,
    span: Duration,
    clock: &Arc<dyn Clock>,
) -> Result<Observed, SessionEnd> {
    let never = Shutdown::new();
    // Nobody stops it: there is an answer, or a fault.
    let endpoint = address.endpoint(&never)?.ok_or(CameraFault::Ended)?;
    endpoint.reach(&never)?;
    // Read every few hundredths of a second: it need not hold more than a large group of pictures.
    let spec = RingSpec { duration: TimeSpan::secs(10), size: ByteSize::mib(16) };
    let ring = Arc::new(GopRing::new(camera.clone(), &spec));
    let session = Session::open(&endpoint, stream, password, &ring, clock)?;
    let observed = watch(&session, &ring, stream, span);
    session.close();
    observed
}

fn watch(session: &Session, ring: &Arc<GopRing>, stream: &StreamSpec, span: Duration) -> Result<Observed, SessionEnd> {
    let opened = Instant::now();
    let (mut described, mut live): (Option<Instant>, Option<Instant>) = (None, None);
    let mut reader = ring.reader();
    let (mut pictures, mut encoded, mut bytes, mut format) = (Vec::new(), Vec::new(), 0, None);
    let ended = loop {
        let end = session.wait_for_end(LOOK);
        loop {
            let unit = match reader.next() {
                Next::Unit(unit) => unit,
                Next::Lost { .. } => continue,
                Next::Nothing => break,
            };
            pictures.push(Seen { key: unit.key, at: unit.at, arrived: unit.arrived, size: unit.size });
            format = Some(Arc::clone(&unit.format));
            bytes += unit.size;
            if bytes <= MOST_BYTES {
                encoded.push(unit);
            }
        }
        if let Some(end) = end {
            if pictures.len() < 2 {
                return Err(end);
            }
            break Some(end.fault);
        }
        if session.described() {
            described.get_or_insert_with(Instant::now);
        }
        if !pictures.is_empty() {
            let began = live.get_or_insert_with(Instant::now);
            if began.elapsed() >= span || pictures.len() >= MOST_PICTURES {
                break None;
            }
            continue;
        }
        let is_udp = stream.transport == Transport::Udp;
        let arrives = session.last_unit().is_some();
        let silent = || CameraFault::Silent { silent_for: Duration::from_secs(opened.elapsed().as_secs()) };
        if is_udp && !arrives && described.is_some_and(|described| described.elapsed() >= FIRST_DATAGRAM) {
            return Err(silent().into());
        }
        if opened.elapsed() >= FIRST_PICTURE.max(span) {
            return Err(match (arrives, described) {
                (true, _) => CameraFault::NoKeyFrame.into(),
                (false, Some(_)) => silent().into(),
                (false, None) => session.no_answer().into(),
            });
        }
    };
    let format = format.ok_or(CameraFault::NoKeyFrame)?;
    Ok(Observed { pictures, encoded, format, packets: session.packets(), ended })
}
