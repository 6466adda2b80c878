//! Checks of what is told about MQTT brokers, and reading the files it names.

use snowgate_core::{
    ids::Id,
    spec::{ByteSize, TimeSpan},
};

use super::{
    checks::{Checker, check_certificates, read_pem},
    gateway::secret_help,
    problem::Problem,
};
use crate::uplink::{
    Broker, MqttSecrets,
    spec::{ConnectionSpec, MqttSpec, TlsSpec},
};

/// The broker that incidents go to; `None` where an error says what is wrong.
pub(super) fn resolve(spec: &MqttSpec, gateway: &Id, check: &mut Checker<'_>) -> Option<Broker> {
    check.within("/mqtt/max_inflight", *spec.max_inflight, 1..=1000);
    check.within("/mqtt/drain_rate", *spec.drain_rate, 1..=10_000);
    let mut unavailable = Vec::new();
    let secrets = connection(&spec.connection, "/mqtt", gateway, check, &mut unavailable);
    let broker = secrets.and_then(|secrets| broker(spec, &secrets, gateway, check));
    check.problems.extend(unavailable);
    broker
}

/// A broker on which sensors are listened to, described at `pointer`. Where the files that it names are no good,
/// `unavailable` says why: that refuses no more than its sensors.
pub(super) fn resolve_for_sensors(
    spec: ConnectionSpec,
    pointer: &str,
    gateway: &Id,
    check: &mut Checker<'_>,
    unavailable: &mut Vec<Problem>,
) -> Option<Broker> {
    let secrets = connection(&spec, pointer, gateway, check, unavailable)?;
    broker(&spec.into(), &secrets, gateway, check)
}

fn broker(spec: &MqttSpec, secrets: &MqttSecrets, gateway: &Id, check: &mut Checker<'_>) -> Option<Broker> {
    // What is wrong and has a place of its own has been said already; this is what `run` would stumble over.
    Broker::new(gateway, spec, secrets)
        .map_err(|error| check.error(spec.connection.host.span, format!("mqtt: {error}"), None))
        .ok()
}

/// Checks the keys and reads the files of a connection described at `pointer`.
fn connection(
    spec: &ConnectionSpec,
    pointer: &str,
    gateway: &Id,
    check: &mut Checker<'_>,
    unavailable: &mut Vec<Problem>,
) -> Option<MqttSecrets> {
    if spec.host.is_empty() || spec.host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@".contains(c)) {
        let help = "write the host name or the address alone, such as host = \"broker.example\"".to_owned();
        check.error(spec.host.span, format!("`{}` is no host name", *spec.host), help);
    } else if spec.host.rsplit_once(':').is_some_and(|(host, port)| !host.contains(':') && port.parse::<u16>().is_ok())
    {
        check.error(spec.host.span, "the port does not belong into the host", "write it as port = …".to_owned());
    }
    let at = |key: &str| format!("{pointer}/{key}");
    check.within(&at("port"), spec.port.unwrap_or(1883), 1..=u16::MAX);
    check.within(&at("keep_alive"), spec.keep_alive, TimeSpan::secs(5)..=TimeSpan::secs(600));
    check.within(&at("max_packet"), spec.max_packet, ByteSize(16 << 10)..=ByteSize::mib(64));
    let client_id = spec.client_id.0.clone().unwrap_or_else(|| format!("snowgate-{gateway}"));
    check.within(&at("client_id length"), client_id.len(), 1..=256);
    let password = match &*spec.password_file {
        None => None,
        Some(reference) => {
            if spec.username.is_none() {
                let help = "MQTT sends a password only together with a username".to_owned();
                check.error(reference.span, "password_file without username", help);
            }
            let place = check.place(reference.span);
            let unreadable = |message| unavailable.push(Problem::error(place, message).help(secret_help()));
            check.secret(reference).map_err(unreadable).ok()
        }
    };
    let mut secrets = match &*spec.tls {
        None => MqttSecrets::default(),
        Some(tls) => certificates(tls, check, unavailable)?,
    };
    secrets.password = password.map(|password| password.expose().to_owned());
    Some(secrets)
}

/// Reads and parses every certificate and the key, as the connection will.
fn certificates(tls: &TlsSpec, check: &mut Checker<'_>, unavailable: &mut Vec<Problem>) -> Option<MqttSecrets> {
    let ca = tls.ca_file.as_ref().map(|file| {
        let path = check.path(file);
        read_pem(&path)
            .and_then(|pem| check_certificates(&path, &pem).map(|()| pem))
            .map_err(|message| unavailable.push(Problem::error(check.place(file.span), message)))
    });
    let client = match (&*tls.certificate_file, &*tls.key_file) {
        (None, None) => None,
        (Some(only), None) => {
            check.error(only.span, "certificate_file without key_file", None);
            return None;
        }
        (None, Some(only)) => {
            check.error(only.span, "key_file without certificate_file", None);
            return None;
        }
        (Some(certificate_file), Some(key_file)) => {
            let certificate = read_pem(&check.path(certificate_file))
                .map_err(|message| unavailable.push(Problem::error(check.place(certificate_file.span), message)));
            let place = check.place(key_file.span);
            let unreadable = |message| unavailable.push(Problem::error(place.clone(), message).help(secret_help()));
            let key = check.secret(key_file).map_err(unreadable);
            let (Ok(certificate), Ok(key)) = (certificate, key) else { return None };
            if let Err(error) = native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.expose().as_bytes()) {
                let message = format!("certificate and key do not go together: {error}");
                let help = "both are PEM files; the key is PKCS#8 (-----BEGIN PRIVATE KEY-----)".to_owned();
                unavailable.push(Problem::error(place, message).help(help));
                return None;
            }
            Some((certificate, key))
        }
    };
    let (certificate, key) = client.unzip();
    Some(MqttSecrets {
        password: None,
        ca: ca.transpose().ok()?.map(String::into_bytes),
        certificate: certificate.map(String::into_bytes),
        key: key.map(|key| key.expose().as_bytes().to_vec()),
    })
}
