//! What operators read when a configuration is wrong: a good one, changed in one way a case, and the text of each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests say what they expect")]

mod common;

use common::{Directory, known_models};
use snowgate::config::{Config, Severity, preflight};

/// Changes the good configuration and answers with everything that is then said about it.
fn problems(case: &str, change: impl FnOnce(&Directory)) -> String {
    let directory = Directory::good();
    change(&directory);
    let checked = Config::load(directory.path()).and_then(|config| preflight(config, &known_models(), None));
    let (outcome, problems) = match &checked {
        Ok(config) if config.cameras.iter().any(|camera| camera.refused.is_some()) => {
            ("a camera is refused", &config.problems)
        }
        Ok(config) => ("everything runs", &config.problems),
        Err(problems) => ("all is refused", problems),
    };
    let text = problems.render(false).replace(&*directory.path().to_string_lossy(), "/etc/snowgate");
    format!("──── {case}: {outcome}\n{text}")
}

#[test]
fn the_good_one_is_good() {
    let directory = Directory::good();
    let config = Config::load(directory.path()).and_then(|config| preflight(config, &known_models(), None)).unwrap();
    assert!(config.problems.is_empty(), "{}", config.problems);
    assert_eq!(config.cameras.len(), 2);
    assert_eq!(config.problems.count(Severity::Error), 0);
}

