//! What has to be known for a configuration, and the files that are made of it.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;
use snowgate_core::{ids::Id, incidents::Locale};

use super::{
    super::camera::login::Login,
    Arguments,
    ask::Terminal,
    grids::{Grids, Named},
    words::Words,
};
use crate::camera::reach::Endpoint;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl std::str::FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An IPv6 address has colons of its own, and stands in brackets where a port follows.
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
            None if text.matches(':').count() == 1 => {
                text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
            }
            None => (text, None),
        };
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(legal) {
            return Err(format!("{text:?} is no broker: write HOST or HOST:PORT"));
        }
        let port = port.map(|port| match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("{port:?} is no port: it is a number from 1 to 65535")),
        });
        Ok(Self { host: host.to_owned(), port: port.transpose()? })
    }
}

/// The first camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstCamera {
    /// Without user and password.
    pub url: String,
    /// Its name.
    pub id: Id,
    /// Who one is to it.
    pub login: Login,
}

/// Everything that has to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    gateway: Id,
    /// The language of what people read.
    pub locale: Locale,
    time_zone: String,
    /// Where incidents belong.
    pub grids: Grids,
    broker: HostPort,
    login: Login,
    tls: bool,
    ca_file: Option<PathBuf>,
    /// The first camera, if there is one already.
    pub camera: Option<FirstCamera>,
}

impl Answers {
    /// What the arguments say; `None` where they leave out what must be known.
    pub fn of(arguments: &Arguments) -> Option<Self> {
        let (gateway, broker) = (arguments.gateway.clone()?, arguments.broker.clone()?);
        if arguments.grids.is_empty() {
            return None;
        }
        let camera = arguments.camera.clone().map(|url| FirstCamera {
            url,
            id: arguments.camera_id.clone(),
            login: Login::new(arguments.camera_username.clone(), arguments.camera_password_file.clone()),
        });
        Some(Self {
            gateway,
            locale: arguments.locale(),
            time_zone: arguments.time_zone.clone(),
            grids: Grids::of(&arguments.grids),
            broker,
            login: Login::new(arguments.broker_username.clone(), arguments.broker_password_file.clone()),
            tls: arguments.tls || arguments.ca_file.is_some(),
            ca_file: arguments.ca_file.as_deref().map(absolute),
            camera,
        })
    }

    /// What the arguments say, and what a person at the terminal says to the rest.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn ask<R: BufRead, W: Write>(
        mut arguments: Arguments,
        host_name: Option<&str>,
        terminal: &mut Terminal<R, W>,
    ) -> io::Result<Option<Self>> {
        if arguments.locale.is_none() {
            let locale = terminal.ask("语言 / Language: zh-CN, en", Some(Locale::ZhCn.as_str()), super::locale)?;
            arguments.locale = Some(locale);
        }
        let words = Words::of(arguments.locale());
        if arguments.gateway.is_none() {
            let default = host_name.filter(|name| name.parse::<Id>().is_ok());
            arguments.gateway = Some(terminal.ask(words.gateway, default, str::parse)?);
        }
        if arguments.grids.is_empty() {
            arguments.grids.push(terminal.ask(words.grid, None, str::parse)?);
        }
        for (code, level) in Grids::of(&arguments.grids).nameless() {
            let question = format!("{} {code} ({level})", words.name_of);
            let name = terminal.ask(&question, Some(&code), |name| Ok(name.to_owned()))?;
            arguments.grids.push(Named { code, name: Some(name) });
        }
        if arguments.broker.is_none() {
            arguments.broker = Some(terminal.ask(words.broker, None, str::parse)?);
            arguments.tls |= terminal.ask(words.tls, Some("no"), yes_or_no)?;
            let login = (&mut arguments.broker_username, &mut arguments.broker_password_file);
            ask_login(terminal, words.broker_username, words.broker_password_file, login)?;
        }
        if arguments.camera.is_none() {
            arguments.camera = terminal.ask_optional(words.camera, address)?;
            if arguments.camera.is_some() {
                let default = arguments.camera_id.to_string();
                arguments.camera_id = terminal.ask(words.camera_id, Some(&default), str::parse)?;
                let login = (&mut arguments.camera_username, &mut arguments.camera_password_file);
                ask_login(terminal, words.camera_username, words.camera_password_file, login)?;
            }
        }
        Ok(Self::of(&arguments))
    }

    /// gateway.toml.
    pub fn gateway_file(&self) -> String {
        let text = |value: &str| Value::from(value);
        let path = |path: &PathBuf| Value::from(path.to_string_lossy());
        let mut file = format!(
            "# The box itself, as `snowgate init` was told. configs/example shows every key; installed it lies in\n\
             # /usr/share/doc/snowgate/examples/example.\n\n\
             [gateway]\nid = {}\nlocale = {}\ntime_zone = {}\n\n{}\n[mqtt]\nhost = {}\n",
            text(self.gateway.as_str()),
            text(self.locale.as_str()),
            text(&self.time_zone),
            self.grids.toml(),
            text(&self.broker.host)
        );
        if let Some(port) = self.broker.port {
            file += &format!("port = {port}\n");
        }
        if let Some(username) = &self.login.username {
            file += &format!("username = {}\n", text(username));
        }
        if let Some(password_file) = self.login.absolute_password_file() {
            file += &format!("password_file = {}\n", text(&password_file));
        }
        if self.tls {
            file += "\n[mqtt.tls]\n";
            file += &self.ca_file.as_ref().map(|ca_file| format!("ca_file = {}\n", path(ca_file))).unwrap_or_default();
        }
        file
    }
}

