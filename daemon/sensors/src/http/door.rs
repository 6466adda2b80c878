//! One request, from its head to its answer: who is it, may it, what does it say.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request,
    body::{Body, Incoming},
    header::{AUTHORIZATION, CONTENT_ENCODING},
};
use snowgate_core::{
    ids::Id,
    rate::TokenBucket,
    secret::Secret,
    sensor::json::{self, JsonPlan, JsonReader, Message},
    time::Mono,
};
use subtle::ConstantTimeEq;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    answer::{Answer, Refusal, taken},
    connections::Place,
};
use crate::{
    intake::{Device, Intake},
    refusals::Refusals,
    spec::{HttpSource, json_reader},
};

/// Longest time until a message is complete.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// Longest time until the intake has taken a message.
const INTAKE_LIMIT: Duration = Duration::from_secs(10);
/// Longest time until the intake has taken a refusal.
const TELL_LIMIT: Duration = Duration::from_secs(1);
/// Messages of one sensor under way at once.
const AT_ONCE: usize = 4;
/// Seconds' worth of messages that a sensor may send at once.
const BURST: u32 = 10;
/// What the token of a sensor that does not exist is compared with.
const NOBODYS_TOKEN: &[u8] = &[0; 32];

/// All sensors that may send.
pub(super) struct Door {
    sensors: HashMap<String, Sensor>,
    intake: Intake,
    refusals: Refusals,
}

pub(super) struct Sensor {
    id: Id,
    token: Option<Secret>,
    plan: JsonPlan,
    reader: JsonReader,
    bucket: Mutex<TokenBucket>,
    at_once: Semaphore,
}

fn bucket(a_second: u32) -> TokenBucket {
    let a_second = a_second.max(1);
    let every = Duration::from_nanos(1_000_000_000_u64.div_ceil(a_second.into()));
    TokenBucket::new(a_second.saturating_mul(BURST), every)
}

/// A refusal, and whose message it was if its token was right.
struct Refused<'a>(Option<&'a Sensor>, Refusal);

impl Door {
    pub(super) fn new(devices: Vec<Device<HttpSource>>, most_a_second: u32, intake: Intake) -> Self {
        let sensor = |Device { sensor, source, secret }: Device<HttpSource>| {
            let mut plan = JsonPlan::new();
            let reader = json_reader(&mut plan, source.json(), &source.values);
            let bucket = Mutex::new(bucket(most_a_second));
            // An empty token would let everybody in.
            let token = secret.filter(|token| !token.expose().is_empty());
            let name = sensor.to_string();
            (name, Sensor { id: sensor, token, plan, reader, bucket, at_once: Semaphore::new(AT_ONCE) })
        };
        let sensors = devices.into_iter().map(sensor).collect();
        let refusals = Refusals::new("http", intake.clone());
        Self { sensors, intake, refusals }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: SocketAddr, place: &Place) -> Answer {
        match self.take(request, peer, place).await {
            Ok(()) => taken(),
            Err(Refused(sensor, refusal)) => {
                self.tell(sensor, &refusal, peer).await;
                refusal.response()
            }
        }
    }

    async fn take(&self, request: Request<Incoming>, peer: SocketAddr, place: &Place) -> Result<(), Refused<'_>> {
        let sensor = self.admit(&request).map_err(|refusal| Refused(None, refusal))?;
        let refused = |refusal| Refused(Some(sensor), refusal);
        let _served = place.serve().ok_or_else(|| refused(Refusal::Full))?;
        let _one_of_few = sensor.share(self.intake.now().mono).map_err(refused)?;
        let Message { samples, errors, time_error } = sensor.read(request).await.map_err(refused)?;
        let heard = self.intake.heard(&sensor.id, samples);
        if !timeout(INTAKE_LIMIT, heard).await.unwrap_or(false) {
            return Err(refused(Refusal::Busy));
        }
        // The rest of it counts, so it must not be sent again; but somebody should know.
        for error in errors.into_iter().map(|(_, error)| error).chain(time_error) {
            let told = self.refusals.tell(Some(&sensor.id), "malformed", || format!("POST from {peer}: {error}"));
            let _ = timeout(TELL_LIMIT, told).await;
        }
        Ok(())
    }

    /// Whose request it is.
    fn admit(&self, request: &Request<Incoming>) -> Result<&Sensor, Refusal> {
        let name = request.uri().path().strip_prefix("/sensors/").ok_or(Refusal::Path)?;
        if name.is_empty() || name.contains('/') {
            return Err(Refusal::Path);
        }
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let sensor = self.sensors.get(name);
        let token = sensor.and_then(|sensor| sensor.token.as_ref());
        let expected = token.map_or(NOBODYS_TOKEN, |token| token.expose().as_bytes());
        let shown = bearer(request.headers()).unwrap_or_default();
        let is_right = bool::from(expected.ct_eq(shown)) && token.is_some();
        sensor.filter(|_| is_right).ok_or(Refusal::Unauthorised)
    }

    /// Tells the intake of a refusal, and of the sensor whose token was shown. A full intake keeps nobody waiting for it.
    pub(super) async fn tell(&self, sensor: Option<&Sensor>, refusal: &Refusal, peer: SocketAddr) {
        let message = || format!("POST from {peer}: {refusal}");
        let told = async {
            match (sensor, refusal) {
                (Some(sensor), Refusal::Unusable(_) | Refusal::TooLong) => {
                    self.refusals.unusable(&sensor.id, refusal.reason(), message, &refusal.to_string()).await;
                }
                (sensor, refusal) => {
                    self.refusals.tell(sensor.map(|sensor| &sensor.id), refusal.reason(), message).await;
                }
            }
        };
        let _ = timeout(TELL_LIMIT, told).await;
    }
}

impl Sensor {
    /// This sensor's share of the gateway, for one message.
    fn share(&self, now: Mono) -> Result<SemaphorePermit<'_>, Refusal> {
        let permit = self.at_once.try_acquire();
        let permit = permit.map_err(|_| Refusal::TooMany { again: Duration::from_secs(1) })?;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now).map_err(|again| Refusal::TooMany { again })?;
        Ok(permit)
    }

    /// What a message says; something in it can be used.
    async fn read(&self, request: Request<Incoming>) -> Result<Message, Refusal> {
        if !is_plain(request.headers()) {
            return Err(Refusal::Compressed);
        }
        let body = timeout(BODY_LIMIT, receive(request.into_body())).await.map_err(|_| Refusal::TooSlow)??;
        let parsed = self.plan.parse(&body).map_err(Refusal::Unusable)?;
        let mut message = self.reader.read(&parsed).map_err(Refusal::Unusable)?;
        if let Some(nothing) = self.reader.nothing(&body, &message) {
            return Err(Refusal::Nothing(nothing));
        }
        if message.samples.is_empty()
            && let Some((_, error)) = message.errors.pop()
        {
            return Err(Refusal::Unusable(error));
        }
        Ok(message)
    }
}

/// The whole body: collected piece by piece, so that a body in many small pieces costs no more than one in few.
async fn receive(mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    if body.size_hint().lower() > json::LONGEST as u64 {
        return Err(Refusal::TooLong);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|_| Refusal::BrokenOff)?.into_data() {
            if bytes.len() + piece.len() > json::LONGEST {
                return Err(Refusal::TooLong);
            }
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes)
}

/// The token that a request shows (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let shown = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = shown.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Whether a message is sent as it is. What it calls itself is no matter: small devices, and `curl -d`, call JSON a form.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