/// Each case: a name, the file, what stands there and what is written instead.
const REPLACEMENTS: &[(&str, &str, &str, &str)] = &[
    ("unknown_key", "cameras.d/north.toml", "fps = 5", "fsp = 5"),
    ("unknown_table", "cameras.d/north.toml", "[[zones]]", "[[zonse]]"),
    ("far_unknown_key", "gateway.toml", "host = ", "elephant = 1\nhost = "),
    ("missing_key", "cameras.d/north.toml", "detect = \"rtsp://10.0.0.1/north\"", ""),
    ("stream_under_its_old_name", "cameras.d/north.toml", "detect = \"rtsp", "url = \"rtsp"),
    ("stream_of_a_wrong_type", "cameras.d/north.toml", "detect = \"rtsp://10.0.0.1/north\"", "record = 5"),
    (
        "one_stream_twice",
        "cameras.d/north.toml",
        "detect = \"rtsp",
        "record = \"rtsp://10.0.0.1/north\"\ndetect = \"rtsp",
    ),
    (
        "stream_of_two_sources",
        "cameras.d/north.toml",
        "[detect]",
        "[stream.detect_from]\nkind = \"http\"\nurl = \"http://10.0.0.5/play\"\n[detect]",
    ),
    (
        "no_http_service",
        "cameras.d/north.toml",
        "detect = \"rtsp://10.0.0.1/north\"",
        "[stream.detect_from]\nkind = \"http\"\nurl = \"http://admin:hunter2@10.0.0.5/play?token=hunter2\"\npointer = \"data.rtsp\"\ntoken_header = \"access token\"\ntimeout = \"10m\"",
    ),
    (
        "no_token",
        "cameras.d/north.toml",
        "detect = \"rtsp://10.0.0.1/north\"",
        "[stream.detect_from]\nkind = \"http\"\nurl = \"http://10.0.0.5/play\"\ntoken_file = \"nowhere\"",
    ),
    (
        "no_program",
        "cameras.d/north.toml",
        "detect = \"rtsp://10.0.0.1/north\"",
        "[stream.detect_from]\nkind = \"command\"\ncommand = [\"/nowhere/camera-address\"]\n[stream.record_from]\nkind = \"command\"\ncommand = [\"camera-address\"]",
    ),
    ("no_such_decoder", "gateway.toml", "[mqtt]", "[decoders]\nbackend = \"va-api\"\n[mqtt]"),
    ("missing_table", "gateway.toml", "[mqtt]\nhost = \"broker\"\n", ""),
    ("missing_kind", "cameras.d/north.toml", "kind = \"intrusion\"", ""),
    ("wrong_kind", "cameras.d/north.toml", "kind = \"intrusion\"", "kind = \"intrussion\""),
    ("wrong_word", "gateway.toml", "locale = \"en\"", "locale = \"zh_CN\""),
    ("number_for_time", "cameras.d/north.toml", "for = \"2s\"", "for = 2"),
    ("not_a_time", "cameras.d/north.toml", "for = \"2s\"", "for = \"2 seconds\""),
    ("text_for_number", "cameras.d/north.toml", "fps = 5", "fps = \"5\""),
    ("number_for_text", "gateway.toml", "host = \"broker\"", "host = 5"),
    ("negative_number", "cameras.d/north.toml", "fps = 5", "fps = -5"),
    ("not_an_id", "cameras.d/north.toml", "id = \"north\"", "id = \"North Gate\""),
    ("key_twice", "cameras.d/north.toml", "fps = 5", "fps = 5\nfps = 6"),
    ("table_twice", "cameras.d/north.toml", "[detect]", "[stream]\n[detect]"),
    ("missing_quotes", "gateway.toml", "host = \"broker\"", "host = broker"),
    ("missing_quote", "gateway.toml", "host = \"broker\"", "host = \"broker"),
    ("missing_value", "gateway.toml", "host = \"broker\"", "host ="),
    ("bad_escape", "gateway.toml", "host = \"broker\"", "host = \"\\broker\""),
    ("unclosed_array", "gateway.toml", "levels = [\"county\", \"village\"]", "levels = [\"county\", \"village\""),
    ("point_outside", "cameras.d/north.toml", "[0.1, 0.1]", "[1.1, 0.1]"),
    ("point_of_three", "cameras.d/north.toml", "[0.1, 0.1]", "[0.1, 0.1, 0.1]"),
    ("self_crossing", "cameras.d/north.toml", "[0.9, 0.1], [0.9, 0.9]", "[0.9, 0.9], [0.9, 0.1]"),
    ("two_corners", "cameras.d/north.toml", "[0.9, 0.1], [0.9, 0.9], ", ""),
    ("line_without_length", "cameras.d/north.toml", "end = [0.8, 0.5]", "end = [0.2, 0.5]"),
    ("missing_zone", "cameras.d/north.toml", "zone = \"yard\"", "zone = \"yrad\""),
    ("missing_line", "cameras.d/north.toml", "line = \"gate\"", "line = \"elephant\""),
    ("missing_category", "cameras.d/north.toml", "category = \"crossing\"", "category = \"crosing\""),
    ("missing_grid", "cameras.d/north.toml", "grid = \"3301\"", "grid = \"3310\""),
    ("no_grid_at_all", "cameras.d/north.toml", "grid = \"3301\"", ""),
    ("no_category_at_all", "cameras.d/north.toml", "category = \"crossing\"", ""),
    (
        "zone_twice",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[zones]]\nid = \"yard\"\npolygon = [[0,0],[1,0],[1,1]]\n[[lines]]",
    ),
    (
        "tamper_of_things",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"scene\"\ncategory = \"crossing\"\nkind = \"tamper\"\nlabels = [\"person\"]\nmin_score = 0.5\nmin_height = 0.1\n[[lines]]",
    ),
    (
        "tamper_of_nothing",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"scene\"\ncategory = \"crossing\"\nkind = \"tamper\"\nconditions = []\n[[lines]]",
    ),
    (
        "tamper_of_what_is_not_known",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"scene\"\ncategory = \"crossing\"\nkind = \"tamper\"\nconditions = [\"covred\"]\n[[lines]]",
    ),
    (
        "offline_before_it_has_stalled",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"gone\"\ncategory = \"crossing\"\nkind = \"offline\"\nfor = \"9s\"\nlabels = [\"car\"]\n[[lines]]",
    ),
    ("quiet_for_too_long", "cameras.d/south.toml", "limit = 3", "limit = 3, quiet_after = \"8d\""),
    (
        "anomaly_of_things",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"scene\"\ncategory = \"crossing\"\nkind = \"anomaly\"\nlabels = [\"heap\"]\n[[lines]]",
    ),
    (
        "anomaly_without_its_zone",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"scene\"\ncategory = \"crossing\"\nkind = \"anomaly\"\nzone = \"yrad\"\n[[lines]]",
    ),
    (
        "anomaly_with_a_model_of_things_and_presets",
        "cameras.d/north.toml",
        "[detect]",
        "[health]\npresets = 2\n[[rules]]\nid = \"scene\"\ncategory = \"crossing\"\nkind = \"anomaly\"\n[detect]\nscene_model = \"centerface\"",
    ),
    (
        "stationary_of_people_that_joins",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"parked\"\nkind = \"stationary\"\nzone = \"yard\"\nmerge_within = \"1d\"\n[[lines]]",
    ),
    (
        "stationary_bounds",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"parked\"\nkind = \"stationary\"\nzone = \"yrad\"\nbringer_distance = 11\n[[lines]]",
    ),
    (
        "wrong_way_without_a_direction",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"against\"\ncategory = \"crossing\"\nkind = \"wrong_way\"\nzone = \"yard\"\nfrom = [0.5, 0.5]\nto = [0.5, 0.5]\n[[lines]]",
    ),
    (
        "wrong_way_bounds",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"against\"\nkind = \"wrong_way\"\nzone = \"yard\"\nfrom = [0.5, 0.5]\ntolerance = 180\nmin_distance = 2\n[[lines]]",
    ),
    (
        "absence_bounds",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"post\"\ncategory = \"crossing\"\nkind = \"absence\"\nzone = \"yard\"\nleast = 0\nmerge_within = \"0s\"\n[[lines]]",
    ),
    ("neither_limit_nor_density", "cameras.d/south.toml", ", limit = 3", ""),
    ("limit_and_density", "cameras.d/south.toml", "limit = 3", "limit = 3, density = 1, metres = [3, 5]"),
    ("density_on_no_ground", "cameras.d/south.toml", "limit = 3", "density = 1"),
    ("density_of_less_than_one", "cameras.d/south.toml", "limit = 3", "density = 0.05, metres = [3, 5]"),
    ("end_above_the_density", "cameras.d/south.toml", "limit = 3", "density = 1, end_density = 2, metres = [3, 5]"),
    ("density_of_a_limit", "cameras.d/south.toml", "limit = 3", "limit = 3, end_density = 2"),
    ("end_above_the_limit", "cameras.d/south.toml", "limit = 3", "limit = 3, end_limit = 4"),
    (
        "speed_in_a_zone_of_all_shapes",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[zones]]\nid = \"three\"\npolygon = [[0, 0], [1, 0], [1, 1]]\n[[zones]]\nid = \"dented\"\npolygon = [[0, 0], [1, 0], [0.3, 0.3], [0, 1]]\n[[rules]]\nid = \"fast\"\ncategory = \"crossing\"\nkind = \"speed\"\nzone = \"three\"\nmetres = [7, 40]\nabove = 30\n[[rules]]\nid = \"faster\"\ncategory = \"crossing\"\nkind = \"speed\"\nzone = \"dented\"\nmetres = [7, 40]\nabove = 30\n[[lines]]",
    ),
    (
        "speed_bounds",
        "cameras.d/north.toml",
        "[[lines]]",
        "[[rules]]\nid = \"fast\"\nkind = \"speed\"\nzone = \"yard\"\nmetres = [0.5, 40, 3]\nabove = 400\n[[rules]]\nid = \"faster\"\nkind = \"speed\"\nzone = \"yard\"\nmetres = [7]\n[[lines]]",
    ),
    (
        "health_bounds",
        "cameras.d/north.toml",
        "[detect]",
        "[health]\nfor = \"0s\"\nfrozen_for = \"1s\"\nleast_shift = 0.9\npresets = 9\n[detect]",
    ),
    (
        "anomaly_bounds",
        "cameras.d/north.toml",
        "[detect]",
        "[anomaly]\nfor = \"1s\"\nevery = \"10m\"\nsensitivity = 9\nlearn_for = \"1s\"\n[detect]",
    ),
    ("rule_twice", "cameras.d/north.toml", "id = \"crossed\"", "id = \"in-yard\""),
    ("camera_twice", "cameras.d/south.toml", "id = \"south\"", "id = \"north\""),
    ("empty_labels", "cameras.d/north.toml", "labels = [\"person\", \"face\"]", "labels = []"),
    ("unknown_label", "cameras.d/north.toml", "labels = [\"person\", \"face\"]", "labels = [\"persn\"]"),
    ("unknown_model", "cameras.d/north.toml", "fps = 5", "fps = 5\nobject_model = \"ssdlight\""),
    ("broken_model", "cameras.d/north.toml", "fps = 5", "object_model = \"broken\""),
    ("fps_too_high", "cameras.d/north.toml", "fps = 5", "fps = 60"),
    ("latency_too_long", "cameras.d/north.toml", "[detect]", "latency = \"1m\"\n[detect]"),
    ("stall_too_short", "cameras.d/north.toml", "[detect]", "stall_after = \"100ms\"\n[detect]"),
    ("ring_too_large", "cameras.d/north.toml", "[detect]", "[ring]\nsize = \"2GiB\"\nduration = \"1h\"\n[detect]"),
    ("not_rtsp", "cameras.d/north.toml", "rtsp://10.0.0.1/north", "http://10.0.0.1/north"),
    ("secret_in_url", "cameras.d/north.toml", "rtsp://10.0.0.1", "rtsp://admin:12345@10.0.0.1"),
    ("secret_in_query", "cameras.d/north.toml", "10.0.0.1/north", "10.0.0.1/user=admin_password=12345"),
    ("inline_secret", "cameras.d/north.toml", "[detect]", "password = \"12345\"\n[detect]"),
    ("secret_unreadable", "cameras.d/north.toml", "[detect]", "username = \"a\"\npassword_file = \"secret\"\n[detect]"),
    ("secret_without_user", "cameras.d/north.toml", "[detect]", "password_file = \"gateway.toml\"\n[detect]"),
    ("camera_ca_unreadable", "cameras.d/north.toml", "[detect]", "ca_file = \"no-such.pem\"\n[detect]"),
    ("latitude", "cameras.d/north.toml", "lat = 29", "lat = 129.5"),
    (
        "unwatched_zone",
        "cameras.d/north.toml",
        "zone = \"yard\"",
        "zone = \"other\"\n[[zones]]\nid=\"other\"\npolygon = [[0,0],[1,0],[1,1]]",
    ),
    (
        "mqtt_secret_unreadable",
        "gateway.toml",
        "host = \"broker\"",
        "host = \"broker\"\nusername = \"a\"\npassword_file = \"no-such\"",
    ),
    (
        "mqtt_credential",
        "gateway.toml",
        "host = \"broker\"",
        "host = \"broker\"\nusername = \"a\"\npassword_file = \"credential:mqtt\"",
    ),
    ("mqtt_host_with_port", "gateway.toml", "\"broker\"", "\"broker:1883\""),
    ("mqtt_url", "gateway.toml", "\"broker\"", "\"mqtt://broker\""),
    ("mqtt_port_zero", "gateway.toml", "host = \"broker\"", "host = \"broker\"\nport = 0"),
    ("mqtt_port_too_large", "gateway.toml", "host = \"broker\"", "host = \"broker\"\nport = 70000"),
    ("tls_half", "gateway.toml", "host = \"broker\"", "host = \"broker\"\ntls = { key_file = \"key.pem\" }"),
    (
        "tls_no_certificate",
        "gateway.toml",
        "host = \"broker\"",
        "host = \"broker\"\ntls = { ca_file = \"categories.toml\" }",
    ),
    ("time_zone", "gateway.toml", "locale = \"en\"", "time_zone = \"Asia/Shanghi\""),
    ("listen", "gateway.toml", "[mqtt]", "[admin]\nlisten = \"localhost\"\n[mqtt]"),
    ("listen_everywhere", "gateway.toml", "[mqtt]", "[admin]\nlisten = \"0.0.0.0:9464\"\n[mqtt]"),
    ("evidence_bounds", "gateway.toml", "[mqtt]", "[evidence]\njpeg_quality = 99\nmax_width = 100\n[mqtt]"),
    ("workers", "gateway.toml", "[mqtt]", "[workers]\ndecode = 65\n[mqtt]"),
    ("grid_code", "gateway.toml", "code = \"3301\"", "code = \"33/01\""),
    ("grid_twice", "gateway.toml", "code = \"3301\"", "code = \"33\""),
    ("grid_parent", "gateway.toml", "parent = \"33\"", "parent = \"34\""),
    ("grid_cycle", "gateway.toml", "level = \"county\" }", "level = \"county\", parent = \"3301\" }"),
    ("grid_level", "gateway.toml", "level = \"village\"", "level = \"vilage\""),
    ("grid_major_level", "gateway.toml", "major_level = \"county\"", "major_level = \"town\""),
    ("household_camera", "gateway.toml", "village", "household"),
    ("category_twice", "categories.toml", "id = \"crossing\"", "id = \"intrusion\""),
    ("default_model_unknown", "gateway.toml", "[mqtt]", "[models]\nface = \"centreface\"\n[mqtt]"),
];

