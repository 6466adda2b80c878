//! `snowgate outbox import`: publishes an export.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    str::FromStr,
};

use clap::Args;
use serde::Serialize;
use snowgate_core::{
    ids::Id,
    spec::{ByteSize, Located, Maybe, TimeSpan},
};

use super::{SignedFile, told};
use crate::{
    cli::{Format, exit::Exit, print_json},
    config::secret_file,
    export::{Reader, Verified},
    shutdown::Shutdown,
    store::RowId,
    uplink::{
        self, Broker, MqttSecrets, Progress, Stopped, Why,
        spec::{ConnectionSpec, MqttSpec, TlsSpec},
    },
};

/// Arguments of `snowgate outbox import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    signed: SignedFile,
    /// The broker.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Address,
    /// User name.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File that holds the password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Encrypt the connection; implied by the files below.
    #[arg(long)]
    tls: bool,
    /// PEM file with the certificate authority; the system's otherwise.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// PEM file with a client certificate.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    certificate_file: Option<PathBuf>,
    /// PEM file (PKCS#8) with its private key.
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    key_file: Option<PathBuf>,
    /// Publishes on their way at once without an acknowledgement.
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u16).range(1..=1000))]
    max_inflight: u16,
    /// Begin after this row: that of an import which was broken off.
    #[arg(long, value_name = "ROW")]
    after: Option<i64>,
    /// How to print what was published.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a host and a port, such as broker.example:1883 or [fd00::1]:1883");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            None if host.contains(':') => return Err(wrong()),
            bracketed => bracketed.unwrap_or(host),
        };
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() => Ok(Self { host: host.to_owned(), port }),
            _ => Err(wrong()),
        }
    }
}

/// What was published, as it is printed.
#[derive(Serialize)]
struct Report<'a> {
    complete: bool,
    gateway: &'a str,
    messages: u64,
    acknowledged: u64,
    passed_over: u64,
    /// What to give to --after where it is not complete.
    up_to_row: Option<i64>,
    error: Option<String>,
}

impl Import {
    /// Verifies, publishes and prints; [`Exit::BadData`] where the file is not right, [`Exit::Unavailable`] where not
    /// everything was acknowledged.
    pub(super) fn run(self) -> Result<(), Exit> {
        let key = self.signed.key()?;
        let verified = self.signed.verify(&key)?.map_err(|error| told(&self.signed.file, &error, Exit::BadData))?;
        let broker = self.broker(&verified)?;
        let reader =
            Reader::open(self.signed.open()?, &key).map_err(|error| told(&self.signed.file, &error, Exit::BadData))?;
        let outcome = self.publish(&broker, reader)?;
        let (progress, error) = match &outcome {
            Ok(progress) => (progress, None),
            Err(stopped) => (&stopped.progress, Some(stopped)),
        };
        self.print(&verified, progress, error).map_err(|_| Exit::Io)?;
        outcome.map(drop).map_err(|stopped| match stopped.why {
            Why::File(_) => Exit::BadData,
            Why::Broker(_) | Why::Interrupted => Exit::Unavailable,
        })
    }

    fn publish(&self, broker: &Broker, reader: Reader<impl io::BufRead>) -> Result<Result<Progress, Stopped>, Exit> {
        let failed = |error: io::Error| {
            eprintln!("snowgate: {error}");
            Exit::Software
        };
        // One thread keeps the connection, the other reads the file.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
        let shutdown = Shutdown::new();
        runtime.spawn({
            let shutdown = shutdown.clone();
            async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    shutdown.trigger();
                }
            }
        });
        Ok(runtime.block_on(uplink::import(broker, reader, self.after.map(RowId), &shutdown)))
    }

    fn broker(&self, verified: &Verified) -> Result<Broker, Exit> {
        let pem = |path: &Option<PathBuf>| {
            let read = |path: &PathBuf| std::fs::read(path).map_err(|error| told(path, &error, Exit::Io));
            path.as_ref().map(read).transpose()
        };
        let password = self.password_file.as_ref().map(|path| {
            let read = secret_file::read(&path.to_string_lossy(), &std::env::current_dir().unwrap_or_default());
            read.map(|read| read.secret.expose().to_owned()).map_err(|error| told(path, &error, Exit::Io))
        });
        let secrets = MqttSecrets {
            password: password.transpose()?,
            ca: pem(&self.ca_file)?,
            certificate: pem(&self.certificate_file)?,
            key: pem(&self.key_file)?,
        };
        let gateway = &verified.header.gateway;
        Broker::new(gateway, &self.spec(gateway, verified.largest_packet), &secrets).map_err(|error| {
            eprintln!("snowgate: {error}");
            Exit::Usage
        })
    }

    fn spec(&self, gateway: &Id, largest_packet: u64) -> MqttSpec {
        let encrypted = self.tls || self.ca_file.is_some() || self.certificate_file.is_some();
        // What the secrets hold is read from the files above; the paths would be those of a configuration.
        let tls = TlsSpec { ca_file: Maybe::NONE, certificate_file: Maybe::NONE, key_file: Maybe::NONE };
        let connection = ConnectionSpec {
            host: Located::nowhere(self.broker.host.clone()),
            port: Maybe(Some(self.broker.port)),
            tls: Maybe(encrypted.then_some(tls)),
            username: Maybe(self.username.clone()),
            password_file: Maybe::NONE,
            // Not the gateway's own: should it be online after all, the broker would end its connection.
            client_id: Maybe(Some(format!("snowgate-{gateway}-{}", std::process::id()))),
            keep_alive: TimeSpan::secs(30),
            max_packet: ByteSize(largest_packet.max(1 << 20)),
        };
        MqttSpec { max_inflight: Located::nowhere(self.max_inflight), ..connection.into() }
    }

    fn print(&self, verified: &Verified, progress: &Progress, stopped: Option<&Stopped>) -> io::Result<()> {
        let messages = verified.header.messages;
        let Progress { acknowledged, passed_over, up_to } = *progress;
        let up_to_row = up_to.map(|row| row.0);
        if self.format == Format::Json {
            return print_json(&Report {
                complete: stopped.is_none(),
                gateway: verified.header.gateway.as_str(),
                messages,
                acknowledged,
                passed_over,
                up_to_row,
                error: stopped.map(ToString::to_string),
            });
        }
        let mut out = io::stdout().lock();
        write!(out, "{acknowledged} of {messages} messages published and acknowledged")?;
        match passed_over {
            0 => writeln!(out),
            _ => writeln!(out, ", {passed_over} passed over"),
        }?;
        let Some(stopped) = stopped else { return Ok(()) };
        writeln!(out, "not complete: {stopped}")?;
        match up_to_row {
            Some(row) => writeln!(out, "to go on: the same command with --after {row}"),
            None => writeln!(out, "to try again: the same command"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        let address = |host: &str, port| Ok(Address { host: host.to_owned(), port });
        assert_eq!("broker.example:1883".parse(), address("broker.example", 1883));
        assert_eq!("[fd00::1]:8883".parse(), address("fd00::1", 8883));
        for wrong in ["broker", "broker:", ":1883", "broker:0", "broker:65536", "fd00::1:1883", "broker:mqtt"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
