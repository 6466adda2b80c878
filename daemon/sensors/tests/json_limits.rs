//! What a JSON message can cost: no message, however built, makes the reader allocate a multiple of its size.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may say what they expect")]

mod support;

use snowgate_core::sensor::json::{JsonFields, JsonFormat, JsonOptions, JsonPlan, JsonReader, LONGEST};
use snowgate_sensors::spec::MqttSource;
use snowgate_simulators::{
    allocations::{Counting, cost},
    noise::Noise,
};

/// No single allocation is larger: a text with escapes is unescaped into a buffer that doubles as it grows.
const LARGEST: usize = 2 * LONGEST;
/// No more is held at once while a message is read, and what it said.
const HELD: usize = 3 * LONGEST;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A dozen sensors that share a topic, and look at everything that the messages below have.
fn readers() -> (JsonPlan, Vec<JsonReader>) {
    let places = ["", "/a", "/a/a", "/a/a/a", "/0", "/0/0", "/1", "/b", "/long", "/list", "/list/7", "/object/a"];
    let mut plan = JsonPlan::new();
    let reader = |number: usize| {
        let values = places.map(|place| format!("[[values]]\nid = 'value'\npointer = '{place}'\nmissing = 'zero'\n"));
        let source = format!("topic = 't'\ntime = '/long'\n{}", values.concat());
        let source: MqttSource = support::device("any", &source, None).source;
        let format = [JsonFormat::Plain, JsonFormat::ChirpStack, JsonFormat::TheThingsStack][number % 3];
        let options = JsonOptions { time: source.time.as_ref(), device: Some("long"), ..JsonOptions::of(format) };
        let quantities = source.values.iter().map(|value| (value.quantity.id.value.clone(), value.value.clone()));
        JsonReader::new(&mut plan, options, quantities.collect::<Vec<_>>())
    };
    let readers = (0..12).map(reader).collect();
    (plan, readers)
}

/// One piece over and over, as long as a message may be.
fn filled(begin: &str, piece: &str, end: &str) -> String {
    let times = (LONGEST - begin.len() - end.len()) / piece.len();
    format!("{begin}{}{end}", piece.repeat(times))
}

/// Messages that make a reader that builds trees allocate a hundredfold, or recurse, or copy.
fn worst() -> Vec<String> {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    vec![
        filled("[", "0,", "0]"),
        filled("[", "[],", "0]"),
        filled("[", "{\"\":0},", "0]"),
        filled("[", "\"\",", "0]"),
        filled("{\"list\":[", "{\"a\":{}},", "0]}"),
        filled("{", "\"a\":{\"a\":{\"a\":1}},", "\"b\":1}"),
        filled("{", "\"a\":\"text that is looked at\",", "\"b\":1}"),
        filled("{\"long\":\"", "x", "\"}"),
        filled("{\"long\":\"", "\\u6c34", "\"}"),
        filled("{\"long\":\"", "\\n", "\"}"),
        filled("{\"", "\\u6c34", "\":1}"),
        filled("{\"ignored\":\"", "\\\\", "\"}"),
        filled("{\"a\":0.", "1", "}"),
        filled("{\"a\":", "1", "}"),
        filled("\"", "水", "\""),
        nested("[", "]", 32_000),
        nested("{\"a\":", "}", 10_000),
        nested("{\"b\":[", "]}", 8_000),
        filled("", "[", ""),
        filled("", "{\"a\":", ""),
        filled("", " ", "1"),
    ]
}

fn read(plan: &JsonPlan, readers: &[JsonReader], message: &[u8]) -> (Option<JsonFields>, usize) {
    let Ok(parsed) = plan.parse(message) else { return (None, 0) };
    let mut samples = 0;
    for reader in readers {
        reader.is_from(&parsed);
        samples += reader.read(&parsed).map_or(0, |read| read.samples.len());
    }
    (Some(parsed), samples)
}

// One test: what others allocate meanwhile would count.
#[test]
fn no_message_costs_a_multiple_of_its_size() {
    let (plan, readers) = readers();
    let (mut most, mut largest) = (0, 0);
    let mut check = |message: &[u8]| {
        assert!(message.len() <= LONGEST);
        let (_, held, single) = cost(|| read(&plan, &readers, message));
        let beginning = || String::from_utf8_lossy(&message[..message.len().min(60)]).into_owned();
        assert!(single <= LARGEST, "an allocation of {single} bytes: {}…", beginning());
        assert!(held <= HELD, "{held} bytes held: {}…", beginning());
        (most, largest) = (most.max(held), largest.max(single));
    };
    let worst = worst();
    for message in &worst {
        check(message.as_bytes());
    }
    let others: Vec<Vec<u8>> = worst.iter().map(|message| message.clone().into_bytes()).collect();
    let mut noise = Noise::new(0x5EED);
    for _ in 0..2_000 {
        let mut message = others[noise.below(others.len())].clone();
        for _ in 0..=noise.below(4) {
            noise.spoil(&mut message, &others);
        }
        message.truncate(LONGEST);
        check(&message);
    }
    // The check measures something: these messages need a buffer of their own size, and most are read.
    assert!(largest > LONGEST / 2 && most >= largest, "{largest}, {most}");
    assert!(worst.iter().filter(|message| plan.parse(message.as_bytes()).is_ok()).count() > worst.len() / 2);
    println!("most held at once: {most} bytes; largest allocation: {largest} bytes; longest message: {LONGEST} bytes");
}