#[test]
fn every_mistake_has_its_sentence() {
    let said = REPLACEMENTS.iter().map(|(case, file, from, to)| problems(case, |all| all.replace(file, from, to)));
    insta::assert_snapshot!(said.collect::<String>());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let said = problems("all_at_once", |directory| {
        directory.replace("gateway.toml", "locale = \"en\"", "locale = \"de\"\ntime_zone = \"Mars\"");
        directory.replace("gateway.toml", "host = \"broker\"", "hots = \"broker\"");
        directory.replace("categories.toml", "severity = \"major\"", "severity = \"mayor\"");
        directory.replace("cameras.d/north.toml", "fps = 5", "fps = 0");
        directory.replace("cameras.d/north.toml", "zone = \"yard\"", "zone = \"garden\"");
        directory.write("cameras.d/west.toml", b"id = \"west\n");
    });
    insta::assert_snapshot!(said);
}

#[test]
fn files_that_cannot_be_read() {
    let said = [
        problems("not_utf8", |all| all.write("categories.toml", b"# \xff\xfe")),
        problems("too_large", |all| all.write("cameras.d/large.toml", &vec![b'#'; (1 << 20) + 1])),
        problems("no_gateway", |all| all.remove("gateway.toml")),
        problems("folder_for_file", |all| {
            all.remove("gateway.toml");
            std::fs::create_dir(all.path().join("gateway.toml")).unwrap();
        }),
        problems("empty_file", |all| all.write("cameras.d/north.toml", b"")),
        problems("no_cameras", |all| {
            all.remove("cameras.d/north.toml");
            all.remove("cameras.d/south.toml");
        }),
        problems("not_read", |all| {
            all.write("gatewy.toml", b"");
            all.write("zones.d", b"");
            all.write("cameras.d/east.tml", b"");
            for backup in ["gateway.toml~", ".gateway.toml.swp", "cameras.d/north.toml.bak", "#x#"] {
                all.write(backup, b"not TOML at all [[[");
            }
        }),
    ];
    insta::assert_snapshot!(said.concat());
}

