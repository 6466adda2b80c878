//! Messages of WS-Discovery, as of April 2005, which ONVIF uses (Core Specification, "Device discovery"): the question who is there, and
//! the answers.

use super::{
    super::text::plain,
    soap::{self, Content, ENVELOPE, element},
    xml::Element,
};
use uuid::Uuid;

const DISCOVERY: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// Where a question to everybody goes (section 2.4).
const EVERYBODY: &str = "urn:schemas-xmlsoap-org:ws:2005:04:discovery";

/// The most devices that one datagram may name.
const MOST_MATCHES: usize = 16;
/// The most addresses and the most scopes that are read of one device.
const MOST_WORDS: usize = 64;
/// The longest endpoint reference kept, in bytes.
const LONGEST_REFERENCE: usize = 256;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceType {
    /// `dn:NetworkVideoTransmitter`: all cameras from ONVIF 1.0 on.
    NetworkVideoTransmitter,
    /// `tds:Device`: any device, from ONVIF 2.0 on. Types of one question must all be met, so it is a question of its own.
    Device,
}

impl DeviceType {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::NetworkVideoTransmitter, Self::Device];

    fn qualified(self) -> (&'static str, &'static str) {
        match self {
            Self::NetworkVideoTransmitter => {
                ("dn:NetworkVideoTransmitter", "xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"")
            }
            Self::Device => ("tds:Device", "xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\""),
        }
    }
}

/// A question. Repeats of it carry the same id, by which devices drop them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeMessage {
    /// The message's id, `urn:uuid:…`.
    pub id: String,
    /// The datagram.
    pub text: String,
}

impl ProbeMessage {
    /// Asks for devices of a type.
    pub fn new(of: DeviceType) -> Self {
        let id = Uuid::new_v4().urn().to_string();
        let (name, namespace) = of.qualified();
        let header = [
            element("a:MessageID", &id),
            element("a:To s:mustUnderstand=\"1\"", EVERYBODY),
            element("a:Action s:mustUnderstand=\"1\"", &format!("{DISCOVERY}/Probe")),
        ];
        let body = format!("<d:Probe><d:Types {namespace}>{name}</d:Types></d:Probe>");
        let text = soap::envelope(&header.concat(), &body);
        // Some devices look for namespaces at the root alone.
        let declared = format!("xmlns:s=\"{ENVELOPE}\" xmlns:a=\"{ADDRESSING}\" xmlns:d=\"{DISCOVERY}\"");
        Self { id, text: text.replacen(&format!("xmlns:s=\"{ENVELOPE}\""), &declared, 1) }
    }
}

/// A device, as it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeMatch {
    /// What it is called for ever, mostly `urn:uuid:…`; empty where it does not say.
    pub endpoint: String,
    /// The addresses of its device service.
    pub addresses: Vec<String>,
    /// What it says of itself.
    pub scopes: Scopes,
}

/// What a device says of itself without being asked (ONVIF Core Specification, "Scopes").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    /// Its name.
    pub name: Option<String>,
    /// Its hardware: mostly the model.
    pub hardware: Option<String>,
    /// Where it stands.
    pub location: Option<String>,
}

/// The devices in a datagram that answers one of the questions; none where it is anything else.
pub fn matches(datagram: &[u8], asked: &[ProbeMessage]) -> Option<Vec<ProbeMatch>> {
    let root = Element::parse(datagram).ok()?;
    let relates_to = root.text_at(&["Header", "RelatesTo"])?;
    if !asked.iter().any(|message| message.id == relates_to) {
        return None;
    }
    let Ok(Content::Body(body)) = soap::content(&root) else { return None };
    (body.name() == "ProbeMatches").then(|| body.named("ProbeMatch").take(MOST_MATCHES).filter_map(read).collect())
}

