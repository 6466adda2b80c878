//! Sensors that post, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use snowgate_sensors::{
    http::{self, HttpSettings},
    intake::{Device, Fault, Intake, Told},
    spec::HttpSource,
};
use snowgate_simulators::http::{Answer, Poster};
use support::intake;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "7f3c9a1e5b2d4860";
const LEVEL: &str = r#"{"level":2.5}"#;

fn gauge(sensor: &str, token: &str) -> Device<HttpSource> {
    let source = "token_file = 'token'\ntime = '/time'\n[[values]]\nid = 'level'\nunit = 'm'\npointer = '/level'
        [[values]]\nid = 'battery'\nunit = '%'\npointer = '/battery'";
    support::device(sensor, source, Some(token))
}

/// The adapter at work.
struct Adapter {
    address: SocketAddr,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Adapter {
    async fn start(max_connections: usize, most_a_second: u32, intake: Intake) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let settings = HttpSettings { listen: free, max_connections, most_a_second };
        let devices = vec![gauge("gauge", TOKEN), gauge("other", "another token"), gauge("open", "")];
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(http::serve(settings, devices, intake, shutdown.clone()));
        let adapter = Self { address: free, task, shutdown };
        let end = Instant::now() + Duration::from_secs(10);
        while Poster::connect(free).await.is_err() {
            assert!(Instant::now() < end, "it does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        adapter
    }

    async fn post(&self, sensor: &str, token: &str, body: impl AsRef<[u8]>) -> Answer {
        Poster::connect(self.address).await.unwrap().post(sensor, token, body).await.unwrap()
    }

    async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut poster = Poster::connect(self.address).await.unwrap();
        poster.send(request.as_ref()).await.unwrap();
        poster.answer().await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(10), self.task).await.expect("it stops").expect("it does not panic");
    }
}

fn head(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: gateway\r\nAuthorization: bearer {TOKEN}\r\n{more}\r\n")
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, why: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(answer.body.ends_with('\n') && answer.body.lines().count() == 1, "{answer:?}");
    let error = body["error"].as_str().unwrap();
    assert!(error.contains(why), "{error}");
}

