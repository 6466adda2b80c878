//! What a device tells of itself, and the conversation in which it does.

use std::{net::IpAddr, time::Instant};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::Serialize;

use super::{
    super::text::plain,
    fault::DeviceFault,
    http::HttpClient,
    media::{self, DEVICE, MediaVersion},
    probe_message::Scopes,
    service::Service,
    session::{Credentials, Session},
    stream_uri::StreamUri,
    xml::Element,
};

/// How far a device's clock may be from ours before it is said: WS-UsernameToken bears no more in strict devices.
const CLOCK_MAY_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// How a stream is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// H.264.
    #[serde(rename = "H.264")]
    H264,
    /// H.265.
    #[serde(rename = "H.265")]
    H265,
    /// Motion JPEG, which Snowgate does not take.
    #[serde(rename = "MJPEG")]
    MotionJpeg,
    /// Something else that Snowgate does not take.
    #[serde(rename = "other")]
    Other,
}

impl Encoding {
    /// From a word of `tt:VideoEncoding` or `tt:VideoEncodingMimeNames`.
    pub fn read(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "H264" => Self::H264,
            "H265" => Self::H265,
            "JPEG" => Self::MotionJpeg,
            _ => Self::Other,
        }
    }

    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::MotionJpeg => "MJPEG",
            Self::Other => "another coding",
        }
    }
}

/// A media profile: one stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// By which the device knows it.
    pub token: String,
    /// By which people do.
    pub name: Option<String>,
    /// The video source that it shows.
    pub source: Option<String>,
    /// Coding.
    pub encoding: Encoding,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// The most pictures a second.
    pub fps: Option<f64>,
    /// Pictures from one key frame to the next.
    pub gop: Option<u32>,
    /// Where its stream is.
    pub uri: Option<StreamUri>,
    /// Why that is not known.
    pub fault: Option<DeviceFault>,
}

impl Profile {
    /// Whether Snowgate takes it.
    pub fn is_usable(&self) -> bool {
        self.uri.is_some() && matches!(self.encoding, Encoding::H264 | Encoding::H265)
    }

    /// Pixels of a picture; 0 where its size is not known.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width.unwrap_or(0)) * u64::from(self.height.unwrap_or(0))
    }
}

/// What a device is (`tds:GetDeviceInformation`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Information {
    /// Who made it.
    pub manufacturer: Option<String>,
    /// What it is.
    pub model: Option<String>,
    /// Which version of its program runs.
    pub firmware: Option<String>,
    /// Which one it is.
    pub serial: Option<String>,
}

/// A device, as far as it told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Device {
    /// The host that answered.
    pub host: IpAddr,
    /// Its device service; none where it names none.
    pub service: Option<String>,
    /// Its endpoint reference, where it answered a search.
    pub endpoint: Option<String>,
    /// Its name, as it announces it.
    pub name: Option<String>,
    /// Where it stands, as it announces it.
    pub location: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub information: Information,
    /// How far its clock is ahead of this machine's, seconds.
    pub clock_ahead_seconds: Option<i64>,
    /// Which media service told of the profiles.
    pub media: Option<MediaVersion>,
    /// In the device's order.
    pub profiles: Vec<Profile>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// Why it did not tell all.
    pub fault: Option<DeviceFault>,
}

impl Device {
    /// A device that has told no more than that it is there.
    pub(super) fn unasked(host: IpAddr, service: Option<&Service>, endpoint: Option<&str>, scopes: &Scopes) -> Self {
        Self {
            host,
            service: service.map(Service::to_string),
            endpoint: endpoint.map(str::to_owned),
            name: scopes.name.clone(),
            location: scopes.location.clone(),
            information: Information { model: scopes.hardware.clone(), ..Information::default() },
            clock_ahead_seconds: None,
            media: None,
            profiles: Vec::new(),
            notes: Vec::new(),
            fault: None,
        }
    }

    /// Asks it everything, until `end`.
    pub(super) fn interview(
        &mut self,
        service: &Service,
        client: &HttpClient,
        credentials: Option<&Credentials>,
        end: Instant,
    ) {
        let mut session = Session::new(client.clone(), credentials, end);
        self.fault = self.talk(&mut session, service).err();
    }