fn read(found: &Element) -> Option<ProbeMatch> {
    let words = |name: &str| found.text_at(&[name]).unwrap_or_default().split_whitespace().take(MOST_WORDS);
    let endpoint = found.text_at(&["EndpointReference", "Address"]).and_then(plain).unwrap_or_default();
    let endpoint: String = endpoint.chars().take(LONGEST_REFERENCE).collect();
    let addresses: Vec<String> = words("XAddrs").map(str::to_owned).collect();
    let mut scopes = Scopes::default();
    for scope in words("Scopes") {
        let Some((kind, value)) = scope.strip_prefix("onvif://www.onvif.org/").and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let place = match kind {
            "name" => &mut scopes.name,
            "hardware" => &mut scopes.hardware,
            "location" => &mut scopes.location,
            _ => continue,
        };
        if place.is_none() {
            *place = plain(&percent_decoded(value));
        }
    }
    (!addresses.is_empty()).then_some(ProbeMatch { endpoint, addresses, scopes })
}

/// RFC 3986, section 2.1; what is no UTF-8 becomes U+FFFD.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = code.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(relates_to: &str, matches: &str) -> Vec<u8> {
        format!(
            "<e:Envelope xmlns:e='{ENVELOPE}' xmlns:w='{ADDRESSING}' xmlns:d='{DISCOVERY}'>\
             <e:Header><w:RelatesTo>{relates_to}</w:RelatesTo></e:Header>\
             <e:Body><d:ProbeMatches>{matches}</d:ProbeMatches></e:Body></e:Envelope>"
        )
        .into_bytes()
    }

    #[test]
    fn a_question_is_what_the_specification_says() {
        let message = ProbeMessage::new(DeviceType::NetworkVideoTransmitter);
        let root = Element::parse(message.text.as_bytes()).unwrap();
        let header = root.at(&["Header"]).unwrap();
        assert_eq!(header.text_at(&["Action"]), Some("http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe"));
        assert_eq!(header.text_at(&["To"]), Some(EVERYBODY));
        assert_eq!(header.text_at(&["MessageID"]), Some(message.id.as_str()));
        assert_eq!(root.text_at(&["Body", "Probe", "Types"]), Some("dn:NetworkVideoTransmitter"));
        assert!(message.id.starts_with("urn:uuid:") && message.id != ProbeMessage::new(DeviceType::Device).id);
    }

    #[test]
    fn answers_are_read_and_those_to_others_are_not() {
        let asked = [ProbeMessage::new(DeviceType::Device)];
        let one = "<d:ProbeMatch><w:EndpointReference><w:Address>urn:uuid:1</w:Address></w:EndpointReference>\
                   <d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>\
                   <d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/East%20Gate%E9%97%A8%zz \
                   onvif://www.onvif.org/hardware/DS-2CD onvif://www.onvif.org/location/country/china</d:Scopes>\
                   <d:XAddrs>http://10.0.0.7/onvif/device_service http://[fe80::1]/onvif/device_service</d:XAddrs></d:ProbeMatch>";
        let found = matches(&answer(&asked[0].id, one), &asked).unwrap();
        assert_eq!((found[0].endpoint.as_str(), found[0].addresses.len()), ("urn:uuid:1", 2));
        assert_eq!(found[0].scopes.name.as_deref(), Some("East Gate门%zz"));
        assert_eq!(found[0].scopes.hardware.as_deref(), Some("DS-2CD"));
        assert_eq!(found[0].scopes.location.as_deref(), Some("country/china"));
        assert_eq!(matches(&answer("urn:uuid:of-somebody-else", one), &asked), None);
        assert_eq!(matches(&answer(&asked[0].id, &one.repeat(50)), &asked).unwrap().len(), MOST_MATCHES);
        assert_eq!(matches(b"hello", &asked), None);
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_passed_over(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = matches(&bytes, &[ProbeMessage::new(DeviceType::Device)]);
        }

        #[test]
        fn any_scope_is_read_or_passed_over(scopes in "(onvif://www\\.onvif\\.org/name/|[%/a-f0-9 门]){0,30}") {
            let asked = [ProbeMessage::new(DeviceType::Device)];
            let one = format!("<d:ProbeMatch><d:Scopes>{scopes}</d:Scopes><d:XAddrs>x</d:XAddrs></d:ProbeMatch>");
            prop_assert_eq!(matches(&answer(&asked[0].id, &one), &asked).map(|found| found.len()), Some(1));
        }
    }
}
