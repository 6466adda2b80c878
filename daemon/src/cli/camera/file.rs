//! A camera's file, ready for cameras.d, as a stream was found to be.

use serde::Serialize;
use snowgate_core::{ids::Id, spec::all_defaults};

use super::figures::Figures;
use crate::{
    camera::spec::Transport,
    vision::spec::{DetectSpec, Gate},
};

/// The gate for a stream, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggested {
    /// A word of `[detect] gate`.
    pub gate: &'static str,
    /// Why, and what to set in the camera.
    pub why: String,
}

/// What the daemon's gate needs: key frames no further apart than `max_key_interval`, each a picture on its own.
pub fn suggest(figures: &Figures, keys_show: bool) -> Suggested {
    let allowed = all_defaults::<DetectSpec>().max_key_interval.0.as_secs_f64();
    let remedy = "set the camera's I-frame interval to 1 to 2 s and switch smart coding off";
    let pixels = |why| Suggested { gate: Gate::Pixels.as_str(), why };
    if !keys_show {
        return pixels("key frames give no picture on their own; switch intra refresh off in the camera".to_owned());
    }
    match figures.gop_seconds {
        Some((_, longest)) if longest > allowed => {
            pixels(format!("key frames are up to {longest:.1} s apart, more than {allowed:.0} s: {remedy}"))
        }
        Some((_, longest)) => Suggested {
            gate: Gate::Keyframe.as_str(),
            why: format!("key frames are at most {longest:.1} s apart, {allowed:.0} s are allowed"),
        },
        None if figures.seconds > allowed => {
            pixels(format!("no second key frame in {:.1} s, more than {allowed:.0} s: {remedy}", figures.seconds))
        }
        None => Suggested {
            gate: Gate::Keyframe.as_str(),
            why: format!(
                "no second key frame in {:.1} s, which is too short to say: probe with a longer --for",
                figures.seconds
            ),
        },
    }
}

/// How a camera is reached.
pub struct Reached<'a> {
    /// Its id in the configuration.
    pub id: &'a Id,
    /// What people call it, where that is known.
    pub name: Option<&'a str>,
    /// Grid code; where it was not given, there is a line to fill in.
    pub grid: Option<&'a str>,
    /// The stream to watch, without user and password.
    pub detect: &'a str,
    /// The stream to keep, where it is another.
    pub record: Option<&'a str>,
    /// User name.
    pub username: Option<&'a str>,
    /// The password's file, absolute.
    pub password_file: Option<&'a str>,
    /// How its packets came.
    pub transport: Transport,
}

/// Whether what a first rule looks like is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// It stands there, switched off.
    Shown,
    /// It watches.
    InForce,
}

/// A zone and a rule that tell of people who come close.
const FIRST_RULE: &str = r#"[[zones]]
id = "near"
polygon = [[0.0, 0.3], [1.0, 0.3], [1.0, 1.0], [0.0, 1.0]]

[[rules]]
id = "people-near"
kind = "intrusion"
zone = "near"
category = "intrusion"
"#;

/// The file's text; without a gate where the stream was not looked at.
pub fn camera_file(reached: &Reached<'_>, suggested: Option<&Suggested>, rules: Rules) -> String {
    // TOML's basic strings escape as Rust's JSON does.
    let line = |key: &str, value: &str| format!("{key} = {}\n", serde_json::Value::from(value));
    let optional = |key: &str, value: Option<&str>| value.map(|value| line(key, value)).unwrap_or_default();
    let gate = |suggested: &Suggested| {
        format!("\n[detect]\n# {}\n{}", suggested.why.replace('\n', " "), line("gate", suggested.gate))
    };
    [
        line("id", reached.id.as_str()),
        optional("name", reached.name),
        reached.grid.map_or(format!("# {}", line("grid", "")), |grid| line("grid", grid)),
        "\n[stream]\n".to_owned(),
        line("detect", reached.detect),
        optional("record", reached.record),
        optional("username", reached.username),
        optional("password_file", reached.password_file),
        line("transport", reached.transport.as_str()),
        suggested.map(gate).unwrap_or_default(),
        format!("\n# What is an incident. `snowgate camera still {} --grid` shows where zones lie.\n", reached.id),
        match rules {
            Rules::InForce => FIRST_RULE.to_owned(),
            Rules::Shown => FIRST_RULE
                .lines()
                .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("#{line}\n") })
                .collect(),
        },
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::observe::Seen;
    use snowgate_core::time::Mono;

    fn figures(seconds: u64, gop: u64) -> Figures {
        let seen = |n: u64| Seen { key: n.is_multiple_of(gop), at: Mono(n * 1_000_000_000), arrived: Mono(n), size: 1 };
        Figures::of(&(0..=seconds).map(seen).collect::<Vec<_>>())
    }

    #[test]
    fn the_gate_follows_the_distance_of_key_frames() {
        for (figures, keys_show, gate, word) in [
            (figures(10, 2), true, "keyframe", "at most 2.0 s"),
            (figures(30, 12), true, "pixels", "12.0 s apart"),
            (figures(10, 100), true, "pixels", "no second key frame in 10.0 s"),
            (figures(3, 100), true, "keyframe", "longer --for"),
            (figures(10, 2), false, "pixels", "intra refresh"),
        ] {
            let suggested = suggest(&figures, keys_show);
            assert!(suggested.gate == gate && suggested.why.contains(word), "{suggested:?}");
        }
    }

    #[test]
    fn the_file_is_a_camera_file() {
        let id = "gate".parse().unwrap();
        let reached = Reached {
            id: &id,
            name: None,
            grid: Some("330182101201001"),
            detect: "rtsp://10.0.0.1:554/a\"b",
            record: None,
            username: Some("viewer"),
            password_file: Some("/etc/p"),
            transport: Transport::Tcp,
        };
        let text = camera_file(&reached, Some(&suggest(&figures(10, 2), true)), Rules::InForce);
        assert!(toml_span::parse(&text).is_ok() && text.contains("gate = \"keyframe\""), "{text}");
        let found = Reached { name: Some("东门"), grid: None, record: Some("rtsp://10.0.0.1/b"), ..reached };
        let text = camera_file(&found, None, Rules::Shown);
        assert!(toml_span::parse(&text).is_ok() && text.contains("\n# grid = \"\"\n"), "{text}");
        assert!(text.contains("record = ") && !text.contains("[detect]"), "{text}");
    }
}