#[tokio::test]
async fn what_is_taken_is_with_the_intake() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(16, 20, intake).await;
    let mut poster = Poster::connect(adapter.address).await.unwrap();
    for value in [1.5, 2.5] {
        let answer = poster.post("gauge", TOKEN, format!(r#"{{"level":{value},"battery":97}}"#)).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        let told = ear.rest().last().expect("told before it was answered");
        assert!(matches!(told, Told::Heard { samples, .. } if samples[0].1.value == value), "{told:?}");
        assert_eq!(ear.heard("gauge").await.len(), 2);
    }
    // What can be used of a message counts.
    let answer = poster.post("gauge", TOKEN, r#"{"level":3,"battery":"low","time":0}"#).await.unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(ear.heard("gauge").await, [("level".to_owned(), 3.0)]);
    assert_eq!(ear.rejected("malformed").await.0.as_deref(), Some("gauge"));
    // In pieces, without a media type.
    let chunked =
        head("POST /sensors/gauge", "Transfer-Encoding: chunked\r\n") + "6\r\n{\"leve\r\n5\r\nl\":4}\r\n0\r\n\r\n";
    assert_eq!(adapter.send(chunked).await.status, 204);
    assert_eq!(ear.heard("gauge").await, [("level".to_owned(), 4.0)]);
    // A sign of life.
    assert_eq!(adapter.post("gauge", TOKEN, "{}").await.status, 204);
    assert_eq!(ear.heard("gauge").await, []);
    adapter.stop().await;
}

#[tokio::test]
async fn what_an_intake_that_has_ended_does_not_take_is_refused() {
    let (intake, ear) = intake();
    let adapter = Adapter::start(16, 20, intake).await;
    drop(ear);
    is_refused(&adapter.post("gauge", TOKEN, LEVEL).await, 503, "cannot keep up");
    adapter.stop().await;
}

#[tokio::test]
async fn every_refusal_says_why() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(64, 20, intake).await;
    let post = "POST /sensors/gauge";

    let unknown = adapter.post("nobody", TOKEN, LEVEL).await;
    is_refused(&unknown, 401, "no such sensor, or not its token");
    let (sensor, message) = ear.rejected("unauthorised").await;
    assert!(sensor.is_none() && message.starts_with("POST from 127.0.0.1:"), "{message}");
    for (sensor, token) in [("gauge", "7f3c9a1e5b2d4861"), ("gauge", ""), ("other", TOKEN), ("open", "")] {
        let wrong = adapter.post(sensor, token, LEVEL).await;
        assert_eq!((wrong.status, &wrong.body), (401, &unknown.body), "{sensor} {token}");
        assert_eq!(wrong.header("www-authenticate"), Some("Bearer"));
    }
    let without = adapter.send(format!("{post} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n")).await;
    assert_eq!(without.body, unknown.body);

    for path in ["/", "/sensors", "/sensors/", "/sensors/gauge/level", "/metrics"] {
        is_refused(&adapter.send(head(&format!("POST {path}"), "")).await, 404, "POST /sensors/ID");
    }
    let method = adapter.send(head("GET /sensors/gauge", "")).await;
    is_refused(&method, 405, "only POST");
    assert_eq!(method.header("allow"), Some("POST"));

    let long = format!("Content-Length: {}\r\n", 65_537);
    is_refused(&adapter.send(head(post, &long)).await, 413, "65536 bytes");
    assert_eq!(ear.rejected("too_long").await.0.as_deref(), Some("gauge"));
    let endless = head(post, "Transfer-Encoding: chunked\r\n") + "10001\r\n" + &" ".repeat(0x1_0001);
    is_refused(&adapter.send(endless).await, 413, "65536 bytes");

    let request = head(post, &format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", LEVEL.len())) + LEVEL;
    is_refused(&adapter.send(request).await, 415, "compressed");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let request = head(post, &format!("{form}Content-Length: {}\r\n", LEVEL.len())) + LEVEL;
    assert_eq!(adapter.send(request).await.status, 204, "as curl -d sends it");
    is_refused(&adapter.post("gauge", TOKEN, "{\"levle\":1}").await, 422, "nothing at \"/level\"");
    for (body, why) in
        [("{\"level\":", "no JSON"), ("{\"level\":\"high\"}", "\"high\", which is no number"), ("", "no JSON")]
    {
        is_refused(&adapter.post("gauge", TOKEN, body).await, 422, why);
    }
    assert!(matches!(ear.fault("gauge").await, Fault::Malformed { .. }));

    // Refused by the protocol itself.
    assert_eq!(adapter.send("\u{1}\u{2}\r\n\r\n").await.status, 400);
    assert_eq!(adapter.send(head(post, &format!("X: {}\r\n", "a".repeat(20_000)))).await.status, 431);

    assert_eq!(adapter.post("other", "another token", LEVEL).await.status, 204, "nobody else is hurt");
    adapter.stop().await;
}

#[tokio::test]
async fn a_message_that_does_not_come_to_an_end_is_given_up() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(16, 20, intake).await;
    let mut slow = Poster::connect(adapter.address).await.unwrap();
    slow.send(head("POST /sensors/gauge", "Content-Length: 100\r\n").as_bytes()).await.unwrap();
    let began = Instant::now();
    let answer = loop {
        tokio::select! {
            answer = slow.answer() => break answer.unwrap(),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let _ = slow.send(b" ").await;
    };
    is_refused(&answer, 408, "in time");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(ear.rejected("too_slow").await.0.as_deref(), Some("gauge"));
    slow.closed().await.unwrap();
    adapter.stop().await;
}

#[tokio::test]
async fn a_flooding_sensor_is_held_to_its_share_and_named() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(16, 2, intake).await;
    let mut flood = Poster::connect(adapter.address).await.unwrap();
    // The clock stands still: ten seconds' share, and no more.
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..100 {
        let answer = flood.post("gauge", TOKEN, LEVEL).await.unwrap();
        match answer.status {
            204 => taken += 1,
            _ => {
                is_refused(&answer, 429, "more messages than");
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused += 1;
            }
        }
    }
    assert_eq!((taken, refused), (20, 80));
    assert_eq!(ear.rejected("too_many").await.0.as_deref(), Some("gauge"));
    assert_eq!(adapter.post("other", "another token", LEVEL).await.status, 204, "nobody else is hurt");
    // Repeated when told to, it is taken.
    ear.clock.advance(Duration::from_secs(1));
    assert_eq!(flood.post("gauge", TOKEN, LEVEL).await.unwrap().status, 204);
    adapter.stop().await;
}

#[tokio::test]
async fn a_sensor_has_few_messages_under_way_at_once() {
    let (intake, _ear) = intake();
    let adapter = Adapter::start(64, 1000, intake).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut poster = Poster::connect(adapter.address).await.unwrap();
        poster
            .send(head("POST /sensors/gauge", "Expect: 100-continue\r\nContent-Length: 10\r\n").as_bytes())
            .await
            .unwrap();
        // It asks for the message: it is being served.
        assert_eq!(poster.answer().await.unwrap().status, 100);
        slow.push(poster);
    }
    is_refused(&adapter.post("gauge", TOKEN, LEVEL).await, 429, "more messages than");
    assert_eq!(adapter.post("other", "another token", LEVEL).await.status, 204);
    adapter.stop().await;
}

