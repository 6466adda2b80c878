//! The server against real readers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use snowgate::camera::clip::ClipReader;

use super::{
    packets::nal_units,
    plan::{Command, Plan},
    server::Server,
};

/// No answer is worth a longer wait.
const PATIENCE: Duration = Duration::from_secs(30);

fn media(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/media").join(name)
}

/// A server on a thread of its own, stopped when it is dropped.
struct Running {
    port: u16,
    stop: Arc<AtomicBool>,
    commands: mpsc::SyncSender<Command>,
    thread: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Serves the `cameras` of a plan, given as its JSON.
    fn start(cameras: &serde_json::Value, standby: &[&Path]) -> Self {
        let plan = serde_json::json!({ "listen": "127.0.0.1:0", "cameras": cameras, "standby": standby });
        let stop = Arc::new(AtomicBool::new(false));
        let (commands, receiver) = mpsc::sync_channel(1);
        let (ready, port) = mpsc::channel();
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(&file, plan.to_string()).unwrap();
                let mut server = Server::new(&Plan::read(file.path()).unwrap(), Path::new("")).unwrap();
                ready.send(server.port()).unwrap();
                let mut log = Vec::new();
                server.serve(&receiver, &stop, &mut log).unwrap();
                log
            }
        });
        let port = port.recv_timeout(PATIENCE).expect("the server starts");
        Self { port, stop, commands, thread: Some(thread) }
    }

    fn url(&self, camera: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{camera}", self.port)
    }

    /// Stops it; the log, line by line.
    fn end(mut self) -> Vec<serde_json::Value> {
        self.stop.store(true, Ordering::Relaxed);
        let log = self.thread.take().unwrap().join().expect("the server ends well");
        log.split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The NAL units of a clip's pictures but for delimiters and parameter sets: parsers put those where they like.
fn pictures(file: &Path) -> Vec<Vec<Vec<u8>>> {
    let mut reader = ClipReader::open(file, "clip".parse().unwrap()).unwrap();
    let mut pictures = Vec::new();
    while let Some(unit) = reader.next_unit().unwrap() {
        pictures.push(units(&unit.buffer));
    }
    pictures
}

fn units(buffer: &gst::BufferRef) -> Vec<Vec<u8>> {
    let bytes = buffer.map_readable().unwrap();
    nal_units(&bytes).into_iter().filter(|nal| !matches!(nal[0] & 0x1f, 7..=9)).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_real_reader_gets_the_clip_bit_by_bit_and_on_time_around_the_loop() {
    gst::init().unwrap();
    let file = media("face.mp4");
    let clip = pictures(&file);
    let server = Running::start(&serde_json::json!([{ "name": "a", "clip": file }]), &[]);
    let pipeline = gst::parse::launch(&format!(
        "rtspsrc location={} protocols=tcp buffer-mode=none ! rtph264depay ! tee name=t \
         t. ! queue ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=coded sync=false \
         t. ! queue ! h264parse ! avdec_h264 output-corrupt=false ! appsink name=decoded sync=false",
        server.url("a")
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = |name| pipeline.by_name(name).unwrap().downcast::<gst_app::AppSink>().unwrap();
    let (coded, decoded) = (sink("coded"), sink("decoded"));
    pipeline.set_state(gst::State::Playing).unwrap();
    let patience = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let pull = |sink: &gst_app::AppSink| {
        let sample = sink.try_pull_sample(patience);
        sample.unwrap_or_else(|| panic!("{:?}", pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error])))
    };

    // More than once around, wherever it began.
    let wanted = clip.len() + 5;
    let mut times = Vec::new();
    let mut position = None;
    for _ in 0..wanted {
        let sample = pull(&coded);
        let got = units(sample.buffer().unwrap());
        let at =
            position.unwrap_or_else(|| clip.iter().position(|picture| *picture == got).expect("a picture of the clip"));
        assert!(got == clip[at], "picture {at} came out different");
        position = Some((at + 1) % clip.len());
        times.push(sample.buffer().unwrap().pts().unwrap().nseconds());
        pull(&decoded);
    }
    let interval = 1_000_000_000 / 15;
    for pair in times.windows(2) {
        let step = pair[1].checked_sub(pair[0]).expect("time goes on");
        assert!(step.abs_diff(interval) < 1_000_000, "{step} ns between two pictures");
    }
    let fault = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(fault.is_none(), "{fault:?}");

    let log = server.end();
    let totals = &log.last().unwrap();
    assert_eq!((totals["type"].as_str(), totals["cameras"][0]["camera"].as_str()), (Some("totals"), Some("a")));
    assert!(totals["cameras"][0]["sent"].as_u64() >= Some(wanted as u64));
    assert_eq!(totals["cameras"][0]["dropped"], 0);
}

/// One request, and the status and text of its answer.
fn ask(stream: &mut TcpStream, request: &str) -> (String, String) {
    write!(stream, "{request}\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let (mut head, mut body) = (String::new(), Vec::new());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection ended");
    }
    if let Some((_, length)) = head.split_once("Content-Length: ") {
        body.resize(length.split("\r\n").next().unwrap().parse().unwrap(), 0);
        reader.read_exact(&mut body).unwrap();
    }
    (head[9..12].to_owned(), head + &String::from_utf8(body).unwrap())
}

#[test]
fn every_request_has_its_answer() {
    let server = Running::start(&serde_json::json!([{ "name": "a", "clip": media("face.mp4") }]), &[]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (url, missing) = (server.url("a"), server.url("b"));
    let setup = |transport: &str| format!("SETUP {url}/video RTSP/1.0\r\nCSeq: 5\r\nTransport: {transport}");

    let (status, text) = ask(&mut stream, &format!("OPTIONS {url} RTSP/1.0\r\nCSeq: 1"));
    assert!(status == "200" && text.contains("CSeq: 1\r\n") && text.contains("DESCRIBE"), "{text}");
    let (status, text) = ask(&mut stream, &format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 2"));
    assert!(
        status == "200" && text.contains("packetization-mode=1") && text.contains("sprop-parameter-sets=Z"),
        "{text}"
    );
    assert_eq!(ask(&mut stream, &format!("DESCRIBE {missing} RTSP/1.0\r\nCSeq: 3")).0, "404");
    assert_eq!(ask(&mut stream, &format!("PLAY {url} RTSP/1.0\r\nCSeq: 4")).0, "455");
    assert_eq!(ask(&mut stream, &setup("RTP/AVP;unicast;client_port=5000-5001")).0, "461");
    let (status, text) = ask(&mut stream, &setup("RTP/AVP/TCP;unicast;interleaved=4-5"));
    assert!(status == "200" && text.contains("interleaved=4-5") && text.contains("Session: "), "{text}");
    assert_eq!(ask(&mut stream, &format!("PLAY {url} RTSP/1.0\r\nCSeq: 6\r\nSession: FFFFFFFF")).0, "454");
    assert_eq!(ask(&mut stream, &format!("GET_PARAMETER {url} RTSP/1.0\r\nCSeq: 7")).0, "200");
    assert_eq!(ask(&mut stream, &format!("RECORD {url} RTSP/1.0\r\nCSeq: 8")).0, "405");
    assert_eq!(ask(&mut stream, &format!("TEARDOWN {url} RTSP/1.0\r\nCSeq: 9")).0, "200");

    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "who speaks another protocol is hung up on");
}

#[test]
fn a_command_switches_at_the_next_key_frame() {
    let (from, to) = (media("face.mp4"), media("no_face.mp4"));
    let server = Running::start(&serde_json::json!([{ "name": "a", "clip": from }]), &[&to]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = server.url("a");
    let description = |stream: &mut TcpStream| ask(stream, &format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1")).1;
    let before = description(&mut stream);
    server.commands.send(Command::All { all: to.display().to_string() }).unwrap();
    let begun = std::time::Instant::now();
    while description(&mut stream) == before {
        assert!(begun.elapsed() < PATIENCE, "it never switched");
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = server.end();
    assert!(log.iter().any(|line| line["type"] == "switched" && line["clip"] == to.display().to_string()), "{log:?}");
}
