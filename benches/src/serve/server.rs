//! The one thread: connections, requests, and pictures when they are due.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::Path,
    rc::Rc,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

use super::{
    ServeError,
    camera::Camera,
    clip::{Clip, Shelf},
    log::{self, CameraTotals, Line, Totals},
    plan::{Command, Plan},
    reader::{Delivery, Gone, QUEUE_LIMIT, Reader},
    rtsp::{self, Request, Status},
    time,
};

/// Connections beyond these are closed at once.
const MOST_READERS: usize = 4096;
/// Readiness events taken at a time.
const EVENTS: usize = 128;
/// The listening socket's mark; a reader's mark is its number.
const LISTENER: u64 = u64::MAX;
/// The longest wait, so that commands and a request to stop are heard.
const LONGEST_WAIT: u64 = 20_000_000;
/// A picture is late if it leaves so much after it was due.
const LATE: u64 = 20_000_000;
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

/// The server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    poll: OwnedFd,
    shelf: Shelf,
    cameras: Vec<Camera>,
    /// When each camera's next picture is due, `CLOCK_MONOTONIC`.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    readers: Vec<Option<Reader>>,
    scratch: Vec<u8>,
    begun: u64,
    processor_begun: u64,
    latest: u64,
    late: u64,
    sessions: u32,
}