#[test]
fn directories_that_hold_no_configuration() {
    let directory = Directory::good();
    std::fs::create_dir(directory.path().join("void")).unwrap();
    let said = ["void", "no-such", "gateway.toml"].map(|name| {
        let problems = Config::load(&directory.path().join(name)).unwrap_err();
        problems.render(false).replace(&*directory.path().to_string_lossy(), "/etc")
    });
    insta::assert_snapshot!(said.concat());
}

#[test]
fn a_pipe_is_refused_without_waiting_for_a_writer() {
    let directory = Directory::good();
    let path = directory.path().join("cameras.d/pipe.toml");
    let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(status.success());
    let problems = Config::load(directory.path()).unwrap_err();
    assert!(problems.to_string().ends_with("pipe.toml: this is not a regular file"), "{problems}");
}

#[test]
fn a_library_that_does_not_load_refuses_everything() {
    let directory = Directory::good();
    let config = Config::load(directory.path()).unwrap();
    let models = snowgate::config::KnownModels { unusable: Some("too old".into()), ..Default::default() };
    let problems = preflight(config, &models, None).unwrap_err();
    assert!(problems.is_fatal() && problems.to_string().contains("too old"));
}

#[test]
fn a_decoder_that_does_not_work_refuses_everything_and_is_told_with_all_else() {
    use snowgate::camera::{access_unit::Codec, decode::DecodeError, spec::Backend};
    let directory = Directory::good();
    directory.replace("gateway.toml", "[mqtt]", "[decoders]\nbackend = \"vaapi\"\n[mqtt]");
    directory.replace("cameras.d/north.toml", "[\"person\", \"face\"]", "[\"persn\"]");
    let config = Config::load(directory.path()).unwrap();
    let error = DecodeError::Unavailable {
        backend: Backend::Vaapi,
        codec: Codec::H264,
        what: "vah264dec is missing".into(),
        given_by: "a package gives it",
    };
    let problems = preflight(config, &known_models(), Some(&error)).unwrap_err();
    let text = problems.to_string();
    assert!(problems.is_fatal() && text.contains("persn"), "{text}");
    let line = directory.read("gateway.toml").lines().position(|line| line.starts_with("backend")).unwrap() + 1;
    let place = format!("gateway.toml:{line}:");
    let told = text.lines().find(|line| line.contains(&place)).unwrap_or_else(|| panic!("{text}"));
    assert!(told.contains("no H.264 decoder by vaapi: vah264dec is missing; a package gives it"), "{told}");
}

