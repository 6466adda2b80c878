use super::*;
use crate::sensor::codec::mutation::{self, Random};

fn value(pointer: &str) -> JsonValueSpec {
    JsonValueSpec { pointer: pointer.parse().unwrap(), missing: Missing::Nothing, words: Maybe::NONE }
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// A reader and the plan it reads by.
struct Alone(JsonPlan, JsonReader);

impl Alone {
    fn new(options: JsonOptions<'_>, quantities: impl IntoIterator<Item = (&'static str, JsonValueSpec)>) -> Self {
        let mut plan = JsonPlan::new();
        let reader = JsonReader::new(&mut plan, options, quantities.into_iter().map(|(name, spec)| (id(name), spec)));
        Self(plan, reader)
    }

    fn read(&self, message: impl AsRef<[u8]>) -> Result<Message, JsonError> {
        self.1.read(&self.0.parse(message.as_ref())?)
    }
}

fn values(message: &Message) -> Vec<(&str, f64)> {
    message.samples.iter().map(|(quantity, sample)| (quantity.as_str(), sample.value)).collect()
}

const CHIRPSTACK: &str = r#"{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2026-05-01T08:30:00.250+08:00",
    "deviceInfo":{"tenantName":"t","devEui":"24e124713d123456","deviceName":"bridge"},"fCnt":12,"fPort":2,"data":"AQID",
    "object":{"level":1.25,"status":{"battery":97}},"rxInfo":[{"gatewayId":"0016c001f153a14c","rssi":-57,"snr":10.5}]}"#;