    fn talk(&mut self, session: &mut Session<'_>, service: &Service) -> Result<(), DeviceFault> {
        match clock_ahead(session, service) {
            Ok(ahead) => {
                session.set_ahead(ahead);
                self.clock_ahead_seconds = Some(ahead.as_secs());
                if ahead.abs() > CLOCK_MAY_DIFFER {
                    let way = if ahead.is_negative() { "behind" } else { "ahead of" };
                    let seconds = ahead.unsigned_abs().as_secs();
                    self.notes.push(format!("its clock is {seconds} s {way} this machine's: set its time server"));
                }
            }
            Err(fault) if fault.ends_conversation() => return Err(fault),
            Err(fault) => self.notes.push(format!(
                "it does not tell its time ({fault}): if its clock is wrong, it may refuse a right password"
            )),
        }
        let services = media::services(session, service);
        match information(session, service) {
            Ok(information) => self.information = information,
            Err(fault) if fault.ends_conversation() => return Err(fault),
            Err(fault) => self.notes.push(format!("it does not say what it is: {fault}")),
        }
        let (version, media) = self.profiles(session, services?)?;
        for profile in &mut self.profiles {
            match media::stream_uri(session, version, &media, &profile.token) {
                Ok(uri) => profile.uri = Some(uri),
                Err(fault) if fault.ends_conversation() => return Err(fault),
                Err(fault) => profile.fault = Some(fault),
            }
        }
        Ok(())
    }

    /// Takes the profiles from the first media service that has some.
    fn profiles(
        &mut self,
        session: &mut Session<'_>,
        services: Vec<(MediaVersion, Service)>,
    ) -> Result<(MediaVersion, Service), DeviceFault> {
        let mut last = DeviceFault::NoMedia;
        for (version, media) in services {
            match media::profiles(session, version, &media) {
                Ok(profiles) if profiles.is_empty() => {}
                Ok(profiles) => {
                    (self.profiles, self.media) = (profiles, Some(version));
                    return Ok((version, media));
                }
                Err(fault) if fault.ends_conversation() => return Err(fault),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}

fn clock_ahead(session: &mut Session<'_>, service: &Service) -> Result<SignedDuration, DeviceFault> {
    let answer = session.ask_openly(service, DEVICE, "GetSystemDateAndTime")?;
    let told = time(&answer).ok_or(DeviceFault::NoTime)?;
    Ok(told.duration_since(Timestamp::now()))
}

fn time(answer: &Element) -> Option<Timestamp> {
    let utc = answer.at(&["SystemDateAndTime", "UTCDateTime"])?;
    let year = utc.number_at(&["Date", "Year"])?;
    let number = |path: [&str; 2]| utc.number_at::<i8>(&path);
    let (month, day) = (number(["Date", "Month"])?, number(["Date", "Day"])?);
    let (hour, minute, second) = (number(["Time", "Hour"])?, number(["Time", "Minute"])?, number(["Time", "Second"])?);
    // A leap second is one too many here.
    let time = DateTime::new(year, month, day, hour, minute, second.min(59), 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn information(session: &mut Session<'_>, service: &Service) -> Result<Information, DeviceFault> {
    let answer = session.ask(service, DEVICE, "GetDeviceInformation", "")?;
    let text = |name: &str| answer.text_at(&[name]).and_then(plain);
    Ok(Information {
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        firmware: text("FirmwareVersion"),
        serial: text("SerialNumber"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_device_is_read() {
        let told = |date: &str, clock: &str| {
            let text = format!(
                "<R><SystemDateAndTime><UTCDateTime><Time>{clock}</Time><Date>{date}</Date></UTCDateTime></SystemDateAndTime></R>"
            );
            time(&Element::parse(text.as_bytes()).unwrap()).map(|time| time.to_string())
        };
        let clock = "<Hour>7</Hour><Minute>50</Minute><Second>60</Second>";
        let date = "<Year>2010</Year><Month>9</Month><Day>16</Day>";
        assert_eq!(told(date, clock).as_deref(), Some("2010-09-16T07:50:59Z"));
        assert_eq!(told("<Year>2010</Year><Month>13</Month><Day>16</Day>", clock), None);
        assert_eq!(told(date, "<Hour>7</Hour>"), None);
        assert_eq!(told(&date.replace("2010", "99999999"), clock), None);
    }
}