#[test]
fn columns_count_characters_and_places_are_exact() {
    let directory = Directory::good();
    directory.replace("cameras.d/north.toml", "fps = 5", "fps = 5\nlost_after = \"3s\" # 追踪\n\"门\" = { fps = 1 }");
    let problems = Config::load(directory.path()).unwrap_err();
    let report = serde_json::to_value(problems.report()).unwrap();
    assert_eq!(report[0]["severity"], "error");
    assert_eq!(report[0]["message"], "unknown key `门` in [detect]");
    let line = directory.read("cameras.d/north.toml").lines().position(|line| line.starts_with("\"门\"")).unwrap() + 1;
    assert_eq!(report[0]["line"], line);
    directory.replace("cameras.d/north.toml", "\"门\" = { fps = 1 }", "gate = [\"门\"]");
    let problems = Config::load(directory.path()).unwrap_err();
    assert_eq!(serde_json::to_value(problems.report()).unwrap()[0]["column"], 8);
}

#[test]
fn clips_are_checked_before_they_are_wanted() {
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const PRIVATE: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let recipients = |keys: &str| format!("[evidence.clips]\nrecipients = [{keys}]\n[mqtt]");
    let wrong = |keys: &str| problems("clips", |all| all.replace("gateway.toml", "[mqtt]", &recipients(keys)));

    let private = wrong(&format!("\"{PRIVATE}\""));
    assert!(
        private.contains("all is refused") && private.contains("no private key may ever come to the box"),
        "{private}"
    );
    assert!(private.contains("gateway.toml:14:"), "{private}");
    assert!(!private.contains("GFPYYSJZ"), "and it is not shown: {private}");
    assert!(wrong("\"age1nobody\"").contains("this is no public key of age"));
    assert!(wrong(&format!("\"{KEY}\", \"{KEY}\"")).contains("this recipient is named twice"));
    let long = problems("long", |all| {
        all.replace("gateway.toml", "[mqtt]", "[evidence.clips]\npre_roll = \"9s\"\nlongest = \"8s\"\n[mqtt]");
    });
    assert!(long.contains("ends before its incident begins"), "{long}");

    let wanted = |all: &Directory| all.replace("categories.toml", "severity = \"major\"", "clip = true");
    let nobody = problems("nobody", wanted);
    assert!(nobody.contains("everything runs") && nobody.contains("there is nobody to seal them for"), "{nobody}");
    let well = problems("well", |all| {
        wanted(all);
        all.replace("gateway.toml", "[mqtt]", &recipients(&format!("\"{KEY}\"")));
    });
    assert!(!well.contains("clips"), "{well}");
    let short = problems("short", |all| {
        wanted(all);
        all.replace("gateway.toml", "[mqtt]", &recipients(&format!("\"{KEY}\"")));
        all.replace("cameras.d/north.toml", "[[lines]]", "[ring]\nduration = \"3s\"\n[[lines]]");
    });
    assert!(short.contains("the ring holds 3s"), "{short}");
}