impl Server {
    /// Loads the plan's clips and listens. Connections are answered by [`Server::serve`].
    ///
    /// # Errors
    /// A clip is unfit, or the address is taken.
    pub fn new(plan: &Plan, media: &Path) -> Result<Self, ServeError> {
        let mut shelf = Shelf::new(media);
        for name in &plan.standby {
            shelf.load(name)?;
        }
        let mut turns = Vec::new();
        for camera in &plan.cameras {
            let loaded = camera.turns().into_iter().map(|turn| Ok((shelf.load(&turn.clip)?, turn.until_s)));
            turns.push(loaded.collect::<Result<Vec<_>, ServeError>>()?);
        }
        let socket = |error| ServeError::System("listening", error);
        let listener = TcpListener::bind(plan.listen).map_err(socket)?;
        listener.set_nonblocking(true).map_err(socket)?;
        let address = listener.local_addr().map_err(socket)?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| socket(error.into()))?;
        epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)
            .map_err(|error| socket(error.into()))?;
        let begun = time::monotonic();
        let mut server = Self {
            listener,
            address,
            poll,
            shelf,
            cameras: Vec::new(),
            due: BinaryHeap::new(),
            readers: Vec::new(),
            scratch: Vec::new(),
            begun,
            processor_begun: time::processor(),
            latest: 0,
            late: 0,
            sessions: 0,
        };
        for (number, (camera, turns)) in plan.cameras.iter().zip(turns).enumerate() {
            let Some((first, _)) = turns.first() else { continue };
            // Cameras share out the time between two pictures.
            let phase = first.interval.mul_f64(number as f64 / plan.cameras.len() as f64);
            server.due.push(Reverse((begun + phase.as_nanos() as u64, number)));
            let offset = Duration::try_from_secs_f64(camera.offset_s).unwrap_or_default();
            server.cameras.push(Camera::new(&camera.name, Rc::clone(first), schedule(&turns, begun), offset));
        }
        Ok(server)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves until `stop` is set; then writes the totals to `log`.
    ///
    /// # Errors
    /// The log cannot be written, or the system's polling fails.
    pub fn serve(
        &mut self,
        commands: &mpsc::Receiver<Command>,
        stop: &AtomicBool,
        log: &mut dyn Write,
    ) -> Result<(), ServeError> {
        let mut line = |line: &Line<'_>| log::write(log, line).map_err(|error| ServeError::System("the log", error));
        let mut events = Vec::with_capacity(EVENTS);
        while !stop.load(Ordering::Relaxed) {
            let wait = self.due.peek().map_or(LONGEST_WAIT, |Reverse((due, _))| due.saturating_sub(time::monotonic()));
            let wait = Timespec { tv_sec: 0, tv_nsec: wait.min(LONGEST_WAIT) as _ };
            events.clear();
            match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(ServeError::System("polling", error.into())),
            }
            for event in &events {
                let event: &epoll::Event = event;
                match event.data.u64() {
                    LISTENER => self.accept(),
                    number => self.attend(number as usize, event.flags),
                }
            }
            while let Ok(command) = commands.try_recv() {
                self.obey(&command);
            }
            while let Some(&Reverse((due, camera))) = self.due.peek()
                && due <= time::monotonic()
            {
                self.due.pop();
                let interval = self.show(camera, due, &mut line)?;
                self.due.push(Reverse((due + interval.as_nanos() as u64, camera)));
            }
        }
        let now = time::monotonic();
        for camera in &mut self.cameras {
            camera.end(now, &mut line)?;
        }
        line(&Line::Totals(self.totals(now)))
    }

    /// Sends a camera's picture to all its readers; answers the time until its next one.
    fn show(
        &mut self,
        camera: usize,
        due: u64,
        line: &mut impl FnMut(&Line<'_>) -> Result<(), ServeError>,
    ) -> Result<Duration, ServeError> {
        let now = time::monotonic();
        self.latest = self.latest.max(now.saturating_sub(due));
        self.late += u64::from(now.saturating_sub(due) > LATE);
        let Some(shown) = self.cameras.get_mut(camera) else { return Ok(Duration::from_secs(1)) };
        let picture = shown.next(now, line)?;
        let Some(unit) = picture.unit() else { return Ok(picture.interval) };
        let mut gone = Vec::new();
        for &number in &shown.readers {
            let Some(Some(reader)) = self.readers.get_mut(number) else { continue };
            let waited = reader.queue();
            match reader.deliver(unit, picture.rtp_time, now, &mut self.scratch) {
                Ok(Delivery::Sent) => {
                    shown.totals.sent += 1;
                    shown.totals.bytes += unit.packets.size() as u64;
                }
                Ok(Delivery::Dropped) => shown.totals.dropped += 1,
                Ok(Delivery::NotYet) => {}
                Err(Gone) => gone.push(number),
            }
            shown.totals.longest_queue = shown.totals.longest_queue.max(reader.queue());
            if waited == 0 && reader.queue() > 0 {
                watch(&self.poll, number, reader, true);
            }
        }
        for number in gone {
            self.close(number);
        }
        Ok(picture.interval)
    }

    fn accept(&mut self) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Nobody waits, or the one who did is gone.
                Err(_) => return,
            };
            let free = self.readers.iter().position(Option::is_none).unwrap_or(self.readers.len());
            let Ok(reader) = Reader::new(stream) else { continue };
            let mark = epoll::EventData::new_u64(free as u64);
            if free < MOST_READERS && epoll::add(&self.poll, reader.stream(), mark, epoll::EventFlags::IN).is_ok() {
                if free == self.readers.len() {
                    self.readers.push(None);
                }
                if let Some(place) = self.readers.get_mut(free) {
                    *place = Some(reader);
                }
            }
        }
    }

    /// Does what a connection is ready for.
    fn attend(&mut self, number: usize, ready: epoll::EventFlags) {
        if self.answer(number, ready).is_err() {
            self.close(number);
        }
    }

    fn answer(&mut self, number: usize, ready: epoll::EventFlags) -> Result<(), Gone> {
        let Some(Some(reader)) = self.readers.get_mut(number) else { return Ok(()) };
        if ready.contains(epoll::EventFlags::OUT) {
            reader.flush()?;
            if reader.queue() == 0 {
                watch(&self.poll, number, reader, false);
            }
        }
        if !ready.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return Ok(());
        }
        reader.receive()?;
        while let Some(Some(reader)) = self.readers.get_mut(number)
            && let Some(request) = reader.next_request()?
        {
            let text = self.respond(number, &request);
            let Some(Some(reader)) = self.readers.get_mut(number) else { return Ok(()) };
            let waited = reader.queue();
            if waited > 2 * QUEUE_LIMIT {
                return Err(Gone); // it asks and asks, and never reads
            }
            reader.send(text.as_bytes())?;
            if waited == 0 && reader.queue() > 0 {
                watch(&self.poll, number, reader, true);
            }
        }
        Ok(())
    }

    fn respond(&mut self, number: usize, request: &Request) -> String {
        let (status, headers, body) = self.act(number, request);
        rtsp::response(status, request.header("CSeq"), &headers, &body)
    }

    /// Carries out a request: status, headers, body.
    fn act(&mut self, number: usize, request: &Request) -> (Status, Vec<String>, String) {
        let plain = |status| (status, Vec::new(), String::new());
        let methods = format!("Public: {METHODS}");
        let session = format!("Session: {:08X};timeout=60", number + 1);
        let Some(Some(reader)) = self.readers.get_mut(number) else { return plain(Status::BadRequest) };
        let named = request.camera().and_then(|name| self.cameras.iter().position(|camera| camera.name == name));
        let known =
            request.header("Session").is_none_or(|given| session.starts_with(&format!("Session: {}", given.trim())));
        match request.method.as_str() {
            "OPTIONS" => (Status::Ok, vec![methods], String::new()),
            "DESCRIBE" => {
                let Some(camera) = named.and_then(|camera| self.cameras.get(camera)) else {
                    return plain(Status::NotFound);
                };
                let base = format!("Content-Base: rtsp://{}/{}/", self.address, camera.name);
                let headers = vec![base, "Content-Type: application/sdp".to_owned()];
                (Status::Ok, headers, camera.clip().description(&camera.name))
            }
            _ if !known => plain(Status::SessionNotFound),
            "SETUP" => {
                let Some(camera) = named else { return plain(Status::NotFound) };
                let Some((rtp, rtcp)) = request.channels() else { return plain(Status::UnsupportedTransport) };
                let before = reader.camera();
                self.sessions = self.sessions.wrapping_add(1);
                reader.set_up(camera, (rtp, rtcp), self.sessions.wrapping_mul(0x9e37_79b9));
                self.leave(number, before);
                let transport = format!("Transport: RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}");
                (Status::Ok, vec![session, transport], String::new())
            }
            "PLAY" | "PAUSE" | "TEARDOWN" if !reader.is_set_up() => plain(Status::NotValidInThisState),
            "PLAY" => {
                reader.play();
                if let Some(camera) = reader.camera().and_then(|camera| self.cameras.get_mut(camera))
                    && !camera.readers.contains(&number)
                {
                    camera.readers.push(number);
                    camera.totals.plays += 1;
                }
                (Status::Ok, vec![session, "Range: npt=now-".to_owned()], String::new())
            }
            "PAUSE" | "TEARDOWN" => {
                let camera = reader.camera();
                if request.method == "PAUSE" {
                    reader.pause();
                } else {
                    reader.tear_down();
                }
                self.leave(number, camera);
                (Status::Ok, vec![session], String::new())
            }
            "GET_PARAMETER" | "SET_PARAMETER" => (Status::Ok, vec![session], String::new()),
            _ => (Status::MethodNotAllowed, vec![format!("Allow: {METHODS}")], String::new()),
        }
    }

    fn leave(&mut self, reader: usize, camera: Option<usize>) {
        if let Some(camera) = camera.and_then(|camera| self.cameras.get_mut(camera)) {
            camera.readers.retain(|&number| number != reader);
        }
    }

    fn close(&mut self, number: usize) {
        // Closing the socket takes it out of the polling too.
        if let Some(reader) = self.readers.get_mut(number).and_then(Option::take) {
            self.leave(number, reader.camera());
        }
    }

    fn obey(&mut self, command: &Command) {
        let (name, only) = match command {
            Command::All { all } => (all, None),
            Command::One { camera, clip } => (clip, Some(camera)),
        };
        let Some(clip) = self.shelf.get(name) else {
            eprintln!("scale: the clip {name} is not loaded: put it into the plan's `standby`");
            return;
        };
        let mut found = false;
        for camera in self.cameras.iter_mut().filter(|camera| only.is_none_or(|only| *only == camera.name)) {
            camera.switch(Rc::clone(&clip));
            found = true;
        }
        if !found {
            eprintln!("scale: there is no camera {}", only.map_or("", String::as_str));
        }
    }

    fn totals(&self, now: u64) -> Totals<'_> {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        Totals {
            seconds: seconds(now - self.begun),
            cpu_seconds: seconds(time::processor() - self.processor_begun),
            latest_ms: self.latest as f64 / 1e6,
            late_pictures: self.late,
            cameras: self
                .cameras
                .iter()
                .map(|camera| CameraTotals { camera: &camera.name, ..camera.totals.clone() })
                .collect(),
        }
    }
}

/// Wakes the loop when the reader takes more, too, or only when it says something.
fn watch(poll: &OwnedFd, number: usize, reader: &Reader, writing: bool) {
    let wanted = if writing { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
    // It fails only for a socket that is not polled, and all are.
    let _ = epoll::modify(poll, reader.stream(), epoll::EventData::new_u64(number as u64), wanted);
}

/// When to turn to which clip, after the first.
fn schedule(turns: &[(Rc<Clip>, Option<f64>)], begun: u64) -> VecDeque<(u64, Rc<Clip>)> {
    turns
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, Some(until)), (next, _)] => {
                let until = Duration::try_from_secs_f64(*until).ok()?;
                Some((begun + until.as_nanos() as u64, Rc::clone(next)))
            }
            _ => None,
        })
        .collect()
}