fn ask_login<R: BufRead, W: Write>(
    terminal: &mut Terminal<R, W>,
    username_question: &str,
    password_question: &str,
    (username, password_file): (&mut Option<String>, &mut Option<PathBuf>),
) -> io::Result<()> {
    if username.is_none() {
        *username = terminal.ask_optional(username_question, |name| Ok(name.to_owned()))?;
    }
    if username.is_some() && password_file.is_none() {
        let is_file = |path: &str| match Path::new(path).is_file() {
            true => Ok(PathBuf::from(path)),
            false => Err(format!("{path}: no such file")),
        };
        *password_file = terminal.ask_optional(password_question, is_file)?;
    }
    Ok(())
}

fn yes_or_no(answer: &str) -> Result<bool, String> {
    match answer {
        "yes" | "y" | "是" => Ok(true),
        "no" | "n" | "否" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

fn address(url: &str) -> Result<String, String> {
    Endpoint::parse(url).map(|_| url.to_owned()).map_err(|fault| fault.to_string())
}

/// What the configuration names is not looked for where this command was called.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(given: &[&str]) -> Arguments {
        Line::try_parse_from(["init"].iter().chain(given)).unwrap().arguments
    }

    #[test]
    fn brokers() {
        for (text, host, port) in [
            ("mqtt.example", "mqtt.example", None),
            ("10.0.0.5:8883", "10.0.0.5", Some(8883)),
            ("fe80::1", "fe80::1", None),
            ("[fe80::1]:1883", "fe80::1", Some(1883)),
        ] {
            assert_eq!(text.parse(), Ok(HostPort { host: host.to_owned(), port }), "{text}");
        }
        for wrong in ["", ":1883", "host:0", "host:x", "mqtt://host", "a b"] {
            assert!(wrong.parse::<HostPort>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_is_asked_for() {
        let said = b"en\n\n330182101201001\nCounty\n\nVillage\nSquare\nmqtt.example:1883\nno\n\n\n";
        let mut questions = Vec::new();
        let mut terminal = Terminal::new(&said[..], &mut questions);
        let asked = Answers::ask(arguments(&[]), Some("box-7"), &mut terminal).unwrap();
        let given = [
            "--locale=en",
            "--gateway=box-7",
            "--broker=mqtt.example:1883",
            "--grid=330182101201001=Square",
            "--grid=330182=County",
            "--grid=330182101=330182101",
            "--grid=330182101201=Village",
        ];
        assert_eq!(asked, Answers::of(&arguments(&given)));
        let questions = String::from_utf8(questions).unwrap();
        assert!(questions.contains("(a-z 0-9 - _ .) [box-7]: "), "{questions}");
    }

    #[test]
    fn without_a_broker_or_a_grid_nothing_is_known() {
        assert_eq!(Answers::of(&arguments(&["--gateway=box", "--grid=A1"])), None);
        assert_eq!(Answers::of(&arguments(&["--gateway=box", "--broker=host"])), None);
    }
}
