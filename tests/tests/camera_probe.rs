//! `snowgate camera probe` at real RTSP servers: what it says of each kind of stream.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    process::Command,
    thread,
};

use snowgate::config::Config;
use snowgate_tests::{
    clips::configured,
    daemon::program,
    encode::{H264, H264_B_FRAMES, H264_LONG_GOP, H265, ball},
    rtsp::{Access, RtspServer},
};
use support::clip;

/// Exit code, and all that was printed.
fn probe(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program().unwrap()).args(["camera", "probe"]).args(arguments).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    println!("$ snowgate camera probe {}\n{printed}", arguments.join(" "));
    (output.status.code().unwrap(), printed)
}

fn says((code, printed): &(i32, String), expected: i32, words: &[&str]) {
    assert_eq!(*code, expected, "{printed}");
    words.iter().for_each(|word| assert!(printed.contains(word), "{word:?} is not in\n{printed}"));
}

#[test]
fn streams_that_are_usable_are_described_and_their_file_is_a_valid_configuration() {
    for (encoder, count, words) in [
        (H264, 50, &["H.264", "320 × 240", "8 bits", "no B-frames", "every 10 pictures", "keyframe"][..]),
        (H265, 50, &["H.265", "profile main", "every 10 pictures (0.4 s), regular"]),
        (H264_B_FRAMES, 50, &["; with B-frames", "every 10 pictures"]),
    ] {
        let (_directory, file) = clip(&ball(count, 320, 240, encoder));
        let server = RtspServer::start();
        server.loop_file("/cam", &file);
        let found = probe(&[&server.url("/cam"), "--for", "3s", "--id", "walkers", "--grid", "330182101201001"]);
        says(&found, 0, words);
        let (_, made) = found.1.split_once("\n\n").unwrap();
        let folder = configured("walkers", |_| made.to_owned());
        Config::load(folder.path()).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    }
}

#[test]
fn a_long_gop_is_told_with_what_to_set() {
    let launch = ball(240, 320, 240, &H264_LONG_GOP.replace("120", "200"));
    let (_directory, file) = clip(&launch);
    let server = RtspServer::start();
    server.loop_file("/cam", &file);
    let found = probe(&[&server.url("/cam"), "--for", "9s"]);
    says(&found, 0, &["8.0 s apart, more than 6 s", "I-frame interval to 1 to 2 s", "gate = \"pixels\""]);
}

#[test]
fn what_is_wrong_is_told_with_its_code() {
    let (directory, file) = clip(&ball(20, 320, 240, H264));
    let locked = RtspServer::start_with(Access::login("admin", "right"));
    locked.loop_file("/cam", &file);
    let secret = directory.path().join("secret");
    fs::write(&secret, "hunter2").unwrap();
    let wrong = ["--username", "admin", "--password-file", secret.to_str().unwrap()];
    let found = probe(&[&[locked.url("/cam").as_str()], &wrong[..]].concat());
    says(&found, 77, &["refused the user name or password"]);
    assert!(!found.1.contains("hunter2"));
    says(&probe(&["rtsp://u:hunter2@127.0.0.1/"]), 64, &["must not stand in it"]);

    let server = RtspServer::start();
    server.launch("/sound", "audiotestsrc is-live=true ! opusenc ! rtpopuspay name=pay0 pt=97");
    server.launch(
        "/deep",
        "videotestsrc is-live=true ! video/x-raw,format=I420_10LE,width=320,height=240,framerate=10/1 ! \
         x265enc speed-preset=ultrafast tune=zerolatency key-int-max=10 ! h265parse ! rtph265pay name=pay0 pt=96",
    );
    says(&probe(&[&server.url("/sound")]), 65, &["the stream has no video"]);
    says(&probe(&[&server.url("/deep")]), 65, &["10 bits a sample", "switch HDR and 10 bit off"]);
    says(&probe(&[&server.url("/nowhere")]), 66, &["no stream at this path"]);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("rtsp://{}/cam", listener.local_addr().unwrap());
    drop(listener);
    says(&probe(&[&closed]), 69, &["nothing listens there", "554"]);
    // It takes the connection, and says nothing.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    says(&probe(&[&format!("rtsp://{}/cam", dead.local_addr().unwrap())]), 69, &["not usable", "check power"]);
}

/// A way to a server on which everything is heard but UDP: the ports that clients name are exchanged for those of sockets that
/// nobody reads, which are given back too.
fn without_udp(server: String) -> (String, [UdpSocket; 2]) {
    let sinks = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = sinks.each_ref().map(|sink| sink.local_addr().unwrap().port());
    let ports = format!("{:05}-{:05}", ports[0], ports[1]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(camera)) = (client, TcpStream::connect(&server)) else { return };
            for (mut from, mut to) in [(client.try_clone().unwrap(), camera.try_clone().unwrap()), (camera, client)] {
                let ports = ports.clone();
                thread::spawn(move || {
                    let mut bytes = vec![0; 65_536];
                    while let Ok(length @ 1..) = from.read(&mut bytes) {
                        exchange(&mut bytes[..length], &ports);
                        if to.write_all(&bytes[..length]).is_err() {
                            return;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (format!("rtsp://{address}/cam"), sinks)
}

/// Puts these ports in the place of those of a SETUP request, which have as many digits: the kernel gives no others to clients.
fn exchange(bytes: &mut [u8], ports: &str) {
    let key = b"client_port=";
    let Some(at) = bytes.windows(key.len()).position(|window| window == key) else { return };
    let place = &mut bytes[at + key.len()..][..ports.len()];
    assert!(place.iter().all(|c| c.is_ascii_digit() || *c == b'-'), "{}", String::from_utf8_lossy(place));
    place.copy_from_slice(ports.as_bytes());
}

#[test]
fn where_udp_is_blocked_tcp_is_tried_and_recommended() {
    let (_directory, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start();
    server.loop_file("/cam", &file);
    let address = server.url("/cam").trim_start_matches("rtsp://").trim_end_matches("/cam").to_owned();
    let (url, sinks) = without_udp(address);
    let found = probe(&[&url, "--transport", "udp", "--for", "2s"]);
    says(&found, 0, &["over UDP nothing arrives", "transport = \"tcp\""]);
    // The camera did send its pictures: into nowhere.
    assert!(sinks[0].recv(&mut [0; 2048]).is_ok());
}
