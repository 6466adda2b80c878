//! Streams whose address is asked for before each connection: of a media gateway, or of a program.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;

use snowgate::camera::{
    address::Address,
    health::{CameraFault, CameraState},
    spec::{AddressSource, CommandSource, HttpSource, Method},
};
use snowgate_core::{
    secret::Secret,
    spec::{Located, Maybe, TimeSpan},
};
use snowgate_tests::{
    encode::{H264, ball},
    media_gateway::{MediaGateway, TOKEN},
    rtsp::RtspServer,
    wait::{PATIENCE, wait_until},
};
use support::{Watched, clip, stream};

const CHANNEL: &str = "34020000001320000001/34020000001310000001";

fn asked(url: String, token: &str) -> Address {
    let source = HttpSource {
        url: Located::nowhere(url),
        method: Method::Get,
        pointer: Maybe(Some(Located::nowhere("/data/rtsp".to_owned()))),
        token_file: Maybe::NONE,
        token_header: Located::nowhere("access-token".to_owned()),
        timeout: TimeSpan::secs(30),
    };
    Address::Asked { source: AddressSource::Http(source), token: Some(Secret::from(token.to_owned())) }
}

fn watched(address: Address) -> Watched {
    // What the address is in the end stands nowhere in the configuration.
    Watched::at(address, stream(String::new()), None)
}

fn why(address: Address) -> String {
    match watched(address).fault() {
        CameraFault::NoAddress { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn an_address_that_expires_is_asked_for_again() {
    let (_folder, file) = clip(&ball(50, 320, 240, H264));
    let gateway = MediaGateway::start(CHANNEL, &file);
    let mut camera = watched(asked(gateway.url(CHANNEL), TOKEN));
    camera.units(5);
    camera.wait_for_state(CameraState::Live, 1);
    assert_eq!(gateway.given(), 1);
    gateway.take_back();
    camera.wait_for_state(CameraState::Live, 2);
    assert!(gateway.given() >= 2, "{}", camera.story());
}

#[test]
fn what_the_gateway_says_is_told() {
    let (_folder, file) = clip(&ball(50, 320, 240, H264));
    let gateway = MediaGateway::start(CHANNEL, &file);
    let told = why(asked(gateway.url(CHANNEL), "another token"));
    assert!(told.contains("HTTP status 401") && told.contains("请登录"), "{told}");
    let told = why(asked(gateway.url("34020000001320000001/34020000001310000002"), TOKEN));
    assert!(told.contains("no text at /data/rtsp") && told.contains("通道不存在"), "{told}");
    let told = why(asked(gateway.endless_url(), TOKEN));
    assert!(told.contains("longer than"), "{told}");
    let url = gateway.url(CHANNEL);
    drop(gateway);
    assert!(
        matches!(watched(asked(url, TOKEN)).fault(), CameraFault::NoAddress { why, .. } if why == "nothing listens there")
    );
}

#[test]
fn a_program_gives_the_address() {
    let (folder, file) = clip(&ball(50, 320, 240, H264));
    let server = RtspServer::start();
    server.loop_file("/first", &file);
    let place = folder.path().join("address");
    fs::write(&place, "rtsp://user:hunter2@127.0.0.1/first\n").unwrap();
    let command = vec!["/bin/cat".to_owned(), place.to_string_lossy().into_owned()];
    let source = CommandSource { command: Located::nowhere(command), timeout: TimeSpan::secs(30) };
    let mut camera = watched(Address::Asked { source: AddressSource::Command(source), token: None });
    let fault = camera.fault().to_string();
    assert!(fault.starts_with("/bin/cat gives no address") && !fault.contains("hunter2"), "{fault}");
    fs::write(&place, format!("{}\n", server.url("/first"))).unwrap();
    camera.units(5);
    camera.wait_for_state(CameraState::Live, 1);
    fs::write(&place, format!("{}\n", server.url("/second"))).unwrap();
    server.loop_file("/second", &file);
    server.remove("/first");
    server.close_connections();
    camera.wait_for_state(CameraState::Live, 2);
    let second = server.url("/second");
    assert!(
        wait_until(PATIENCE, || server.setups().iter().any(|setup| setup.starts_with(&second))),
        "{:?}",
        server.setups()
    );
}
