//! Cameras that do not work: each gets the right state, words an operator understands, and costs nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use snowgate::camera::{
    health::{CameraFault, CameraState},
    spec::StreamSpec,
};
use snowgate_core::spec::Maybe;
use snowgate_tests::{
    encode::{H264, ball},
    rtsp::{Access, RtspServer},
    wait::{PATIENCE, wait_until},
};
use support::{Watched, clip, stream};

/// Stopping may take this long, whatever the camera does.
const PROMPT: Duration = Duration::from_secs(5);

#[test]
fn a_wrong_password_is_refused_and_not_tried_again_at_once() {
    let (_directory, file) = clip(&ball(20, 320, 240, H264));
    let server = RtspServer::start_with(Access::login("admin", "right"));
    server.loop_file("/cam", &file);
    let spec = StreamSpec { username: Maybe(Some("admin".into())), ..stream(server.url("/cam")) };
    let mut camera = Watched::with_password(spec, Some("wrong"));
    assert_eq!(camera.fault(), CameraFault::WrongPassword);
    assert_eq!(camera.states(), [CameraState::Connecting, CameraState::Refused]);
    assert!(!camera.story().contains("wrong;") && !camera.story().contains("right"));
    assert!(camera.stop() < PROMPT, "while it waits to try again");

    let nobody = Watched::new(stream(server.url("/cam")));
    assert_eq!(nobody.fault(), CameraFault::PasswordNeeded);
}

#[test]
fn a_missing_stream_is_refused() {
    let server = RtspServer::start();
    assert_eq!(Watched::new(stream(server.url("/nowhere"))).fault(), CameraFault::NotFound);
}

#[test]
fn a_dead_host_is_said_to_be_dead_and_is_left_at_once_on_shutdown() {
    // TEST-NET-1 (RFC 5737) is never routed: it swallows packets, or the network says no.
    let mut camera = Watched::new(stream("rtsp://192.0.2.1/cam".into()));
    let fault = camera.fault();
    assert!(matches!(fault, CameraFault::NoAnswer { .. } | CameraFault::Unreachable { .. }), "{fault:?}");
    assert!(fault.to_string().contains("192.0.2.1:554"));
    assert!(camera.stop() < PROMPT);

    let mut knocking = Watched::new(stream("rtsp://192.0.2.1/cam".into()));
    assert!(knocking.stop() < PROMPT, "while it connects");
}

#[test]
fn a_closed_port_and_an_unknown_name_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/cam", listener.local_addr().unwrap());
    drop(listener);
    let fault = Watched::new(stream(url)).fault();
    assert!(matches!(fault, CameraFault::Unreachable { .. }), "{fault:?}");
    let fault = Watched::new(stream("rtsp://camera.invalid/cam".into())).fault();
    assert!(matches!(fault, CameraFault::UnknownHost { .. }), "{fault:?}");
}

/// A TCP server that answers every connection with `answer`, over and over, until the camera goes away.
fn nonsense(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            thread::spawn(move || {
                let mut request = [0; 4096];
                while connection.read(&mut request).is_ok_and(|length| length > 0) {
                    if connection.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("rtsp://{address}/cam")
}

#[test]
fn what_does_not_speak_rtsp_is_told() {
    let busy = Watched::new(stream(nonsense(b"RTSP/1.0 503 Service Unavailable\r\nCSeq: 1\r\n\r\n")));
    assert_eq!(busy.fault(), CameraFault::ServerError { status: 503 });
    for answer in
        [&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], b"\x16\x03\x01\x00\xff garbage\r\n\r\n\r\n"]
    {
        let mut camera = Watched::new(stream(nonsense(answer)));
        let fault = camera.fault();
        assert!(matches!(fault, CameraFault::NotRtsp { .. }), "{fault:?}");
        assert!(camera.stop() < PROMPT);
    }
}

#[test]
fn a_port_that_accepts_and_never_answers_is_told_and_left_at_once_on_shutdown() {
    let mut camera = Watched::new(stream(nonsense(b"")));
    let fault = camera.fault();
    assert!(matches!(fault, CameraFault::NoAnswer { .. }), "{fault:?}");
    assert!(camera.stop() < PROMPT);

    // The first session waits for its answer for seconds: stop it in the middle.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut waiting = Watched::new(stream(format!("rtsp://{}/cam", listener.local_addr().unwrap())));
    // The first connection is the knock at the door, the second the session's.
    let _knock = listener.accept().unwrap();
    let (mut session, _) = listener.accept().unwrap();
    assert!(session.read(&mut [0; 64]).unwrap() > 0, "the session has sent its request");
    assert!(waiting.stop() < PROMPT);
}

#[test]
fn streams_without_video_or_with_another_coding_are_unsupported() {
    let server = RtspServer::start();
    server.launch("/sound", "audiotestsrc is-live=true ! opusenc ! rtpopuspay name=pay0 pt=97");
    server.launch(
        "/mjpeg",
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! jpegenc ! rtpjpegpay name=pay0 pt=26",
    );
    let deaf = Watched::new(stream(server.url("/sound")));
    assert_eq!(deaf.fault(), CameraFault::NoVideo);
    deaf.wait_for_state(CameraState::Unsupported, 1);
    let fault = Watched::new(stream(server.url("/mjpeg"))).fault();
    assert!(fault.state() == CameraState::Unsupported && fault.to_string().contains("JPEG"), "{fault:?}");
    assert!(server.setups().is_empty(), "nothing was asked for: {:?}", server.setups());
}

#[test]
fn ten_bit_video_is_unsupported() {
    let server = RtspServer::start();
    server.launch(
        "/cam",
        "videotestsrc is-live=true ! video/x-raw,format=I420_10LE,width=320,height=240,framerate=10/1 ! \
         x265enc speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h265parse ! rtph265pay name=pay0 pt=96",
    );
    let fault = Watched::new(stream(server.url("/cam"))).fault();
    assert!(fault.state() == CameraState::Unsupported && fault.to_string().contains("10 bits"), "{fault:?}");
}

#[test]
fn a_camera_that_stops_in_mid_gop_comes_back_at_a_key_frame() {
    let (_directory, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start();
    server.loop_file("/cam", &file);
    let mut camera = Watched::new(stream(server.url("/cam")));
    camera.units(15);
    camera.wait_for_state(CameraState::Live, 1);
    server.cut_in_mid_gop("/cam");
    camera.wait_for_state(CameraState::Connecting, 2);
    // What was sent before the cut is still there; then reading goes on, in order, and every gap is followed by a key.
    let mut last = 0;
    let back = wait_until(PATIENCE, || {
        let unit = camera.next_unit();
        assert!(unit.number > last && (unit.number == last + 1 || unit.key), "{} after {last}", unit.number);
        last = unit.number;
        camera.states().iter().filter(|state| **state == CameraState::Live).count() == 2
    });
    assert!(back, "{}", camera.story());
    assert!(matches!(camera.fault(), CameraFault::Ended | CameraFault::Broken), "{:?}", camera.fault());
}

#[test]
fn a_camera_that_falls_silent_is_stalled_and_opened_anew() {
    let (_directory, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start();
    server.loop_file("/cam", &file);
    let mut camera = Watched::new(stream(server.url("/cam")));
    camera.units(5);
    camera.wait_for_state(CameraState::Live, 1);
    server.set_silent("/cam", true);
    camera.wait_for_state(CameraState::Stalled, 1);
    assert_eq!(camera.fault(), CameraFault::Silent { silent_for: Duration::from_secs(2) });
    server.set_silent("/cam", false);
    camera.wait_for_state(CameraState::Live, 2);
    assert!(camera.stop() < PROMPT);
}