#[tokio::test]
async fn connections_without_a_request_make_way() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(4, 20, intake).await;
    let mut crowd = Vec::new();
    for _ in 0..40 {
        let mut slow = Poster::connect(adapter.address).await.unwrap();
        slow.send(b"POST /sensors/gauge HTTP/1.1\r\nX-Slow: ").await.unwrap();
        crowd.push(slow);
    }
    for _ in 0..10 {
        assert_eq!(adapter.post("gauge", TOKEN, LEVEL).await.status, 204);
    }
    let began = Instant::now();
    for slow in &mut crowd[..36] {
        slow.closed().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(8), "closed for want of places, not of time");
    assert!(ear.rest().iter().all(|told| matches!(told, Told::Heard { .. })));

    // Those that are served keep their places.
    let mut served = Vec::new();
    for _ in 0..4 {
        let mut poster = Poster::connect(adapter.address).await.unwrap();
        poster
            .send(head("POST /sensors/gauge", "Expect: 100-continue\r\nContent-Length: 13\r\n").as_bytes())
            .await
            .unwrap();
        assert_eq!(poster.answer().await.unwrap().status, 100);
        served.push(poster);
    }
    let full = adapter.post("other", "another token", LEVEL).await;
    is_refused(&full, 503, "too many connections");
    assert_eq!(full.header("retry-after"), Some("5"));
    assert_eq!(ear.rejected("busy").await.0, None);
    for poster in &mut served {
        poster.send(LEVEL.as_bytes()).await.unwrap();
        assert_eq!(poster.answer().await.unwrap().status, 204);
    }
    adapter.stop().await;
}

#[tokio::test]
async fn what_the_intake_cannot_take_is_sent_again() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(16, 1000, intake).await;
    let mut poster = Poster::connect(adapter.address).await.unwrap();
    // Nobody reads the intake.
    let mut taken = 0;
    let full = loop {
        let answer = poster.post("gauge", TOKEN, LEVEL).await.unwrap();
        if answer.status != 204 {
            break answer;
        }
        taken += 1;
    };
    is_refused(&full, 503, "cannot keep up");
    assert_eq!(full.header("retry-after"), Some("5"));
    let heard = ear.rest().iter().filter(|told| matches!(told, Told::Heard { .. })).count();
    assert_eq!(heard, taken, "204 for what was taken, and for nothing else");
    assert_eq!(poster.post("gauge", TOKEN, LEVEL).await.unwrap().status, 204);
    adapter.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_told_and_tried_again() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (intake, mut ear) = intake();
    let settings = HttpSettings { listen: taken.local_addr().unwrap(), max_connections: 4, most_a_second: 20 };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(http::serve(settings, vec![gauge("gauge", TOKEN)], intake, shutdown.clone()));
    let Fault::NotListening { address, .. } = ear.fault("gauge").await else { panic!("another fault") };
    assert_eq!(address, settings.listen.to_string());
    drop(taken);
    ear.reached("gauge").await;
    let answer = Poster::connect(settings.listen).await.unwrap().post("gauge", TOKEN, LEVEL).await.unwrap();
    assert_eq!(answer.status, 204);
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_takes_no_message_away() {
    let (intake, mut ear) = intake();
    let adapter = Adapter::start(32, 100, intake).await;
    let address = adapter.address;
    let mut strangers = JoinSet::new();
    let stop = CancellationToken::new();
    for _ in 0..16 {
        let stop = stop.clone();
        strangers.spawn(async move {
            let mut refused = 0usize;
            while !stop.is_cancelled() {
                let Ok(mut poster) = Poster::connect(address).await else { continue };
                while !stop.is_cancelled()
                    && poster.post("gauge", "guessed", LEVEL).await.is_ok_and(|answer| answer.status == 401)
                {
                    refused += 1;
                }
            }
            refused
        });
    }
    for _ in 0..200 {
        assert_eq!(adapter.post("gauge", TOKEN, LEVEL).await.status, 204);
        assert_eq!(ear.heard("gauge").await, [("level".to_owned(), 2.5)]);
    }
    stop.cancel();
    let refused: usize = strangers.join_all().await.into_iter().sum();
    let complaints = ear.rest().iter().filter(|told| matches!(told, Told::Rejected(_))).count();
    assert!(refused > 200 && complaints == 1, "{refused} refused, {complaints} told");
    adapter.stop().await;
}