#[test]
fn chirpstack_says_device_time_and_object() {
    let reader = Alone::new(
        JsonOptions::of(JsonFormat::ChirpStack),
        [("level", value("/level")), ("battery", value("/status/battery"))],
    );
    let message = reader.read(CHIRPSTACK).unwrap();
    assert_eq!(values(&message), [("level", 1.25), ("battery", 97.0)]);
    let measured = message.samples[0].1.measured.unwrap();
    assert_eq!(measured.to_string(), "2026-05-01T00:30:00.25Z");
    assert_eq!(reader.read(r#"{"deviceName":"join"}"#), Err(JsonError::Format("deviceInfo")));
}

#[test]
fn a_join_is_no_reading_even_where_what_is_left_out_is_zero() {
    let zero = JsonValueSpec { missing: Missing::Zero, ..value("/rain") };
    let reader = Alone::new(JsonOptions::of(JsonFormat::ChirpStack), [("rain", zero)]);
    let join =
        r#"{"time":"2026-05-01T08:30:00+08:00","deviceInfo":{"devEui":"24e124713d123456"},"devAddr":"00189440"}"#;
    assert_eq!(reader.read(join), Err(JsonError::Format("object, data or rxInfo")));
    let uplink = r#"{"deviceInfo":{"devEui":"24e124713d123456"},"rxInfo":[{}]}"#;
    assert_eq!(values(&reader.read(uplink).unwrap()), [("rain", 0.0)]);
}

#[test]
fn a_reader_for_one_device_knows_its_messages() {
    let mut plan = JsonPlan::new();
    let place = "/id".parse().unwrap();
    let mut reader = |format, device, device_at| {
        JsonReader::new(&mut plan, JsonOptions { device: Some(device), device_at, ..JsonOptions::of(format) }, [])
    };
    let ours = reader(JsonFormat::ChirpStack, "24E124713D123456", None);
    let other = reader(JsonFormat::ChirpStack, "24E124713D123457", None);
    let things = reader(JsonFormat::TheThingsStack, "0004A30B001C0530", None);
    let named = reader(JsonFormat::Plain, "Gauge-7", Some(&place));
    let numbered = reader(JsonFormat::Plain, "10002", Some(&place));
    let from = |message: &str| {
        let message = plan.parse(message.as_bytes()).unwrap();
        [&ours, &other, &things, &named, &numbered].map(|reader| reader.is_from(&message))
    };
    assert_eq!(from(CHIRPSTACK), [true, false, false, false, false]);
    assert_eq!(from(r#"{"end_device_ids":{"dev_eui":"0004a30b001c0530"}}"#), [false, false, true, false, false]);
    assert_eq!(from(r#"{"id":"gauge-7"}"#), [false, false, false, true, false]);
    assert_eq!(from(r#"{"id":10002}"#), [false, false, false, false, true]);
    assert_eq!(from(r#"{"id":["10002"]}"#), [false; 5]);
}

#[test]
fn what_the_things_stack_leaves_out_is_zero_where_the_file_says_so() {
    let zero = JsonValueSpec { missing: Missing::Zero, ..value("/rain") };
    let reader = Alone::new(JsonOptions::of(JsonFormat::TheThingsStack), [("rain", zero), ("level", value("/level"))]);
    let read = |payload: &str| {
        let message = format!(
            r#"{{"end_device_ids":{{"device_id":"gauge","dev_eui":"0004A30B001C0530"}},
            "uplink_message":{{"f_port":1,"received_at":"2026-05-01T00:30:00.123456789Z"{payload}}}}}"#
        );
        reader.read(message).unwrap()
    };
    assert_eq!(values(&read(r#","decoded_payload":{"rain":0.2,"level":3}"#)), [("rain", 0.2), ("level", 3.0)]);
    assert_eq!(values(&read(r#","decoded_payload":{"level":3}"#)), [("rain", 0.0), ("level", 3.0)]);
    assert_eq!(values(&read("")), [("rain", 0.0)], "all of it was zero");
    assert_eq!(reader.read(r#"{"join_accept":{}}"#), Err(JsonError::Format("uplink_message")));
}

#[test]
fn numbers_are_written_in_many_ways() {
    let words = Words(BTreeMap::from([("open".to_owned(), 1.0), ("closed".to_owned(), 0.0)]));
    let time = "/t".parse().unwrap();
    let reader = Alone::new(
        JsonOptions { time: Some(&time), ..JsonOptions::of(JsonFormat::Plain) },
        [
            ("number", value("/a/0")),
            ("text", value("/b")),
            ("truth", value("/c")),
            ("word", JsonValueSpec { words: Maybe(Some(words)), ..value("/d") }),
            ("whole", value("")),
        ],
    );
    let message = reader.read(r#"{"a":[-3e2],"b":" 4.5 ","c":true,"d":"open","t":1777595400123}"#).unwrap();
    assert_eq!(values(&message), [("number", -300.0), ("text", 4.5), ("truth", 1.0), ("word", 1.0)]);
    assert_eq!(message.errors.len(), 1, "the whole message is no number");
    assert_eq!(message.samples[0].1.measured.unwrap().to_string(), "2026-05-01T00:30:00.123Z");
    let message = reader.read(r#"{"a":["inf"],"b":"wet","d":{}}"#).unwrap();
    let errors: Vec<String> = message.errors.iter().map(|(_, error)| error.to_string()).collect();
    assert_eq!(errors[0], "/a/0 is \"inf\", which is no number; words = { … } says what numbers words stand for");
    assert!(errors[1].starts_with("/b is \"wet\", which is no number; words"), "{}", errors[1]);
    assert_eq!(errors[2], "/d is an object, which is no number");
    assert_eq!(reader.read("17").unwrap().samples[0].1, Sample { value: 17.0, measured: None, flagged: false });
}

#[test]
fn a_clock_that_was_never_set_takes_no_reading_away() {
    let time = "/t".parse().unwrap();
    let options = JsonOptions { time: Some(&time), ..JsonOptions::of(JsonFormat::Plain) };
    let reader = Alone::new(options, [("sos", value("/sos"))]);
    for (unset, shown) in [("0", "0"), (r#""1970-01-01T00:00:00Z""#, r#""1970-01-01T00:00:00Z""#), ("{}", "an object")]
    {
        let message = reader.read(format!(r#"{{"sos":1,"t":{unset}}}"#)).unwrap();
        assert_eq!(message.samples, [(id("sos"), Sample { value: 1.0, measured: None, flagged: false })]);
        assert_eq!(message.time_error, Some(JsonError::Time(shown.to_owned())));
    }
    assert_eq!(reader.read(r#"{"sos":1,"t":null}"#).unwrap().time_error, None);
}

#[test]
fn times_are_of_this_age() {
    let text = |text: &str| Found::Text(text.to_owned());
    for time in [
        Found::Number(1_777_595_400.0),
        Found::Number(1_777_595_400e3),
        Found::Number(1_777_595_400e6),
        Found::Number(1_777_595_400e9),
        text("2026-05-01T00:30:00Z"),
        text("2026-05-01T08:30:00"),
    ] {
        assert_eq!(read_time(&time).unwrap().to_string(), "2026-05-01T00:30:00Z", "{time}");
    }
    for time in [Found::Number(0.0), Found::Number(-5.0), Found::Number(1e300), text("yesterday"), Found::Bool(true)] {
        assert!(read_time(&time).is_err(), "{time}");
    }
}

#[test]
fn too_long_and_too_deep_is_refused() {
    let reader = Alone::new(JsonOptions::of(JsonFormat::Plain), []);
    assert_eq!(reader.read(vec![b' '; LONGEST + 1]), Err(JsonError::Length(LONGEST + 1)));
    for depth in ["[", "{\"a\":"] {
        assert!(matches!(reader.read(depth.repeat(10_000)), Err(JsonError::Syntax(_))));
    }
}

/// What a mutation may put anywhere.
const TOKENS: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "0",
    "-",
    "1e999",
    "1e-999",
    "99999999999999999999",
    "\\u0000",
    "\\ud800",
    "\\",
    "\u{FEFF}",
    "\"object\":",
    "\"time\":",
];

#[test]
fn mutated_messages_are_read_or_refused() {
    let seeds: Vec<Vec<u8>> = [
        CHIRPSTACK,
        r#"{"end_device_ids":{"device_id":"gauge","dev_eui":"0004A30B001C0530"},"uplink_message":{"f_port":1,
            "received_at":"2026-05-01T00:30:00.123456789Z","decoded_payload":{"level":3,"door":"open"}}}"#,
        r#"{"level":"3.5","t":1777595400,"list":[{"level":1},2,"水位\n"],"door":"open"}"#,
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into();
    let time = "/t".parse().unwrap();
    let mut plan = JsonPlan::new();
    let readers = [JsonFormat::Plain, JsonFormat::ChirpStack, JsonFormat::TheThingsStack].map(|format| {
        let time = (format == JsonFormat::Plain).then_some(&time);
        let places = ["/level", "/list/0/level", "/list/2", "/status/battery", "/door", ""];
        let quantities = places.map(|place| (id("any"), value(place)));
        JsonReader::new(&mut plan, JsonOptions { time, device: Some("1"), ..JsonOptions::of(format) }, quantities)
    });
    let mut random = Random::new(0x5EED);
    let (inputs, mut samples, mut refused) = (mutation::inputs(), 0usize, 0usize);
    for _ in 0..inputs {
        let mut message = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(3) {
            if random.below(2) == 0 {
                random.mutate(&mut message, &seeds);
            } else {
                let at = random.below(message.len() + 1);
                let token = TOKENS[random.below(TOKENS.len())];
                drop(message.splice(at..at, token.bytes()));
            }
        }
        let parsed = plan.parse(&message);
        // One pass takes what a tree would take. It is more lenient only in what nobody looks at: letters that are none.
        if serde_json::from_slice::<serde_json::Value>(&message).is_ok() {
            assert!(parsed.is_ok(), "{:?}", String::from_utf8_lossy(&message));
        }
        let Ok(parsed) = parsed else {
            refused += 1;
            continue;
        };
        for reader in &readers {
            reader.is_from(&parsed);
            if let Ok(read) = reader.read(&parsed) {
                assert!(read.samples.len() + read.errors.len() <= 6);
                assert!(read.samples.iter().all(|(_, sample)| sample.value.is_finite()));
                samples += read.samples.len();
            }
        }
    }
    assert!(samples > inputs / 10 && refused > inputs / 10, "{samples} samples, {refused} refused of {inputs}");
}
