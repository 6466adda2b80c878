//! What a camera answers: device service (ver10), Media (ver10) and Media2 (ver20).

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{Services, Shared, Stream, between};

const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";

/// An envelope with this body.
pub fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:tds=\"{DEVICE}\" xmlns:trt=\"{MEDIA}\" xmlns:tr2=\"{MEDIA2}\">\
         <SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
}

/// A fault of the sender's.
pub fn fault(subcode: &str, reason: &str) -> String {
    envelope(&format!(
        "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value><SOAP-ENV:Subcode>\
         <SOAP-ENV:Value>ter:{subcode}</SOAP-ENV:Value></SOAP-ENV:Subcode></SOAP-ENV:Code>\
         <SOAP-ENV:Reason><SOAP-ENV:Text xml:lang=\"en\">{reason}</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>"
    ))
}

/// The answer to an operation; none where the camera does not know it.
pub fn answer(shared: &Shared, path: &str, action: &str, body: &str) -> Option<String> {
    let behaviour = &shared.behaviour;
    let has = |service: Services| behaviour.services == service;
    Some(match (path.rsplit('/').next()?, action) {
        ("device_service", "GetSystemDateAndTime") => time(behaviour.clock_ahead),
        ("device_service", "GetDeviceInformation") => format!(
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Snow &amp; Gate</tds:Manufacturer><tds:Model>{}</tds:Model>\
             <tds:FirmwareVersion>1.2.3</tds:FirmwareVersion><tds:SerialNumber>SN-7</tds:SerialNumber>\
             <tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>",
            behaviour.model
        ),
        ("device_service", "GetServices") if !has(Services::Capabilities) => services(shared),
        ("device_service", "GetCapabilities") => format!(
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>{}</tt:XAddr></tt:Media></tds:Capabilities>\
             </tds:GetCapabilitiesResponse>",
            shared.service("media_service")
        ),
        ("media_service", "GetProfiles") => {
            let profiles: String = behaviour.streams.iter().map(profile).collect();
            format!("<trt:GetProfilesResponse>{profiles}</trt:GetProfilesResponse>")
        }
        ("media_service", "GetStreamUri") => {
            let is_asked_well = body.contains(">RTP-Unicast<") && body.contains(">RTSP<");
            let stream = asked(behaviour.streams.as_slice(), body).filter(|_| is_asked_well)?;
            format!(
                "<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>\
                 </trt:MediaUri></trt:GetStreamUriResponse>",
                escaped(&stream.uri)
            )
        }
        ("media2_service", "GetProfiles") if has(Services::Media2) => {
            // Configurations come where they are asked for.
            let with = body.contains(">VideoEncoder<");
            let profiles: String = behaviour.streams.iter().map(|stream| profile2(stream, with)).collect();
            format!("<tr2:GetProfilesResponse>{profiles}</tr2:GetProfilesResponse>")
        }
        ("media2_service", "GetStreamUri") if has(Services::Media2) => {
            let stream = asked(behaviour.streams.as_slice(), body).filter(|_| body.contains(">RTSP<"))?;
            format!("<tr2:GetStreamUriResponse><tr2:Uri>{}</tr2:Uri></tr2:GetStreamUriResponse>", escaped(&stream.uri))
        }
        _ => return None,
    })
}

fn time(ahead: i64) -> String {
    let now = (Timestamp::now() + SignedDuration::from_secs(ahead)).to_zoned(TimeZone::UTC);
    format!(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
         <tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour><tt:Minute>{}</tt:Minute>\
         <tt:Second>{}</tt:Second></tt:Time><tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date>\
         </tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
        now.hour(),
        now.minute(),
        now.second(),
        now.year(),
        now.month(),
        now.day()
    )
}

fn services(shared: &Shared) -> String {
    let mut known = vec![(DEVICE, "device_service"), (MEDIA, "media_service")];
    if matches!(shared.behaviour.services, Services::Media2 | Services::BrokenMedia2) {
        known.push((MEDIA2, "media2_service"));
    }
    let services: String = known
        .into_iter()
        .map(|(namespace, name)| {
            format!(
                "<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{}</tds:XAddr></tds:Service>",
                shared.service(name)
            )
        })
        .collect();
    format!("<tds:GetServicesResponse>{services}</tds:GetServicesResponse>")
}

fn profile(stream: &Stream) -> String {
    let gop = match stream.encoding.as_str() {
        "H264" => "<tt:H264><tt:GovLength>10</tt:GovLength><tt:H264Profile>Main</tt:H264Profile></tt:H264>",
        _ => "",
    };
    let encoder = format!(
        "<tt:VideoEncoderConfiguration token=\"e\"><tt:Name>e</tt:Name><tt:Encoding>{}</tt:Encoding>{}{}{gop}</tt:VideoEncoderConfiguration>",
        stream.encoding,
        resolution(stream),
        rate()
    );
    // Media ver10 has no word for H.265: real cameras leave such a profile's encoder out.
    let encoder = if stream.encoding == "H265" { String::new() } else { encoder };
    format!(
        "<trt:Profiles token=\"{token}\" fixed=\"true\"><tt:Name>{token}</tt:Name><tt:VideoSourceConfiguration token=\"v\">\
         <tt:SourceToken>{}</tt:SourceToken></tt:VideoSourceConfiguration>{encoder}</trt:Profiles>",
        stream.source,
        token = stream.token
    )
}

fn profile2(stream: &Stream, with_configurations: bool) -> String {
    let configurations = format!(
        "<tr2:Configurations><tr2:VideoSource token=\"v\"><tt:SourceToken>{}</tt:SourceToken></tr2:VideoSource>\
         <tr2:VideoEncoder token=\"e\" GovLength=\"10\"><tt:Encoding>{}</tt:Encoding>{}{}</tr2:VideoEncoder></tr2:Configurations>",
        stream.source,
        stream.encoding,
        resolution(stream),
        rate()
    );
    let configurations = if with_configurations { configurations } else { String::new() };
    format!(
        "<tr2:Profiles token=\"{token}\"><tr2:Name>{token}</tr2:Name>{configurations}</tr2:Profiles>",
        token = stream.token
    )
}

fn resolution(stream: &Stream) -> String {
    let (width, height) = stream.size;
    format!("<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>")
}

fn rate() -> &'static str {
    "<tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit><tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl>"
}

fn asked<'a>(streams: &'a [Stream], body: &str) -> Option<&'a Stream> {
    let token = between(body, "ProfileToken>", "<")?;
    streams.iter().find(|stream| stream.token == token)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
