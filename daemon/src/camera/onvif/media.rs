//! The media services: which profiles a device has, and where the stream of each one is.

use super::{
    super::text::plain,
    device::{Encoding, Profile},
    fault::DeviceFault,
    service::Service,
    session::Session,
    soap::element,
    stream_uri::StreamUri,
    xml::Element,
};

/// The device service's namespace.
pub const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
/// The namespace that both media services take their types from.
const SCHEMA: &str = "http://www.onvif.org/ver10/schema";
/// The most profiles that are read: 64 channels of three streams.
const MOST_PROFILES: usize = 192;
/// The longest token taken, in bytes (`tt:ReferenceToken`).
const LONGEST_TOKEN: usize = 64;

/// Which media service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum MediaVersion {
    /// `ver10`, of ONVIF Profile S.
    #[serde(rename = "media")]
    Media,
    /// `ver20`, of ONVIF Profile T: the one that knows H.265.
    #[serde(rename = "media2")]
    Media2,
}

impl MediaVersion {
    fn namespace(self) -> &'static str {
        match self {
            Self::Media => "http://www.onvif.org/ver10/media/wsdl",
            Self::Media2 => "http://www.onvif.org/ver20/media/wsdl",
        }
    }
}

/// The media services of a device, the better one first.
///
/// # Errors
/// It says none, or does not answer.
pub fn services(session: &mut Session<'_>, device: &Service) -> Result<Vec<(MediaVersion, Service)>, DeviceFault> {
    let with_capabilities = "<q:IncludeCapability>false</q:IncludeCapability>";
    let found = match session.ask(device, DEVICE, "GetServices", with_capabilities) {
        Ok(answer) => listed(&answer, device),
        // ONVIF before 2.1 has none.
        Err(DeviceFault::Refused { .. } | DeviceFault::NotOnvif { .. }) => {
            let answer = session.ask(device, DEVICE, "GetCapabilities", "<q:Category>Media</q:Category>")?;
            let address = answer.text_at(&["Capabilities", "Media", "XAddr"]);
            address
                .and_then(|url| device.sibling(url))
                .map(|service| (MediaVersion::Media, service))
                .into_iter()
                .collect()
        }
        Err(fault) => return Err(fault),
    };
    if found.is_empty() { Err(DeviceFault::NoMedia) } else { Ok(found) }
}

fn listed(answer: &Element, device: &Service) -> Vec<(MediaVersion, Service)> {
    let at = |version: MediaVersion| {
        let service = answer.named("Service").find(|one| one.text_at(&["Namespace"]) == Some(version.namespace()))?;
        Some((version, device.sibling(service.text_at(&["XAddr"])?)?))
    };
    [MediaVersion::Media2, MediaVersion::Media].into_iter().filter_map(at).collect()
}

/// The profiles that carry video, without their addresses.
///
/// # Errors
/// It does not answer.
pub fn profiles(
    session: &mut Session<'_>,
    version: MediaVersion,
    media: &Service,
) -> Result<Vec<Profile>, DeviceFault> {
    let parameters = match version {
        MediaVersion::Media => "",
        // Otherwise the configurations are left out (Media2, "GetProfiles").
        MediaVersion::Media2 => "<q:Type>VideoSource</q:Type><q:Type>VideoEncoder</q:Type>",
    };
    let answer = session.ask(media, version.namespace(), "GetProfiles", parameters)?;
    Ok(answer.named("Profiles").take(MOST_PROFILES).filter_map(|one| read(one, version)).collect())
}

