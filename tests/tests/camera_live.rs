//! Cameras that work: from a real RTSP server over real sockets into the ring and through the decoder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use snowgate::camera::{access_unit::Codec, decode::Decoder, health::CameraState, spec::Transport};
use snowgate_core::spec::{Located, Maybe};
use snowgate_tests::{
    encode::{H264, H264_B_FRAMES, H265, ball},
    rtsp::{Access, RtspServer},
};
use support::{Watched, clip, stream};

const INTERVAL: Duration = Duration::from_millis(40);

#[test]
fn h264_and_h265_arrive_numbered_evenly_spaced_and_decodable() {
    for (encoder, codec) in [(H264, Codec::H264), (H264_B_FRAMES, Codec::H264), (H265, Codec::H265)] {
        let (_directory, file) = clip(&ball(50, 320, 240, encoder));
        let server = RtspServer::start();
        server.loop_file("/cam", &file);
        let mut camera = Watched::new(stream(server.url("/cam")));
        // More than the clip is long: its loop must not show in the timestamps.
        let units = camera.units(120);
        assert!(units[0].key && units[0].format.codec == codec);
        assert!(units.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "numbered without a gap");
        let mut shown: Vec<_> = units.iter().map(|unit| unit.at).collect();
        shown.sort();
        // What a server had waiting comes in one go and is spread by its arrival; and the last pictures of a stream with
        // B-frames have gaps still to be filled.
        for pair in shown[50..115].windows(2) {
            let apart = pair[1].since(pair[0]);
            // The jitter buffer spreads reordered pictures by their arrival: in order, but not evenly.
            let slack = if encoder == H264 { INTERVAL / 2 } else { INTERVAL };
            assert!(apart.abs_diff(INTERVAL) < slack, "{apart:?} apart ({encoder}): {}", support::times(&units));
        }

        let mut decoder = Decoder::new(codec).unwrap();
        let mut pictures = Vec::new();
        for unit in &units {
            decoder.decode(unit, &mut |picture| pictures.push((picture.number(), picture.at()))).unwrap();
        }
        decoder.drain(&mut |picture| pictures.push((picture.number(), picture.at()))).unwrap();
        let mut expected: Vec<_> = units.iter().map(|unit| (unit.number, unit.at)).collect();
        expected.sort_by_key(|(_, at)| *at);
        assert_eq!(pictures, expected, "{encoder}");
        camera.assert_live_over_one_connection();
        assert!(server.frames_sent("/cam") >= 120);
        assert!(camera.stop() < Duration::from_secs(5));
    }
}

#[test]
fn udp_works_too() {
    let (_directory, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start();
    server.loop_file("/cam", &file);
    let mut camera =
        Watched::new(snowgate::camera::spec::StreamSpec { transport: Transport::Udp, ..stream(server.url("/cam")) });
    assert_eq!(camera.units(30).len(), 30);
    assert!(camera.stop() < Duration::from_secs(5));
}

#[test]
fn the_right_password_opens_the_stream() {
    let (_directory, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start_with(Access::login("admin", "p@ss/w:rd 雪"));
    server.loop_file("/cam", &file);
    let spec =
        snowgate::camera::spec::StreamSpec { username: Maybe(Some("admin".into())), ..stream(server.url("/cam")) };
    let mut camera = Watched::with_password(spec, Some("p@ss/w:rd 雪"));
    assert!(camera.next_unit().key);
}

#[test]
fn rtsps_works_with_the_authority_that_signed_the_camera_and_with_no_other() {
    let tls = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls");
    let read = |name: &str| std::fs::read_to_string(tls.join(name)).unwrap();
    let (_directory, file) = clip(&ball(50, 320, 240, H264));
    let certificate = Some((read("server.pem"), read("server.key")));
    let server = RtspServer::start_with(Access { login: None, certificate });
    server.loop_file("/cam", &file);

    let ca_file = Maybe(Some(Located::nowhere(tls.join("ca.pem").to_str().unwrap().to_owned())));
    let trusting = snowgate::camera::spec::StreamSpec { ca_file, ..stream(server.url("/cam")) };
    assert!(Watched::new(trusting).next_unit().key);

    let wary = Watched::new(stream(server.url("/cam")));
    let fault = wary.fault();
    assert_eq!(fault.state(), CameraState::Refused, "{fault}");
    assert!(fault.to_string().contains("certificate"), "{fault}");
}

#[test]
fn sound_is_never_asked_for() {
    let server = RtspServer::start();
    server.launch(
        "/cam",
        "audiotestsrc is-live=true ! opusenc ! rtpopuspay name=pay0 pt=97 \
         videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! \
         x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay1 pt=96",
    );
    let mut camera = Watched::new(stream(server.url("/cam")));
    camera.units(10);
    let setups = server.setups();
    assert!(setups.len() == 1 && setups[0].ends_with("stream=1"), "{setups:?}");
}

#[test]
fn a_camera_may_change_its_resolution_in_mid_stream() {
    let (_small, small) = clip(&ball(50, 320, 240, H264));
    let (_large, large) = clip(&ball(50, 640, 360, H264));
    let server = RtspServer::start();
    server.loop_file("/cam", &small);
    let mut camera = Watched::new(stream(server.url("/cam")));
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let mut sizes = Vec::new();
    for count in 0.. {
        let unit = camera.next_unit();
        decoder.decode(&unit, &mut |picture| sizes.push((picture.width(), picture.height()))).unwrap();
        if count == 15 {
            server.switch_file("/cam", &large);
        }
        if sizes.iter().filter(|size| **size == (640, 360)).count() == 15 {
            break;
        }
        assert!(count < 500, "the new size never came: {sizes:?}");
    }
    let first_large = sizes.iter().position(|size| *size == (640, 360)).unwrap();
    assert!(first_large >= 15 && sizes[..first_large].iter().all(|size| *size == (320, 240)));
    assert!(sizes[first_large..].iter().all(|size| *size == (640, 360)));
    camera.assert_live_over_one_connection();
}