fn read(profile: &Element, version: MediaVersion) -> Option<Profile> {
    let (source, encoder) = match version {
        MediaVersion::Media => (profile.at(&["VideoSourceConfiguration"]), profile.at(&["VideoEncoderConfiguration"])?),
        MediaVersion::Media2 => {
            (profile.at(&["Configurations", "VideoSource"]), profile.at(&["Configurations", "VideoEncoder"])?)
        }
    };
    // It is printed, too.
    let is_token = |token: &&str| token.len() <= LONGEST_TOKEN && plain(token).as_deref() == Some(*token);
    let token = profile.attribute("token").filter(is_token)?;
    let encoding = Encoding::read(encoder.text_at(&["Encoding"]).unwrap_or_default());
    let number = |path: &[&str]| encoder.number_at::<u32>(path).filter(|number| (1..=32_768).contains(number));
    let gop = match version {
        MediaVersion::Media => number(&["H264", "GovLength"]).or_else(|| number(&["MPEG4", "GovLength"])),
        MediaVersion::Media2 => encoder.attribute("GovLength").and_then(|length| length.parse().ok()),
    };
    Some(Profile {
        token: token.to_owned(),
        name: profile.text_at(&["Name"]).and_then(plain),
        source: source.and_then(|source| source.text_at(&["SourceToken"])).and_then(plain),
        encoding,
        width: number(&["Resolution", "Width"]),
        height: number(&["Resolution", "Height"]),
        fps: encoder.number_at(&["RateControl", "FrameRateLimit"]).filter(|fps: &f64| *fps > 0.0 && *fps <= 1000.0),
        gop: gop.filter(|length| *length > 0),
        uri: None,
        fault: None,
    })
}

/// The address of a profile's stream: RTP over the connection of RTSP itself, as Snowgate receives it by default.
///
/// # Errors
/// It does not answer, or with something that is no address of a stream.
pub fn stream_uri(
    session: &mut Session<'_>,
    version: MediaVersion,
    media: &Service,
    token: &str,
) -> Result<StreamUri, DeviceFault> {
    let token = element("q:ProfileToken", token);
    let (parameters, path): (_, &[&str]) = match version {
        MediaVersion::Media => (
            format!(
                "<q:StreamSetup xmlns:t=\"{SCHEMA}\"><t:Stream>RTP-Unicast</t:Stream>\
                 <t:Transport><t:Protocol>RTSP</t:Protocol></t:Transport></q:StreamSetup>{token}"
            ),
            &["MediaUri", "Uri"],
        ),
        MediaVersion::Media2 => (format!("<q:Protocol>RTSP</q:Protocol>{token}"), &["Uri"]),
    };
    let answer = session.ask(media, version.namespace(), "GetStreamUri", &parameters)?;
    let said = answer.text_at(path).unwrap_or_default();
    Ok(StreamUri::read(said, media.address().ip())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_both_services_are_read() {
        let one = "<Profiles token='P1'><Name>main</Name><VideoSourceConfiguration><SourceToken>V0</SourceToken></VideoSourceConfiguration>\
                   <VideoEncoderConfiguration><Encoding>H264</Encoding><Resolution><Width>1920</Width><Height>1080</Height></Resolution>\
                   <RateControl><FrameRateLimit>25</FrameRateLimit></RateControl><H264><GovLength>50</GovLength></H264></VideoEncoderConfiguration></Profiles>";
        let profile = read(&Element::parse(one.as_bytes()).unwrap(), MediaVersion::Media).unwrap();
        assert_eq!((profile.width, profile.gop, profile.fps), (Some(1920), Some(50), Some(25.0)));
        assert_eq!((profile.source.as_deref(), profile.encoding), (Some("V0"), Encoding::H264));

        let two = "<Profiles token='P2'><Configurations><VideoEncoder GovLength='60'><Encoding>H265</Encoding>\
                   <Resolution><Width>99999999999</Width><Height>-1</Height></Resolution>\
                   <RateControl><FrameRateLimit>NaN</FrameRateLimit></RateControl></VideoEncoder></Configurations></Profiles>";
        let profile = read(&Element::parse(two.as_bytes()).unwrap(), MediaVersion::Media2).unwrap();
        assert_eq!((profile.width, profile.height, profile.fps, profile.gop), (None, None, None, Some(60)));
        assert_eq!(profile.encoding, Encoding::H265);
        for none in [
            "<Profiles token='P3'/>",
            &two.replace("P2", &"x".repeat(65)),
            &two.replace("P2", "&#x1b;[2J"),
            &two.replace("token='P2'", ""),
        ] {
            assert_eq!(read(&Element::parse(none.as_bytes()).unwrap(), MediaVersion::Media2), None, "{none}");
        }
    }
}
